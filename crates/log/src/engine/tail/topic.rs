//! The index of one topic, or of one pattern.

use std::collections::VecDeque;

use fourways_shared::{Filter, Technique};

use crate::{
    encoding::Encoded,
    engine::{
        Floors,
        waiters::{Shard, Waiters},
    },
    sync::{Arc, AtomicU32, Ordering, PoisonError, RwLock},
};

/// The index of one topic or pattern: its events in memory, its waiters and its readers.
///
/// The tail's map owns it; readers and the events in [`RetainedLog`](super::RetainedLog) hold it too. A topic's index lives while
/// it holds events or is read. A pattern's lives while it is read, and holds the newest events only: the others are
/// found by [`Tail::scan`](super::Tail::scan). `log` is a `RwLock`, because one thread at a time writes and many
/// read.
#[derive(Debug)]
pub(crate) struct TopicTail {
    pub(super) name: Filter,
    pub(crate) log: RwLock<TopicLog>,
    waiters: Box<[Waiters]>,
    pub(super) subscribers: [AtomicU32; 4],
    /// Number of reads by clients that have ever begun.
    pub(super) begun: AtomicU32,
    /// Number of present readers that are clients.
    clients: AtomicU32,
    /// Number of present readers that are the server's own. No figure counts them.
    own: AtomicU32,
}

/// Number of events in a pattern's index at most. Every pattern that is read has an index, and an event may be in all
/// of them.
pub(super) const MAX_IN_VIEW: usize = 4096;

/// The events of an index, and how many came before them.
#[derive(Debug, Default)]
pub(crate) struct TopicLog {
    pub(crate) events: VecDeque<Arc<Encoded>>,
    /// Number of events that have left the index.
    pub(crate) trimmed: u64,
    /// Offset of the last event that has left the index: it was dropped, or a pattern's index had no room for it.
    pub(crate) trimmed_through: u64,
    /// Offsets up to which events were dropped: one for a topic, one for each retention rule for a pattern.
    pub(crate) gone: Floors,
    /// Offset of the last event that has left a pattern's index without being dropped; 0 for a topic.
    pub(crate) spilled_through: u64,
}

impl TopicLog {
    /// Returns the position of the first event after `offset`.
    pub(crate) fn first_after(&self, offset: u64) -> usize {
        self.events.partition_point(|event| event.offset() <= offset)
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.events.pop_front() {
            self.trimmed += 1;
            self.trimmed_through = first.offset();
        }
    }
}

impl TopicTail {
    pub(crate) const fn name(&self) -> &Filter {
        &self.name
    }

    pub(in crate::engine) const fn waiters(&self) -> &[Waiters] {
        &self.waiters
    }

    pub(crate) fn waiters_of(&self, shard: Shard) -> &Waiters {
        &self.waiters[shard.index()]
    }

    /// Counts one more reader: a client's by its technique, or the server's own (`None`). True if it is the only
    /// client now.
    pub(super) fn join(&self, technique: Option<Technique>) -> bool {
        let Some(technique) = technique else {
            self.own.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.subscribers[technique.index()].fetch_add(1, Ordering::Relaxed);
        self.clients.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Counts one reader less. True if it was the last client.
    pub(super) fn part(&self, technique: Option<Technique>) -> bool {
        let Some(technique) = technique else {
            self.own.fetch_sub(1, Ordering::Relaxed);
            return false;
        };
        self.subscribers[technique.index()].fetch_sub(1, Ordering::Relaxed);
        self.clients.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// Adds events that come after all those here.
    pub(super) fn push(&self, events: &[Arc<Encoded>]) {
        let mut log = self.log.write().unwrap_or_else(PoisonError::into_inner);
        log.events.extend(events.iter().cloned());
        if self.name.is_pattern() {
            while log.events.len() > MAX_IN_VIEW {
                log.drop_first();
                log.spilled_through = log.trimmed_through;
            }
        }
    }

    /// Removes a dropped event, and all events before it. True if the index is empty now. `rule` is the index of the
    /// retention rule in `gone`; `None` if the event is still in the archive.
    pub(super) fn let_go(&self, offset: u64, rule: Option<usize>) -> bool {
        let mut log = self.log.write().unwrap_or_else(PoisonError::into_inner);
        // A pattern's events belong to several retention rules: those that are older and not dropped yet are found by
        // a scan from now on.
        while log.events.front().is_some_and(|first| first.offset() <= offset) {
            log.drop_first();
            if log.trimmed_through < offset {
                log.spilled_through = log.trimmed_through;
            }
        }
        if let Some(gone) = rule.and_then(|rule| log.gone.get_mut(rule)) {
            *gone = offset;
        }
        log.events.is_empty()
    }

    /// Returns a copy of [`TopicLog::gone`].
    pub(crate) fn gone(&self) -> Floors {
        self.log.read().unwrap_or_else(PoisonError::into_inner).gone.clone()
    }

    /// Returns the present [`TopicLog::trimmed_through`].
    pub(crate) fn trimmed_through(&self) -> u64 {
        self.log.read().unwrap_or_else(PoisonError::into_inner).trimmed_through
    }

    /// Returns the offset of the topic's newest event up to `offset`; 0 if there is none.
    pub(super) fn newest_through(&self, offset: u64) -> u64 {
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        log.first_after(offset).checked_sub(1).map_or(0, |at| log.events[at].offset())
    }

    pub(super) fn new(name: Filter, shards: usize, log: TopicLog) -> Self {
        let waiters = (0..shards).map(|_| Waiters::default()).collect();
        Self {
            name,
            log: RwLock::new(log),
            waiters,
            subscribers: Default::default(),
            begun: AtomicU32::new(0),
            clients: AtomicU32::new(0),
            own: AtomicU32::new(0),
        }
    }

    pub(super) fn is_read(&self) -> bool {
        self.clients.load(Ordering::Relaxed) > 0
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_read() || self.own.load(Ordering::Relaxed) > 0
    }
}
