//! What the clients of one load count, all together.

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
};

use crate::{amount::float, raw::between};

/// Shared by all clients; they run on one thread, so nothing here is waited for.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    opened: AtomicU64,
    requests: AtomicU64,
    empty: AtomicU64,
    events: AtomicU64,
    up_bytes: AtomicU64,
    down_bytes: AtomicU64,
    latency: Mutex<Percentiles>,
    /// One for each client.
    ledgers: Vec<Mutex<Ledger>>,
}

/// How far a tally was at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Polls, openings and POSTs.
    pub(crate) requests: u64,
    /// Polls that brought nothing.
    pub(crate) empty: u64,
    /// Events that arrived, by all clients together.
    pub(crate) events: u64,
    /// To the server, above TCP.
    pub(crate) up_bytes: u64,
    /// From the server, above TCP.
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
    /// A tally of so many clients; none where only requests and bytes are of interest.
    pub(crate) fn new(clients: usize) -> Arc<Self> {
        let ledgers = std::iter::repeat_with(Mutex::default).take(clients).collect();
        Arc::new(Self { ledgers, ..Self::default() })
    }

    /// A client is there: its first answer came, its stream is open, its first long poll is held.
    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    /// How many are there.
    pub(crate) fn opened_so_far(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// A request goes out.
    pub(crate) fn asked(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// A poll brought nothing.
    pub(crate) fn in_vain(&self) {
        self.empty.fetch_add(1, Relaxed);
    }

    /// Bytes went out.
    pub(crate) fn sent(&self, bytes: usize) {
        self.up_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Bytes came in.
    pub(crate) fn received(&self, bytes: usize) {
        self.down_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// An event came to this client: its JSON, with or without something after it. The event's place. One whose place
    /// can't be read is in no ledger, so it counts as lost.
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

    /// How far it is.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            requests: self.requests.load(Relaxed),
            empty: self.empty.load(Relaxed),
            events: self.events.load(Relaxed),
            up_bytes: self.up_bytes.load(Relaxed),
            down_bytes: self.down_bytes.load(Relaxed),
        }
    }

    /// From publish to arrival, in milliseconds, by the one clock that server and clients have here.
    pub(crate) fn latency_ms(&self, quantile: f64) -> Option<f64> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner).quantile_ms(quantile)
    }

    /// All clients' ledgers added up.
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

/// Microseconds since the Unix epoch.
fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
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
