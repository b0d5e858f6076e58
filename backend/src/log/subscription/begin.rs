//! Finds the place in the log at which a subscription begins: a cursor's, the head's, the oldest event's, or that of the last events.

use fourways_shared::{After, Filter, Policy, ResetReason};
use smallvec::SmallVec;

use super::Subscription;
use crate::log::engine::Seek;

impl Subscription {
    /// Takes its place, and notices what it can't be given any more.
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
            // An offset beyond the head is of a life of the log that this one doesn't know.
            After::Cursor(cursor) if cursor.epoch != self.tail.epoch() || cursor.offset.0 > newest => {
                let reset = self.break_off(ResetReason::Epoch, None);
                self.untold = Some((Box::new(reset), cursor));
                return;
            }
            After::Cursor(cursor) => cursor.offset.0,
        };
        self.count_seen();
        match after {
            After::Cursor(cursor) if self.policy == Policy::All && self.has_lost() => {
                let reset = self.break_off(ResetReason::Retention, None);
                self.untold = Some((Box::new(reset), cursor));
            }
            After::Cursor(_) => {}
            // Nobody was promised what is gone already.
            _ => self.excuse(),
        }
    }
}
