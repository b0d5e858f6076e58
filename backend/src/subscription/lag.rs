//! A reader with too much pending: cut, skipped to the head, or given the newest of each topic, as its rule says.

use fourways_shared::ResetReason;

use super::{Place, Subscription};
use crate::{engine::LagAction, sync::PoisonError};

impl Subscription {
    /// Does what the rule says if too much is still pending.
    pub(super) fn judge_lag(&mut self, head: u64) {
        let Some((action, most)) = self.lag else { return };
        // Offsets are of all topics: as many at least.
        if head.saturating_sub(self.position) <= most {
            return;
        }
        let pending = self.pending();
        if pending.is_some_and(|pending| pending <= most) {
            return;
        }
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

    /// How many events of the topics lie behind the position; unknown where some are in the archive alone.
    fn pending(&self) -> Option<u64> {
        self.topics.iter().try_fold(0, |sum, place| {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let seen = place.seen.filter(|seen| *seen >= log.trimmed)?;
            Some(sum + (log.trimmed + log.events.len() as u64).saturating_sub(seen))
        })
    }
}

impl Place {
    /// Its topic has an event behind the position.
    fn has_more(&self, position: u64) -> bool {
        let log = self.topic.log.read().unwrap_or_else(PoisonError::into_inner);
        log.events.back().is_some_and(|event| event.offset() > position)
    }
}
