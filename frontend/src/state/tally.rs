//! Sums of the server's counts over its restarts: a new server begins at zero, and the page's sums continue.

use fourways_shared::{Technique, lab::Counts};

/// Sums of what each server counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// When the server that counts now began.
    since: u64,
    /// What it told last.
    last: [Counts; 4],
    /// What the servers before it had come to.
    before: [Counts; 4],
}

impl Tally {
    /// What all have counted, now that the server which counts since then has told this.
    pub(crate) fn with(&mut self, since: u64, counts: &[Counts; 4]) -> [Counts; 4] {
        if self.since != since {
            for (before, last) in self.before.iter_mut().zip(self.last) {
                *before = before.plus(last);
            }
            self.since = since;
        }
        self.last = *counts;
        std::array::from_fn(|at| self.before[at].plus(counts[at]))
    }

    /// When the server that counts now began; `None` before it has told anything.
    pub(crate) fn since(&self) -> Option<u64> {
        Some(self.since).filter(|since| *since > 0)
    }

    /// These are counted from zero.
    pub(crate) fn forget(&mut self, techniques: &[Technique]) {
        for technique in techniques {
            self.before[technique.index()] = Counts::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(requests: u64) -> [Counts; 4] {
        [Counts { requests, ..Counts::default() }; 4]
    }

    #[test]
    fn counting_goes_on_over_a_restart_and_begins_where_it_is_told_to() {
        let mut tally = Tally::default();
        assert_eq!(tally.with(7, &counts(3)), counts(3));
        assert_eq!(tally.with(7, &counts(5)), counts(5));
        assert_eq!(tally.with(8, &counts(0)), counts(5), "another server");
        assert_eq!(tally.with(8, &counts(2)), counts(7));
        tally.forget(&Technique::ALL);
        assert_eq!(tally.with(8, &counts(1)), counts(1), "it was set to zero");
        // The same number of requests does not hide that it is another.
        assert_eq!(tally.with(9, &counts(4)), counts(5));
    }
}
