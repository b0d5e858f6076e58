//! The charts of a run.

use fourways_shared::Technique;

use super::run::{QUANTILES, Run};
use crate::chart::{Bar, Bars, Chart, Flag, Kind, Line, LineChart, Side, Strips, Unit, rank};

/// Title and caption of each chart of a run.
pub const TITLES: [(&str, &str); 5] = [
    ("Latency percentiles", "Published to delivered. Both axes log; lower is better."),
    ("Behind by, over the run", "Age of the oldest event not yet delivered, one scale for all."),
    ("Bytes per delivered event", "Everything on the wire, both ways, divided by the events delivered."),
    ("Requests a second", "What the server was asked; a stream asks once."),
    ("Lost and repeated", "Events, counted from the log's offsets. A run without either has no bars."),
];

/// Returns a chart of a run, by its index in [`TITLES`].
pub fn picture(run: &Run, which: usize) -> Chart {
    match which {
        0 => latency(run),
        1 => behind(run),
        2 => spent(run),
        3 => requests(run),
        _ => amiss(run),
    }
}

fn latency(run: &Run) -> Chart {
    let line = |technique: Technique| {
        let values = run.of(technique).latency_us.iter().copied().map(super::run::ms);
        // A log scale has no zero, and below the clock's own resolution there is nothing to tell.
        let points = QUANTILES.into_iter().map(rank).zip(values.map(|ms| ms.max(0.01)));
        Line::of(technique, points.collect())
    };
    Chart::Lines(LineChart {
        x: Side { name: "percentile", unit: Unit::Rank, kind: Kind::Log, span: Some((1.0, 1000.0)) },
        y: Side { name: "latency", unit: Unit::Milliseconds, kind: Kind::Log, span: None },
        lines: Technique::ALL.map(line).to_vec(),
        flags: Vec::new(),
        marker: None,
    })
}

fn time(run: &Run) -> Side {
    let span = Some((0.0, f64::from(run.settings.seconds)));
    Side { name: "time", unit: Unit::Seconds, kind: Kind::Linear, span }
}

fn flags(run: &Run) -> Vec<Flag> {
    let flag = |fault: &super::settings::Planned| Flag {
        from: f64::from(fault.at_s),
        to: f64::from(fault.at_s + fault.for_s),
        label: fault.kind.name().to_owned(),
    };
    run.settings.faults.iter().map(flag).collect()
}

fn behind(run: &Run) -> Chart {
    let line = |technique: Technique| {
        let points = run.of(technique).behind.iter();
        Line::of(technique, points.map(|(at, ms)| (f64::from(*at) / 1000.0, f64::from(*ms))).collect())
    };
    let lines = Technique::ALL.map(line).to_vec();
    Chart::Strips(Strips { x: time(run), unit: Unit::Milliseconds, lines, flags: flags(run) })
}

fn spent(run: &Run) -> Chart {
    let bar = |technique: Technique| {
        let parts = run.of(technique).split_per_event().unwrap_or_default();
        Bar { technique, parts }
    };
    let parts = &["payload", "framing", "HTTP headers", "empty polls"];
    Chart::Bars(Bars { unit: Unit::Bytes, parts, bars: Technique::ALL.map(bar).to_vec() })
}

#[expect(clippy::cast_precision_loss, reason = "events of a run")]
fn amiss(run: &Run) -> Chart {
    let bar = |technique: Technique| {
        let outcome = run.of(technique);
        Bar { technique, parts: [outcome.lost as f64, outcome.repeated as f64, 0.0, 0.0] }
    };
    let parts = &["lost", "repeated"];
    Chart::Bars(Bars { unit: Unit::Count, parts, bars: Technique::ALL.map(bar).to_vec() })
}

fn requests(run: &Run) -> Chart {
    let line = |technique: Technique| {
        let seconds = (0_u32..).map(f64::from).zip(&run.of(technique).requests_each_s);
        Line::of(technique, seconds.map(|(at, count)| (at, f64::from(*count))).collect())
    };
    Chart::Lines(LineChart {
        x: time(run),
        y: Side { name: "requests", unit: Unit::PerSecond, kind: Kind::Linear, span: None },
        lines: Technique::ALL.map(line).to_vec(),
        flags: flags(run),
        marker: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chart::Frame, experiment::run::tests::run};

    #[test]
    fn every_chart_of_a_run_draws_all_four() {
        let run = run([900.0, 3.0, 2.0, 2.2], [500, 700, 260, 240]);
        let frame = Frame { width: 500.0, hidden: [false; 4] };
        for which in 0..TITLES.len() {
            let chart = picture(&run, which);
            let drawn = chart.groups(frame);
            for technique in Technique::ALL {
                assert!(drawn.iter().any(|group| group.technique == Some(technique)), "{which} {technique}");
            }
            assert!(!chart.drawing().table(frame).rows.is_empty());
        }
    }
}
