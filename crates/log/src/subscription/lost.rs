//! Events that were dropped before a reader reached them, and the reset that reports them. Drops in one topic never
//! cost the reader events of another.

use fourways_shared::{Offset, Reset, ResetReason, ResetTag};
use smallvec::SmallVec;

use super::{Subscription, TopicCursor};
use crate::{
    engine::{Floors, TopicTail},
    sync::PoisonError,
};

impl Subscription {
    /// Moves the position to where events can still be read, and returns the reset that the reader must get. Other
    /// topics' events are still delivered.
    pub(super) fn break_off(&mut self, reason: ResetReason, missed: Option<u64>) -> Reset {
        let lowest = self.lowest();
        self.position = if reason == ResetReason::Epoch { lowest } else { self.position.max(lowest) };
        self.reading = None;
        self.acknowledge_drops();
        for topic_cursor in &mut self.topics {
            topic_cursor.seen = None;
        }
        self.reset(reason, missed)
    }

    /// Builds a reset that tells the reader to continue at the current position.
    pub(super) fn reset(&self, reason: ResetReason, missed: Option<u64>) -> Reset {
        let earliest = self.tail.cursor(self.tail.earliest());
        let topics = self.topics().cloned().collect();
        let cursor = self.tail.cursor(Offset(self.position));
        Reset { kind: ResetTag::Reset, reason, missed, earliest, cursor, topics }
    }

    /// Returns the offset after which every event of the topics is in memory.
    pub(super) fn in_memory(&self) -> u64 {
        let named = self.topics.iter().filter(|topic_cursor| !topic_cursor.topic.name().is_pattern());
        let named = named.map(|topic_cursor| topic_cursor.topic.trimmed_through()).max().unwrap_or(0);
        named.max(self.tail.in_memory_after(&self.patterns()))
    }

    /// Returns the offsets up to which events of the topic may have been dropped, from memory and from the archive.
    /// Their number is the same for every call with one topic.
    fn floors_of(&self, topic: &TopicTail) -> Floors {
        let name = topic.name();
        match self.tail.archive() {
            // A pattern may match both archived topics and volatile ones.
            Some(archive) if name.is_pattern() => {
                archive.floors(name).into_iter().chain(topic.gone()).collect()
            }
            Some(archive) if !self.tail.is_volatile(name) => archive.floors(name),
            _ => topic.gone(),
        }
    }

    /// Returns an offset at or before which no event of the topics is left.
    pub(super) fn lowest(&self) -> u64 {
        let begins = |topic_cursor: &TopicCursor| {
            let name = topic_cursor.topic.name();
            let archive = self.tail.archive().filter(|_| name.is_pattern() || !self.tail.is_volatile(name));
            if let Some(archive) = archive {
                let kept = archive.lowest(name).0;
                return Some(self.tail.first_in_memory(name).map_or(kept, |first| first.min(kept)));
            }
            if name.is_pattern() {
                return self.tail.first_in_memory(name);
            }
            let log = topic_cursor.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            log.events.front().map(|first| first.offset() - 1)
        };
        // Read first: events appended while the topics are examined one by one come after this head.
        let head = self.tail.head().0;
        let highest =
            || self.topics.iter().flat_map(|topic_cursor| self.floors_of(&topic_cursor.topic)).max();
        self.topics.iter().filter_map(begins).min().or_else(highest).unwrap_or(0).min(head)
    }

    /// Returns true if events after the position were dropped and no reset has covered them.
    pub(super) fn has_lost(&self) -> bool {
        self.topics
            .iter()
            .any(|topic_cursor| topic_cursor.has_lost(&self.floors_of(&topic_cursor.topic), self.position))
    }

    /// Returns true if a cursor at this offset is so old that retention may soon pass it. Its reader should get a newer
    /// cursor, even if none of its topics has a new event.
    pub fn is_near_retention(&self, topic_cursor: Offset) -> bool {
        /// A log with no more offsets than this after its last dropped event has no old cursors.
        const YOUNG: u64 = 1000;
        let floor = self
            .topics
            .iter()
            .flat_map(|topic_cursor| self.floors_of(&topic_cursor.topic))
            .max()
            .unwrap_or(0);
        let far = self.tail.head().0.saturating_sub(floor);
        far > YOUNG && topic_cursor.0 < floor + far / 2
    }

    /// Records that everything dropped up to now needs no further reset.
    pub(super) fn acknowledge_drops(&mut self) {
        let floors: SmallVec<[Floors; 1]> =
            self.topics.iter().map(|topic_cursor| self.floors_of(&topic_cursor.topic)).collect();
        for (topic_cursor, floors) in self.topics.iter_mut().zip(floors) {
            topic_cursor.acknowledged_through = floors;
        }
    }
}

impl TopicCursor {
    /// Returns true if an event after the position was dropped and is not acknowledged.
    pub(super) fn has_lost(&self, floors: &[u64], position: u64) -> bool {
        let acknowledged_through = self.acknowledged_through.iter().copied().chain(std::iter::repeat(0));
        floors
            .iter()
            .zip(acknowledged_through)
            .any(|(floor, acknowledged_through)| *floor > position.max(acknowledged_through))
    }

    /// Returns the offset up to which a reader at this position needs nothing from the topic's index.
    pub(super) fn known(&self, position: u64) -> u64 {
        // Events that a pattern's index has no room for are still in the log.
        if self.topic.name().is_pattern() {
            return position;
        }
        self.acknowledged_through.iter().copied().fold(position, u64::max)
    }
}
