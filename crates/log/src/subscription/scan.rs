//! Reads of a pattern's events that are in memory but no longer in the pattern's index: in the order of the log, one
//! piece at a time.

use fourways_shared::{Filter, Policy, ResetReason};
use smallvec::SmallVec;

use super::{Batch, Subscription};
use crate::{
    engine::{Scan, Seek},
    sync::{Arc, PoisonError},
};

impl Subscription {
    /// Returns true if only the newest event of each topic is read.
    pub(super) fn is_latest(&self) -> bool {
        self.policy == Policy::Latest || self.is_conflating
    }

    /// Returns the patterns among the topics.
    pub(super) fn patterns(&self) -> SmallVec<[Filter; 1]> {
        self.topics().filter(|topic| topic.is_pattern()).cloned().collect()
    }

    /// Returns true if every event after the position is in memory, though perhaps in no index.
    pub(super) fn is_in_memory(&self) -> bool {
        let patterns = self.patterns();
        self.tail.archive().is_none()
            || (!patterns.is_empty()
                && self.position >= self.tail.in_memory_after(&patterns)
                && !self.is_behind())
    }

    /// Returns true if the index of a named topic has dropped events that were not read.
    fn is_behind(&self) -> bool {
        let mut named = self.topics.iter().filter(|topic_cursor| !topic_cursor.topic.name().is_pattern());
        named.any(|topic_cursor| topic_cursor.topic.trimmed_through() > topic_cursor.known(self.position))
    }

    /// Scans the next piece of the log, up to `through` at most, and returns the events found in it.
    pub(super) fn scan(&mut self, through: u64, limit: usize) -> Option<Batch> {
        let head = self.tail.head().0.min(self.until);
        let is_latest = self.is_latest();
        let (found, looked) = self.tail.scan(Scan {
            filters: &self.patterns(),
            after: self.position,
            through: through.min(head),
            limit,
            newest_through: is_latest.then_some(head),
            is_volatile: false,
        });
        // Some events were dropped before the scan reached them.
        if self.has_lost() {
            let before = self.cursor();
            self.pending_reset = Some((Box::new(self.break_off(ResetReason::Retention, None)), before));
            return None;
        }
        let mut batch = Batch { reset: None, events: found.into() };
        for topic_cursor in self.topics.iter().filter(|topic_cursor| !topic_cursor.topic.name().is_pattern())
        {
            let log = topic_cursor.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let range = log.first_after(self.position)..log.first_after(looked.0);
            let is_newest = |offset: u64| {
                !is_latest
                    || log
                        .first_after(head)
                        .checked_sub(1)
                        .is_some_and(|at| log.events[at].offset() == offset)
            };
            let events = log.events.range(range).filter(|event| is_newest(event.offset()));
            batch.events.extend(events.map(Arc::clone));
        }
        self.position = self.cut(&mut batch, limit, looked.0);
        self.is_conflating &= self.position < head;
        self.count_seen();
        (!batch.events.is_empty()).then_some(batch)
    }

    /// Searches one more piece for the offset at which the newest requested events begin.
    pub(super) fn seek(&mut self, seek: Seek) {
        let filters: SmallVec<[Filter; 1]> = self.topics().cloned().collect();
        let seek = self.tail.seek(&filters, seek);
        if seek.count > 0 && !seek.is_over {
            self.seek = Some(seek);
            return;
        }
        self.seek = None;
        self.position = self.position.max(seek.after);
        if seek.count > 0 && self.tail.archive().is_some() {
            self.begin_older(seek.count);
            return;
        }
        self.count_seen();
        // Events dropped before the subscription began were never promised.
        self.acknowledge_drops();
    }
}
