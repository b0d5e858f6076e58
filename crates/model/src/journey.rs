//! One stream over several techniques: the events that each leg brought, and whether the log has any that no leg
//! brought.

use std::collections::BTreeMap;

use fourways_shared::{Cursor, Offset, Technique, Topic};

use super::lane::Lane;

/// Number of offsets kept at most; the oldest of a longer journey are dropped.
const MAX_SEEN: usize = 5_000;

/// A stream that changes from one technique to another and keeps its cursor.
#[derive(Clone, Debug, PartialEq)]
pub struct Journey {
    /// Technique that continues the stream.
    pub to: Technique,
    pub topic: Topic,
    /// Rate of the page's own feed, in events per second; 0 if it is off.
    pub rate: f64,
    /// Cursor of the oldest delivery that is kept: the check covers the log after it.
    pub first: Cursor,
    /// Cursor after which the stream continues.
    pub cursor: Cursor,
    /// Number of events that each leg brought, in order.
    pub legs: Vec<(Technique, u64)>,
    /// Offset of every delivery, repeated ones included.
    seen: Vec<u64>,
}

/// Result of comparing a journey with the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Number of events in the log after the first delivery, up to the newest.
    pub published: u64,
    /// Number of events in the log that no leg brought.
    pub lost: u64,
    /// Number of deliveries beyond the first of each event.
    pub repeated: u64,
}

impl Journey {
    /// Adds the lane as a leg to the journey `before`, and continues by the technique `to`. Returns `None` while no
    /// event has been delivered.
    pub fn go_on(before: Option<Self>, lane: &Lane, topic: Topic, rate: f64, to: Technique) -> Option<Self> {
        // A stream of another topic is another journey.
        let before = before.filter(|before| before.topic == topic);
        let cursor = lane.cursor.or(before.as_ref().map(|before| before.cursor))?;
        let own: Vec<u64> = lane.marks.iter().map(|mark| mark.offset).collect();
        let first = own.first().map(|first| Cursor { offset: Offset(*first), ..cursor });
        let mut journey = match (before, first) {
            (Some(before), _) => Self { to, rate, cursor, ..before },
            (None, first) => {
                Self { to, topic, rate, first: first?, cursor, legs: Vec::new(), seen: Vec::new() }
            }
        };
        journey.legs.push((lane.technique, own.len() as u64));
        journey.seen.extend(own);
        // Deliveries that the lane recognised as repeated have no marks, so they are added here, at most 100 of them.
        if let (Some(last), repeated @ 1..) = (journey.seen.last().copied(), lane.ledger.repeated) {
            journey.seen.extend((0..repeated.min(100)).map(|_| last));
        }
        let over = journey.seen.len().saturating_sub(MAX_SEEN);
        if over > 0 {
            journey.seen.drain(..over);
            journey.first.offset = Offset(journey.seen[0]);
        }
        Some(journey)
    }

    /// Compares the journey with `log`: offset and time of the topic's events after [`Journey::first`], read just now.
    pub fn check(&self, log: &[(u64, f64)]) -> Checked {
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        for offset in &self.seen {
            *counts.entry(*offset).or_default() += 1;
        }
        let newest = counts.keys().next_back().copied().unwrap_or(0);
        // An event newer than the last delivery is on its way, not lost.
        let published = log.iter().map(|(offset, _)| *offset).filter(|offset| *offset <= newest);
        let lost = published.clone().filter(|offset| !counts.contains_key(offset)).count();
        Checked {
            published: published.count() as u64,
            lost: lost as u64,
            repeated: counts.values().map(|count| count - 1).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use fourways_shared::measure::ClockOffset;

    use super::*;
    use crate::{
        lane::tests::{event, record},
        record::RecordKind,
    };

    fn lane(technique: Technique, offsets: &[(u64, bool)]) -> Lane {
        let mut lane = Lane::new(technique);
        let events = offsets.iter().map(|(offset, is_new)| (event(*offset, 1), *is_new)).collect();
        lane.observe(record(technique, RecordKind::Data, 5.0, events), ClockOffset::default());
        lane
    }

    #[test]
    fn what_no_leg_brought_is_lost_and_what_two_brought_is_twice() {
        let topic = || "a".parse().unwrap();
        let first = lane(Technique::Sse, &[(3, true), (5, true)]);
        let journey = Journey::go_on(None, &first, topic(), 1.0, Technique::Websocket).unwrap();
        assert_eq!((journey.first.offset, journey.cursor.offset), (Offset(3), Offset(5)));
        let second = lane(Technique::Websocket, &[(5, true), (9, true), (9, false)]);
        let journey = Journey::go_on(Some(journey), &second, topic(), 1.0, Technique::LongPoll).unwrap();
        assert_eq!(journey.legs, [(Technique::Sse, 2), (Technique::Websocket, 2)]);
        // Event 7 is in the log and no leg brought it; event 12 may still arrive.
        let checked = journey.check(&[5, 7, 9, 12].map(|offset| (offset, 0.0)));
        assert_eq!(checked, Checked { published: 3, lost: 1, repeated: 2 });
    }
}
