//! Events that a lane has received and not yet reported to the server's delivery ledger.

use std::collections::VecDeque;

use fourways_shared::{Cursor, Offset};

/// Number of unreported events kept at most. A page that can't report for longer begins a new stretch, so that its
/// memory is bounded.
const MAX_WAITING: usize = 4000;
/// Number of offsets in one report at most.
const MAX_REPORTED: usize = 300;

/// A stretch of the log: the cursor at which the next report begins, and the cursors of the events that arrived since,
/// in order of arrival.
#[derive(Debug, Default)]
pub struct Held {
    after: Option<Cursor>,
    waiting: VecDeque<Cursor>,
}

impl Held {
    /// Begins a new stretch after `after`. Events that were not reported yet never will be.
    pub fn begin(&mut self, after: Cursor) {
        self.waiting.clear();
        self.after = Some(after);
    }

    /// Begins the stretch at `cursor` if nothing else has begun it: no event arrived, and the stream has reached
    /// `cursor`.
    pub fn is_at(&mut self, cursor: Cursor) {
        self.after.get_or_insert(cursor);
    }

    /// Adds an event that arrived. The first event begins the stretch just before itself if nothing else has begun it.
    pub fn arrived(&mut self, cursor: Cursor) {
        if self.waiting.len() == MAX_WAITING {
            self.begin(cursor);
            return;
        }
        let before = Offset(cursor.offset.0.saturating_sub(1));
        self.after.get_or_insert(Cursor { offset: before, ..cursor });
        self.waiting.push_back(cursor);
    }

    /// Returns the next report: the cursors at which it begins and ends, and the offsets that arrived in between, in
    /// order of arrival, at most 300 of them. Returns `None` if no event arrived since the last report.
    pub fn report(&mut self) -> Option<(Cursor, Cursor, Vec<u64>)> {
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

    fn cursor(offset: u64) -> Cursor {
        Cursor { epoch: Epoch::from_bits(1), offset: Offset(offset) }
    }

    #[test]
    fn what_arrived_is_reported_once_and_as_it_came() {
        let mut held = Held::default();
        assert_eq!(held.report(), None);
        for offset in [5, 7, 7] {
            held.arrived(cursor(offset));
        }
        assert_eq!(held.report(), Some((cursor(4), cursor(7), vec![5, 7, 7])));
        assert_eq!(held.report(), None);
        held.arrived(cursor(6));
        assert_eq!(held.report(), Some((cursor(7), cursor(7), vec![6])));
    }

    #[test]
    fn long_stretches_are_reported_in_pieces_that_join() {
        let mut held = Held::default();
        held.begin(cursor(7));
        (8..=900).for_each(|offset| held.arrived(cursor(offset)));
        let (mut after, mut count) = (cursor(7), 0);
        while let Some((from, through, offsets)) = held.report() {
            assert_eq!(from, after);
            assert!(offsets.len() <= MAX_REPORTED);
            (after, count) = (through, count + offsets.len());
        }
        assert_eq!((after, count), (cursor(900), 893));
    }

    #[test]
    fn a_page_that_never_reports_keeps_little() {
        let mut held = Held::default();
        (1..=10_000).for_each(|offset| held.arrived(cursor(offset)));
        assert!(held.waiting.len() <= MAX_WAITING);
    }
}
