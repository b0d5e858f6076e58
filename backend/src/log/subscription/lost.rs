//! What was let go before a reader came to it, and how it is told. What one topic loses takes nothing from the others.

use fourways_shared::{Offset, Reset, ResetReason, ResetTag};
use smallvec::SmallVec;

use super::{Place, Subscription};
use crate::log::{
    engine::{Floors, TopicTail},
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
        let named = self.topics.iter().filter(|place| !place.topic.name().is_pattern());
        let named = named.map(|place| place.topic.trimmed_through()).max().unwrap_or(0);
        named.max(self.tail.in_memory_after(&self.patterns()))
    }

    /// Up to where events of the topic may have been let go, in memory and behind it; as many places each time.
    fn floors_of(&self, topic: &TopicTail) -> Floors {
        let name = topic.name();
        match self.tail.archive() {
            // A pattern may take both what the archive has and what is in memory alone.
            Some(archive) if name.is_pattern() => {
                archive.floors(name).into_iter().chain(topic.gone()).collect()
            }
            Some(archive) if !self.tail.is_volatile(name) => archive.floors(name),
            _ => topic.gone(),
        }
    }

    /// Up to here nothing is left of any of the topics.
    pub(super) fn lowest(&self) -> u64 {
        let begins = |place: &Place| {
            let name = place.topic.name();
            let archive = self.tail.archive().filter(|_| name.is_pattern() || !self.tail.is_volatile(name));
            if let Some(archive) = archive {
                let kept = archive.lowest(name).0;
                return Some(self.tail.first_in_memory(name).map_or(kept, |first| first.min(kept)));
            }
            if name.is_pattern() {
                return self.tail.first_in_memory(name);
            }
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            log.events.front().map(|first| first.offset() - 1)
        };
        // What is appended while the topics are looked at, one after the other, lies behind it.
        let head = self.tail.head().0;
        let highest = || self.topics.iter().flat_map(|place| self.floors_of(&place.topic)).max();
        self.topics.iter().filter_map(begins).min().or_else(highest).unwrap_or(0).min(head)
    }

    /// Something that lay before the reader was let go, and the reader was not told of it.
    pub(super) fn has_lost(&self) -> bool {
        self.topics.iter().any(|place| place.has_lost(&self.floors_of(&place.topic), self.position))
    }

    /// Whether a place is so old that retention may soon have passed it: whoever has it should get a newer one, though nothing
    /// that it reads has followed.
    pub fn is_aging(&self, place: Offset) -> bool {
        /// A log that has come less far lets go of nothing soon.
        const YOUNG: u64 = 1000;
        let floor = self.topics.iter().flat_map(|place| self.floors_of(&place.topic)).max().unwrap_or(0);
        let far = self.tail.head().0.saturating_sub(floor);
        far > YOUNG && place.0 < floor + far / 2
    }

    /// What was let go up to now needs no telling any more.
    pub(super) fn excuse(&mut self) {
        let floors: SmallVec<[Floors; 1]> =
            self.topics.iter().map(|place| self.floors_of(&place.topic)).collect();
        for (place, floors) in self.topics.iter_mut().zip(floors) {
            place.excused = floors;
        }
    }
}

impl Place {
    /// Whether something behind a position was let go that was not excused.
    pub(super) fn has_lost(&self, floors: &[u64], position: u64) -> bool {
        let excused = self.excused.iter().copied().chain(std::iter::repeat(0));
        floors.iter().zip(excused).any(|(floor, excused)| *floor > position.max(excused))
    }

    /// Up to here nothing of its index is missing to a reader with this position.
    pub(super) fn known(&self, position: u64) -> u64 {
        // What a pattern's index has no room for is not gone.
        if self.topic.name().is_pattern() {
            return position;
        }
        self.excused.iter().copied().fold(position, u64::max)
    }
}
