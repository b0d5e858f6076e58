//! The counts of all clients of one load together.

use std::{
    ops::Sub,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use fourways_shared::{
    Cursor,
    measure::{Ledger, Percentiles},
    time::micros,
};

use crate::{amount::float, text::between};

/// The counts of one load. The crowd and each of its clients hold a reference, and the last one to end drops the tally.
/// All run on one thread, so nobody ever waits for a mutex here.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    opened: AtomicU64,
    requests: AtomicU64,
    empty: AtomicU64,
    events: AtomicU64,
    up_bytes: AtomicU64,
    down_bytes: AtomicU64,
    latency: Mutex<Percentiles>,
    /// Ledger of each client, by the client's number.
    ledgers: Vec<Mutex<Ledger>>,
}

/// The counts of a tally at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Number of polls, openings and POSTs.
    pub(crate) requests: u64,
    /// Number of polls that returned no event.
    pub(crate) empty: u64,
    /// Number of events that arrived, at all clients together.
    pub(crate) events: u64,
    /// Bytes to the server, above TCP.
    pub(crate) up_bytes: u64,
    /// Bytes from the server, above TCP.
    pub(crate) down_bytes: u64,
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            requests: self.requests - before.requests,
            empty: self.empty - before.empty,
            events: self.events - before.events,
            up_bytes: self.up_bytes - before.up_bytes,
            down_bytes: self.down_bytes - before.down_bytes,
        }
    }
}

impl Tally {
    /// Creates a tally of `clients` clients; 0 if only requests and bytes are of interest.
    pub(crate) fn new(clients: usize) -> Arc<Self> {
        let ledgers = std::iter::repeat_with(Mutex::default).take(clients).collect();
        Arc::new(Self { ledgers, ..Self::default() })
    }

    /// Counts a client as open: its first answer has come, its stream is open, or its first long poll has been sent.
    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    /// Returns the number of clients that are open.
    pub(crate) fn opened_so_far(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// Counts a request.
    pub(crate) fn asked(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Counts a poll that returned no event.
    pub(crate) fn in_vain(&self) {
        self.empty.fetch_add(1, Relaxed);
    }

    /// Counts bytes that were sent.
    pub(crate) fn sent(&self, bytes: usize) {
        self.up_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts bytes that were received.
    pub(crate) fn received(&self, bytes: usize) {
        self.down_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts an event that arrived at a client, and returns its cursor. `event` is the event's JSON, with or without
    /// something after it. An event whose cursor can't be read is in no ledger, so it counts as lost.
    pub(crate) fn arrived(&self, client: usize, event: &[u8]) -> Option<Cursor> {
        self.events.fetch_add(1, Relaxed);
        if let Some(published_us) =
            between(event, b"\"published_at\":", b',').and_then(|text| text.parse().ok())
        {
            let latency_ms = float(now_us().saturating_sub(published_us)) / 1000.0;
            self.latency.lock().unwrap_or_else(PoisonError::into_inner).record_ms(latency_ms);
        }
        let cursor: Cursor = between(event, b"\"cursor\":\"", b'"')?.parse().ok()?;
        if let Some(ledger) = self.ledgers.get(client) {
            ledger.lock().unwrap_or_else(PoisonError::into_inner).arrived(cursor);
        }
        Some(cursor)
    }

    /// Returns the current counts.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            requests: self.requests.load(Relaxed),
            empty: self.empty.load(Relaxed),
            events: self.events.load(Relaxed),
            up_bytes: self.up_bytes.load(Relaxed),
            down_bytes: self.down_bytes.load(Relaxed),
        }
    }

    /// Returns a quantile of the time from publish to arrival, in milliseconds, by the clock that server and clients
    /// share. `None` before the first event.
    pub(crate) fn latency_ms(&self, quantile: f64) -> Option<f64> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner).quantile_ms(quantile)
    }

    /// Returns the sum of all clients' ledgers.
    pub(crate) fn ledger(&self) -> Ledger {
        let mut sum = Ledger::default();
        for ledger in &self.ledgers {
            let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            sum.delivered += ledger.delivered;
            sum.repeated += ledger.repeated;
            sum.disordered += ledger.disordered;
        }
        sum
    }
}

/// Returns the time in microseconds since the Unix epoch.
fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    micros(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_twice_is_repeated() {
        let tally = Tally::new(2);
        let event = |offset| {
            let data = r#""data":"\"cursor\":\"7-9\"""#;
            format!(
                r#"{{"type":"event","topic":"a","cursor":"7-{offset}","name":"message","published_at":1,{data}}}"#
            )
        };
        for (client, offset) in [(0, 1), (0, 2), (0, 2), (0, 1), (1, 2)] {
            let cursor = tally.arrived(client, event(offset).as_bytes());
            assert_eq!(cursor.map(|cursor| cursor.offset.0), Some(offset));
        }
        assert_eq!(tally.arrived(1, b"{}"), None);
        let sum = tally.ledger();
        assert_eq!((sum.delivered, sum.repeated, sum.disordered), (3, 1, 1));
        assert_eq!(tally.counts(), Counts { events: 6, ..Counts::default() });
        assert!(tally.latency_ms(0.5).is_some());
    }
}
