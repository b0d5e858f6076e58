//! `fourways-bench constants`: measures all constants of the cost model in three rounds, so that noise on the machine
//! affects all of them equally.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use fourways_shared::{
    Technique,
    decide::{Constants, Rest, TechniqueConstants},
};

use crate::{
    amount::seconds,
    bytes, cpu, machine, memory, rest,
    table::{Table, figure, line, say},
};

/// Flags of `fourways-bench constants`.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Binary of the server, built for release.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,

    /// File to write the constants to; without it, they are printed after the table.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Duration of each measurement of processor time.
    #[arg(long, default_value = "3", value_name = "SECONDS", value_parser = seconds)]
    seconds: Duration,

    /// Day to write into the file; without it, today by the system's clock, in UTC.
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
}

/// Number of rounds; odd, so that one of them is in the middle.
const RUNS: usize = 3;

/// One constant of a technique: its name in the table, and access to its field.
type Field = (&'static str, fn(&mut TechniqueConstants) -> &mut f64);

const FIELDS: [Field; 17] = [
    ("request or opening, up, bytes", |own| &mut own.request_up_bytes),
    ("answer without events, down, bytes", |own| &mut own.response_head_bytes),
    ("framing of each event, bytes", |own| &mut own.framing_per_event_bytes),
    ("empty poll, up, bytes", |own| &mut own.empty_up_bytes),
    ("empty poll, down, bytes", |own| &mut own.empty_down_bytes),
    ("heartbeats, bytes/s", |own| &mut own.keepalive_bytes_per_s),
    ("request or opening with closing, CPU µs", |own| &mut own.cpu_us_per_request),
    ("each event, CPU µs", |own| &mut own.cpu_us_per_delivery),
    ("empty poll, CPU µs", |own| &mut own.cpu_us_empty),
    ("each event after idle time, extra CPU µs", |own| &mut own.cpu_us_cold),
    ("send and its answer, CPU µs", |own| &mut own.cpu_us_per_send),
    ("heartbeat and its answer, CPU µs", |own| &mut own.cpu_us_per_beat),
    ("wake-up for an opening, × a poll's", |own| &mut own.rest_per_opening),
    ("wake-up for a send, × a poll's", |own| &mut own.rest_per_send),
    ("wake-up for a heartbeat, × a poll's", |own| &mut own.rest_per_beat),
    ("connection for sends, bytes of memory", |own| &mut own.memory_per_sender_bytes),
    ("held connection, bytes of memory", |own| &mut own.memory_per_held_connection_bytes),
];

/// Measures all constants, prints them as a table, and writes their medians.
///
/// # Errors
/// If a constant can't be measured, or the file can't be written.
pub(crate) async fn run(flags: &Flags) -> anyhow::Result<bool> {
    let _awake = machine::keep_awake()?;
    let mut rounds = Vec::with_capacity(RUNS);
    for number in 1..=RUNS {
        let mut round = Round::default();
        for technique in Technique::ALL {
            say(&format!("round {number} of {RUNS}: {}", technique.label()));
            round
                .measure(&flags.server, technique, flags.seconds)
                .await
                .with_context(|| format!("round {number}"))?;
        }
        rounds.push(round);
    }
    let constants =
        Constants { measured_on: flags.date.clone().unwrap_or_else(machine::today), ..median(&mut rounds) };
    let runs: Vec<_> = rounds.iter().map(|round| round.techniques).collect();
    table(&runs).print()?;
    for Round { rest: Rest { wake_up_us, growth }, .. } in rounds {
        line(&format!(
            "A wake-up after 1 ms of idle time takes {} µs extra; growth exponent {growth:.2}",
            figure(wake_up_us)
        ))?;
    }
    line(&format!("\n{}, median of {RUNS}, on {}", constants.measured_on, constants.machine))?;
    match &flags.out {
        Some(file) => write(&constants, file)?,
        None => line(&serde_json::to_string_pretty(&constants)?)?,
    }
    Ok(true)
}

/// Writes the constants to a file, as JSON.
///
/// # Errors
/// If the file can't be written.
pub(crate) fn write(constants: &Constants, file: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(constants)? + "\n";
    fs::write(file, text).with_context(|| format!("{} can't be written", file.display()))
}

/// Returns the median of each constant, dated today. Takes at least one round, and sorts the rounds.
pub(crate) fn median(rounds: &mut [Round]) -> Constants {
    rounds.sort_by(|a, b| a.rest.wake_up_us.total_cmp(&b.rest.wake_up_us));
    let runs: Vec<_> = rounds.iter().map(|round| round.techniques).collect();
    Constants {
        measured_on: machine::today(),
        machine: machine::description(),
        // The round with the median wake-up: its two numbers belong together.
        rest: rounds[rounds.len() / 2].rest.rounded(),
        techniques: Technique::ALL.map(|technique| median_of(&runs, technique)),
    }
}

/// The constants as one round has measured them.
#[derive(Debug, Default)]
pub(crate) struct Round {
    techniques: [TechniqueConstants; 4],
    rest: Rest,
}

impl Round {
    /// Measures all constants of a technique. Short polling must come first: it measures the cost of a wake-up, and
    /// some constants of every technique are multiples of that.
    ///
    /// # Errors
    /// If a constant can't be measured.
    pub(crate) async fn measure(
        &mut self,
        binary: &Path,
        technique: Technique,
        window: Duration,
    ) -> anyhow::Result<()> {
        let within = |what: &str| format!("{what} of {}", technique.label());
        let own = &mut self.techniques[technique.index()];
        bytes::measure(binary, technique, own).await.with_context(|| within("bytes"))?;
        cpu::measure(binary, technique, window, own).await.with_context(|| within("processor time"))?;
        memory::measure(binary, technique, own).await.with_context(|| within("memory"))?;
        if technique == Technique::ShortPoll {
            self.rest =
                rest::measure(binary, own.cpu_us_empty, window).await.with_context(|| within("rest"))?;
        }
        rest::compare(binary, self.rest, technique, window, own).await.with_context(|| within("rest"))?;
        if technique.is_stream() {
            rest::beats(binary, self.rest, technique, window, own)
                .await
                .with_context(|| within("heartbeats"))?;
        }
        Ok(())
    }

    /// Returns the constants for the model, dated today. Those of techniques that were not measured are 0.
    pub(crate) fn constants(&self) -> Constants {
        Constants {
            measured_on: machine::today(),
            machine: machine::description(),
            rest: self.rest,
            techniques: self.techniques,
        }
    }
}

fn values(runs: &[[TechniqueConstants; 4]], technique: Technique, field: Field) -> Vec<f64> {
    let mut values: Vec<f64> = runs
        .iter()
        .map(|run| {
            let mut own = run[technique.index()];
            *field.1(&mut own)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median_of(runs: &[[TechniqueConstants; 4]], technique: Technique) -> TechniqueConstants {
    let mut medians = TechniqueConstants::default();
    for field in FIELDS {
        let values = values(runs, technique, field);
        let median = values.get(values.len() / 2).copied().unwrap_or_default();
        // More digits would be noise.
        *field.1(&mut medians) = (median * 100.0).round() / 100.0;
    }
    medians
}

fn table(runs: &[[TechniqueConstants; 4]]) -> Table {
    let mut table = Table::new(&["", "", "median", "lowest", "highest", "spread"], 2);
    for technique in Technique::ALL {
        for field in FIELDS {
            let values = values(runs, technique, field);
            let (Some(lowest), Some(highest)) = (values.first(), values.last()) else { continue };
            let median = values[values.len() / 2];
            // The technique does not have this constant.
            if *highest <= 0.0 {
                continue;
            }
            let spread = format!("{:.1} %", (highest - lowest) / median.max(f64::MIN_POSITIVE) * 100.0);
            table.row(vec![
                technique.label().to_owned(),
                field.0.to_owned(),
                figure(median),
                figure(*lowest),
                figure(*highest),
                spread,
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_each_number_is_its_own() {
        let run = |up, cpu| {
            let own = TechniqueConstants {
                request_up_bytes: up,
                cpu_us_empty: cpu,
                ..TechniqueConstants::default()
            };
            [own; 4]
        };
        let runs = [run(600.0, 14.0), run(601.0, 12.004), run(599.0, 11.0)];
        let medians = median_of(&runs, Technique::ShortPoll);
        let expected = TechniqueConstants {
            request_up_bytes: 600.0,
            cpu_us_empty: 12.0,
            ..TechniqueConstants::default()
        };
        assert_eq!(medians, expected);
    }
}
