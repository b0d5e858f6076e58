//! What a run measured. Whole numbers all through, so that a file reads back as it was written.

use fourways_shared::{Technique, lab::Counts};
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use crate::state::lane::Lane;

/// The shares at which latency is kept: enough for the shape of the curve up to p99.9.
pub(crate) const QUANTILES: [f64; 19] =
    [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.999];
/// Points of a series over the run.
const POINTS: u32 = 240;

/// A run that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Of this shape.
    pub(crate) version: u32,
    /// What the visitor calls it.
    pub(crate) name: String,
    /// By the server's clock, in milliseconds since the Unix epoch.
    pub(crate) began_ms: u64,
    pub(crate) settings: Settings,
    /// `http/1.1`, `h2`: what the browser says of this server.
    pub(crate) protocol: String,
    pub(crate) browser: String,
    pub(crate) round_trip_us: u64,
    /// The clock offset can be off by so much, and with it every latency.
    pub(crate) clock_error_us: u64,
    /// In which order the streams were opened.
    pub(crate) order: Vec<Technique>,
    pub(crate) published: u64,
    /// In the order of [`Technique::ALL`].
    pub(crate) outcomes: Vec<Outcome>,
}

/// What one technique came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) technique: Technique,
    /// The server's.
    pub(crate) counts: Counts,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) disordered: u64,
    pub(crate) resets: u64,
    pub(crate) reconnects: u64,
    pub(crate) frames_up: u64,
    /// At [`QUANTILES`]; empty without a delivery.
    pub(crate) latency_us: Vec<u64>,
    /// When, since the beginning, and how far behind then, in milliseconds.
    pub(crate) behind: Vec<(u32, u32)>,
    /// Requests in each second of the run.
    pub(crate) requests_each_s: Vec<u32>,
}

/// What a report has before and after its run.
pub(super) const REPORT_BEGINS: &str = "<script type=\"application/json\" id=\"run\">";
pub(super) const REPORT_ENDS: &str = "</script>";

impl Run {
    pub(crate) const VERSION: u32 = 1;

    /// Reads a run from a file.
    ///
    /// # Errors
    /// In words, if it is none.
    /// The run of a file that was exported: JSON, or a report that has it inside.
    ///
    /// # Errors
    /// In words, if it is neither, or of another version.
    pub(crate) fn from_file(text: &str) -> Result<Self, String> {
        let inside = text.split_once(REPORT_BEGINS).and_then(|(_, rest)| rest.split_once(REPORT_ENDS));
        Self::from_json(inside.map_or(text, |(json, _)| json))
    }

    fn from_json(text: &str) -> Result<Self, String> {
        let run: Self = serde_json::from_str(text)
            .map_err(|_| "This is not a Fourways run: choose an exported report or JSON file.".to_owned())?;
        let is_whole = run.outcomes.len() == 4
            && run.outcomes.iter().zip(Technique::ALL).all(|(outcome, technique)| {
                let latencies = outcome.latency_us.len();
                outcome.technique == technique && (latencies == 0 || latencies == QUANTILES.len())
            });
        if run.version != Self::VERSION || !is_whole {
            return Err("This run is of another version of the lab.".to_owned());
        }
        Ok(run)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn of(&self, technique: Technique) -> &Outcome {
        &self.outcomes[technique.index()]
    }

    /// The error of every latency, in milliseconds.
    pub(crate) fn clock_error_ms(&self) -> f64 {
        ms(self.clock_error_us)
    }
}

impl Outcome {
    /// Of a lane after the run. `began_ms` by the server's clock; `published` by the log; `requests_each_s` as sampled.
    pub(crate) fn of(
        lane: &Lane,
        counts: Counts,
        published: u64,
        (began_ms, seconds): (f64, u32),
        requests_each_s: Vec<u32>,
    ) -> Self {
        let ledger = &lane.ledger;
        let latency = |quantile: &f64| lane.latency.quantile_ms(*quantile).map(us);
        Self {
            technique: lane.technique,
            counts,
            delivered: ledger.delivered,
            lost: published.saturating_sub(ledger.delivered),
            repeated: ledger.repeated,
            disordered: ledger.disordered,
            resets: ledger.resets,
            reconnects: lane.counters.reconnects,
            frames_up: lane.counters.frames_up,
            latency_us: QUANTILES.iter().filter_map(latency).collect(),
            behind: behind(lane, began_ms, seconds),
            requests_each_s,
        }
    }

    /// The latency at one of [`QUANTILES`], in milliseconds.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let at = QUANTILES.iter().position(|known| (known - quantile).abs() < 1e-9)?;
        self.latency_us.get(at).copied().map(ms)
    }

    /// All bytes, both ways, for each delivered event; `None` without one.
    pub(crate) fn bytes_per_event(&self) -> Option<f64> {
        self.split_per_event().map(|split| split.iter().sum())
    }

