//! The index of a segment: the events that it holds, and where.

use std::collections::HashMap;

use fourways_shared::Topic;

use super::{
    bloom::{Bloom, Mark},
    head::FILE_HEADER,
};
use crate::engine::{
    Ages,
    disk::block::{self, Header, Stored},
};

/// Distance between two entries of the index, in bytes: a read may begin this far before the event that it looks for.
const INDEX_STEP: u64 = 16 * 1024;

/// The readable contents of a segment.
#[derive(Debug)]
pub(in super::super) struct Index {
    /// Length of the committed part of the file, with its header, in bytes.
    pub length: u64,
    /// Last offset; the base while there is no event.
    pub last: u64,
    /// Arrival of the first event, by [`Ages`](crate::engine::Ages); 0 if there is none. As recorded in the file
    /// until [`Index::clamp_arrivals`] limits it to the start.
    pub oldest_us: u64,
    /// Arrival of the last event, like `oldest_us`.
    pub newest_us: u64,
    /// First offset; `None` while there is no event.
    pub first: Option<u64>,
    /// Number of events.
    pub events: u64,
    /// Some of the file can't be read, and may have held events of any topic.
    pub has_hole: bool,
    /// Events of each topic.
    pub topics: HashMap<Topic, Held>,
    /// Sparse list of blocks: the first offset, the position, and the topics from there to the next entry.
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    first: u64,
    at: u64,
    topics: Bloom,
}

/// The events that a segment holds of one topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Held {
    /// Number of the topic's events.
    pub events: u64,
    /// Offset of the topic's first event.
    pub first: u64,
    /// Offset of the topic's last event.
    pub last: u64,
}

impl Index {
    pub(super) fn new(base: u64) -> Self {
        Self {
            length: FILE_HEADER,
            last: base,
            first: None,
            oldest_us: 0,
            newest_us: 0,
            events: 0,
            has_hole: false,
            topics: HashMap::new(),
            places: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, stored: &Stored<'_>) {
        let held = match self.topics.get_mut(stored.topic) {
            Some(held) => held,
            None => match Topic::parse(stored.topic) {
                Ok(topic) => {
                    self.topics.entry(topic).or_insert(Held { first: stored.offset, ..Held::default() })
                }
                // No publisher can have written such a topic.
                Err(_) => return,
            },
        };
        held.events += 1;
        held.last = stored.offset;
    }

    pub(super) fn extend(&mut self, at: u64, header: &Header, body: &[u8]) {
        let mut offsets = block::events(body).flatten().map(|stored| stored.offset);
        let first = offsets.next().unwrap_or(self.last);
        self.first.get_or_insert(first);
        if self.places.last().is_none_or(|place| at >= place.at + INDEX_STEP) {
            self.places.push(Place { first, at, topics: Bloom::default() });
        }
        if let Some(place) = self.places.last_mut() {
            for stored in block::events(body).flatten() {
                place.topics.add(Mark::of(stored.topic));
            }
        }
        self.last = offsets.last().unwrap_or(first);
        self.events += u64::from(header.events);
        self.length = at + header.length();
    }

    /// Extends the range of arrivals by that of a committed block.
    pub(super) fn grow(&mut self, now_us: u64) {
        if self.newest_us == 0 {
            self.oldest_us = now_us;
        }
        self.newest_us = self.newest_us.max(now_us);
    }

    /// Limits the arrivals to the start: everything in the file came before it.
    pub(in super::super) fn clamp_arrivals(&mut self, ages: &Ages) {
        self.oldest_us = ages.then_us(self.oldest_us);
        self.newest_us = ages.then_us(self.newest_us);
    }

    /// Returns the lowest and highest offset of these topics; `None` if the segment holds none of their events.
    pub(in super::super) fn range_of(&self, topics: &[Topic]) -> Option<(u64, u64)> {
        let held = topics.iter().filter_map(|topic| self.topics.get(topic));
        held.fold(None, |range: Option<(u64, u64)>, held| {
            let (lowest, highest) = range.unwrap_or((held.first, held.last));
            Some((lowest.min(held.first), highest.max(held.last)))
        })
    }

    /// Returns the position at which to begin reading for events after an offset.
    pub(super) fn place_of(&self, after: u64) -> u64 {
        let before = self.places.partition_point(|place| place.first <= after + 1);
        before.checked_sub(1).map_or(FILE_HEADER, |at| self.places[at].at)
    }

    /// Returns the next position, from `at` on, where one of these topics may be, and the last offset that is skipped
    /// on the way, if any.
    pub(super) fn skip(&self, at: u64, marks: &[Mark]) -> (u64, Option<u64>) {
        // Unreadable events may be of any topic, so nothing is skipped.
        if self.has_hole {
            return (at, None);
        }
        let from = self.places.partition_point(|place| place.at < at);
        if self.places.get(from).is_none_or(|place| place.at != at) {
            return (at, None);
        }
        let holds = |place: &Place| marks.iter().any(|mark| place.topics.may_hold(*mark));
        match self.places[from..].iter().position(holds) {
            Some(0) => (at, None),
            Some(far) => {
                let place = self.places[from + far];
                (place.at, Some(place.first - 1))
            }
            None => (self.length, Some(self.last)),
        }
    }
}
