//! One topic's part of the tail.

use std::collections::VecDeque;

use fourways_shared::{Filter, Technique};

use crate::{
    encoding::Encoded,
    engine::waiters::{Shard, Waiters},
    sync::{Arc, AtomicU32, Ordering, PoisonError, RwLock},
};

/// One topic's part of the tail, or one pattern's. Lives while it holds events or somebody reads it; a pattern's only
/// while somebody does.
#[derive(Debug)]
pub(crate) struct TopicTail {
    pub(super) name: Filter,
    pub(crate) log: RwLock<TopicLog>,
    waiters: Box<[Waiters]>,
    pub(super) subscribers: [AtomicU32; 4],
    /// Reads by a technique that ever began.
    pub(super) begun: AtomicU32,
    /// The server's own readers, which are in no figure.
    own: AtomicU32,
}

/// The retained events of a topic, and how many there were before them.
#[derive(Debug, Default)]
pub(crate) struct TopicLog {
    pub(crate) events: VecDeque<Arc<Encoded>>,
    /// How many events were let go.
    pub(crate) trimmed: u64,
    /// The offset of the last event that was let go.
    pub(crate) trimmed_through: u64,
}

impl TopicLog {
    /// The index of the first event after `offset`.
    pub(crate) fn first_after(&self, offset: u64) -> usize {
        self.events.partition_point(|event| event.offset() <= offset)
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

    /// Somebody reads it from now on: by a technique, or the server itself.
    pub(crate) fn join(&self, technique: Option<Technique>) {
        if let Some(technique) = technique {
            self.begun.fetch_add(1, Ordering::Relaxed);
            self.subscribers[technique.index()].fetch_add(1, Ordering::Relaxed);
        } else {
            self.own.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// And from now on no more.
    pub(crate) fn part(&self, technique: Option<Technique>) {
        let count = technique.map_or(&self.own, |technique| &self.subscribers[technique.index()]);
        count.fetch_sub(1, Ordering::Relaxed);
    }

    /// The offset of the last event that is not here any more.
    pub(crate) fn trimmed_through(&self) -> u64 {
        self.log.read().unwrap_or_else(PoisonError::into_inner).trimmed_through
    }

    pub(super) fn new(name: Filter, shards: usize, log: TopicLog) -> Self {
        let waiters = (0..shards).map(|_| Waiters::default()).collect();
        Self {
            name,
            log: RwLock::new(log),
            waiters,
            subscribers: Default::default(),
            begun: AtomicU32::new(0),
            own: AtomicU32::new(0),
        }
    }

    pub(super) fn is_read(&self) -> bool {
        self.subscribers.iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_read() || self.own.load(Ordering::Relaxed) > 0
    }
}