    /// Payload, framing, headers and empty polls, both ways, for each delivered event.
    #[expect(clippy::cast_precision_loss, reason = "a quotient for people")]
    pub(crate) fn split_per_event(&self) -> Option<[f64; 4]> {
        let Counts { up, down, empty_up, empty_down, .. } = self.counts;
        let sums = [
            up.payload + down.payload,
            up.framing + down.framing,
            up.headers + down.headers,
            empty_up + empty_down,
        ];
        (self.delivered > 0).then(|| sums.map(|sum| sum as f64 / self.delivered as f64))
    }
}

/// How far behind the lane was at evenly spread times: the age of the oldest event that it did not have then.
fn behind(lane: &Lane, began_ms: f64, seconds: u32) -> Vec<(u32, u32)> {
    let step_ms = f64::from(seconds) * 1000.0 / f64::from(POINTS);
    let mut series = vec![0.0_f64; POINTS as usize + 1];
    for mark in &lane.marks {
        let first = ((mark.published_ms - began_ms) / step_ms).ceil().max(0.0);
        let last = ((mark.delivered_ms - began_ms) / step_ms).floor().min(f64::from(POINTS));
        let mut at = first;
        while at <= last {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to POINTS")]
            let point = &mut series[at as usize];
            *point = point.max(began_ms + at * step_ms - mark.published_ms);
            at += 1.0;
        }
    }
    let at_ms = |at: u32| f64::from(at) * step_ms;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds of a run")]
    let point = |(at, behind_ms): (u32, f64)| (at_ms(at) as u32, behind_ms as u32);
    (0..).zip(series).map(point).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most an hour")]
pub(crate) fn us(ms: f64) -> u64 {
    (ms.max(0.0) * 1000.0) as u64
}

#[expect(clippy::cast_precision_loss, reason = "at most an hour")]
pub(crate) fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

#[cfg(test)]
pub(crate) mod tests {
    use fourways_shared::{lab::Split, measure::ClockOffset};

    use super::*;
    use crate::state::{
        lane::tests::{event, record},
        record::Outcome as Came,
    };

    /// A run of 40 events, with this p50 and so many bytes an event for each.
    pub(crate) fn run(p50_ms: [f64; 4], bytes: [u64; 4]) -> Run {
        let outcome = |technique: Technique| {
            let at = technique.index();
            let p50 = us(p50_ms[at]);
            Outcome {
                technique,
                counts: Counts {
                    requests: 10,
                    empty: 6,
                    down: Split { payload: 40 * 140, framing: 40 * (bytes[at] - 140), headers: 0 },
                    ..Counts::default()
                },
                delivered: 40,
                lost: 0,
                repeated: 0,
                disordered: 0,
                resets: 0,
                reconnects: 0,
                frames_up: 0,
                latency_us: QUANTILES.iter().map(|share| if *share > 0.9 { p50 * 2 } else { p50 }).collect(),
                behind: vec![(0, 0), (100, 50)],
                requests_each_s: vec![1, 2],
            }
        };
        Run {
            version: Run::VERSION,
            name: "a run".to_owned(),
            began_ms: 1_763_870_400_000,
            settings: Settings { poll_ms: 2_000, ..Settings::default() },
            protocol: "http/1.1".to_owned(),
            browser: "a browser".to_owned(),
            round_trip_us: 900,
            clock_error_us: 500,
            order: Technique::ALL.to_vec(),
            published: 40,
            outcomes: Technique::ALL.map(outcome).to_vec(),
        }
    }

    #[test]
    fn a_run_reads_back_as_it_was_written() {
        let run = run([900.0, 3.0, 2.0, 2.2], [500, 700, 260, 240]);
        assert_eq!(Run::from_file(&run.to_json()), Ok(run.clone()));
        let other = Run { version: 9, ..run.clone() };
        assert!(Run::from_file(&other.to_json()).is_err() && Run::from_file("{}").is_err());
        let short = Run { outcomes: run.outcomes[..3].to_vec(), ..run.clone() };
        assert!(Run::from_file(&short.to_json()).is_err());
        assert_eq!(run.of(Technique::Sse).bytes_per_event(), Some(260.0));
        assert_eq!(run.of(Technique::Sse).quantile_ms(0.5), Some(2.0));
    }

    #[test]
    fn behind_rises_until_the_event_is_here() {
        let mut lane = Lane::new(Technique::ShortPoll);
        lane.observe(
            record(Technique::ShortPoll, Came::Data, 2_000.0, vec![(event(1, 1_000), true)]),
            ClockOffset::default(),
        );
        // One second a tenth of the run, from 0 to 10 s.
        let series = behind(&lane, 0.0, 10);
        let at = |ms: u32| series.iter().find(|(at, _)| *at == ms).unwrap().1;
        assert_eq!([at(1_000), at(1_500), at(2_000), at(2_500)], [0, 500, 1_000, 0]);
    }
}
