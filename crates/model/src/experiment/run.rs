//! The measurements of a run, in whole numbers, so that a file reads back exactly as it was written.

use fourways_shared::{Technique, lab::Counts};
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use crate::lane::Lane;

/// Shares at which latency is kept: enough for the shape of the curve up to p99.9.
pub const QUANTILES: [f64; 19] =
    [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.999];
/// Number of intervals in a series over the run.
const POINTS: u32 = 240;

/// A finished run: its settings and its results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Version of the file format.
    pub version: u32,
    /// Name that the visitor gave the run.
    pub name: String,
    /// Time of the beginning by the server's clock, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    pub settings: Settings,
    /// Protocol that the browser reports for this server, such as `http/1.1` or `h2`.
    pub protocol: String,
    pub browser: String,
    pub round_trip_us: u64,
    /// Largest possible error of the clock offset, and so of every latency, in microseconds.
    pub clock_error_us: u64,
    /// Order in which the streams were opened.
    pub order: Vec<Technique>,
    pub published: u64,
    /// Results in the order of [`Technique::ALL`].
    pub outcomes: Vec<TechniqueResult>,
}

/// Result of one technique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TechniqueResult {
    pub technique: Technique,
    /// Requests and bytes as the server counted them.
    pub counts: Counts,
    pub delivered: u64,
    /// Number of events published and never delivered.
    pub lost: u64,
    pub repeated: u64,
    /// Number of events delivered after a later one.
    pub disordered: u64,
    /// Number of breaks in continuity that the server reported.
    pub resets: u64,
    /// Number of times that the connection was lost.
    pub reconnects: u64,
    pub frames_up: u64,
    /// Latency at each of [`QUANTILES`], in microseconds; empty if nothing was delivered.
    pub latency_us: Vec<u64>,
    /// Lag over the run: time since the beginning, and age of the oldest event not yet delivered, both in milliseconds.
    pub behind: Vec<(u32, u32)>,
    /// Number of requests in each second of the run.
    pub requests_each_s: Vec<u32>,
}

/// Text before the data of the run in an exported report.
pub(super) const REPORT_BEGINS: &str = "<script type=\"application/json\" id=\"run\">";
/// Text after the data of the run in an exported report.
pub(super) const REPORT_ENDS: &str = "</script>";

impl Run {
    /// Version of the file format that is written and read.
    pub const VERSION: u32 = 1;

    /// Reads a run from an exported file: JSON, or a report that has the JSON inside.
    ///
    /// # Errors
    /// A message for people if the file is neither, or of another version.
    pub fn from_file(text: &str) -> Result<Self, String> {
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

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn of(&self, technique: Technique) -> &TechniqueResult {
        &self.outcomes[technique.index()]
    }

    /// Returns the largest possible error of every latency, in milliseconds.
    pub fn clock_error_ms(&self) -> f64 {
        ms(self.clock_error_us)
    }
}

impl TechniqueResult {
    /// Creates the result from a lane after the run: `began_ms` by the server's clock, `published` by the log,
    /// `requests_each_s` as sampled.
    pub fn of(
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

    /// Returns the latency at one of [`QUANTILES`], in milliseconds; `None` for any other share, or if nothing was
    /// delivered.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let at = QUANTILES.iter().position(|known| (known - quantile).abs() < 1e-9)?;
        self.latency_us.get(at).copied().map(ms)
    }

    /// Returns the number of bytes on the wire, both ways, for each delivered event; `None` if nothing was delivered.
    pub fn bytes_per_event(&self) -> Option<f64> {
        self.split_per_event().map(|split| split.iter().sum())
    }

    /// Returns the bytes of payload, framing, headers and empty polls, both ways, for each delivered event; `None` if
    /// nothing was delivered.
    #[expect(clippy::cast_precision_loss, reason = "a quotient for people")]
    pub fn split_per_event(&self) -> Option<[f64; 4]> {
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

/// Returns the lag of the lane at evenly spread times: the age of the oldest event that the lane did not have at that
/// time.
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

/// Converts milliseconds to whole microseconds; a negative time gives 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most an hour")]
pub fn us(ms: f64) -> u64 {
    (ms.max(0.0) * 1000.0) as u64
}

/// Converts microseconds to milliseconds.
#[expect(clippy::cast_precision_loss, reason = "at most an hour")]
pub fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// A builder of runs, shared with the tests of other modules.
#[cfg(test)]
pub mod tests {
    use fourways_shared::{lab::Split, measure::ClockOffset};

    use super::*;
    use crate::{
        lane::tests::{event, record},
        record::RecordKind,
    };

    /// Creates a run of 40 events with these medians and numbers of bytes per event, in the order of
    /// [`Technique::ALL`].
    pub fn run(p50_ms: [f64; 4], bytes: [u64; 4]) -> Run {
        let outcome = |technique: Technique| {
            let at = technique.index();
            let p50 = us(p50_ms[at]);
            TechniqueResult {
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
            record(Technique::ShortPoll, RecordKind::Data, 2_000.0, vec![(event(1, 1_000), true)]),
            ClockOffset::default(),
        );
        // The run takes 10 s.
        let series = behind(&lane, 0.0, 10);
        let at = |ms: u32| series.iter().find(|(at, _)| *at == ms).unwrap().1;
        assert_eq!([at(1_000), at(1_500), at(2_000), at(2_500)], [0, 500, 1_000, 0]);
    }
}
