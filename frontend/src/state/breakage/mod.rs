//! Breaking a stream on purpose: what can be done to it, what was guessed, and what became of it, counted from offsets.

mod mechanism;
mod texts;

use std::collections::BTreeSet;

use fourways_shared::lab::FaultKind;

use super::{format::duration, lane::Lane};

pub(crate) use mechanism::mechanism;
pub(crate) use texts::about;

/// What changing tabs itself may hold a page up, which is not the hiding. With the quarter that is allowed on top it makes
/// half of the second to which browsers slow a hidden tab's timers.
const SWITCH_MS: f64 = 400.0;

/// What can be done to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breakage {
    /// By the server, to this page's connections alone.
    Server(FaultKind),
    /// By the page: it closes its stream, asks for nothing, and comes back.
    Offline,
    /// By the visitor: another tab is looked at, and the browser slows this one's timers.
    Background,
}

impl Breakage {
    pub(crate) const ALL: [Self; 9] = [
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

    /// On its button.
    pub(crate) const fn name(self) -> &'static str {
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

    /// For tests and links.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Server(kind) => kind.name(),
            Self::Offline => "offline",
            Self::Background => "background",
        }
    }

    /// There is a time to choose: it does not happen at once, and is not the visitor's to end.
    pub(crate) const fn is_timed(self) -> bool {
        !matches!(self, Self::Server(FaultKind::Drop) | Self::Background)
    }
}

/// What the reader of a stream notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Unnoticed,
    Late,
    Lost,
    Twice,
}

impl Effect {
    pub(crate) const ALL: [Self; 4] = [Self::Unnoticed, Self::Late, Self::Lost, Self::Twice];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Unnoticed => "nothing is noticed",
            Self::Late => "late, nothing lost",
            Self::Lost => "events are lost",
            Self::Twice => "events come twice",
        }
    }
}

/// How slow is usual, for the twin and for the stream itself; what is slower is late. `shown_ms`: the slowest before, `twin_ms`: the twin's
/// slowest meanwhile. Both are judged: the twin by what was before, and the stream by the twin, which had the same machine and network.
/// A page that is hidden hides both, so what was before is usual for both.
pub(crate) fn usual_ms(breakage: Breakage, shown_ms: f64, twin_ms: impl FnOnce(f64) -> f64) -> (f64, f64) {
    if breakage == Breakage::Background {
        let usual_ms = shown_ms.max(SWITCH_MS);
        return (usual_ms, usual_ms);
    }
    (shown_ms, twin_ms(shown_ms).max(shown_ms))
}

/// How a lane stood when the breaking began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Before {
    /// By the server's clock.
    pub(crate) at_ms: f64,
    repeated: u64,
    reconnects: u64,
}

/// What became of a lane meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// Events that were published meanwhile.
    pub(crate) published: u64,
    /// In the log and never here.
    pub(crate) lost: u64,
    /// Here, but late.
    pub(crate) late: u64,
    pub(crate) repeated: u64,
    /// The longest that one took.
    pub(crate) worst_ms: f64,
    /// From the beginning until the last late one was here.
    pub(crate) fresh_after_ms: f64,
    /// How often the connection was lost.
    pub(crate) cuts: u64,
}

impl Before {
    /// Now.
    pub(crate) fn of(lane: &Lane, at_ms: f64) -> Self {
        Self { at_ms, repeated: lane.ledger.repeated, reconnects: lane.counters.reconnects }
    }

    /// What came of it, by the offsets of the log since then. `usual_ms`: the slowest of the stream that was spared; what
    /// took a quarter more, and at least a tenth of a second more, is late.
    pub(crate) fn outcome(&self, lane: &Lane, log: &[u64], usual_ms: f64) -> Outcome {
        let late_ms = (usual_ms * 1.25).max(usual_ms + 100.0);
        let since = lane.marks.iter().filter(|mark| mark.published_ms >= self.at_ms);
        let here: BTreeSet<u64> = since.clone().map(|mark| mark.offset).collect();
        let mut outcome = Outcome {
            published: log.len() as u64,
            lost: log.iter().filter(|offset| !here.contains(offset)).count() as u64,
            repeated: lane.ledger.repeated - self.repeated,
            cuts: lane.counters.reconnects - self.reconnects,
            ..Outcome::default()
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

impl Outcome {
    pub(crate) const fn effect(&self) -> Effect {
        match (self.lost, self.repeated, self.late) {
            (1.., ..) => Effect::Lost,
            (_, 1.., _) => Effect::Twice,
            (.., 1..) => Effect::Late,
            _ => Effect::Unnoticed,
        }
    }

    /// Time until fresh again, in words.
    pub(crate) fn recovery(&self) -> String {
        if self.late == 0 { "at once".to_owned() } else { duration(self.fresh_after_ms) }
    }
}

#[cfg(test)]
mod tests {
    use fourways_shared::{Technique, measure::ClockOffset};

    use super::*;
    use crate::state::{
        lane::tests::{event, record},
        record::Outcome as Came,
    };

    #[test]
    fn the_outcome_is_counted_from_offsets() {
        let mut lane = Lane::new(Technique::Sse);
        let take = |lane: &mut Lane, at_ms, events| {
            lane.observe(record(Technique::Sse, Came::Data, at_ms, events), ClockOffset::default());
        };
        take(&mut lane, 1.0, vec![]);
        take(&mut lane, 110.0, vec![(event(1, 100), true)]);
        let before = Before::of(&lane, 200.0);
        // 3 is late, 4 never came, 5 is on time, and 3 comes once more.
        take(&mut lane, 2_000.0, vec![(event(3, 300), true)]);
        take(&mut lane, 2_110.0, vec![(event(3, 300), false), (event(5, 2_100), true)]);
        let outcome = before.outcome(&lane, &[3, 4, 5], 10.0);
        assert_eq!((outcome.published, outcome.lost, outcome.late, outcome.repeated), (3, 1, 1, 1));
        assert_eq!((outcome.worst_ms, outcome.fresh_after_ms), (1_700.0, 1_800.0));
        assert_eq!(outcome.effect(), Effect::Lost);
        assert_eq!(Outcome { lost: 0, ..outcome }.effect(), Effect::Twice);
        assert_eq!(Outcome { lost: 0, repeated: 0, ..outcome }.effect(), Effect::Late);
        assert_eq!(Outcome::default().effect(), Effect::Unnoticed);
    }

    #[test]
    fn the_twin_is_judged_too() {
        let drop = Breakage::Server(FaultKind::Drop);
        assert_eq!(usual_ms(drop, 20.0, |_| 500.0), (20.0, 500.0), "a slow machine is slow for both");
        assert_eq!(usual_ms(drop, 20.0, |_| 5.0), (20.0, 20.0));
        assert_eq!(usual_ms(Breakage::Background, 20.0, |_| 900.0), (SWITCH_MS, SWITCH_MS));
        // A twin that was as late as the stream says so.
        let mut twin = Lane::new(Technique::LongPoll);
        let take = |lane: &mut Lane, at_ms, events| {
            lane.observe(record(Technique::LongPoll, Came::Data, at_ms, events), ClockOffset::default());
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
                for outcome in [Outcome::default(), Outcome { late: 3, cuts: 1, ..Outcome::default() }] {
                    assert!(mechanism(breakage, technique, &outcome).len() > 30, "{breakage:?} {technique}");
                }
            }
        }
    }
}
