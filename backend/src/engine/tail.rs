//! The end of the log in memory: one order over all topics, and an index for each topic.
//!
//! Locks, always taken in this order: `order` (one appender at a time), `topics` (the map), a topic's `log`. A reader
//! takes only a topic's. `head` is stored after every topic has its events and before anybody is woken, so a reader
//! that reads up to the head it loaded first sees every event up to it, in all topics.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    future::poll_fn,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fourways_shared::{Cursor, Epoch, Event, EventId, Offset, Technique, Topic};

use super::{
    Append,
    waiters::{Relay, Shard, Waiters},
};
use crate::{
    encoding::Encoded,
    sync::{Arc, AtomicU32, AtomicU64, Mutex, Ordering, PoisonError, RwLock, lock},
};

/// How much of the log is kept; the first limit that is reached lets the oldest go.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// At most this many events.
    pub events: usize,
    /// At most this many bytes, counted as [`Encoded::retained_bytes`].
    pub bytes: u64,
    /// None older than this.
    pub age: Duration,
}

impl Default for Retention {
    /// 100,000 events, 256 MiB, one hour: a reader may be away for an hour at 27 events a second.
    fn default() -> Self {
        Self { events: 100_000, bytes: 256 << 20, age: Duration::from_hours(1) }
    }
}

/// How long an idempotency key is remembered, and how many are at most.
const KEY_WINDOW: Duration = Duration::from_mins(5);
const MAX_KEYS: usize = 100_000;

/// The end of the log. Shared by `Arc`; every reader and the engine hold it.
#[derive(Debug)]
pub struct Tail {
    epoch: Epoch,
    retention: Retention,
    head: AtomicU64,
    earliest: AtomicU64,
    /// The latest offset of any topic whose index was dropped while nobody read it: what such a topic lost.
    forgotten: AtomicU64,
    topics: RwLock<HashMap<Topic, Arc<TopicTail>>>,
    order: Mutex<Order>,
    relays: Box<[Relay]>,
}

#[derive(Debug, Default)]
struct Order {
    events: VecDeque<(Arc<TopicTail>, Arc<Encoded>)>,
    bytes: u64,
    published_at_us: u64,
    /// The first answer to a key: its first offset and how many followed. An append is in one piece.
    keys: HashMap<(Topic, EventId), (u64, usize)>,
    key_ages: VecDeque<(u64, (Topic, EventId))>,
}

/// One topic's part of the tail. Lives while it holds events or somebody reads it.
#[derive(Debug)]
pub(crate) struct TopicTail {
    name: Topic,
    pub(crate) log: RwLock<TopicLog>,
    waiters: Box<[Waiters]>,
    subscribers: [AtomicU32; 4],
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

/// What there is of a topic.
#[derive(Clone, Debug)]
pub struct TopicState {
    /// Its name.
    pub topic: Topic,
    /// How many events are retained.
    pub events: usize,
    /// The oldest retained event.
    pub earliest: Option<Cursor>,
    /// The newest retained event.
    pub newest: Option<Cursor>,
    /// Who reads it now, by [`Technique::index`].
    pub subscribers: [u32; 4],
}

impl TopicLog {
    /// The index of the first event after `offset`.
    pub(crate) fn first_after(&self, offset: u64) -> usize {
        self.events.partition_point(|event| event.event().cursor.offset.0 <= offset)
    }
}

impl TopicTail {
    pub(crate) const fn name(&self) -> &Topic {
        &self.name
    }

    pub(super) const fn waiters(&self) -> &[Waiters] {
        &self.waiters
    }

    pub(crate) fn waiters_of(&self, shard: Shard) -> &Waiters {
        &self.waiters[shard.index()]
    }

    pub(crate) const fn subscribers(&self, technique: Technique) -> &AtomicU32 {
        &self.subscribers[technique.index()]
    }

