//! Counts what a stream delivered, repeated and broke, from cursors alone.

use crate::{Cursor, Reset};

/// What one technique delivered of one subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Events that arrived for the first time.
    pub delivered: u64,
    /// Events that arrived again.
    pub repeated: u64,
    /// Events that arrived after a later one.
    pub disordered: u64,
    /// Explicit breaks.
    pub resets: u64,
    /// Events that the breaks said are gone, where they said.
    pub missed: u64,
    last: Option<Cursor>,
}

impl Ledger {
    /// An event arrived, whether it is shown or not.
    pub fn arrived(&mut self, cursor: Cursor) {
        match self.last {
            Some(last) if last.epoch == cursor.epoch && cursor.offset == last.offset => self.repeated += 1,
            Some(last) if last.epoch == cursor.epoch && cursor.offset < last.offset => self.disordered += 1,
            _ => {
                self.delivered += 1;
                self.last = Some(cursor);
            }
        }
    }

    /// The server said that continuity broke.
    pub fn reset(&mut self, reset: &Reset) {
        self.resets += 1;
        self.missed += reset.missed.unwrap_or(0);
        self.last = Some(reset.cursor);
    }
}
