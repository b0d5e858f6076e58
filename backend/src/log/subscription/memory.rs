//! What is in memory: every event that follows, or the newest of each topic.

use std::collections::HashSet;

use fourways_shared::{ResetReason, Technique};

use super::{Batch, Subscription};
use crate::log::sync::PoisonError;

/// A batch ends with the event that fills it, so that a long backlog of large events is not copied at once.
pub(super) const POLL_BYTES: u64 = 256 * 1024;
/// The same for a stream, which is asked again as soon as its socket has taken this.
const STREAM_BYTES: u64 = 8 * 1024;

impl Subscription {
    /// Reads what follows; where that is in no index any more, up to which offset.
    pub(super) fn read_all(&mut self, batch: &mut Batch, head: u64, limit: usize) -> Option<u64> {
        let mut missed = Some(0);
        let mut behind = 0;
        for place in &mut self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let from = match place.seen {
                Some(seen) if seen < log.trimmed => {
                    behind = behind.max(log.trimmed_through);
                    // A pattern's index lets go of more than is gone.
                    let is_exact = self.position >= log.spilled_through;
                    missed = missed.filter(|_| is_exact).map(|missed| missed + (log.trimmed - seen));
                    continue;
                }
                // Both bounded by the retained events, so it fits.
                Some(seen) => usize::try_from(seen - log.trimmed).unwrap_or(usize::MAX),
                None if place.known(self.position) < log.trimmed_through => {
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
        if behind > 0 {
            batch.events.clear();
            // Places that were read have counted what is thrown away here.
            self.count_seen();
            if !self.has_lost() {
                return Some(behind.min(head));
            }
            if self.tail.archive().is_some() || self.may_overlap() {
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
        let found = batch.events.len();
        self.position = self.cut(batch, limit, head);
        if batch.events.len() < found {
            self.count_seen();
        }
        None
    }

    /// Puts events in order and leaves out what is too much for one batch; the place that is reached by what is left.
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

    /// Reads the newest of each topic; where that may be in no index any more, up to which offset.
    pub(super) fn read_latest(&mut self, batch: &mut Batch, head: u64, limit: usize) -> Option<u64> {
        let (mut behind, mut is_lost) = (0, false);
        for place in &self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let end = log.first_after(head);
            let newer = log.events.range(..end).rev().take_while(|event| event.offset() > self.position);
            let before = batch.events.len();
            if place.topic.name().is_pattern() {
                // As long as the index is, and no longer.
                let mut topics = HashSet::new();
                batch.events.extend(newer.filter(|event| topics.insert(&event.event().topic)).cloned());
            } else {
                batch.events.extend(newer.take(1).cloned());
            }
            // The newest is always worth having; only if it is gone itself has the reader lost something.
            if batch.events.len() == before || place.topic.name().is_pattern() {
                if log.trimmed_through > place.known(self.position) {
                    behind = behind.max(log.trimmed_through);
                }
                is_lost |= place.has_lost(&log.gone, self.position);
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
