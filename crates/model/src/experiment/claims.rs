//! The textbook's claims about each technique, and a run's measurement beside each.

use fourways_shared::Technique;

use super::run::{Run, TechniqueResult};
use crate::{
    format::{bytes, duration, fixed, plural},
    snippets::client_lines,
};

/// A claim of the textbook beside a measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub claim: &'static str,
    /// The measurement; `None` if the run has none for this claim.
    pub measured: Option<Measured>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The main figure with its unit.
    pub value: String,
    /// Further figures, shown smaller.
    pub detail: String,
    pub verdict: Verdict,
}

/// Verdict of a run on a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Agrees,
    Disagrees,
    /// Nothing happened in the run that would test the claim.
    Untested,
}

impl Verdict {
    const fn of(agrees: bool) -> Self {
        if agrees { Self::Agrees } else { Self::Disagrees }
    }

    /// Returns the verdict as a sign, for use in a text.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Agrees => "✓",
            Self::Disagrees => "✗",
            Self::Untested => "–",
        }
    }
}

/// Subjects of the five claims, in the order of [`row`].
pub const HEADINGS: [&str; 5] = ["Direction", "Latency", "Overhead", "Complexity", "Auto-reconnect"];

const CLAIMS: [[&str; 5]; 4] = [
    [
        "Client asks, server answers",
        "High: up to one interval",
        "High: most answers are empty",
        "Trivial",
        "Implicit: next poll",
    ],
    [
        "Client asks, server answers late",
        "Low: about one round trip",
        "Medium: headers per event",
        "Moderate",
        "By hand: ask again",
    ],
    ["Server to client", "Low: one way", "Low: a few bytes per event", "Simple", "Built in, with replay"],
    ["Both ways", "Lowest", "Lowest: 2–14 bytes per frame", "Highest", "None: write your own"],
];

/// Returns the textbook's row for a technique, with the measurements of `run` beside the claims. Without a run, only
/// the complexity is measured.
pub fn row(technique: Technique, run: Option<&Run>) -> [Cell; 5] {
    let claims = CLAIMS[technique.index()];
    let measured: [Option<Measured>; 5] = match run {
        None => [None, None, None, Some(complexity(technique)), None],
        Some(run) => {
            let outcome = run.of(technique);
            [
                Some(direction(outcome)),
                latency(outcome, run),
                overhead(outcome, run),
                Some(complexity(technique)),
                Some(reconnect(outcome)),
            ]
        }
    };
    let mut measured = measured.into_iter();
    claims.map(|claim| Cell { claim, measured: measured.next().flatten() })
}

fn direction(outcome: &TechniqueResult) -> Measured {
    let TechniqueResult { technique, delivered, frames_up, .. } = outcome;
    let requests = &outcome.counts.requests;
    let (detail, agrees) = match technique {
        Technique::ShortPoll | Technique::LongPoll => (plural(*requests, "ask", "asks"), *requests > 0),
        Technique::Sse => (plural(*requests, "open", "opens"), *frames_up == 0),
        Technique::Websocket => (format!("{frames_up} ↑"), true),
    };
    Measured { value: format!("{delivered} ↓"), detail, verdict: Verdict::of(agrees) }
}

fn latency(outcome: &TechniqueResult, run: &Run) -> Option<Measured> {
    let (p50, p95) = (outcome.quantile_ms(0.5)?, outcome.quantile_ms(0.95)?);
    let others = |technique: Technique| run.of(technique).quantile_ms(0.5).unwrap_or(f64::INFINITY);
    let sse = others(Technique::Sse);
    // A difference within the clocks' error tells nothing.
    let margin = run.clock_error_ms().max(1.0);
    let (agrees, note) = match outcome.technique {
        // With uniform arrivals, the median wait is half an interval.
        Technique::ShortPoll => (p50 > f64::from(run.settings.poll_ms) * 0.25, ""),
        Technique::LongPoll => (p50 <= sse * 3.0 + margin, ""),
        Technique::Sse => (p50 <= others(Technique::LongPoll) + margin, ""),
        Technique::Websocket if p50 + margin < sse => (true, ""),
        Technique::Websocket if p50 <= sse + margin => (false, " ties SSE"),
        Technique::Websocket => (false, " SSE is faster"),
    };
    Some(Measured {
        value: duration(p50),
        detail: format!("p95 {}{note}", duration(p95)),
        verdict: Verdict::of(agrees),
    })
}

