//! One topic's part of the tail.

use std::collections::VecDeque;

use fourways_shared::{Filter, Technique};

use crate::log::{
    encoding::Encoded,
    engine::{
        Floors,
        waiters::{Shard, Waiters},
    },
    sync::{Arc, AtomicU32, Ordering, PoisonError, RwLock},
};

/// One topic's part of the tail, or one pattern's. Lives while it holds events or somebody reads it; a pattern's only
/// while somebody does, and with the newest events alone: the others are found by [`Tail::scan`](super::Tail::scan).
#[derive(Debug)]
pub(crate) struct TopicTail {
    pub(super) name: Filter,
    pub(crate) log: RwLock<TopicLog>,
    waiters: Box<[Waiters]>,
    pub(super) subscribers: [AtomicU32; 4],
    /// Reads by a technique that ever began.
    pub(super) begun: AtomicU32,
    /// All but the server's own readers.
    clients: AtomicU32,
    /// The server's own readers, which are in no figure.
    own: AtomicU32,
}

/// Most events in a pattern's index. Every pattern has one, and each event may be in all of them.
pub(super) const MAX_IN_VIEW: usize = 4096;

/// The retained events of a topic, and how many there were before them.
#[derive(Debug, Default)]
pub(crate) struct TopicLog {
    pub(crate) events: VecDeque<Arc<Encoded>>,
    /// How many events were here and are no more.
    pub(crate) trimmed: u64,
    /// The offset of the last event that is not here any more: it was let go, or a pattern's index had no room for it.
    pub(crate) trimmed_through: u64,
    /// Up to where events were let go: for a topic one place, for a pattern one for each retention rule.
    pub(crate) gone: Floors,
    /// The offset of the last event that is not here any more though it was not let go. Only a pattern has such.
    pub(crate) spilled_through: u64,
}

impl TopicLog {
    /// The index of the first event after `offset`.
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

    pub(in crate::log::engine) const fn waiters(&self) -> &[Waiters] {
        &self.waiters
    }

    pub(crate) fn waiters_of(&self, shard: Shard) -> &Waiters {
        &self.waiters[shard.index()]
    }

    /// Somebody reads it from now on: by a technique, or the server itself. Whether it is the first client that does.
    pub(super) fn join(&self, technique: Option<Technique>) -> bool {
        let Some(technique) = technique else {
            self.own.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.subscribers[technique.index()].fetch_add(1, Ordering::Relaxed);
        self.clients.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// And from now on no more. Whether that was the last client.
    pub(super) fn part(&self, technique: Option<Technique>) -> bool {
        let Some(technique) = technique else {
            self.own.fetch_sub(1, Ordering::Relaxed);
            return false;
        };
        self.subscribers[technique.index()].fetch_sub(1, Ordering::Relaxed);
        self.clients.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// Takes in events behind all that are here.
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

    /// An event is let go; whether nothing is left. `rule`: which retention rule it is gone by, if it is not in the archive.
    pub(super) fn let_go(&self, offset: u64, rule: Option<usize>) -> bool {
        let mut log = self.log.write().unwrap_or_else(PoisonError::into_inner);
        // A pattern's events are of several retention rules: what is older and not let go yet is found by the order of
        // the log from now on.
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

    /// Up to where events were let go, as in [`TopicLog::gone`].
    pub(crate) fn gone(&self) -> Floors {
        self.log.read().unwrap_or_else(PoisonError::into_inner).gone.clone()
    }

    /// The offset of the last event that is not here any more.
    pub(crate) fn trimmed_through(&self) -> u64 {
        self.log.read().unwrap_or_else(PoisonError::into_inner).trimmed_through
    }

    /// The offset of its newest event up to this one; 0 if there is none.
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
