//! One reader's accounts: its reports, compared with the log.

use std::collections::{BTreeMap, HashSet};

use fourways_shared::{
    Cursor, Policy, Technique,
    account::{Account, Report},
};
use serde::{Deserialize, Serialize};

/// Maximum number of lost events that one book remembers by offset. An event that is remembered and arrives after all
/// counts as reordered and not as lost.
const MAX_MISSING: usize = 10_000;

/// A reader's accounts for all techniques, which share one cursor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Book {
    through: Cursor,
    accounts: [Option<Account>; 4],
    /// Offsets of events that are counted as lost, each with the technique whose account counts them.
    missing: BTreeMap<u64, Technique>,
}

impl Book {
    /// Creates the book of a reader that begins at this cursor.
    pub(super) const fn new(through: Cursor) -> Self {
        Self { through, accounts: [None; 4], missing: BTreeMap::new() }
    }

    /// Returns the end of the reader's last report.
    pub(super) const fn through(&self) -> Cursor {
        self.through
    }

    /// Returns the account of each technique that the reader has reported for.
    pub(super) fn accounts(&self) -> impl Iterator<Item = (Technique, Account)> {
        Technique::ALL
            .into_iter()
            .filter_map(|technique| self.accounts[technique.index()].map(|account| (technique, account)))
    }

    /// Returns the number of lost events that the book remembers.
    pub(super) fn missing(&self) -> usize {
        self.missing.len()
    }

    /// Enters a report, and returns the account of its technique. `expected` are the offsets that the log has in the
    /// report's range, in order; `None` if the log no longer has all of them. `room` is the number of lost events that
    /// may be remembered in addition; a lost event that is not remembered stays lost even if it arrives later.
    pub(super) fn enter(&mut self, report: &Report, expected: Option<&[u64]>, room: usize) -> Account {
        let mut account = self.accounts[report.technique.index()].unwrap_or_default();
        if report.after != self.through {
            account.breaks += 1;
            self.missing.clear();
        }
        if let Some(expected) = expected {
            self.compare(report, expected, &mut account, room);
        } else {
            account.breaks += 1;
            self.missing.clear();
        }
        self.through = report.through;
        self.accounts[report.technique.index()] = Some(account);
        account
    }

    fn compare(&mut self, report: &Report, expected: &[u64], account: &mut Account, room: usize) {
        let most = (self.missing.len() + room).min(MAX_MISSING);
        let mut seen = HashSet::with_capacity(report.held.len());
        let mut newest = report.after.offset.0;
        for &offset in &report.held {
            if offset <= report.after.offset.0 {
                self.is_late(offset, report.technique, account);
            } else if !seen.insert(offset) {
                account.repeated += 1;
            } else if expected.binary_search(&offset).is_err() {
                account.foreign += 1;
            } else {
                account.held += 1;
                account.reordered += u64::from(offset < newest);
            }
            newest = newest.max(offset);
        }
        for &offset in expected.iter().filter(|offset| !seen.contains(*offset)) {
            if report.policy == Policy::Latest {
                account.conflated += 1;
                continue;
            }
            account.lost += 1;
            if self.missing.len() < most {
                self.missing.insert(offset, report.technique);
            }
        }
    }

