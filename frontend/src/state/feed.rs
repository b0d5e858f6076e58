//! What was published, known from whichever technique brought it first: what the others still wait for.

use std::collections::BTreeMap;

use fourways_shared::Epoch;

use super::{lane::Lane, record::Note};

const MAX_EVENTS: usize = 6000;

#[derive(Debug, Default)]
pub(crate) struct Feed {
    epoch: Option<Epoch>,
    /// By offset.
    events: BTreeMap<u64, Place>,
    pub(crate) count: u64,
    /// The last few, for people: topic, name and size.
    pub(crate) latest: Vec<Published>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Published {
    pub(crate) offset: u64,
    pub(crate) topic: String,
    pub(crate) text: String,
}

/// Where an event is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// By the server's clock, in milliseconds.
    pub(crate) published_ms: f64,
    /// Counted from the first event that the page knows of: offsets count other topics too.
    pub(crate) n: u64,
}

/// How far a lane is behind the feed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Behind {
    pub(crate) events: usize,
    /// Age of the oldest event that the lane does not have.
    pub(crate) ms: f64,
}

impl Feed {
    /// Learns what a note brought.
    pub(crate) fn observe(&mut self, note: &Note) {
        let Note::Record(record) = note else { return };
        for delivered in &record.events {
            let event = &delivered.event;
            let Self { epoch, events, count, .. } = &mut *self;
            if *epoch != Some(event.cursor.epoch) {
                *epoch = Some(event.cursor.epoch);
                events.clear();
            }
            #[expect(
                clippy::cast_precision_loss,
                reason = "microseconds since 1970 have 51 bits until the year 2106"
            )]
            let published_ms = event.published_at_us as f64 / 1000.0;
            if let std::collections::btree_map::Entry::Vacant(e) = events.entry(event.cursor.offset.0) {
                *count += 1;
                e.insert(Place { published_ms, n: *count });
                let text = event.data.preview(60);
                let published =
                    Published { offset: event.cursor.offset.0, topic: event.topic.to_string(), text };
                self.latest.insert(0, published);
                self.latest.truncate(3);
            }
        }
        while self.events.len() > MAX_EVENTS {
            self.events.pop_first();
        }
    }

    /// Which event of the page's this is.
    pub(crate) fn n(&self, offset: u64) -> u64 {
        self.events.get(&offset).map_or(offset, |place| place.n)
    }

    /// Offset and time of the events that were published since then.
    pub(crate) fn since(&self, from_ms: f64) -> impl Iterator<Item = (u64, f64)> + '_ {
        let recent = self.events.iter().rev().take_while(move |(_, place)| place.published_ms >= from_ms);
        recent.map(|(offset, place)| (*offset, place.published_ms))
    }

    /// What is published and not yet in the lane.
    pub(crate) fn missing<'a>(&'a self, lane: &Lane) -> impl Iterator<Item = (u64, Place)> + 'a {
        let here = lane.marks.back().map(|mark| mark.offset);
        let from = here.map_or(u64::MAX, |offset| offset + 1);
        self.events.range(from..).map(|(offset, place)| (*offset, *place))
    }

    /// What the lane passed over: published after its first event and before its last, and never delivered.
    pub(crate) fn lost<'a>(
        &'a self,
        lane: &'a Lane,
        from_ms: f64,
    ) -> impl Iterator<Item = (u64, Place)> + 'a {
        let ends = lane.marks.front().zip(lane.marks.back()).map(|(first, last)| (first.offset, last.offset));
        let (first, last) = ends.unwrap_or((1, 0));
        let passed = self.events.iter().rev().skip_while(move |(offset, _)| **offset > last);
        let passed =
            passed.take_while(move |(offset, place)| **offset > first && place.published_ms >= from_ms);
        let is_here = |offset: &u64| lane.marks.binary_search_by_key(offset, |mark| mark.offset).is_ok();
        passed.filter(move |(offset, _)| !is_here(offset)).map(|(offset, place)| (*offset, *place))
    }

    pub(crate) fn behind(&self, lane: &Lane, now_ms: f64) -> Behind {
        let mut missing = self.missing(lane);
        missing.next().map_or_else(Behind::default, |(_, place)| Behind {
            events: 1 + missing.count(),
            ms: (now_ms - place.published_ms).max(0.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use fourways_shared::{Technique, measure::ClockOffset};

    use super::*;
    use crate::state::{
        lane::tests::{event, record},
        record::Outcome,
    };

    #[test]
    fn a_lane_is_behind_by_what_another_has_already() {
        let (mut feed, mut slow) = (Feed::default(), Lane::new(Technique::ShortPoll));
        let first = record(Technique::Sse, Outcome::Data, 101.0, vec![(event(1, 100), true)]);
        feed.observe(&first);
        slow.observe(first, ClockOffset::default());
        assert_eq!(feed.behind(&slow, 500.0), Behind::default());
        let more = vec![(event(2, 200), true), (event(3, 300), true)];
        feed.observe(&record(Technique::Sse, Outcome::Data, 301.0, more));
        assert_eq!(feed.behind(&slow, 500.0), Behind { events: 2, ms: 300.0 });
        assert_eq!(feed.since(150.0).map(|(offset, _)| offset).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(feed.count, 3);
        // The third comes and the second never does.
        slow.observe(
            record(Technique::ShortPoll, Outcome::Data, 400.0, vec![(event(3, 300), true)]),
            ClockOffset::default(),
        );
        assert_eq!(feed.lost(&slow, 0.0).map(|(offset, _)| offset).collect::<Vec<_>>(), [2]);
        assert_eq!(feed.lost(&slow, 250.0).count(), 0, "out of the window");
    }
}
