//! Readers of a log whose order is decided elsewhere: a cursor that this tail has not reached yet, and a tail that another
//! one has replaced.

use fourways_shared::{After, Filter, Offset, ResetReason};
use smallvec::SmallVec;

use super::{Reader, Subscription};

impl Subscription {
    /// Keeps a cursor that the tail has not reached yet. The reader gets nothing until the tail has, and never a smaller
    /// cursor than it has.
    pub(super) fn begin_ahead(&mut self, offset: Offset) {
        self.position = offset.0;
        self.ahead_since = Some(self.tail.confirmations());
        self.tail.count_ahead(true);
        // What was dropped so far lies before the cursor. `seen` stays `None`: the events up to the cursor are still to
        // come, and must not be taken for new ones.
        self.acknowledge_drops();
    }

    /// True if the reader has a cursor that the tail has not reached yet.
    pub const fn is_ahead(&self) -> bool {
        self.ahead_since.is_some()
    }

    /// Ends the wait of a reader that was ahead: once the tail has reached its cursor, or with a reset once the log is
    /// known to end before it.
    pub(super) fn leave_ahead(&mut self) {
        let Some(since) = self.ahead_since else { return };
        let is_reached = self.tail.head().0 >= self.position;
        if !is_reached && !self.tail.is_beyond_end(self.position, since) {
            return;
        }
        self.ahead_since = None;
        self.tail.count_ahead(false);
        if !is_reached {
            let before = self.cursor();
            let reset = self.break_off(ResetReason::Epoch, None);
            self.pending_reset = Some((Box::new(reset), before));
        }
    }

    /// Goes on in the tail that has replaced this one, with the present cursor. False if there is none.
    pub(super) fn move_on(&mut self) -> bool {
        let Some(next) = self.tail.successor() else { return false };
        let topics: SmallVec<[Filter; 1]> = self.topics().cloned().collect();
        let until = (self.until != u64::MAX).then_some(Offset(self.until));
        let Self { shard, technique, policy, .. } = *self;
        let reader = Reader { tail: &next, shard, technique, policy, until };
        let mut moved = reader.read(&topics, After::Cursor(self.cursor()));
        (moved.lag, moved.lag_us, moved.is_too_slow) = (self.lag, self.lag_us, self.is_too_slow);
        *self = moved;
        true
    }
}
