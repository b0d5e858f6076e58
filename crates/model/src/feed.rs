//! The published events, known from whichever technique delivered them first, and the events that other techniques are
//! still missing.

use std::collections::BTreeMap;

use fourways_shared::{Epoch, time::ms_of_us};

use super::{lane::Lane, record::Note};

const MAX_EVENTS: usize = 6000;

/// The events of the current epoch that any technique delivered, the newest 6,000 of them.
#[derive(Debug, Default)]
pub struct Feed {
    epoch: Option<Epoch>,
    /// Known events by offset.
    events: BTreeMap<u64, FeedEntry>,
    /// Number of events observed so far, those no longer kept included.
    pub count: u64,
    /// The last three events observed, newest first.
    pub latest: Vec<Published>,
}

/// An event of [`Feed::latest`], as shown to people.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    pub offset: u64,
    pub topic: String,
    /// Beginning of the event's data, at most 60 characters.
    pub text: String,
}

/// Position of an event in the drawings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedEntry {
    /// Time of publishing, by the server's clock, in milliseconds since the Unix epoch.
    pub published_ms: f64,
    /// Number of the event, counted from the first event that the page knows of. Offsets count other topics too, so
    /// they have gaps.
    pub n: u64,
}

/// Lag of a lane behind the feed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Behind {
    /// Number of published events that the lane does not have.
    pub events: usize,
    /// Age of the oldest event that the lane does not have, in milliseconds; 0 if the lane has every event.
    pub ms: f64,
}

impl Feed {
    /// Adds the events of a note. An event of another epoch clears all events known before.
    pub fn observe(&mut self, note: &Note) {
        let Note::Record(record) = note else { return };
        for delivered in &record.events {
            let event = &delivered.event;
            let Self { epoch, events, count, .. } = &mut *self;
            if *epoch != Some(event.cursor.epoch) {
                *epoch = Some(event.cursor.epoch);
                events.clear();
            }
            let published_ms = ms_of_us(event.published_at_us);
            if let std::collections::btree_map::Entry::Vacant(e) = events.entry(event.cursor.offset.0) {
                *count += 1;
                e.insert(FeedEntry { published_ms, n: *count });
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

    /// Returns the number of an event, as in [`FeedEntry::n`], or the offset itself if the event is not known.
    pub fn n(&self, offset: u64) -> u64 {
        self.events.get(&offset).map_or(offset, |place| place.n)
    }

    /// Returns offset and time of the events published at or after `from_ms`, newest first.
    pub fn since(&self, from_ms: f64) -> impl Iterator<Item = (u64, f64)> + '_ {
        let recent = self.events.iter().rev().take_while(move |(_, place)| place.published_ms >= from_ms);
        recent.map(|(offset, place)| (*offset, place.published_ms))
    }

    /// Returns the events that are published and not yet in the lane, oldest first; none if the lane has had no event
    /// so far.
    pub fn missing<'a>(&'a self, lane: &Lane) -> impl Iterator<Item = (u64, FeedEntry)> + 'a {
        let here = lane.marks.back().map(|mark| mark.offset);
        let from = here.map_or(u64::MAX, |offset| offset + 1);
        self.events.range(from..).map(|(offset, place)| (*offset, *place))
    }

    /// Returns the events that the lane skipped, newest first: published at or after `from_ms`, between the lane's
    /// first and last event, and never delivered to it.
    pub fn lost<'a>(&'a self, lane: &'a Lane, from_ms: f64) -> impl Iterator<Item = (u64, FeedEntry)> + 'a {
        let ends = lane.marks.front().zip(lane.marks.back()).map(|(first, last)| (first.offset, last.offset));
        let (first, last) = ends.unwrap_or((1, 0));
        let passed = self.events.iter().rev().skip_while(move |(offset, _)| **offset > last);
        let passed =
            passed.take_while(move |(offset, place)| **offset > first && place.published_ms >= from_ms);
        let is_here = |offset: &u64| lane.marks.binary_search_by_key(offset, |mark| mark.offset).is_ok();
        passed.filter(move |(offset, _)| !is_here(offset)).map(|(offset, place)| (*offset, *place))
    }

    /// Returns the lag of a lane at `now_ms`, by the server's clock.
    pub fn behind(&self, lane: &Lane, now_ms: f64) -> Behind {
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
    use crate::{
        lane::tests::{event, record},
        record::RecordKind,
    };

    #[test]
    fn a_lane_is_behind_by_what_another_has_already() {
        let (mut feed, mut slow) = (Feed::default(), Lane::new(Technique::ShortPoll));
        let first = record(Technique::Sse, RecordKind::Data, 101.0, vec![(event(1, 100), true)]);
        feed.observe(&first);
        slow.observe(first, ClockOffset::default());
        assert_eq!(feed.behind(&slow, 500.0), Behind::default());
        let more = vec![(event(2, 200), true), (event(3, 300), true)];
        feed.observe(&record(Technique::Sse, RecordKind::Data, 301.0, more));
        assert_eq!(feed.behind(&slow, 500.0), Behind { events: 2, ms: 300.0 });
        assert_eq!(feed.since(150.0).map(|(offset, _)| offset).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(feed.count, 3);
        // Event 3 arrives and event 2 never does.
        slow.observe(
            record(Technique::ShortPoll, RecordKind::Data, 400.0, vec![(event(3, 300), true)]),
            ClockOffset::default(),
        );
        assert_eq!(feed.lost(&slow, 0.0).map(|(offset, _)| offset).collect::<Vec<_>>(), [2]);
        assert_eq!(feed.lost(&slow, 250.0).count(), 0, "out of the window");
    }
}
