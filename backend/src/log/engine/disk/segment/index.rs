//! What is in a segment, and where in it.

use std::collections::HashMap;

use fourways_shared::Topic;

use super::{
    bloom::{Bloom, Mark},
    head::FILE_HEADER,
};
use crate::log::engine::{
    Ages,
    disk::block::{self, Header, Stored},
};

/// A place in the index for every so many bytes: how far a read may begin before what it looks for.
const INDEX_STEP: u64 = 16 * 1024;

/// What is in a segment, as far as it may be read.
#[derive(Debug)]
pub(in super::super) struct Index {
    /// Committed bytes, the file's header included.
    pub length: u64,
    /// The last offset; the one before the first if there is none.
    pub last: u64,
    /// When its first event came and its last, by [`Ages`](crate::log::engine::Ages); both 0 if there is none. While it is being opened, by
    /// what they say of when they were published.
    pub oldest_us: u64,
    /// See above.
    pub newest_us: u64,
    /// The first offset.
    pub first: Option<u64>,
    /// How many there are.
    pub events: u64,
    /// Some of it can't be read: there may have been events of any topic.
    pub has_hole: bool,
    /// By topic.
    pub topics: HashMap<Topic, Held>,
    /// Sparse: the first offset of a block, where it begins, and which topics are from there to the next.
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    first: u64,
    at: u64,
    topics: Bloom,
}

/// What a segment holds of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Held {
    /// How many.
    pub events: u64,
    /// The offset of the first.
    pub first: u64,
    /// The offset of the last.
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
                // No publisher can have written it.
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

    /// What was written came at this time.
    pub(super) fn grow(&mut self, now_us: u64) {
        if self.newest_us == 0 {
            self.oldest_us = now_us;
        }
        self.newest_us = self.newest_us.max(now_us);
    }

    /// What is in it came before the start.
    pub(in super::super) fn came_by(&mut self, ages: &Ages) {
        self.oldest_us = ages.then_us(self.oldest_us);
        self.newest_us = ages.then_us(self.newest_us);
    }

    /// Between which offsets events of these topics are, if there are any.
    pub(in super::super) fn range_of(&self, topics: &[Topic]) -> Option<(u64, u64)> {
        let held = topics.iter().filter_map(|topic| self.topics.get(topic));
        held.fold(None, |range: Option<(u64, u64)>, held| {
            let (lowest, highest) = range.unwrap_or((held.first, held.last));
            Some((lowest.min(held.first), highest.max(held.last)))
        })
    }

    /// Where to begin to read for what follows an offset.
    pub(super) fn place_of(&self, after: u64) -> u64 {
        let before = self.places.partition_point(|place| place.first <= after + 1);
        before.checked_sub(1).map_or(FILE_HEADER, |at| self.places[at].at)
    }

    /// Where to go on from a place to find one of these topics, and the last offset that is passed over, if some is.
    pub(super) fn skip(&self, at: u64, marks: &[Mark]) -> (u64, Option<u64>) {
        // What can't be read may be of any topic.
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
