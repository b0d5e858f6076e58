//! Breaking a stream on purpose: the possible breakages, the effects that the visitor can predict, and the outcome,
//! counted from offsets.

mod mechanism;
mod texts;

use std::collections::BTreeSet;

use fourways_shared::lab::FaultKind;

use super::{format::duration, lane::Lane};

pub use mechanism::mechanism;
pub use texts::about;

/// Delay that changing tabs causes by itself, in milliseconds, apart from the effect of being hidden. With the quarter
/// that is allowed on top, it makes half of the second to which browsers slow a hidden tab's timers.
const SWITCH_MS: f64 = 400.0;

/// A way to break a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakage {
    /// The server applies a fault to this page's connections alone.
    Server(FaultKind),
    /// The page closes its stream, asks for nothing, and reconnects later.
    Offline,
    /// The visitor looks at another tab, and the browser slows this tab's timers.
    Background,
}

impl Breakage {
    /// Every breakage, in the order of the buttons.
    pub const ALL: [Self; 9] = [
        Self::Server(FaultKind::Drop),
        Self::Server(FaultKind::Restart),
        Self::Server(FaultKind::Stall),
        Self::Server(FaultKind::Delay),
        Self::Server(FaultKind::Bandwidth),
        Self::Server(FaultKind::Buffer),
        Self::Server(FaultKind::Refuse),
        Self::Offline,
        Self::Background,
    ];

    /// Returns the text on the breakage's button.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server(FaultKind::Drop) => "Drop connection",
            Self::Server(FaultKind::Restart) => "Server restart",
            Self::Server(FaultKind::Stall) => "Stall",
            Self::Server(FaultKind::Delay) => "Delay and jitter",
            Self::Server(FaultKind::Bandwidth) => "Slow network",
            Self::Server(FaultKind::Buffer) => "Buffering proxy",
            Self::Server(FaultKind::Refuse) => "Refuse with 503",
            Self::Offline => "Go offline",
            Self::Background => "Background tab",
        }
    }

    /// Returns the breakage's name for tests and links.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Server(kind) => kind.name(),
            Self::Offline => "offline",
            Self::Background => "background",
        }
    }

    /// True if the visitor chooses a duration: the breakage takes time, and does not end by the visitor's own action.
    pub const fn is_timed(self) -> bool {
        !matches!(self, Self::Server(FaultKind::Drop) | Self::Background)
    }
}

/// Effect of a breakage that the reader of the stream notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// No event was late, lost or repeated.
    Unnoticed,
    /// Events were late; none was lost or repeated.
    Late,
    /// Events were lost.
    Lost,
    /// Events were delivered more than once; none was lost.
    Twice,
}

impl Effect {
    /// Every effect, in the order of the buttons.
    pub const ALL: [Self; 4] = [Self::Unnoticed, Self::Late, Self::Lost, Self::Twice];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Unnoticed => "nothing is noticed",
            Self::Late => "late, nothing lost",
            Self::Lost => "events are lost",
            Self::Twice => "events come twice",
        }
    }
}

/// Returns the usual latency of the twin and of the stream itself, in milliseconds; [`Before::outcome`] counts an event
/// that takes clearly longer as late. `shown_ms` is the slowest delivery before the breakage. `twin_ms` returns the
/// twin's slowest delivery during the breakage, given the twin's own usual latency.
///
/// The twin is judged by the time before the breakage, and the stream by the twin, which had the same machine and
/// network. A hidden page hides both, so both are then judged by the time before.
pub fn usual_ms(breakage: Breakage, shown_ms: f64, twin_ms: impl FnOnce(f64) -> f64) -> (f64, f64) {
    if breakage == Breakage::Background {
        let usual_ms = shown_ms.max(SWITCH_MS);
        return (usual_ms, usual_ms);
    }
    (shown_ms, twin_ms(shown_ms).max(shown_ms))
}

/// State of a lane when the breakage began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Before {
    /// Time by the server's clock, in milliseconds since the Unix epoch.
    pub at_ms: f64,
    repeated: u64,
    reconnects: u64,
}

/// The result of a breakage for one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultResult {
    /// Number of events published from the beginning of the breakage until the stream had recovered.
    pub published: u64,
    /// Number of events in the log that were never delivered.
    pub lost: u64,
    /// Number of events that were delivered late.
    pub late: u64,
    /// Number of repeated deliveries.
    pub repeated: u64,
    /// Longest time from publishing to delivery, in milliseconds.
    pub worst_ms: f64,
    /// Time from the beginning of the breakage until the last late event was delivered, in milliseconds.
    pub fresh_after_ms: f64,
    /// Number of times that the connection was lost.
    pub cuts: u64,
}

impl Before {
    /// Captures the state of a lane at `at_ms`.
    pub fn of(lane: &Lane, at_ms: f64) -> Self {
        Self { at_ms, repeated: lane.ledger.repeated, reconnects: lane.counters.reconnects }
    }

