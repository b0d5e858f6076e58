//! The end of the log in memory: one order over all topics, and an index for each topic.
//!
//! # Locks
//! Always taken in this order: `order` (one appender at a time), `topics` (the map), `views` (the patterns' indices),
//! one topic's `log`. Reading takes only a topic's `log`, except for events that a pattern's index does not hold:
//! those are found under `order`, a piece at a time. `head` is stored after every index has the new events and before
//! anybody is woken. So a reader that loads the head first, and reads up to it, sees every event up to it in all
//! topics.
//!
//! # Watermarks
//! All but `trimmed` are offsets.
//! ```text
//! watermark            is the offset                                                   moved by
//! head                 of the newest event that may be read                            insert, after all indices
//! earliest             before the oldest event in memory; the function earliest()      begin_after, trim
//!                      returns the archive's if that is lower
//! volatile_floor       up to which volatile events are lost: they ended with the       with_archive, once
//!                      process before this one
//! forgotten            up to which indices that were dropped had dropped events;       forget, begin_after
//!                      a new topic's index knows nothing up to here
//! unknown_through()    after which a new topic's index begins: forgotten, or           (computed)
//!                      volatile_floor if that is higher and the topic is volatile
//! trimmed_through      of the last event that left an index, for any reason; at        drop_first
//!                      first unknown_through(), or the head for a pattern
//! trimmed              (number of events that left an index)                           drop_first
//! spilled_through      of the last event that left a pattern's index and was still     push, let_go of an index
//!                      in memory; found by scan
//! gone (Floors)        of the last event dropped for good: in a topic's index one,     let_go of an index
//!                      in a pattern's one for each rule
//! gone_through         of the last event of one rule that was dropped from memory,     let_go of the tail, begin_after
//!                      whether it is in the archive or not
//! in_memory_after()    after which no event of some topics is in the archive alone:    (computed)
//!                      the highest gone_through of their rules
//! Archive::floors      up to which one part of the archive may have dropped events     the engine's retention
//! Archive::lowest      up to which no event of some topics is in the archive:          (computed)
//!                      the lowest floor of the parts that may hold them
//! ```
//! A subscription has lost events if `gone` or a floor is above its cursor; one that is merely behind
//! `trimmed_through` finds them by a scan or in the archive. In a topic's index whose events are in the archive too,
//! `gone` is not looked at: the archive's floors count.

mod few;
mod index;
mod patterns;
mod scan;
mod stock;
mod succession;
mod topic;
mod topics;
mod trim;

use std::{future::poll_fn, task::Poll};

use fourways_shared::{Cursor, Epoch, Event, Filter, Offset, Technique, Topic};
use smallvec::SmallVec;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::stock::{TopicPage, TopicState};
use self::{
    patterns::Patterns,
    succession::{End, Succession},
    topics::Topics,
    trim::{LogEntry, RetainedLog, RuleLog},
};
pub(crate) use self::{
    scan::{Scan, Seek},
    topic::TopicTail,
};
use super::{
    Ages, Archive, Meter, Meters, RetentionRule,
    waiters::{Relay, Shard},
};
use crate::{
    encoding::Encoded,
    sync::{Arc, AtomicU64, AtomicUsize, Mutex, Ordering, PoisonError, RwLock, lock},
};

/// Limits on the part of the log that stays in memory if the rest is in an [`Archive`]. Whichever is reached first,
/// the oldest events leave memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailCap {
    /// Number of events in memory at most.
    pub events: usize,
    /// Number of bytes in memory at most, counted as [`Encoded::retained_bytes`].
    pub bytes: u64,
}

impl TailCap {
    /// No limit: only retention drops events.
    const NONE: Self = Self { events: usize::MAX, bytes: u64::MAX };
}

/// Number of events dropped at once at most, beyond as many as are added. Nobody can publish meanwhile.
const TRIM: usize = 1024;

/// The end of the log in memory. Engines write it and subscriptions read it; all share it in an `Arc`, on any thread.
///
/// Its locks block, because they are held for short and never across an `.await`; see the module for their order. The
/// tail lives as long as its last reader, even if the engine is gone.
#[derive(Debug)]
pub struct Tail {
    epoch: Epoch,
    ages: Arc<Ages>,
    rules: Vec<RetentionRule>,
    cap: TailCap,
    archive: Option<Arc<dyn Archive>>,
    succession: Succession,
    /// The order is decided elsewhere, so that readers may know a later offset than this tail.
    following: Option<End>,
    archive_turns: Arc<Semaphore>,
    /// Offset up to which the events of volatile topics are lost: they ended with the process before this one.
    volatile_floor: u64,
    head: AtomicU64,
    earliest: AtomicU64,
    /// Highest `trimmed_through` of the topic indices that were dropped: a new index does not know what was lost up
    /// to it.
    forgotten: AtomicU64,
    topics: RwLock<Topics>,
    /// Indices of the patterns that are being read.
    views: RwLock<Patterns<Arc<TopicTail>>>,
    /// Number of patterns that clients read.
    read_patterns: AtomicUsize,
    order: Mutex<RetainedLog>,
    relays: Box<[Relay]>,
    /// Shared with the tails before and after this one.
    meters: Arc<Meters>,
}

