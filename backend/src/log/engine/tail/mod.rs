//! The end of the log in memory: one order over all topics, and an index for each topic.
//!
//! Locks, always taken in this order: `order` (one appender at a time), `topics` (the map), `views` (the patterns), a
//! topic's `log`. A reader takes only a topic's, but for what a pattern's index does not hold: that it finds by
//! `order`, a piece at a time. `head` is stored after every topic has its events and before anybody is woken, so a reader
//! that reads up to the head it loaded first sees every event up to it, in all topics.

mod few;
mod index;
mod patterns;
mod scan;
mod stock;
mod topic;
mod topics;
mod trim;

use std::future::poll_fn;

use fourways_shared::{Cursor, Epoch, Event, Filter, Offset, Technique, Topic};
use smallvec::SmallVec;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::stock::{TopicPage, TopicState};
use self::{
    patterns::Patterns,
    topics::Topics,
    trim::{Line, Order, Placed},
};
pub(crate) use self::{
    scan::{Scan, Seek},
    topic::TopicTail,
};
use super::{
    Ages, Archive, Meter, Meters, RetentionRule,
    waiters::{Relay, Shard},
};
use crate::log::{
    encoding::Encoded,
    sync::{Arc, AtomicU64, AtomicUsize, Mutex, Ordering, PoisonError, RwLock, lock},
};

/// How much of the log is in memory where the rest is in an [`Archive`]; the first limit that is reached counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailCap {
    /// At most this many events.
    pub events: usize,
    /// At most this many bytes, counted as [`Encoded::retained_bytes`].
    pub bytes: u64,
}

impl TailCap {
    /// Nothing but retention lets go.
    const NONE: Self = Self { events: usize::MAX, bytes: u64::MAX };
}

/// Most events that are let go at once beyond those that come in, while nobody can publish.
const TRIM: usize = 1024;

/// The end of the log. Shared by `Arc`; every reader and the engine hold it.
#[derive(Debug)]
pub struct Tail {
    epoch: Epoch,
    ages: Arc<Ages>,
    rules: Vec<RetentionRule>,
    cap: TailCap,
    archive: Option<Arc<dyn Archive>>,
    archive_turns: Arc<Semaphore>,
    /// Of volatile topics, nothing up to here is anywhere: it went with the server before this one.
    volatile_floor: u64,
    head: AtomicU64,
    earliest: AtomicU64,
    /// The latest offset of any topic whose index was dropped while nobody read it: what such a topic lost.
    forgotten: AtomicU64,
    topics: RwLock<Topics>,
    /// The indices of patterns: there while somebody reads them.
    views: RwLock<Patterns<Arc<TopicTail>>>,
    /// How many of them clients read.
    read_patterns: AtomicUsize,
    order: Mutex<Order>,
    relays: Box<[Relay]>,
    meters: Meters,
}

impl Tail {
    /// An empty one. Of the rules, the last takes every topic that no other does.
    pub(super) fn new(epoch: Epoch, rules: Vec<RetentionRule>, shards: usize, ages: Arc<Ages>) -> Self {
        let lines = rules.iter().map(|_| Line::default()).collect();
        Self {
            epoch,
            ages,
            rules,
            cap: TailCap::NONE,
            archive: None,
            archive_turns: Arc::new(Semaphore::new(shards.max(2))),
            volatile_floor: 0,
            head: AtomicU64::new(0),
            earliest: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            topics: RwLock::default(),
            views: RwLock::default(),
            read_patterns: AtomicUsize::new(0),
            order: Mutex::new(Order { lines }),
            relays: (0..shards).map(|_| Relay::default()).collect(),
            meters: Meters::new(shards),
        }
    }

    /// The end of a log that is in an archive, which has come to this head.
    pub(super) fn with_archive(mut self, head: Offset, archive: Arc<dyn Archive>, cap: TailCap) -> Self {
        self.cap = cap;
        self.archive = Some(archive);
        self.head = AtomicU64::new(head.0);
        self.volatile_floor = head.0;
        self
    }

    /// What lies at or before this offset is in the archive alone. To be called before somebody reads.
    pub(super) fn begin_after(&self, offset: Offset) {
        self.earliest.store(offset.0, Ordering::SeqCst);
        self.forgotten.store(offset.0, Ordering::SeqCst);
        for line in &mut lock(&self.order).lines {
            line.gone_through = offset.0;
        }
    }

    /// This life of the log.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The newest offset; 0 before the first event.
    pub fn head(&self) -> Offset {
        Offset(self.head.load(Ordering::SeqCst))
    }

    /// The offset before the oldest retained event, in memory or in the archive.
    pub fn earliest(&self) -> Offset {
        let here = Offset(self.earliest.load(Ordering::SeqCst));
        self.archive.as_ref().map_or(here, |archive| archive.earliest().min(here))
    }

    /// Whether some of these topics are kept in memory alone.
    pub(crate) fn is_volatile(&self, filter: &Filter) -> bool {
        RetentionRule::of(&self.rules, filter).any(|rule| rule.is_volatile)
    }

