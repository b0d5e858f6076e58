//! Counts of delivered, repeated and missed events, derived from cursors alone.

use crate::{Cursor, Reset};

/// The delivery record of one subscription by one technique.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Number of events that arrived for the first time and in order.
    pub delivered: u64,
    /// Number of times that the newest event arrived again.
    pub repeated: u64,
    /// Number of events that arrived after a later one.
    pub disordered: u64,
    /// Number of resets, the explicit breaks in continuity.
    pub resets: u64,
    /// Number of missed events that the resets named; a reset that names none adds 0.
    pub missed: u64,
    last: Option<Cursor>,
}

impl Ledger {
    /// Counts the arrival of an event, whether it is shown or not.
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

    /// Counts a reset, and continues from its cursor.
    pub fn reset(&mut self, reset: &Reset) {
        self.resets += 1;
        self.missed += reset.missed.unwrap_or(0);
        self.last = Some(reset.cursor);
    }
}
