//! The lag rule for a reader with too many pending events: its connection is closed, it skips to the head, or it gets
//! the newest event of each topic.

use fourways_shared::ResetReason;

use super::{Subscription, TopicCursor};
use crate::{engine::LagAction, sync::PoisonError};

impl Subscription {
    /// Applies the lag rule if more events are pending than it allows.
    pub(super) fn judge_lag(&mut self, head: u64) {
        let Some((action, most)) = self.lag else { return };
        // Events from before the subscription are backlog, not lag: otherwise the connection of a reader that
        // reconnects with a long backlog would be closed again and again.
        let since = self.position.max(self.began_at);
        // Offsets count the events of all topics, so no more than their difference can be pending.
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
                // The number of topics that a pattern matches is unknown, and so is the number of missed events.
                let is_countable = self.topics().all(|topic| !topic.is_pattern());
                let left =
                    self.topics.iter().filter(|topic_cursor| topic_cursor.has_more(self.position)).count()
                        as u64;
                pending.filter(|_| is_countable).map(|pending| pending.saturating_sub(left))
            }
        };
        self.pending_reset = Some((Box::new(self.reset(ResetReason::Lag, missed)), before));
    }

    /// Counts the topics' events after `since`, which is the position or later. `None` if some are in no index.
    fn pending(&self, since: u64) -> Option<u64> {
        if self.may_overlap() {
            return self.pending_once(since);
        }
        self.topics.iter().try_fold(0, |sum, topic_cursor| {
            let log = topic_cursor.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let end = log.trimmed + log.events.len() as u64;
            let seen = match topic_cursor.seen {
                Some(seen) if since == self.position => seen,
                _ if since >= log.trimmed_through => log.trimmed + log.first_after(since) as u64,
                _ => return None,
            };
            Some(sum + end.saturating_sub(seen))
        })
    }

    /// Counts pending events where one event may be in several indices: it counts once.
    fn pending_once(&self, since: u64) -> Option<u64> {
        let mut offsets = Vec::new();
        for topic_cursor in &self.topics {
            let log = topic_cursor.topic.log.read().unwrap_or_else(PoisonError::into_inner);
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

impl TopicCursor {
    /// Returns true if the topic has an event after the position.
    fn has_more(&self, position: u64) -> bool {
        let log = self.topic.log.read().unwrap_or_else(PoisonError::into_inner);
        log.events.back().is_some_and(|event| event.offset() > position)
    }
}
