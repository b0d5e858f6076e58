//! Ending in order: nobody new, the held ones told when to come back, and not all at the same moment.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{access::limits::Usage, log::engine::Tail};

/// The soonest that a client is told to come back: a restart takes about so long.
pub(crate) const SOONEST: Duration = Duration::from_secs(1);
/// Clients are told to come back so many a second.
const CLIENTS_PER_S: f64 = 1000.0;
/// They are spread over this long at the least.
const LEAST_SPREAD: Duration = Duration::from_secs(2);

/// Whether the server is ending. One for the whole server.
#[derive(Debug, Default)]
pub struct Drain {
    is_on: AtomicBool,
    began: Notify,
    spread_ms: AtomicU64,
    told: AtomicU64,
}

impl Drain {
    /// The server is ending: nobody new is served.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Begins: whoever holds a stream, socket or poll is woken, and ends it.
    pub fn begin(&self, tail: &Tail, held: usize) {
        self.spread(held);
        self.is_on.store(true, Ordering::SeqCst);
        self.began.notify_waiters();
        tail.wake_all();
    }

    /// Waits until the server is ending.
    pub async fn begun(&self) {
        // Waits before it looks, so that it misses nothing in between.
        let began = self.began.notified();
        if !self.is_on() {
            began.await;
        }
    }

    /// From now on so many are told to come back.
    pub(crate) fn spread(&self, clients: usize) {
        self.spread_ms.store(millis(spread_of(clients)), Ordering::Relaxed);
    }

    /// How long the next client should wait before it comes back: spread evenly, however they happen to ask, by the
    /// multiples of the golden ratio (a low-discrepancy sequence).
    pub fn retry(&self) -> Duration {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let n = self.told.fetch_add(1, Ordering::Relaxed);
        let share = n.wrapping_mul(GOLDEN) >> 32;
        let jitter = (self.spread_ms.load(Ordering::Relaxed) * share) >> 32;
        SOONEST + Duration::from_millis(jitter)
    }

    /// Waits until nobody holds anything any more, until the deadline at most. How many still do.
    pub async fn done(&self, usage: &Arc<Usage>, deadline: Instant) -> usize {
        loop {
            let held = usage.held();
            if held == 0 || Instant::now() >= deadline {
                return held;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Over how long so many come back.
#[expect(clippy::cast_precision_loss, reason = "connections of a process")]
pub(crate) fn spread_of(clients: usize) -> Duration {
    Duration::from_secs_f64(clients as f64 / CLIENTS_PER_S).max(LEAST_SPREAD)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_come_back_spread_evenly() {
        let drain = Drain::default();
        drain.spread_ms.store(5_000, Ordering::Relaxed);
        let mut each_tenth = [0; 10];
        for _ in 0..5_000 {
            let wait = drain.retry();
            let jitter = wait.checked_sub(SOONEST).expect("no sooner");
            each_tenth[usize::try_from(jitter.as_millis() / 500).unwrap()] += 1;
        }
        assert!(each_tenth.iter().all(|count| (490..=510).contains(count)), "{each_tenth:?}");
    }
}
