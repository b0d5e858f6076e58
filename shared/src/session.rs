//! How a client resumes: the same machine for all four techniques, in the browser and natively.
//!
//! It does no I/O and reads no clock. A driver opens what it says, tells it what came of it, and waits as long as it
//! says. Nothing lost: the next open begins after the last cursor. Nothing twice: an event at or before it is refused.

use std::time::Duration;

use crate::{Advice, After, Cursor, Reset, backoff::Backoff};

/// One subscription's life over many connections.
#[derive(Clone, Debug)]
pub struct Session {
    start: After,
    cursor: Option<Cursor>,
    backoff: Backoff,
    stopped: bool,
}

impl Session {
    /// A session that has seen nothing. `seed`: see [`Backoff::new`].
    pub const fn new(start: After, seed: u64) -> Self {
        Self { start, cursor: None, backoff: Backoff::new(seed), stopped: false }
    }

    /// Where the next open must begin.
    pub fn after(&self) -> After {
        self.cursor.map_or(self.start, After::Cursor)
    }

    /// The place up to which everything has been seen.
    pub const fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// How often in a row it failed.
    pub const fn attempt(&self) -> u32 {
        self.backoff.attempt()
    }

    /// An event arrived. False: it was here before (the server wrote it, the connection broke, we asked again), so it
    /// must not be shown again.
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

    /// The server named a place without an event: a poll's cursor, an SSE block of `id` alone, `subscribed`. It never
    /// moves back within an epoch; another epoch is the server's word that the log is another one, and comes with a
    /// reset.
    pub fn moved(&mut self, cursor: Cursor) {
        self.backoff.succeeded();
        if self.cursor.is_none_or(|last| last.epoch != cursor.epoch || cursor.offset > last.offset) {
            self.cursor = Some(cursor);
        }
    }

    /// Continuity broke: go on from where the server says, even if that is back.
    pub const fn reset(&mut self, reset: &Reset) {
        self.cursor = Some(reset.cursor);
    }

    /// The connection failed or ended. How long to wait before the next open; `None`: stop, it would only fail again.
    pub fn failed(&mut self, advice: Advice) -> Option<Duration> {
        match advice {
            Advice::Retry(floor) => Some(self.backoff.next(floor)),
            Advice::Stop => {
                self.stopped = true;
                None
            }
        }
    }

    /// It was told to stop.
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
        /// A server that delivers at least once, in order, with cuts at any place: the session shows each event once.
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
            // The overlap of the last connection is 0, so what was never shown is now.
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
