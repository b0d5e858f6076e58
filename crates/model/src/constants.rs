//! The constants of the cost model: those that the bench measured, or the same with the bytes of the visitor's own run.

use fourways_shared::{Technique, decide::Constants, lab::Counts};

use super::experiment::run::Run;

/// Output of `fourways-bench constants`; see `tools/bench`.
const MEASURED: &str = include_str!("../../../tools/bench/constants.json");

/// Returns the constants that the bench measured.
pub fn measured() -> Constants {
    // A test checks that the file parses.
    serde_json::from_str(MEASURED).unwrap_or_else(|_| Constants {
        measured_on: String::new(),
        machine: String::new(),
        rest: fourways_shared::decide::Rest::default(),
        techniques: Default::default(),
    })
}

/// Returns `constants` with the bytes that `run` measured. Processor time and memory stay as they are: a page can't see
/// those of the server.
#[expect(clippy::cast_precision_loss, reason = "counts of a run")]
pub fn with_run(mut constants: Constants, run: &Run) -> Constants {
    for technique in Technique::ALL {
        let outcome = run.of(technique);
        let Counts { requests, empty, up, down, empty_up, empty_down, .. } = outcome.counts;
        let own = &mut constants.techniques[technique.index()];
        let full = requests.saturating_sub(empty);
        let each = |bytes: u64, of: u64| (of > 0).then(|| bytes as f64 / of as f64);
        let set = |to: &mut f64, found: Option<f64>| *to = found.unwrap_or(*to);
        set(&mut own.request_up_bytes, each(up.headers, full));
        set(&mut own.response_head_bytes, each(down.headers, full));
        set(&mut own.empty_up_bytes, each(empty_up, empty));
        set(&mut own.empty_down_bytes, each(empty_down, empty));
        let payload = f64::from(run.settings.payload_bytes);
        let framing = each(down.framing + down.payload, outcome.delivered).map(|bytes| bytes - payload);
        set(&mut own.framing_per_event_bytes, framing.filter(|bytes| *bytes > 0.0));
    }
    constants.measured_on = super::export::iso(run.began_ms as f64).chars().take(10).collect();
    constants.machine =
        format!("bytes of your run “{}”; processor and memory of {}", run.name, constants.machine);
    constants
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::run::tests::run;

    #[test]
    fn the_bench_has_measured_everything() {
        let constants = measured();
        assert_eq!(constants.measured_on.len(), 10, "{}", constants.measured_on);
        for technique in Technique::ALL {
            let own = constants.of(technique);
            assert!(own.cpu_us_per_delivery > 0.0 && own.request_up_bytes > 50.0, "{technique} {own:?}");
            assert!(own.memory_per_held_connection_bytes > 1_000.0, "{technique} {own:?}");
        }
    }

    #[test]
    fn a_run_brings_its_own_bytes() {
        let mine = run([900.0, 3.0, 2.0, 2.2], [500, 700, 260, 240]);
        let constants = with_run(measured(), &mine);
        let framing = |technique: Technique| constants.of(technique).framing_per_event_bytes;
        // The run's payload size is subtracted.
        assert!((framing(Technique::Sse) - (260.0 - f64::from(mine.settings.payload_bytes))).abs() < 1e-9);
        let cpu = |constants: &Constants| constants.of(Technique::Sse).cpu_us_per_delivery;
        assert!((cpu(&constants) - cpu(&measured())).abs() < 1e-12);
    }
}
