//! The comparison: what the textbook claims, and what a run measured beside it.

use fourways_shared::Technique;

use super::{
    format::{bytes, duration, fixed, plural},
    lane::Lane,
    snippets::client_lines,
};

/// What a run is asked to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) seconds: f64,
    pub(crate) rate: f64,
    pub(crate) payload_bytes: u32,
    pub(crate) poll_s: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seconds: 15.0, rate: 4.0, payload_bytes: 140, poll_s: 2.0 }
    }
}

/// A named starting point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preset {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) settings: Settings,
    /// A picture of its arrivals, as an SVG path in a box of 44 by 26.
    pub(crate) spark: &'static str,
}

pub(crate) const PRESETS: [Preset; 4] = [
    Preset {
        name: "Live score",
        about: "One event every 4 s, small",
        settings: Settings { seconds: 20.0, rate: 0.25, payload_bytes: 120, poll_s: 2.0 },
        spark: "M8 24V14M22 24V14M36 24V14",
    },
    Preset {
        name: "Chat",
        about: "4 events a second",
        settings: Settings { seconds: 15.0, rate: 4.0, payload_bytes: 140, poll_s: 2.0 },
        spark: "M5 24V10M12 24V10M19 24V10M26 24V10M33 24V10M40 24V10",
    },
    Preset {
        name: "Dashboard",
        about: "10 events a second",
        settings: Settings { seconds: 15.0, rate: 10.0, payload_bytes: 400, poll_s: 1.0 },
        spark: "M4 24V6M8 24V6M12 24V6M16 24V6M20 24V6M24 24V6M28 24V6M32 24V6M36 24V6M40 24V6",
    },
    Preset {
        name: "Price feed",
        about: "200 events a second, small",
        settings: Settings { seconds: 10.0, rate: 200.0, payload_bytes: 96, poll_s: 0.5 },
        spark: "M3 15H41M3 18H41M3 21H41M3 24H41M3 12H41",
    },
];

/// What one technique came to in a run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) technique: Technique,
    pub(crate) requests: u64,
    pub(crate) empty: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) disordered: u64,
    pub(crate) resets: u64,
    pub(crate) reconnects: u64,
    pub(crate) frames_up: u64,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) bytes_per_event: Option<f64>,
    /// The events' own data are so much of that.
    pub(crate) payload_per_event: Option<f64>,
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) settings: Settings,
    pub(crate) published: u64,
    /// The clock offset can be off by so much, and with it every latency.
    pub(crate) clock_error_ms: f64,
    pub(crate) outcomes: Vec<Outcome>,
}

impl Outcome {
    /// `published`: how many events the run knows of, from all four together.
    pub(crate) fn of(lane: &Lane, published: u64, payload_bytes: u32) -> Self {
        let ledger = &lane.ledger;
        Self {
            technique: lane.technique,
            requests: lane.counters.requests,
            empty: lane.counters.empty,
            delivered: ledger.delivered,
            lost: published.saturating_sub(ledger.delivered),
            repeated: ledger.repeated,
            disordered: ledger.disordered,
            resets: ledger.resets,
            reconnects: lane.counters.reconnects,
            frames_up: lane.counters.frames_up,
            p50_ms: lane.latency.quantile_ms(0.5),
            p95_ms: lane.latency.quantile_ms(0.95),
            p99_ms: lane.latency.quantile_ms(0.99),
            bytes_per_event: lane.bytes_per_event(),
            payload_per_event: (ledger.delivered > 0).then_some(f64::from(payload_bytes)),
        }
    }
}

/// A claim of the textbook beside what was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) claim: &'static str,
    pub(crate) measured: Option<Measured>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) value: String,
    pub(crate) detail: String,
    pub(crate) verdict: Verdict,
}

/// What a run says of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Agrees,
    Disagrees,
    /// Nothing happened in the run that would tell.
    Untested,
}

impl Verdict {
    const fn of(agrees: bool) -> Self {
        if agrees { Self::Agrees } else { Self::Disagrees }
    }
}

pub(crate) const HEADINGS: [&str; 5] = ["Direction", "Latency", "Overhead", "Complexity", "Auto-reconnect"];

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

/// The textbook's row for a technique; with a run, what it measured beside each claim.
pub(crate) fn row(technique: Technique, run: Option<&Run>) -> [Cell; 5] {
    let claims = CLAIMS[technique.index()];
    let measured: [Option<Measured>; 5] = match run {
        None => [None, None, None, Some(complexity(technique)), None],
        Some(run) => {
            let outcome = &run.outcomes[technique.index()];
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

fn direction(outcome: &Outcome) -> Measured {
    let Outcome { technique, delivered, requests, frames_up, .. } = outcome;
    let (detail, agrees) = match technique {
        Technique::ShortPoll | Technique::LongPoll => (plural(*requests, "ask", "asks"), *requests > 0),
        Technique::Sse => (plural(*requests, "open", "opens"), *frames_up == 0),
        Technique::Websocket => (format!("{frames_up} ↑"), true),
    };
    Measured { value: format!("{delivered} ↓"), detail, verdict: Verdict::of(agrees) }
}

fn latency(outcome: &Outcome, run: &Run) -> Option<Measured> {
    let (p50, p95) = (outcome.p50_ms?, outcome.p95_ms?);
    let others = |technique: Technique| run.outcomes[technique.index()].p50_ms.unwrap_or(f64::INFINITY);
    let sse = others(Technique::Sse);
    // What the clocks may be off by tells nothing apart.
    let margin = run.clock_error_ms.max(1.0);
    let (agrees, note) = match outcome.technique {
        // Uniform arrivals wait half an interval in the median.
        Technique::ShortPoll => (p50 > run.settings.poll_s * 1000.0 * 0.25, ""),
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

fn overhead(outcome: &Outcome, run: &Run) -> Option<Measured> {
    let (whole, payload) = (outcome.bytes_per_event?, outcome.payload_per_event?);
    let of = |technique: Technique| run.outcomes[technique.index()].bytes_per_event.unwrap_or(f64::INFINITY);
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    let empty = outcome.empty as f64 / outcome.requests.max(1) as f64;
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

fn reconnect(outcome: &Outcome) -> Measured {
    let Outcome { reconnects, lost, repeated, .. } = outcome;
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

    fn outcome(technique: Technique, p50: f64, bytes: f64) -> Outcome {
        Outcome {
            technique,
            requests: 10,
            empty: 6,
            delivered: 40,
            lost: 0,
            repeated: 0,
            disordered: 0,
            resets: 0,
            reconnects: 0,
            frames_up: 0,
            p50_ms: Some(p50),
            p95_ms: Some(p50 * 2.0),
            p99_ms: Some(p50 * 3.0),
            bytes_per_event: Some(bytes),
            payload_per_event: Some(140.0),
        }
    }

    #[test]
    fn a_claim_that_the_run_does_not_bear_out_is_marked() {
        let [a, b, c, d] = Technique::ALL;
        let run = Run {
            settings: Settings::default(),
            published: 40,
            clock_error_ms: 0.5,
            outcomes: vec![
                outcome(a, 900.0, 500.0),
                outcome(b, 3.0, 700.0),
                outcome(c, 2.0, 260.0),
                outcome(d, 2.2, 240.0),
            ],
        };
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
        let lossy = Outcome { lost: 2, ..outcome(Technique::Sse, 1.0, 1.0) };
        assert_eq!(reconnect(&lossy).verdict, Verdict::Disagrees);
        let cut = Outcome { reconnects: 1, ..outcome(Technique::Sse, 1.0, 1.0) };
        assert_eq!(reconnect(&cut).verdict, Verdict::Agrees);
    }
}
