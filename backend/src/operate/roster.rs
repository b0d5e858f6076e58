//! Who is held open now, each with what it was given, and a way to end it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Instant,
};

use fourways_shared::{
    Filter, Technique,
    operate::{ConnectionState, Connections},
};

use crate::{access::Grant, operate::drain::Drain};

/// Most connections in one answer.
const MAX_LISTED: usize = 1000;
/// No event was given yet.
const NONE: u64 = u64::MAX;

/// Everybody. One for the whole server.
#[derive(Debug, Default)]
pub struct Roster {
    /// By id: the oldest first.
    entries: Mutex<BTreeMap<u64, Arc<Entry>>>,
    last: AtomicU64,
    streams: AtomicU64,
    /// How often somebody was told to end.
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
}

/// A connection's own line in the list; it is taken out when this is dropped.
#[derive(Debug)]
pub struct Seat {
    roster: Arc<Roster>,
    id: u64,
    entry: Arc<Entry>,
    /// The roster's count when the entry was last asked, and what it said: at each delivery the entry itself would be a
    /// cache line more to wait for.
    cuts: u64,
    is_cut: bool,
}

impl Roster {
    /// Enters a connection.
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
        }
    }

    /// Streams and sockets that were opened since the start.
    pub(crate) fn streams_entered(&self) -> u64 {
        self.streams.load(Relaxed)
    }

    /// Tells every stream and socket to end, and to come back spread out. How many there are.
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

    /// Tells a connection to end; false if there is none of this id.
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
    /// It was given events and bytes, the newest event this long after its publish.
    pub(crate) fn gave(&mut self, events: usize, bytes: usize, lag_us: u64) {
        // Nobody else writes them: no locked addition, which would wait for the cache.
        let add = |sum: &AtomicU64, more: usize| sum.store(sum.load(Relaxed) + more as u64, Relaxed);
        add(&self.entry.bytes, bytes);
        if events > 0 {
            add(&self.entry.events, events);
            self.entry.lag_us.store(lag_us, Relaxed);
        }
    }

    /// It reads other topics now.
    pub(crate) fn reads(&self, topics: Vec<Filter>) {
        *self.entry.topics.lock().unwrap_or_else(PoisonError::into_inner) = topics;
    }

    /// The operator has told it to end.
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
