//! One stream over several techniques: what each leg brought, and whether the log has anything that none brought.

use std::collections::BTreeMap;

use fourways_shared::{Cursor, Offset, Technique, Topic};

use super::lane::Lane;

/// Offsets that are kept; a longer journey forgets its beginning.
const MAX_SEEN: usize = 5_000;

/// A stream on its way from one technique to another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Journey {
    pub(crate) to: Technique,
    pub(crate) topic: Topic,
    pub(crate) rate: f64,
    /// The place of the first event that was seen.
    pub(crate) first: Cursor,
    /// Where it goes on.
    pub(crate) cursor: Cursor,
    /// How many events came by each technique, in order.
    pub(crate) legs: Vec<(Technique, u64)>,
    /// Every delivery's offset, repeated ones too.
    seen: Vec<u64>,
}

/// What a look into the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) published: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
}

impl Journey {
    /// Leaves a lane for a technique, after what came before. `None` while nothing has come.
    pub(crate) fn go_on(
        before: Option<Self>,
        lane: &Lane,
        topic: Topic,
        rate: f64,
        to: Technique,
    ) -> Option<Self> {
        // Another topic is another journey.
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
        // Deliveries that the lane recognised as repeated are none of its marks.
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

    /// Compares with the log's events after the first, as they were read just now.
    pub(crate) fn check(&self, log: &[(u64, f64)]) -> Checked {
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        for offset in &self.seen {
            *counts.entry(*offset).or_default() += 1;
        }
        let newest = counts.keys().next_back().copied().unwrap_or(0);
        // What is newer than the last delivery is on its way, not lost.
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
    use crate::state::{
        lane::tests::{event, record},
        record::Outcome,
    };

    fn lane(technique: Technique, offsets: &[(u64, bool)]) -> Lane {
        let mut lane = Lane::new(technique);
        let events = offsets.iter().map(|(offset, is_new)| (event(*offset, 1), *is_new)).collect();
        lane.observe(record(technique, Outcome::Data, 5.0, events), ClockOffset::default());
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
        // 7 is in the log and came to nobody; 12 may still come.
        let checked = journey.check(&[5, 7, 9, 12].map(|offset| (offset, 0.0)));
        assert_eq!(checked, Checked { published: 3, lost: 1, repeated: 2 });
    }
}