    /// Enters an event of a range that was reported before.
    fn is_late(&mut self, offset: u64, technique: Technique, account: &mut Account) {
        let Some(lost_by) = self.missing.remove(&offset) else {
            account.repeated += 1;
            return;
        };
        account.held += 1;
        account.reordered += 1;
        if lost_by == technique {
            account.lost -= 1;
        } else if let Some(other) = &mut self.accounts[lost_by.index()] {
            other.lost -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use fourways_shared::{Epoch, Offset};
    use proptest::prelude::*;

    use super::*;

    fn cursor(offset: u64) -> Cursor {
        Cursor { epoch: Epoch::from_bits(1), offset: Offset(offset) }
    }

    fn report(technique: Technique, after: u64, through: u64, held: &[u64]) -> Report {
        Report {
            reader: "r".parse().unwrap(),
            technique,
            topics: vec!["a".parse().unwrap()],
            policy: Policy::All,
            after: cursor(after),
            through: cursor(through),
            held: held.to_vec(),
        }
    }

    #[test]
    fn each_fault_is_told_from_the_others() {
        for (held, expected) in [
            (&[2, 4, 6][..], Account { held: 3, ..Account::default() }),
            (&[2, 6], Account { held: 2, lost: 1, ..Account::default() }),
            (&[2, 4, 4, 6, 2], Account { held: 3, repeated: 2, ..Account::default() }),
            (&[4, 2, 6], Account { held: 3, reordered: 1, ..Account::default() }),
            (&[2, 3, 4, 6], Account { held: 3, foreign: 1, ..Account::default() }),
            (&[], Account { lost: 3, ..Account::default() }),
        ] {
            let account = Book::new(cursor(0)).enter(
                &report(Technique::Sse, 0, 6, held),
                Some(&[2, 4, 6]),
                MAX_MISSING,
            );
            assert_eq!(account, expected, "{held:?}");
        }
    }

    #[test]
    fn what_there_is_no_room_to_remember_is_lost_all_the_same() {
        let mut book = Book::new(cursor(0));
        assert_eq!(book.enter(&report(Technique::Sse, 0, 6, &[]), Some(&[2, 4, 6]), 2).lost, 3);
        assert_eq!(book.missing(), 2);
        assert_eq!(
            book.enter(&report(Technique::Sse, 6, 8, &[2, 6]), Some(&[]), 0).lost,
            2,
            "6 was not remembered"
        );
        assert_eq!(book.missing(), 1);
    }

    #[test]
    fn what_comes_late_was_not_lost() {
        let mut book = Book::new(cursor(0));
        assert_eq!(book.enter(&report(Technique::Sse, 0, 6, &[2, 6]), Some(&[2, 4, 6]), MAX_MISSING).lost, 1);
        let other = book.enter(&report(Technique::Websocket, 6, 8, &[4, 8, 2]), Some(&[8]), MAX_MISSING);
        assert_eq!(other, Account { held: 2, reordered: 1, repeated: 1, ..Account::default() });
        let accounts: Vec<_> = book.accounts().collect();
        assert_eq!(accounts[0], (Technique::Sse, Account { held: 2, ..Account::default() }));
        assert_eq!(accounts[1], (Technique::Websocket, other));
        assert_eq!(book.through(), cursor(8));
    }

    #[test]
    fn a_jump_is_a_break_and_not_a_loss() {
        let mut book = Book::new(cursor(0));
        book.enter(&report(Technique::Sse, 0, 2, &[2]), Some(&[2]), MAX_MISSING);
        let account = book.enter(&report(Technique::Sse, 90, 91, &[91]), Some(&[91]), MAX_MISSING);
        assert_eq!(account, Account { held: 2, breaks: 1, ..Account::default() });
        let account = book.enter(&report(Technique::Sse, 91, 95, &[95]), None, MAX_MISSING);
        assert_eq!(account, Account { held: 2, breaks: 2, ..Account::default() });
    }

    #[test]
    fn a_policy_that_leaves_out_loses_nothing() {
        let latest = Report { policy: Policy::Latest, ..report(Technique::Sse, 0, 6, &[6]) };
        let account = Book::new(cursor(0)).enter(&latest, Some(&[2, 4, 6]), MAX_MISSING);
        assert_eq!(account, Account { held: 1, conflated: 2, ..Account::default() });
    }

    proptest! {
        /// Events that were delivered once and in order make a clean account, however the log is cut into reports.
        #[test]
        fn cuts_change_nothing(count in 1_u64..200, cuts in prop::collection::btree_set(1_u64..200, 0..8)) {
            let mut book = Book::new(cursor(0));
            let ends = cuts.into_iter().filter(|cut| *cut < count).chain([count]);
            let mut after = 0;
            for through in ends {
                let offsets: Vec<u64> = (after + 1..=through).collect();
                let technique = Technique::ALL[usize::try_from(through % 4).unwrap()];
                book.enter(&report(technique, after, through, &offsets), Some(&offsets), MAX_MISSING);
                after = through;
            }
            prop_assert!(book.accounts().all(|(_, account)| account.is_clean() && account.breaks == 0));
            prop_assert_eq!(book.accounts().map(|(_, account)| account.held).sum::<u64>(), count);
        }
    }
}