    /// Counts the outcome from `log`, the sorted offsets of the events published since. `usual_ms` is the slowest
    /// delivery of the stream that was spared; an event that took a quarter longer, and at least 100 ms longer, is
    /// late.
    pub fn outcome(&self, lane: &Lane, log: &[u64], usual_ms: f64) -> FaultResult {
        let late_ms = (usual_ms * 1.25).max(usual_ms + 100.0);
        let since = lane.marks.iter().filter(|mark| mark.published_ms >= self.at_ms);
        let here: BTreeSet<u64> = since.clone().map(|mark| mark.offset).collect();
        let mut outcome = FaultResult {
            published: log.len() as u64,
            lost: log.iter().filter(|offset| !here.contains(offset)).count() as u64,
            // A lane that was begun anew meanwhile counts from zero.
            repeated: lane.ledger.repeated.saturating_sub(self.repeated),
            cuts: lane.counters.reconnects.saturating_sub(self.reconnects),
            ..FaultResult::default()
        };
        for mark in since.filter(|mark| log.binary_search(&mark.offset).is_ok()) {
            let took_ms = mark.delivered_ms - mark.published_ms;
            outcome.worst_ms = outcome.worst_ms.max(took_ms);
            if took_ms > late_ms {
                outcome.late += 1;
                outcome.fresh_after_ms = outcome.fresh_after_ms.max(mark.delivered_ms - self.at_ms);
            }
        }
        outcome
    }
}

impl FaultResult {
    /// Returns the worst effect: a loss before a repetition before a delay.
    pub const fn effect(&self) -> Effect {
        match (self.lost, self.repeated, self.late) {
            (1.., ..) => Effect::Lost,
            (_, 1.., _) => Effect::Twice,
            (.., 1..) => Effect::Late,
            _ => Effect::Unnoticed,
        }
    }

    /// Returns the time until the lane was up to date again, in words.
    pub fn recovery(&self) -> String {
        if self.late == 0 { "at once".to_owned() } else { duration(self.fresh_after_ms) }
    }
}

#[cfg(test)]
mod tests {
    use fourways_shared::{Technique, measure::ClockOffset};

    use super::*;
    use crate::{
        lane::tests::{event, record},
        record::RecordKind,
    };

    #[test]
    fn the_outcome_is_counted_from_offsets() {
        let mut lane = Lane::new(Technique::Sse);
        let take = |lane: &mut Lane, at_ms, events| {
            lane.observe(record(Technique::Sse, RecordKind::Data, at_ms, events), ClockOffset::default());
        };
        take(&mut lane, 1.0, vec![]);
        take(&mut lane, 110.0, vec![(event(1, 100), true)]);
        let before = Before::of(&lane, 200.0);
        // Event 3 is late, 4 never arrives, 5 is on time, and 3 arrives once more.
        take(&mut lane, 2_000.0, vec![(event(3, 300), true)]);
        take(&mut lane, 2_110.0, vec![(event(3, 300), false), (event(5, 2_100), true)]);
        let outcome = before.outcome(&lane, &[3, 4, 5], 10.0);
        assert_eq!((outcome.published, outcome.lost, outcome.late, outcome.repeated), (3, 1, 1, 1));
        assert_eq!((outcome.worst_ms, outcome.fresh_after_ms), (1_700.0, 1_800.0));
        assert_eq!(outcome.effect(), Effect::Lost);
        assert_eq!(FaultResult { lost: 0, ..outcome }.effect(), Effect::Twice);
        assert_eq!(FaultResult { lost: 0, repeated: 0, ..outcome }.effect(), Effect::Late);
        assert_eq!(FaultResult::default().effect(), Effect::Unnoticed);
        let later = Before::of(&lane, 3_000.0);
        let anew = later.outcome(&Lane::new(Technique::Sse), &[], 10.0);
        assert_eq!((anew.repeated, anew.cuts), (0, 0), "the lane was begun anew meanwhile");
    }

    #[test]
    fn the_twin_is_judged_too() {
        let drop = Breakage::Server(FaultKind::Drop);
        assert_eq!(usual_ms(drop, 20.0, |_| 500.0), (20.0, 500.0), "a slow machine is slow for both");
        assert_eq!(usual_ms(drop, 20.0, |_| 5.0), (20.0, 20.0));
        assert_eq!(usual_ms(Breakage::Background, 20.0, |_| 900.0), (SWITCH_MS, SWITCH_MS));
        // A twin that was as late as the stream is reported as late.
        let mut twin = Lane::new(Technique::LongPoll);
        let take = |lane: &mut Lane, at_ms, events| {
            lane.observe(
                record(Technique::LongPoll, RecordKind::Data, at_ms, events),
                ClockOffset::default(),
            );
        };
        take(&mut twin, 1.0, vec![]);
        let before = Before::of(&twin, 100.0);
        take(&mut twin, 1_000.0, vec![(event(1, 200), true)]);
        assert_eq!(before.outcome(&twin, &[1], 20.0).late, 1);
        assert!(!Breakage::Background.is_timed() && Breakage::Offline.is_timed());
    }

    #[test]
    fn every_breakage_says_what_it_models_and_who_causes_it() {
        for breakage in Breakage::ALL {
            let texts::About { models, causes, source } = about(breakage);
            assert!(
                models.len() > 40 && causes.len() > 30 && source.1.starts_with("https://"),
                "{breakage:?}"
            );
            for technique in Technique::ALL {
                for outcome in
                    [FaultResult::default(), FaultResult { late: 3, cuts: 1, ..FaultResult::default() }]
                {
                    assert!(mechanism(breakage, technique, &outcome).len() > 30, "{breakage:?} {technique}");
                }
            }
        }
    }
}
