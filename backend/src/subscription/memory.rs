//! What is in memory: every event that follows, or the newest of each topic.

use std::collections::HashSet;

use fourways_shared::{ResetReason, Technique};

use super::{Batch, Subscription};
use crate::sync::PoisonError;

/// A batch ends with the event that fills it, so that a long backlog of large events is not copied at once.
const POLL_BYTES: u64 = 256 * 1024;
/// The same for a stream, which is asked again as soon as its socket has taken this.
const STREAM_BYTES: u64 = 8 * 1024;

impl Subscription {
    /// Reads what follows; where that is in the archive alone, up to which offset.
    pub(super) fn read_all(&mut self, batch: &mut Batch, head: u64, limit: usize) -> Option<u64> {
        let mut missed = Some(0);
        let mut behind = 0;
        for place in &mut self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let from = match place.seen {
                Some(seen) if seen < log.trimmed => {
                    behind = behind.max(log.trimmed_through);
                    missed = missed.map(|missed| missed + (log.trimmed - seen));
                    continue;
                }
                // Both bounded by the retained events, so it fits.
                Some(seen) => usize::try_from(seen - log.trimmed).unwrap_or(usize::MAX),
                None if self.position.max(place.excused) < log.trimmed_through => {
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
            place.seen = Some(log.trimmed + (from + batch.events.len() - before) as u64);
        }
        if missed != Some(0) {
            batch.events.clear();
            // Places that were read have counted what is thrown away here.
            self.count_seen();
            if self.tail.archive().is_some() {
                if !self.has_lost() {
                    return Some(behind);
                }
                missed = None;
            }
            // One that was let go further before its reset was told is told one that covers both.
            let told = batch.reset.take();
            let (reason, missed) = told.map_or((ResetReason::Lag, missed), |told| {
                (told.reason, told.missed.zip(missed).map(|(a, b)| a + b))
            });
            batch.reset = Some(Box::new(self.break_off(reason, missed)));
            return None;
        }
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
        self.position = match batch.events.last() {
            Some(last) if kept == limit || kept < found => last.offset(),
            _ => head,
        };
        if kept < found {
            self.count_seen();
        }
        None
    }

    /// Reads the newest of each topic; where that may be in the archive alone, up to which offset.
    pub(super) fn read_latest(&mut self, batch: &mut Batch, head: u64) -> Option<u64> {
        let mut behind = 0;
        for place in &self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let end = log.first_after(head);
            let newer = log.events.range(..end).rev().take_while(|event| event.offset() > self.position);
            let before = batch.events.len();
            if place.topic.name().is_pattern() {
                let mut topics = HashSet::new();
                batch.events.extend(newer.filter(|event| topics.insert(&event.event().topic)).cloned());
            } else {
                batch.events.extend(newer.take(1).cloned());
            }
            // The newest is always worth having; only if it is gone itself has the reader lost something.
            if batch.events.len() == before || place.topic.name().is_pattern() {
                behind = behind.max(log.trimmed_through);
            }
        }
        batch.events.sort_unstable_by_key(|event| event.offset());
        batch.events.dedup_by_key(|event| event.offset());
        let lost = behind > self.position;
        if lost && self.tail.archive().is_some() && batch.reset.is_none() {
            batch.events.clear();
            return Some(behind);
        }
        if lost && batch.reset.is_none() {
            batch.reset = Some(Box::new(self.break_off(ResetReason::Retention, None)));
        }
        self.position = head;
        None
    }

    /// What each topic has given is what lies at or before the position.
    pub(super) fn count_seen(&mut self) {
        for place in &mut self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            place.seen = (self.position >= log.trimmed_through)
                .then(|| log.trimmed + log.first_after(self.position) as u64);
        }
    }

    /// How many of the newest `count` events up to `head` are in memory, and the place before them.
    pub(super) fn before_last(&self, count: usize, head: u64) -> (usize, u64) {
        let mut newest: Vec<u64> = Vec::new();
        for place in &self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let end = log.first_after(head);
            newest.extend(log.events.range(end.saturating_sub(count)..end).map(|event| event.offset()));
        }
        newest.sort_unstable_by(|a, b| b.cmp(a));
        // In two patterns at once it is one event all the same.
        newest.dedup();
        newest.truncate(count);
        (newest.len(), newest.last().map_or(head, |oldest| oldest - 1))
    }
}