    /// What a fresh index does not know of.
    fn unknown_through(&self, filter: &Filter) -> u64 {
        if self.is_volatile(filter) { self.forgotten().max(self.volatile_floor) } else { self.forgotten() }
    }

    /// The time by which what is kept grows old.
    pub(super) const fn ages(&self) -> &Arc<Ages> {
        &self.ages
    }

    /// What was read and written.
    pub const fn meters(&self) -> &Meters {
        &self.meters
    }

    pub(crate) fn meter(&self, shard: Shard, technique: Technique) -> &Meter {
        self.meters.of(shard.index(), technique)
    }

    /// Waits until the archive may be read: not by more at once than there are workers.
    pub(crate) async fn archive_turn(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.archive_turns).acquire_owned().await.ok()
    }

    /// Where older events are.
    pub(crate) const fn archive(&self) -> Option<&Arc<dyn Archive>> {
        self.archive.as_ref()
    }

    /// The cursor of an offset.
    pub const fn cursor(&self, offset: Offset) -> Cursor {
        Cursor { epoch: self.epoch, offset }
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::SeqCst)
    }

    /// Takes in events of one topic, numbered above all before them, and wakes who waits.
    pub(super) fn put(&self, events: Vec<Event>) {
        let Some(topic) = events.first().map(|event| event.topic.clone()) else { return };
        let events: Vec<_> = events.into_iter().map(|event| Arc::new(Encoded::new(event))).collect();
        let mut order = lock(&self.order);
        let now = self.ages.now();
        let indices = self.place(&mut order, &topic, &events, now.us);
        self.trim(&mut order, now, events.len() + TRIM);
        drop(order);
        for (shard, relay) in self.relays.iter().enumerate() {
            for index in &indices {
                relay.notify(index, shard);
            }
        }
    }

    /// Takes in older events while nobody reads yet.
    pub(super) fn put_before(&self, events: &[Arc<Encoded>]) {
        let head = self.head.load(Ordering::SeqCst);
        let mut order = lock(&self.order);
        for event in events {
            let since_us = self.ages.then_us(event.event().published_at_us);
            self.place(&mut order, &event.event().topic, std::slice::from_ref(event), since_us);
        }
        self.trim(&mut order, self.ages.now(), usize::MAX);
        self.head.store(head, Ordering::SeqCst);
    }

    fn place(
        &self,
        order: &mut Order,
        topic: &Topic,
        events: &[Arc<Encoded>],
        since_us: u64,
    ) -> SmallVec<[Arc<TopicTail>; 1]> {
        let mut indices: SmallVec<[Arc<TopicTail>; 1]> = SmallVec::from_iter([self.topic(topic)]);
        self.views.read().unwrap_or_else(PoisonError::into_inner).taking(topic.as_str(), |view| {
            indices.push(Arc::clone(view));
        });
        for index in &indices {
            index.push(events);
        }
        let line = &mut order.lines[RetentionRule::place(&self.rules, topic)];
        for event in events {
            line.bytes += event.retained_bytes();
            line.events.push_back(Placed {
                event: Arc::clone(event),
                since_us,
                topic: Arc::clone(&indices[0]),
            });
        }
        if let Some(last) = events.last() {
            self.head.store(last.offset(), Ordering::SeqCst);
        }
        indices
    }

    /// Lets go what is too old though nothing is published. To be called about once a second.
    pub fn sweep(&self) {
        self.ages.settle();
        // In pieces: who publishes meanwhile waits for one of them at most.
        while self.trim(&mut lock(&self.order), self.ages.now(), TRIM) {}
    }

    /// Whether somebody reads the topic, by its name or by a pattern.
    pub(crate) fn is_read(&self, topic: &Topic) -> bool {
        let by_name = {
            let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
            topics.get(topic).is_some_and(|index| index.is_read())
        };
        let mut is_read = by_name;
        self.views.read().unwrap_or_else(PoisonError::into_inner).taking(topic.as_str(), |view| {
            is_read |= view.is_read();
        });
        is_read
    }

    /// How many reads of the topic by its name ever began: what tells of short polls, which hold nothing.
    pub(crate) fn reads_begun(&self, topic: &Topic) -> u32 {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic).map_or(0, |index| index.begun.load(Ordering::Relaxed))
    }

    /// Wakes everybody who reads something, though nothing was published.
    pub(crate) fn wake_all(&self) {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
        let wake = |index: &Arc<TopicTail>| {
            for (shard, relay) in self.relays.iter().enumerate() {
                relay.notify(index, shard);
            }
        };
        topics.values().for_each(wake);
        views.each(wake);
    }

    /// Wakes the subscriptions of this thread; runs until it is dropped. One for each worker.
    pub async fn relay(self: Arc<Self>, shard: Shard) {
        struct Attached<'a>(&'a Relay, usize);
        impl Drop for Attached<'_> {
            fn drop(&mut self) {
                self.0.detach(self.1);
            }
        }
        let relay = &self.relays[shard.index()];
        relay.attach();
        let _attached = Attached(relay, shard.index());
        poll_fn(|cx| relay.poll(shard.index(), cx.waker())).await;
    }
}