    fn state(&self) -> TopicState {
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        TopicState {
            topic: self.name.clone(),
            events: log.events.len(),
            earliest: log.events.front().map(|event| event.event().cursor),
            newest: log.events.back().map(|event| event.event().cursor),
            subscribers: std::array::from_fn(|index| self.subscribers[index].load(Ordering::Relaxed)),
        }
    }
}

impl Tail {
    pub(super) fn new(epoch: Epoch, retention: Retention, shards: usize) -> Self {
        Self {
            epoch,
            retention,
            head: AtomicU64::new(0),
            earliest: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            topics: RwLock::default(),
            order: Mutex::default(),
            relays: (0..shards).map(|_| Relay::default()).collect(),
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

    /// The offset before the oldest retained event.
    pub fn earliest(&self) -> Offset {
        Offset(self.earliest.load(Ordering::SeqCst))
    }

    /// The cursor of an offset.
    pub const fn cursor(&self, offset: Offset) -> Cursor {
        Cursor { epoch: self.epoch, offset }
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::SeqCst)
    }

    /// Numbers the events, keeps them and wakes who waits. The time is taken under the same lock as the number, so
    /// both give the same order, and never runs backwards.
    pub(super) fn append(&self, append: Append) -> Vec<Cursor> {
        let Append { topic, drafts, key } = append;
        let mut order = lock(&self.order);
        let now = now_us().max(order.published_at_us);
        let key = key.map(|key| (topic.clone(), key));
        if let Some((first, count)) = key.as_ref().and_then(|key| order.keys.get(key)) {
            return (*first..).take(*count).map(|offset| self.cursor(Offset(offset))).collect();
        }
        order.published_at_us = now;
        let index = self.topic(&topic);
        let mut offset = self.head.load(Ordering::SeqCst);
        let mut cursors = Vec::with_capacity(drafts.len());
        {
            let mut log = index.log.write().unwrap_or_else(PoisonError::into_inner);
            for draft in drafts {
                offset += 1;
                let cursor = self.cursor(Offset(offset));
                cursors.push(cursor);
                let id = key.as_ref().map(|(_, id)| id.clone());
                let event = Arc::new(Encoded::new(Event {
                    topic: topic.clone(),
                    cursor,
                    name: draft.name,
                    id,
                    published_at_us: now,
                    data: draft.data,
                }));
                order.bytes += event.retained_bytes();
                log.events.push_back(Arc::clone(&event));
                order.events.push_back((Arc::clone(&index), event));
            }
        }
        self.head.store(offset, Ordering::SeqCst);
        if let Some(key) = key {
            order
                .keys
                .insert(key.clone(), (cursors.first().map_or(0, |first| first.offset.0), cursors.len()));
            order.key_ages.push_back((now, key));
        }
        self.trim(&mut order, now);
        drop(order);
        for (shard, relay) in self.relays.iter().enumerate() {
            relay.notify(&index, shard);
        }
        cursors
    }

    /// Lets go what is too old though nothing is published. To be called about once a second.
    pub fn sweep(&self) {
        self.trim(&mut lock(&self.order), now_us());
    }

    fn trim(&self, order: &mut Order, now: u64) {
        let micros = |age: Duration| u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        let oldest = now.saturating_sub(micros(self.retention.age));
        while let Some((_, event)) = order.events.front() {
            let is_kept = order.events.len() <= self.retention.events
                && order.bytes <= self.retention.bytes
                && event.event().published_at_us >= oldest;
            if is_kept {
                break;
            }
            let Some((topic, event)) = order.events.pop_front() else { break };
            order.bytes -= event.retained_bytes();
            let offset = event.event().cursor.offset.0;
            let is_empty = {
                let mut log = topic.log.write().unwrap_or_else(PoisonError::into_inner);
                log.events.pop_front();
                log.trimmed += 1;
                log.trimmed_through = offset;
                log.events.is_empty()
            };
            self.earliest.store(offset, Ordering::SeqCst);
            if is_empty {
                self.forget(topic);
            }
        }
        let oldest_key = now.saturating_sub(micros(KEY_WINDOW));
        while order
            .key_ages
            .front()
            .is_some_and(|(at, _)| *at < oldest_key || order.key_ages.len() > MAX_KEYS)
        {
            if let Some((_, key)) = order.key_ages.pop_front() {
                order.keys.remove(&key);
            }
        }
    }

    /// The topic's index; a topic that nobody knows is an empty one.
    pub(crate) fn topic(&self, name: &Topic) -> Arc<TopicTail> {
        if let Some(topic) = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(topic);
        }
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        match topics.entry(name.clone()) {
            Entry::Occupied(there) => Arc::clone(there.get()),
            Entry::Vacant(place) => {
                let log = TopicLog { trimmed_through: self.forgotten(), ..TopicLog::default() };
                let topic = Arc::new(TopicTail {
                    name: name.clone(),
                    log: RwLock::new(log),
                    waiters: self.relays.iter().map(|_| Waiters::default()).collect(),
                    subscribers: Default::default(),
                });
                Arc::clone(place.insert(topic))
            }
        }
    }

    /// Drops the topic's index if it is empty and this was the last handle, so that topics that came and went cost
    /// nothing. A reader that comes back with an older cursor gets a reset, since nobody knows any more what it missed.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the handle is given up: a reader that kept it could go on reading"
    )]
    pub(crate) fn forget(&self, topic: Arc<TopicTail>) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        // Two: the map's and this one. Nobody can take another while the map is locked.
        if Arc::strong_count(&topic) > 2 {
            return;
        }
        let log = topic.log.read().unwrap_or_else(PoisonError::into_inner);
        if log.events.is_empty() {
            self.forgotten.fetch_max(log.trimmed_through, Ordering::SeqCst);
            topics.remove(&topic.name);
        }
    }

    /// What there is of a topic; an unknown one is empty.
    pub fn topic_state(&self, name: &Topic) -> TopicState {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(name).map_or_else(
            || TopicState {
                topic: name.clone(),
                events: 0,
                earliest: None,
                newest: None,
                subscribers: [0; 4],
            },
            |topic| topic.state(),
        )
    }

    /// The first `limit` topics by name, and how many there are.
    pub fn topic_states(&self, limit: usize) -> (Vec<TopicState>, usize) {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<&Arc<TopicTail>> = topics.values().collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        (all.iter().take(limit).map(|topic| topic.state()).collect(), all.len())
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

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
