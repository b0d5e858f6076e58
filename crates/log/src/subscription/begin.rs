//! The position at which a subscription begins: a client's cursor, the head, the oldest event, or the last N events.

use fourways_shared::{After, Filter, Policy, ResetReason};
use smallvec::SmallVec;

use super::Subscription;
use crate::engine::Seek;

impl Subscription {
    /// Sets the first position, and prepares a reset if events after the reader's cursor can no longer be read.
    pub(super) fn begin(&mut self, after: After) {
        let (newest, head) = (self.tail.head().0, self.tail.head().0.min(self.until));
        self.position = match after {
            After::Head => head,
            After::Earliest => self.tail.earliest().0.max(self.lowest()),
            After::Last(count) if self.has_pattern() => {
                self.position = self.lowest().min(head);
                let topics: SmallVec<[Filter; 1]> = self.topics().cloned().collect();
                let floor = self.tail.in_memory_after(&topics);
                self.seek = Some(Seek { count: count.get() as usize, after: head, floor, is_over: false });
                return;
            }
            After::Last(count) => {
                let (found, position) = self.before_last(count.get() as usize, head);
                if found < count.get() as usize && self.tail.archive().is_some() {
                    self.begin_older(count.get() as usize - found);
                    return;
                }
                position
            }
            After::Cursor(cursor)
                if cursor.epoch == self.tail.epoch()
                    && cursor.offset.0 > newest
                    && self.tail.may_be_behind() =>
            {
                self.begin_ahead(cursor.offset);
                return;
            }
            // An offset beyond the head was given out by another log, whatever its epoch says.
            After::Cursor(cursor) if cursor.epoch != self.tail.epoch() || cursor.offset.0 > newest => {
                let reset = self.break_off(ResetReason::Epoch, None);
                self.pending_reset = Some((Box::new(reset), cursor));
                return;
            }
            After::Cursor(cursor) => cursor.offset.0,
        };
        self.count_seen();
        match after {
            After::Cursor(cursor) if self.policy == Policy::All && self.has_lost() => {
                let reset = self.break_off(ResetReason::Retention, None);
                self.pending_reset = Some((Box::new(reset), cursor));
            }
            After::Cursor(_) => {}
            // Events dropped before the subscription began were never promised.
            _ => self.acknowledge_drops(),
        }
    }
}