impl Tail {
    /// Creates an empty tail. The last of the rules applies to every topic that no other rule matches.
    pub(super) fn new(epoch: Epoch, rules: Vec<RetentionRule>, shards: usize, ages: Arc<Ages>) -> Self {
        let lines = rules.iter().map(|_| RuleLog::default()).collect();
        Self {
            epoch,
            ages,
            rules,
            cap: TailCap::NONE,
            archive: None,
            succession: Succession::default(),
            following: None,
            archive_turns: Arc::new(Semaphore::new(shards.max(2))),
            volatile_floor: 0,
            head: AtomicU64::new(0),
            earliest: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            topics: RwLock::default(),
            views: RwLock::default(),
            read_patterns: AtomicUsize::new(0),
            order: Mutex::new(RetainedLog { lines }),
            relays: (0..shards).map(|_| Relay::default()).collect(),
            meters: Arc::new(Meters::new(shards)),
        }
    }

    /// Makes this the tail of a log whose order is decided elsewhere. Its readers may be ahead of it: see
    /// [`Self::is_beyond_end`].
    pub(super) fn following(mut self) -> Self {
        self.following = Some(End::default());
        self
    }

    /// Makes this tail count on with the meters of the one before it.
    pub(super) fn with_meters_of(mut self, before: &Self) -> Self {
        self.meters = Arc::clone(&before.meters);
        self
    }

    /// Makes this the tail of a log whose newest offset is `head` and whose older events are in an archive.
    pub(super) fn with_archive(mut self, head: Offset, archive: Arc<dyn Archive>, cap: TailCap) -> Self {
        self.cap = cap;
        self.archive = Some(archive);
        self.head = AtomicU64::new(head.0);
        self.volatile_floor = head.0;
        self
    }

    /// Declares that events at or before this offset are in the archive alone. To be called before anybody reads.
    pub(super) fn begin_after(&self, offset: Offset) {
        self.earliest.store(offset.0, Ordering::SeqCst);
        self.forgotten.store(offset.0, Ordering::SeqCst);
        for line in &mut lock(&self.order).lines {
            line.gone_through = offset.0;
        }
    }

    /// Makes this the tail of a log that begins after an offset. To be called before anybody reads.
    pub(super) fn begin_at(&self, offset: Offset) {
        self.begin_after(offset);
        self.head.store(offset.0, Ordering::SeqCst);
    }

    /// Returns the newest event in memory whose topic is not volatile.
    pub(super) fn newest_kept(&self) -> Option<Arc<Encoded>> {
        let order = lock(&self.order);
        let lines = order.lines.iter().zip(&self.rules).filter(|(_, rule)| !rule.is_volatile);
        let newest =
            lines.filter_map(|(line, _)| line.events.back()).max_by_key(|entry| entry.event.offset());
        newest.map(|entry| Arc::clone(&entry.event))
    }

    /// Returns the epoch of the log.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the newest offset; 0 before the first event.
    pub fn head(&self) -> Offset {
        Offset(self.head.load(Ordering::SeqCst))
    }

    /// Returns the offset before the oldest event that is kept, in memory or in the archive.
    pub fn earliest(&self) -> Offset {
        let here = Offset(self.earliest.load(Ordering::SeqCst));
        self.archive.as_ref().map_or(here, |archive| archive.earliest().min(here))
    }

    /// True if some of these topics are kept in memory only.
    pub(crate) fn is_volatile(&self, filter: &Filter) -> bool {
        RetentionRule::of(&self.rules, filter).any(|rule| rule.is_volatile)
    }

    /// Returns the offset up to which a new index knows nothing of its topics.
    fn unknown_through(&self, filter: &Filter) -> u64 {
        if self.is_volatile(filter) { self.forgotten().max(self.volatile_floor) } else { self.forgotten() }
    }

    /// Returns the clock by which events grow old.
    pub(super) const fn ages(&self) -> &Arc<Ages> {
        &self.ages
    }

    /// Returns the counters of reads and writes.
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Returns the counters of reads and writes, which go on when another tail takes the place of this one.
    pub fn shared_meters(&self) -> Arc<Meters> {
        Arc::clone(&self.meters)
    }

    /// Returns the figures of one technique's readers in a shard.
    pub fn meter(&self, shard: Shard, technique: Technique) -> &Meter {
        self.meters.of(shard, technique)
    }

