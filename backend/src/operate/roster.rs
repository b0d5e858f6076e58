//! The list of the open streams, sockets and held polls, each with its figures and a way to close it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::Waker,
    time::Instant,
};

use fourways_shared::{
    Filter, Technique,
    operate::{ConnectionState, Connections},
};
use futures_util::task::AtomicWaker;

use crate::{access::Grant, operate::drain::Drain};

/// Maximum number of connections in one answer.
const MAX_LISTED: usize = 1000;
/// The value of `lag_us` before the first event.
const NONE: u64 = u64::MAX;

/// All open streams, sockets and held polls. One for the whole server, shared by all workers by `Arc`. The mutex is
/// taken to enter, leave and list connections; figures of one connection are atomics in its entry, so that an event
/// takes no lock.
#[derive(Debug, Default)]
pub struct Roster {
    /// Connections by id; ids count up, so the oldest comes first.
    entries: Mutex<BTreeMap<u64, Arc<Entry>>>,
    last: AtomicU64,
    streams: AtomicU64,
    /// Number of calls so far that told connections to close.
    cuts: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    technique: Technique,
    subject: Option<Box<str>>,
    topics: Mutex<Vec<Filter>>,
    began: Instant,
    events: AtomicU64,
    bytes: AtomicU64,
    lag_us: AtomicU64,
    is_cut: AtomicBool,
    /// Waker of a socket that subscribes to nothing: no topic wakes it.
    idle: AtomicWaker,
}

/// A connection's own entry in the list. Owned by the stream, socket or held poll, the only one that writes its
/// figures; dropping the seat removes the entry.
#[derive(Debug)]
pub struct Seat {
    roster: Arc<Roster>,
    id: u64,
    entry: Arc<Entry>,
    /// The roster's `cuts` when the entry was last read. Reading the entry itself at each delivery would cost one more
    /// cache line.
    cuts: u64,
    is_cut: bool,
}

impl Roster {
    /// Adds a connection to the list until the returned seat is dropped.
    pub fn enter(self: &Arc<Self>, technique: Technique, grant: &Grant, topics: &[Filter]) -> Seat {
        let entry = Arc::new(Entry {
            technique,
            subject: grant.subject.clone(),
            topics: Mutex::new(topics.to_vec()),
            began: Instant::now(),
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            lag_us: AtomicU64::new(NONE),
            is_cut: AtomicBool::new(false),
            idle: AtomicWaker::new(),
        });
        let id = self.last.fetch_add(1, Relaxed) + 1;
        if technique.is_stream() {
            self.streams.fetch_add(1, Relaxed);
        }
        self.entries().insert(id, Arc::clone(&entry));
        Seat { roster: Arc::clone(self), id, entry, cuts: 0, is_cut: false }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> Connections {
        let entries = self.entries();
        let state = |(id, entry): (&u64, &Arc<Entry>)| ConnectionState {
            id: *id,
            node: None,
            technique: entry.technique,
            subject: entry.subject.clone(),
            topics: entry.topics.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            age_ms: u64::try_from(entry.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            events: entry.events.load(Relaxed),
            bytes: entry.bytes.load(Relaxed),
            lag_us: Some(entry.lag_us.load(Relaxed)).filter(|lag| *lag != NONE),
        };
        Connections {
            total: entries.len(),
            connections: entries.iter().take(MAX_LISTED).map(state).collect(),
            nodes: None,
            answered: None,
        }
    }

    /// Returns the number of streams and sockets that were opened since the start.
    pub(crate) fn streams_entered(&self) -> u64 {
        self.streams.load(Relaxed)
    }

    /// Wakes the sockets that subscribe to nothing. All other connections are woken by their topics.
    pub(crate) fn wake_idle(&self) {
        self.entries().values().for_each(|entry| entry.idle.wake());
    }

    /// Tells every stream and socket to close, and its client to reconnect, spread over time. Returns how many there
    /// are. The caller must wake them.
    pub(crate) fn cut_streams(&self, drain: &Drain) -> usize {
        let entries = self.entries();
        let streams: Vec<_> = entries.values().filter(|entry| entry.technique.is_stream()).collect();
        drain.spread(streams.len());
        for entry in &streams {
            entry.is_cut.store(true, Relaxed);
        }
        self.cuts.fetch_add(1, Release);
        streams.len()
    }

    /// Tells a connection to close; false if no connection has this id. The caller must wake it.
    pub(super) fn cut(&self, id: u64) -> bool {
        let entry = self.entries().get(&id).cloned();
        entry.is_some_and(|entry| {
            entry.is_cut.store(true, Relaxed);
            self.cuts.fetch_add(1, Release);
            true
        })
    }
}

impl Seat {
    /// Adds events and bytes to the connection's figures; `lag_us` is the time from the publish of the newest event to
    /// now.
    pub(crate) fn record_delivery(&mut self, events: usize, bytes: usize, lag_us: u64) {
        // Only this seat writes the sums, so they need no locked addition, which would wait for the cache.
        let add = |sum: &AtomicU64, more: usize| sum.store(sum.load(Relaxed) + more as u64, Relaxed);
        add(&self.entry.bytes, bytes);
        if events > 0 {
            add(&self.entry.events, events);
            self.entry.lag_us.store(lag_us, Relaxed);
        }
    }

    /// Sets the topics that the connection reads now.
    pub(crate) fn reads(&self, topics: Vec<Filter>) {
        *self.entry.topics.lock().unwrap_or_else(PoisonError::into_inner) = topics;
    }

    /// Has the task woken by [`Roster::wake_idle`]; for a socket that subscribes to nothing.
    pub(crate) fn wait_idle(&self, waker: &Waker) {
        self.entry.idle.register(waker);
    }

    /// True once the connection has been told to close.
    pub(crate) fn is_cut(&mut self) -> bool {
        let cuts = self.roster.cuts.load(Acquire);
        if cuts != self.cuts {
            (self.cuts, self.is_cut) = (cuts, self.entry.is_cut.load(Relaxed));
        }
        self.is_cut
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.roster.entries().remove(&self.id);
    }
}
