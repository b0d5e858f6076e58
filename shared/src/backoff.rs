//! How long to wait before the next try: exponential, with full jitter, so that clients cut off together come back
//! spread out.

use std::time::Duration;

/// The n-th wait is a random time between zero and `base · 2ⁿ`, at most `cap`.
#[derive(Clone, Debug)]
pub struct Backoff {
    attempt: u32,
    random: u64,
}

impl Backoff {
    /// The ceiling of the first wait.
    pub const BASE: Duration = Duration::from_millis(500);
    /// The ceiling of every wait. 15 s keeps an outage of minutes at a few tries a minute for each client.
    pub const CAP: Duration = Duration::from_secs(15);

    /// `seed` must differ between clients, or their jitter is the same.
    pub const fn new(seed: u64) -> Self {
        Self { attempt: 0, random: seed | 1 }
    }

    /// How often in a row it failed.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// What it waits at most, next.
    pub fn ceiling(&self) -> Duration {
        Self::BASE.saturating_mul(1 << self.attempt.min(16)).min(Self::CAP)
    }

    /// The next wait, at least `floor` (a server's `Retry-After` or `retry:`).
    pub fn next(&mut self, floor: Duration) -> Duration {
        let ceiling = self.ceiling();
        self.attempt = self.attempt.saturating_add(1);
        // xorshift64: jitter needs no better randomness.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let share = u32::try_from(self.random >> 32).unwrap_or(u32::MAX);
        floor + ceiling.mul_f64(f64::from(share) / f64::from(u32::MAX))
    }

    /// It works again.
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
