//! Resuming: one state machine for the clients of all four techniques, in the browser and natively.
//!
//! A session does no I/O and reads no clock. Its driver opens the connections, reports what happens on them, and waits
//! for as long as the session asks. No event is lost, because the next connection begins after the last cursor; none is
//! shown twice, because an event at or before that cursor is refused.

use std::time::Duration;

use crate::{Advice, After, Cursor, Reset, backoff::Backoff};

/// The state of one subscription across many connections. Its driver owns it; nothing is shared.
#[derive(Clone, Debug)]
pub struct Session {
    start: After,
    cursor: Option<Cursor>,
    backoff: Backoff,
    stopped: bool,
}

impl Session {
    /// Creates a session that has seen nothing. For `seed`, see [`Backoff::new`].
    pub const fn new(start: After, seed: u64) -> Self {
        Self { start, cursor: None, backoff: Backoff::new(seed), stopped: false }
    }

    /// Returns where the next connection must begin.
    pub fn after(&self) -> After {
        self.cursor.map_or(self.start, After::Cursor)
    }

    /// Returns the cursor up to which everything has been seen, if there is one yet.
    pub const fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// Returns the number of failures in a row.
    pub const fn attempt(&self) -> u32 {
        self.backoff.attempt()
    }

    /// Records the arrival of an event. Returns false if the event is a repeat, which must not be shown again: the
    /// server wrote it, the connection broke before the cursor moved, and the client asked again.
    #[must_use]
    pub fn accept(&mut self, cursor: Cursor) -> bool {
        self.backoff.succeeded();
        let repeated =
            self.cursor.is_some_and(|last| last.epoch == cursor.epoch && cursor.offset <= last.offset);
        if !repeated {
            self.cursor = Some(cursor);
        }
        !repeated
    }

    /// Records a cursor that the server named without an event: that of a poll, of a heartbeat on SSE, or of
    /// `subscribed`. The session's cursor never moves back within an epoch. Another epoch means that the log is another
    /// one; a reset comes with it.
    pub fn moved(&mut self, cursor: Cursor) {
        self.backoff.succeeded();
        if self.cursor.is_none_or(|last| last.epoch != cursor.epoch || cursor.offset > last.offset) {
            self.cursor = Some(cursor);
        }
    }

    /// Records a break in continuity: the session continues from the reset's cursor, even if that is further back.
    pub const fn reset(&mut self, reset: &Reset) {
        self.cursor = Some(reset.cursor);
    }

    /// Records that the connection failed or ended. Returns how long to wait before the next one, or `None` if the
    /// session must stop because the next one would fail again.
    pub fn failed(&mut self, advice: Advice) -> Option<Duration> {
        match advice {
            Advice::Retry(floor) => Some(self.backoff.next(floor)),
            Advice::Stop => {
                self.stopped = true;
                None
            }
        }
    }

    /// True once a failure was final.
    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Epoch, Offset};

    fn at(offset: u64) -> Cursor {
        Cursor { epoch: Epoch::from_bits(1), offset: Offset(offset) }
    }

    proptest! {
        /// The server delivers at least once and in order, and is cut off anywhere: the session shows each event once.
        #[test]
        fn cuts_and_repeats_lose_nothing_and_show_nothing_twice(
            cuts in prop::collection::vec((1_u64..20, 0_u64..5), 1..30), total in 1_u64..100,
        ) {
            let mut session = Session::new(After::Head, 1);
            session.moved(at(0));
            let mut shown = Vec::new();
            for (length, overlap) in cuts.into_iter().chain([(total + 1, 0)]) {
                let After::Cursor(after) = session.after() else { panic!("it knows its cursor") };
                let from = after.offset.0.saturating_sub(overlap) + 1;
                for offset in (from..=total).take(usize::try_from(length).unwrap()) {
                    if session.accept(at(offset)) {
                        shown.push(offset);
                    }
                }
                prop_assert!(session.failed(Advice::Retry(Duration::ZERO)).is_some());
            }
            // The last connection repeats nothing and is never cut, so every event has been shown by now.
            prop_assert_eq!(shown, (1..=total).collect::<Vec<_>>());
        }
    }

    #[test]
    fn only_a_reset_moves_back_within_an_epoch() {
        let mut session = Session::new(After::Earliest, 1);
        assert_eq!(session.after(), After::Earliest);
        session.moved(at(9));
        session.moved(at(3));
        assert_eq!(session.cursor(), Some(at(9)));
        let reset = Reset {
            kind: crate::ResetTag::Reset,
            reason: crate::ResetReason::Lag,
            missed: None,
            earliest: at(2),
            cursor: at(2),
            topics: vec![],
        };
        session.reset(&reset);
        assert!(session.accept(at(3)));
        assert_eq!(session.failed(Advice::Stop), None);
        assert!(session.is_stopped());
    }
}
