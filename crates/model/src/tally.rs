//! Sums of the server's counts over its restarts: a restarted server counts from zero, and the page's sums continue.

use fourways_shared::{Technique, lab::Counts};

/// The sums of all servers that counted for this page, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Time at which the current server began to count, in microseconds since the Unix epoch; 0 before its first
    /// report.
    since: u64,
    /// Counts in the current server's last report, in the order of [`Technique::ALL`].
    last: [Counts; 4],
    /// Sums of all earlier servers, in the order of [`Technique::ALL`].
    before: [Counts; 4],
}

impl Tally {
    /// Takes the counts of the server that began to count at `since`, and returns the sums over all servers. Another
    /// `since` means another server, or one that has forgotten the page.
    pub fn with(&mut self, since: u64, counts: &[Counts; 4]) -> [Counts; 4] {
        if self.since != since {
            for (before, last) in self.before.iter_mut().zip(self.last) {
                *before = before.plus(last);
            }
            self.since = since;
        }
        self.last = *counts;
        std::array::from_fn(|at| self.before[at].plus(counts[at]))
    }

    /// Returns the time at which the current server began to count, in microseconds since the Unix epoch; `None` before
    /// its first report.
    pub fn since(&self) -> Option<u64> {
        Some(self.since).filter(|since| *since > 0)
    }

    /// Clears the sums of earlier servers for these techniques. The current server must be told separately to count
    /// from zero.
    pub fn forget(&mut self, techniques: &[Technique]) {
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
        // A count that only grew does not hide that another server made it.
        assert_eq!(tally.with(9, &counts(4)), counts(5));
    }
}
