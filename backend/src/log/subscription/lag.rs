//! A reader with too much pending: cut, skipped to the head, or given the newest of each topic, as its rule says.

use fourways_shared::ResetReason;

use super::{Place, Subscription};
use crate::log::{engine::LagAction, sync::PoisonError};

impl Subscription {
    /// Does what the rule says if too much is still pending.
    pub(super) fn judge_lag(&mut self, head: u64) {
        let Some((action, most)) = self.lag else { return };
        // What was there before it came is no lag: one that comes back with much to catch up would be cut again and again.
        let since = self.position.max(self.began_at);
        // Offsets are of all topics: as many at least.
        if head.saturating_sub(since) <= most || self.pending(since).is_some_and(|pending| pending <= most) {
            return;
        }
        let pending = self.pending(self.position);
        let before = self.cursor();
        let missed = match action {
            LagAction::Cut => return self.is_too_slow = true,
            LagAction::Skip => {
                self.position = head;
                self.count_seen();
                pending
            }
            LagAction::Conflate => {
                self.is_conflating = true;
                // How many topics a pattern has is not counted.
                let is_countable = self.topics().all(|topic| !topic.is_pattern());
                let left = self.topics.iter().filter(|place| place.has_more(self.position)).count() as u64;
                pending.filter(|_| is_countable).map(|pending| pending.saturating_sub(left))
            }
        };
        self.untold = Some((Box::new(self.reset(ResetReason::Lag, missed)), before));
    }

    /// How many events of the topics follow a place at or behind the position; unknown where some are in no index.
    fn pending(&self, since: u64) -> Option<u64> {
        if self.may_overlap() {
            return self.pending_once(since);
        }
        self.topics.iter().try_fold(0, |sum, place| {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let end = log.trimmed + log.events.len() as u64;
            let seen = match place.seen {
                Some(seen) if since == self.position => seen,
                _ if since >= log.trimmed_through => log.trimmed + log.first_after(since) as u64,
                _ => return None,
            };
            Some(sum + end.saturating_sub(seen))
        })
    }

    /// The same where an event may be in several indices, and is one event all the same.
    fn pending_once(&self, since: u64) -> Option<u64> {
        let mut offsets = Vec::new();
        for place in &self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            if since < log.trimmed_through {
                return None;
            }
            offsets.extend(log.events.range(log.first_after(since)..).map(|event| event.offset()));
        }
        offsets.sort_unstable();
        offsets.dedup();
        Some(offsets.len() as u64)
    }
}

impl Place {
    /// Its topic has an event behind the position.
    fn has_more(&self, position: u64) -> bool {
        let log = self.topic.log.read().unwrap_or_else(PoisonError::into_inner);
        log.events.back().is_some_and(|event| event.offset() > position)
    }
}
