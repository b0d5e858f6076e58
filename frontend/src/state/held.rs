//! What a lane holds and has not yet reported to the server's delivery ledger.

use std::collections::VecDeque;

use fourways_shared::{Cursor, Offset};

/// A page that can't report for so many offsets begins anew.
const MAX_WAITING: usize = 4000;
/// Offsets in one report.
const MAX_REPORTED: usize = 300;

/// A stretch of the log: where the next report begins, and what arrived since, in that order.
#[derive(Debug, Default)]
pub(crate) struct Held {
    after: Option<Cursor>,
    waiting: VecDeque<Cursor>,
}

impl Held {
    /// Begins anew here: what was not reported never will be.
    pub(crate) fn begin(&mut self, after: Cursor) {
        self.waiting.clear();
        self.after = Some(after);
    }

    /// Nothing arrived, and the stream has come to here.
    pub(crate) fn is_at(&mut self, cursor: Cursor) {
        self.after.get_or_insert(cursor);
    }

    /// An event arrived. The first begins the stretch, if nothing else has.
    pub(crate) fn arrived(&mut self, cursor: Cursor) {
        if self.waiting.len() == MAX_WAITING {
            self.begin(cursor);
            return;
        }
        let before = Offset(cursor.offset.0.saturating_sub(1));
        self.after.get_or_insert(Cursor { offset: before, ..cursor });
        self.waiting.push_back(cursor);
    }

    /// From where, up to where, and the offsets that arrived in between, in that order. `None` if nothing did since the
    /// last time.
    pub(crate) fn report(&mut self) -> Option<(Cursor, Cursor, Vec<u64>)> {
        let count = self.waiting.len().min(MAX_REPORTED);
        let held: Vec<Cursor> = self.waiting.drain(..count).collect();
        let after = self.after?;
        let newest = held.iter().max_by_key(|cursor| cursor.offset).copied()?;
        let through = if newest.offset < after.offset { after } else { newest };
        self.after = Some(through);
        Some((after, through, held.iter().map(|cursor| cursor.offset.0).collect()))
    }
}

#[cfg(test)]
mod tests {
    use fourways_shared::Epoch;

    use super::*;

    fn place(offset: u64) -> Cursor {
        Cursor { epoch: Epoch::from_bits(1), offset: Offset(offset) }
    }

    #[test]
    fn what_arrived_is_reported_once_and_as_it_came() {
        let mut held = Held::default();
        assert_eq!(held.report(), None);
        for offset in [5, 7, 7] {
            held.arrived(place(offset));
        }
        assert_eq!(held.report(), Some((place(4), place(7), vec![5, 7, 7])));
        assert_eq!(held.report(), None);
        held.arrived(place(6));
        assert_eq!(held.report(), Some((place(7), place(7), vec![6])));
    }

    #[test]
    fn long_stretches_are_reported_in_pieces_that_join() {
        let mut held = Held::default();
        held.begin(place(7));
        (8..=900).for_each(|offset| held.arrived(place(offset)));
        let (mut after, mut count) = (place(7), 0);
        while let Some((from, through, offsets)) = held.report() {
            assert_eq!(from, after);
            assert!(offsets.len() <= MAX_REPORTED);
            (after, count) = (through, count + offsets.len());
        }
        assert_eq!((after, count), (place(900), 893));
    }

    #[test]
    fn a_page_that_never_reports_keeps_little() {
        let mut held = Held::default();
        (1..=10_000).for_each(|offset| held.arrived(place(offset)));
        assert!(held.waiting.len() <= MAX_WAITING);
    }
}
