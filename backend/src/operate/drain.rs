//! Drain: an orderly shutdown that serves no new requests, and closes what is held with a time to reconnect at. The
//! times are spread, so that the clients do not all reconnect at the same moment.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fourways_log::engine::Tail;
use fourways_shared::time::millis;
use tokio::sync::Notify;

use crate::access::limits::Usage;

/// Shortest wait before a client reconnects: about the time that a restart takes.
pub(crate) const MIN_RECONNECT_WAIT: Duration = Duration::from_secs(1);
/// Number of clients per second that are told to reconnect.
const CLIENTS_PER_S: f64 = 1000.0;
/// Shortest time over which reconnecting clients are spread.
const MIN_SPREAD: Duration = Duration::from_secs(2);

/// The state of the server's shutdown, and the times at which clients are told to reconnect. One for the whole server,
/// shared by all workers by `Arc`. Atomics instead of a lock, because every stream reads the state on each poll.
#[derive(Debug, Default)]
pub struct Drain {
    is_on: AtomicBool,
    began: Notify,
    spread_ms: AtomicU64,
    told: AtomicU64,
}

impl Drain {
    /// True once the server drains: no new request is served.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Begins the drain: wakes all `held` streams, sockets and polls, which then close.
    pub fn begin(&self, tail: &Tail, held: usize) {
        self.spread(held);
        self.is_on.store(true, Ordering::SeqCst);
        self.began.notify_waiters();
        tail.wake_all();
    }

    /// Waits until the drain begins; returns at once if it has begun.
    pub async fn begun(&self) {
        // The wait is set up before the check, so that a drain that begins in between is not missed.
        let began = self.began.notified();
        if !self.is_on() {
            began.await;
        }
    }

    /// Sets the time over which this number of clients is spread.
    pub(crate) fn spread(&self, clients: usize) {
        self.spread_ms.store(millis(spread_of(clients)), Ordering::Relaxed);
    }

    /// Returns how long the next client should wait before it reconnects. In whatever order clients ask, their waits
    /// are spread evenly by the multiples of the golden ratio (a low-discrepancy sequence).
    pub fn retry(&self) -> Duration {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let n = self.told.fetch_add(1, Ordering::Relaxed);
        let share = n.wrapping_mul(GOLDEN) >> 32;
        let jitter = (self.spread_ms.load(Ordering::Relaxed) * share) >> 32;
        MIN_RECONNECT_WAIT + Duration::from_millis(jitter)
    }

    /// Waits until no stream, socket or poll is held, or until the deadline. Returns how many are still held.
    pub async fn wait_until_idle(&self, usage: &Arc<Usage>, deadline: Instant) -> usize {
        loop {
            let held = usage.held();
            if held == 0 || Instant::now() >= deadline {
                return held;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Returns the time over which this number of clients reconnects.
#[expect(clippy::cast_precision_loss, reason = "connections of a process")]
pub(crate) fn spread_of(clients: usize) -> Duration {
    Duration::from_secs_f64(clients as f64 / CLIENTS_PER_S).max(MIN_SPREAD)
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
            let jitter = wait.checked_sub(MIN_RECONNECT_WAIT).expect("no sooner");
            each_tenth[usize::try_from(jitter.as_millis() / 500).unwrap()] += 1;
        }
        assert!(each_tenth.iter().all(|count| (490..=510).contains(count)), "{each_tenth:?}");
    }
}