    /// Waits for a permit to read the archive. There is one more permit than there are workers.
    pub(crate) async fn archive_turn(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed, so this is never `None`.
        Arc::clone(&self.archive_turns).acquire_owned().await.ok()
    }

    /// Returns the archive of older events, if the log has one.
    pub(crate) const fn archive(&self) -> Option<&Arc<dyn Archive>> {
        self.archive.as_ref()
    }

    /// Returns the cursor for an offset.
    pub const fn cursor(&self, offset: Offset) -> Cursor {
        Cursor { epoch: self.epoch, offset }
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::SeqCst)
    }

    /// Adds the events of one append, whose offsets are above all before, and wakes the waiting subscriptions. See
    /// [`Engine`](super::Engine) for when to call it.
    pub(super) fn put(&self, events: Vec<Event>) {
        self.put_all([events], None);
    }

    /// Adds the events of several appends in their order, as [`Self::put`] does for one. `arrived_us` is the time from
    /// which their age counts; `None` for now.
    pub(super) fn put_all(&self, appends: impl IntoIterator<Item = Vec<Event>>, arrived_us: Option<u64>) {
        let encode = |events: Vec<Event>| {
            let topic = events.first()?.topic.clone();
            let events: Vec<_> = events.into_iter().map(|event| Arc::new(Encoded::new(event))).collect();
            Some((topic, events))
        };
        let appends: SmallVec<[_; 1]> = appends.into_iter().filter_map(encode).collect();
        let mut touched: SmallVec<[Arc<TopicTail>; 1]> = SmallVec::new();
        let mut order = lock(&self.order);
        let now = self.ages.now();
        let mut count = 0;
        for (topic, events) in &appends {
            count += events.len();
            for index in self.insert(&mut order, topic, events, arrived_us.unwrap_or(now.us)) {
                if !touched.iter().any(|known| Arc::ptr_eq(known, &index)) {
                    touched.push(index);
                }
            }
        }
        self.trim(&mut order, now, count + TRIM);
        drop(order);
        for (shard, relay) in self.relays.iter().enumerate() {
            for index in &touched {
                relay.notify(index, shard);
            }
        }
    }

    /// Adds events that were read back from the archive, while nobody reads yet. The head stays.
    pub(super) fn put_before(&self, events: &[Arc<Encoded>]) {
        let head = self.head.load(Ordering::SeqCst);
        let mut order = lock(&self.order);
        for event in events {
            let since_us = self.ages.then_us(event.event().published_at_us);
            self.insert(&mut order, &event.event().topic, std::slice::from_ref(event), since_us);
        }
        self.trim(&mut order, self.ages.now(), usize::MAX);
        self.head.store(head, Ordering::SeqCst);
    }

    fn insert(
        &self,
        order: &mut RetainedLog,
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
        let line = &mut order.lines[RetentionRule::index_of(&self.rules, topic)];
        for event in events {
            line.bytes += event.retained_bytes();
            line.events.push_back(LogEntry {
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

    /// Drops from memory the events that have become too old, for logs in which nothing is published. To be called
    /// about once a second.
    pub fn sweep(&self) {
        self.ages.settle();
        // In pieces, so that a publisher waits for one of them at most.
        while self.trim(&mut lock(&self.order), self.ages.now(), TRIM) {}
    }

    /// True if a client reads the topic, by its name or by a pattern.
    pub fn is_read(&self, topic: &Topic) -> bool {
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

    /// Returns topics that begin with this text and are read by clients by their name, and patterns that are read and may
    /// match such topics; `most` of them, in no order.
    pub fn read_under(&self, beginning: &str, most: usize) -> Vec<Filter> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let is_wanted =
            |index: &&Arc<TopicTail>| index.name().as_str().starts_with(beginning) && index.is_read();
        let mut read: Vec<Filter> =
            topics.values().filter(is_wanted).take(most).map(|index| index.name().clone()).collect();
        drop(topics);
        self.views.read().unwrap_or_else(PoisonError::into_inner).each(|view| {
            let name = view.name().as_str();
            let may_match = name.starts_with(beginning) || name.starts_with(['*', '>']);
            if read.len() < most && may_match && view.is_read() {
                read.push(view.name().clone());
            }
        });
        read
    }

    /// Returns how many reads of the topic by its name have ever begun. Short polls show in this number only: they
    /// hold nothing between two requests.
    pub fn reads_begun(&self, topic: &Topic) -> u32 {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic).map_or(0, |index| index.begun.load(Ordering::Relaxed))
    }

    /// Wakes every waiting subscription, though nothing was published.
    pub fn wake_all(&self) {
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

    /// Wakes the waiting subscriptions of one thread until the future is dropped, or until another tail has taken this
    /// one's place. Each worker runs one.
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
        poll_fn(|cx| {
            relay.poll(shard.index(), cx.waker());
            // Looked at after the waker is registered: see `succeed`.
            if self.is_succeeded() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
