//! Reads of the tail's indices in memory: every event after the position, or the newest of each topic.

use std::collections::HashSet;

use fourways_shared::{ResetReason, Technique};

use super::{Batch, Subscription};
use crate::sync::PoisonError;

/// The size in bytes at which a poll's batch ends, with the event that reaches it: a long backlog of large events is
/// not copied at once.
pub(super) const POLL_BYTES: u64 = 256 * 1024;
/// The size in bytes at which a stream's batch ends. It is smaller than a poll's, because a stream is polled again as
/// soon as its socket has taken the batch.
const STREAM_BYTES: u64 = 8 * 1024;

impl Subscription {
    /// Adds the events after the position to the batch. If some are no longer in an index, returns the offset up to
    /// which a scan or the archive must provide them.
    pub(super) fn read_all(&mut self, batch: &mut Batch, head: u64, limit: usize) -> Option<u64> {
        let mut missed = Some(0);
        let mut behind = 0;
        for topic_cursor in &mut self.topics {
            let log = topic_cursor.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let from = match topic_cursor.seen {
                Some(seen) if seen < log.trimmed => {
                    behind = behind.max(log.trimmed_through);
                    // A pattern's index drops events that the log still holds, so the difference may count too many.
                    let is_exact = self.position >= log.spilled_through;
                    missed = missed.filter(|_| is_exact).map(|missed| missed + (log.trimmed - seen));
                    continue;
                }
                // The difference is bounded by the number of retained events, so it fits.
                Some(seen) => usize::try_from(seen - log.trimmed).unwrap_or(usize::MAX),
                None if topic_cursor.known(self.position) < log.trimmed_through => {
                    behind = behind.max(log.trimmed_through);
                    missed = None;
                    continue;
                }
                None => log.first_after(self.position),
            };
            let pending = log.events.range(from.min(log.events.len())..);
            let pending = pending.take(limit).take_while(|event| event.offset() <= head);
            let before = batch.events.len();
            batch.events.extend(pending.cloned());
            topic_cursor.seen = Some(log.trimmed + (from + batch.events.len() - before) as u64);
        }
        if behind > 0 {
            batch.events.clear();
            // The topics read above have counted events that are discarded here.
            self.count_seen();
            if !self.has_lost() {
                return Some(behind.min(head));
            }
            if self.tail.archive().is_some() || self.may_overlap() {
                missed = None;
            }
            // If a reset was already pending, one reset reports both losses.
            let told = batch.reset.take();
            let (reason, missed) = told.map_or((ResetReason::Lag, missed), |told| {
                (told.reason, told.missed.zip(missed).map(|(a, b)| a + b))
            });
            batch.reset = Some(Box::new(self.break_off(reason, missed)));
            return None;
        }
        let found = batch.events.len();
        self.position = self.cut(batch, limit, head);
        if batch.events.len() < found {
            self.count_seen();
        }
        None
    }

    /// Sorts the events of several topics, cuts the batch to its limits, and returns the offset up to which it is
    /// complete.
    pub(super) fn cut(&self, batch: &mut Batch, limit: usize, through: u64) -> u64 {
        if self.topics.len() > 1 {
            batch.events.sort_unstable_by_key(|event| event.offset());
            batch.events.dedup_by_key(|event| event.offset());
        }
        let found = batch.events.len();
        let mut room =
            if self.technique.is_some_and(Technique::is_stream) { STREAM_BYTES } else { POLL_BYTES };
        let fitting = batch.events.iter().take_while(|event| {
            let fits = room > 0;
            room = room.saturating_sub(event.retained_bytes());
            fits
        });
        let kept = fitting.count().min(limit);
        batch.events.truncate(kept);
        match batch.events.last() {
            Some(last) if kept == limit || kept < found => last.offset(),
            _ => through,
        }
    }

    /// Adds the newest event of each topic to the batch. If one may no longer be in an index, returns the offset up to
    /// which a scan or the archive must provide it.
    pub(super) fn read_latest(&mut self, batch: &mut Batch, head: u64, limit: usize) -> Option<u64> {
        let (mut behind, mut is_lost) = (0, false);
        for topic_cursor in &self.topics {
            let log = topic_cursor.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let end = log.first_after(head);
            let newer = log.events.range(..end).rev().take_while(|event| event.offset() > self.position);
            let before = batch.events.len();
            if topic_cursor.topic.name().is_pattern() {
                // Never larger than the pattern's index.
                let mut topics = HashSet::new();
                batch.events.extend(newer.filter(|event| topics.insert(&event.event().topic)).cloned());
            } else {
                batch.events.extend(newer.take(1).cloned());
            }
            // A reader that gets the newest event has lost nothing, whatever was dropped before it.
            if batch.events.len() == before || topic_cursor.topic.name().is_pattern() {
                if log.trimmed_through > topic_cursor.known(self.position) {
                    behind = behind.max(log.trimmed_through);
                }
                is_lost |= topic_cursor.has_lost(&log.gone, self.position);
            }
        }
        if is_lost && self.tail.archive().is_none() {
            batch.events.clear();
            let reset = self.break_off(ResetReason::Retention, None);
            batch.reset.get_or_insert_with(|| Box::new(reset));
            return None;
        }
        if behind > 0 {
            batch.events.clear();
            return Some(behind.min(head));
        }
        batch.events.sort_unstable_by_key(|event| event.offset());
        self.position = self.cut(batch, limit, head);
        None
    }

    /// Recounts, for each topic, the events at or before the position. While the position is ahead of the tail, some of
    /// them are still to come, and nothing is counted.
    pub(super) fn count_seen(&mut self) {
        if self.ahead_since.is_some() {
            return;
        }
        for topic_cursor in &mut self.topics {
            let log = topic_cursor.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            topic_cursor.seen = (self.position >= log.trimmed_through)
                .then(|| log.trimmed + log.first_after(self.position) as u64);
        }
    }

    /// Returns how many of the newest `count` events up to `head` are in memory, and the offset before them.
    pub(super) fn before_last(&self, count: usize, head: u64) -> (usize, u64) {
        let mut newest: Vec<u64> = Vec::new();
        for topic_cursor in &self.topics {
            let log = topic_cursor.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let end = log.first_after(head);
            newest.extend(log.events.range(end.saturating_sub(count)..end).map(|event| event.offset()));
        }
        newest.sort_unstable_by(|a, b| b.cmp(a));
        // An event that two patterns match is still one event.
        newest.dedup();
        newest.truncate(count);
        (newest.len(), newest.last().map_or(head, |oldest| oldest - 1))
    }
}
