//! The wait before the next attempt: exponential backoff with full jitter, so that clients that were cut off together
//! do not reconnect together.

use std::time::Duration;

/// An exponential backoff: after n failures the wait is random, between zero and [`Self::BASE`] · 2ⁿ, and at most
/// [`Self::CAP`].
#[derive(Clone, Debug)]
pub struct Backoff {
    attempt: u32,
    random: u64,
}

impl Backoff {
    /// Upper bound of the first wait.
    pub const BASE: Duration = Duration::from_millis(500);
    /// Upper bound of every wait. With 15 s, each client makes a few attempts a minute during a long outage.
    pub const CAP: Duration = Duration::from_secs(15);

    /// Creates a backoff. The seed must differ between clients, or all of them wait equally long.
    pub const fn new(seed: u64) -> Self {
        Self { attempt: 0, random: seed | 1 }
    }

    /// Returns the number of failures in a row.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns the upper bound of the next wait, without the server's floor.
    pub fn ceiling(&self) -> Duration {
        Self::BASE.saturating_mul(1 << self.attempt.min(16)).min(Self::CAP)
    }

    /// Counts a failure and returns the wait before the next attempt. The random wait is added to `floor`, the least
    /// that the server asked for by `Retry-After` or `retry:`.
    pub fn next(&mut self, floor: Duration) -> Duration {
        let ceiling = self.ceiling();
        self.attempt = self.attempt.saturating_add(1);
        // xorshift64 is random enough for jitter.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let share = u32::try_from(self.random >> 32).unwrap_or(u32::MAX);
        floor + ceiling.mul_f64(f64::from(share) / f64::from(u32::MAX))
    }

    /// Records a success: the next wait starts from [`Self::BASE`] again.
    pub const fn succeeded(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_wait_stays_between_floor_and_ceiling(seed: u64, floor_ms in 0_u64..5_000, tries in 1_usize..40) {
            let floor = Duration::from_millis(floor_ms);
            let mut backoff = Backoff::new(seed);
            for _ in 0..tries {
                let ceiling = backoff.ceiling();
                prop_assert!(ceiling <= Backoff::CAP);
                let wait = backoff.next(floor);
                prop_assert!(wait >= floor && wait <= floor + ceiling);
            }
        }
    }

    #[test]
    fn clients_cut_off_together_come_back_spread_out() {
        let waits: Vec<_> = (1..1000_u64)
            .map(|client| {
                let mut backoff = Backoff::new(client.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                (0..4).map(|_| backoff.next(Duration::ZERO)).last().unwrap_or_default()
            })
            .collect();
        let early = waits.iter().filter(|wait| **wait < Duration::from_secs(2)).count();
        assert!((400..600).contains(&early), "{early} of 999 in the first half of 4 s");
    }
}
