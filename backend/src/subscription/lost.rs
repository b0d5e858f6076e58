//! What was let go before a reader came to it, and how it is told. What one topic loses takes nothing from the others.

use fourways_shared::{Offset, Reset, ResetReason, ResetTag};
use smallvec::SmallVec;

use super::{Place, Subscription};
use crate::{
    engine::{Selection, TopicTail},
    sync::PoisonError,
};

impl Subscription {
    /// Goes on with what is left; the reader must be told. What some topics have let go doesn't take from the others.
    pub(super) fn break_off(&mut self, reason: ResetReason, missed: Option<u64>) -> Reset {
        let lowest = self.lowest();
        self.position = if reason == ResetReason::Epoch { lowest } else { self.position.max(lowest) };
        self.reading = None;
        self.excuse();
        for place in &mut self.topics {
            place.seen = None;
        }
        self.reset(reason, missed)
    }

    /// Says that it goes on at its position.
    pub(super) fn reset(&self, reason: ResetReason, missed: Option<u64>) -> Reset {
        let earliest = self.tail.cursor(self.tail.earliest());
        let topics = self.topics().cloned().collect();
        let cursor = self.tail.cursor(Offset(self.position));
        Reset { kind: ResetTag::Reset, reason, missed, earliest, cursor, topics }
    }

    /// The place from which on everything of all topics is in memory.
    pub(super) fn in_memory(&self) -> u64 {
        self.topics.iter().map(|place| place.topic.trimmed_through()).max().unwrap_or(0)
    }

    /// Up to here events of the topic may have been let go, in memory and behind it.
    fn floor_of(&self, topic: &TopicTail) -> u64 {
        match self.tail.archive() {
            Some(archive) if !self.tail.is_volatile(topic.name()) => {
                archive.floor(Selection(std::slice::from_ref(topic.name()))).0
            }
            _ => topic.trimmed_through(),
        }
    }

    /// Up to here nothing is left of any of the topics.
    pub(super) fn lowest(&self) -> u64 {
        let begins = |place: &Place| {
            if self.tail.archive().is_some() && !self.tail.is_volatile(place.topic.name()) {
                return Some(self.floor_of(&place.topic));
            }
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            log.events.front().map(|first| first.offset() - 1)
        };
        // What is appended while the topics are looked at, one after the other, lies behind it.
        let head = self.tail.head().0;
        let highest = || self.topics.iter().map(|place| self.floor_of(&place.topic)).max();
        self.topics.iter().filter_map(begins).min().or_else(highest).unwrap_or(0).min(head)
    }

    /// Something that lay before the reader was let go, and the reader was not told of it.
    pub(super) fn has_lost(&self) -> bool {
        let is_gone = |place: &Place| self.floor_of(&place.topic) > self.position.max(place.excused);
        self.topics.iter().any(is_gone)
    }

    /// What was let go up to now needs no telling any more.
    pub(super) fn excuse(&mut self) {
        let floors: SmallVec<[u64; 1]> =
            self.topics.iter().map(|place| self.floor_of(&place.topic)).collect();
        for (place, floor) in self.topics.iter_mut().zip(floors) {
            place.excused = floor;
        }
    }
}