fn overhead(outcome: &TechniqueResult, run: &Run) -> Option<Measured> {
    let (whole, payload) = (outcome.bytes_per_event()?, outcome.split_per_event()?[0]);
    let of = |technique: Technique| run.of(technique).bytes_per_event().unwrap_or(f64::INFINITY);
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    let empty = outcome.counts.empty as f64 / outcome.counts.requests.max(1) as f64;
    let least = Technique::ALL.into_iter().map(of).fold(f64::INFINITY, f64::min);
    let agrees = match outcome.technique {
        Technique::ShortPoll => empty > 0.5,
        Technique::LongPoll => whole > of(Technique::Sse),
        Technique::Sse => whole - payload < 200.0,
        Technique::Websocket => whole <= least,
    };
    let detail = match outcome.technique {
        Technique::ShortPoll | Technique::LongPoll => format!("/event, {} % empty", fixed(empty * 100.0, 0)),
        Technique::Sse | Technique::Websocket => "/event".to_owned(),
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of one event")]
    Some(Measured { value: bytes(whole.round() as u64), detail, verdict: Verdict::of(agrees) })
}

fn complexity(technique: Technique) -> Measured {
    let lines = Technique::ALL.map(client_lines);
    let mine = lines[technique.index()];
    let agrees = match technique {
        Technique::ShortPoll | Technique::Sse => lines.iter().filter(|other| **other < mine).count() <= 1,
        Technique::LongPoll => lines.iter().any(|other| *other < mine),
        Technique::Websocket => lines.iter().all(|other| *other <= mine),
    };
    Measured {
        value: plural(mine as u64, "line", "lines"),
        detail: "client".to_owned(),
        verdict: Verdict::of(agrees),
    }
}

fn reconnect(outcome: &TechniqueResult) -> Measured {
    let TechniqueResult { reconnects, lost, repeated, .. } = outcome;
    let detail = format!("{lost} lost, {repeated} repeated");
    let value = if *reconnects == 0 { "not cut".to_owned() } else { plural(*reconnects, "cut", "cuts") };
    let verdict = match (*lost, *reconnects) {
        (0, 0) => Verdict::Untested,
        (lost, _) => Verdict::of(lost == 0),
    };
    Measured { value, detail, verdict }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::experiment::run::tests::run as measured;

    #[test]
    fn a_claim_that_the_run_does_not_bear_out_is_marked() {
        let [a, _, c, d] = Technique::ALL;
        let run = measured([900.0, 3.0, 2.0, 2.2], [500, 700, 260, 240]);
        let websocket = row(d, Some(&run));
        let latency = websocket[1].measured.clone().unwrap();
        assert!(latency.verdict == Verdict::Disagrees && latency.detail.ends_with("ties SSE"), "{latency:?}");
        assert_eq!(websocket[2].measured.as_ref().unwrap().verdict, Verdict::Agrees);
        let short_poll = row(a, Some(&run));
        let verdicts: Vec<_> =
            short_poll.iter().map(|cell| cell.measured.as_ref().unwrap().verdict).collect();
        assert_eq!(verdicts[..4], [Verdict::Agrees; 4], "{short_poll:?}");
        assert_eq!(verdicts[4], Verdict::Untested, "nobody was cut, so nobody reconnected");
        assert!(row(c, None)[1].measured.is_none());
    }

    #[test]
    fn a_loss_is_never_called_auto_reconnect() {
        let run = measured([1.0; 4], [200; 4]);
        let lossy = TechniqueResult { lost: 2, ..run.of(Technique::Sse).clone() };
        assert_eq!(reconnect(&lossy).verdict, Verdict::Disagrees);
        let cut = TechniqueResult { reconnects: 1, ..run.of(Technique::Sse).clone() };
        assert_eq!(reconnect(&cut).verdict, Verdict::Agrees);
    }
}
