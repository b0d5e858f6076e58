//! The end of the log in memory: one order over all topics, and an index for each topic.
//!
//! Locks, always taken in this order: `order` (one appender at a time), `topics` (the map), a topic's `log`. A reader
//! takes only a topic's. `head` is stored after every topic has its events and before anybody is woken, so a reader
//! that reads up to the head it loaded first sees every event up to it, in all topics.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    future::poll_fn,
};

use fourways_shared::{Cursor, Epoch, Event, Filter, Offset, Technique, Topic};
use smallvec::SmallVec;

use super::{
    Archive, Retention, RetentionRule, micros, now_us,
    waiters::{Relay, Shard, Waiters},
};
use crate::{
    encoding::Encoded,
    sync::{Arc, AtomicU32, AtomicU64, Mutex, Ordering, PoisonError, RwLock, lock},
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

/// The end of the log. Shared by `Arc`; every reader and the engine hold it.
#[derive(Debug)]
pub struct Tail {
    epoch: Epoch,
    rules: Vec<RetentionRule>,
    cap: TailCap,
    archive: Option<Arc<dyn Archive>>,
    /// Of volatile topics, nothing up to here is anywhere: it went with the server before this one.
    volatile_floor: u64,
    head: AtomicU64,
    earliest: AtomicU64,
    /// The latest offset of any topic whose index was dropped while nobody read it: what such a topic lost.
    forgotten: AtomicU64,
    topics: RwLock<HashMap<Topic, Arc<TopicTail>>>,
    /// The indices of patterns: there while somebody reads them.
    views: RwLock<Vec<Arc<TopicTail>>>,
    order: Mutex<Order>,
    relays: Box<[Relay]>,
}

/// The retained events in the order of the log, a line for each retention rule.
#[derive(Debug, Default)]
struct Order {
    lines: Vec<Line>,
}

/// The retained events of one retention rule.
#[derive(Debug, Default)]
struct Line {
    events: VecDeque<Placed>,
    bytes: u64,
}

/// An event, and every index that it is in: its topic's, and those of patterns that somebody reads.
#[derive(Debug)]
struct Placed {
    event: Arc<Encoded>,
    indices: SmallVec<[Arc<TopicTail>; 1]>,
}

/// One topic's part of the tail, or one pattern's. Lives while it holds events or somebody reads it; a pattern's only
/// while somebody does.
#[derive(Debug)]
pub(crate) struct TopicTail {
    name: Filter,
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
        self.events.partition_point(|event| event.offset() <= offset)
    }
}

impl TopicTail {
    pub(crate) const fn name(&self) -> &Filter {
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

    /// The offset of the last event that is not here any more.
    pub(crate) fn trimmed_through(&self) -> u64 {
        self.log.read().unwrap_or_else(PoisonError::into_inner).trimmed_through
    }

    fn new(name: Filter, shards: usize, log: TopicLog) -> Self {
        let waiters = (0..shards).map(|_| Waiters::default()).collect();
        Self { name, log: RwLock::new(log), waiters, subscribers: Default::default() }
    }

    fn is_read(&self) -> bool {
        self.subscribers.iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }

    fn state(&self, topic: &Topic) -> TopicState {
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        TopicState {
            topic: topic.clone(),
            events: log.events.len(),
            earliest: log.events.front().map(|event| event.event().cursor),
            newest: log.events.back().map(|event| event.event().cursor),
            subscribers: std::array::from_fn(|index| self.subscribers[index].load(Ordering::Relaxed)),
        }
    }
}

impl Tail {
    /// An empty one. Of the rules, the last takes every topic that no other does.
    pub(super) fn new(epoch: Epoch, rules: Vec<RetentionRule>, shards: usize) -> Self {
        let lines = rules.iter().map(|_| Line::default()).collect();
        Self {
            epoch,
            rules,
            cap: TailCap::NONE,
            archive: None,
            volatile_floor: 0,
            head: AtomicU64::new(0),
            earliest: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            topics: RwLock::default(),
            views: RwLock::default(),
            order: Mutex::new(Order { lines }),
            relays: (0..shards).map(|_| Relay::default()).collect(),
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
        let indices = self.place(&mut order, &topic, &events);
        let now = events.last().map_or(0, |event| event.event().published_at_us);
        self.trim(&mut order, now);
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
            self.place(&mut order, &event.event().topic, std::slice::from_ref(event));
        }
        self.trim(&mut order, now_us());
        self.head.store(head, Ordering::SeqCst);
    }

    fn place(
        &self,
        order: &mut Order,
        topic: &Topic,
        events: &[Arc<Encoded>],
    ) -> SmallVec<[Arc<TopicTail>; 1]> {
        let mut indices: SmallVec<[Arc<TopicTail>; 1]> = SmallVec::from_iter([self.topic(topic)]);
        let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
        indices.extend(views.iter().filter(|view| view.name.takes(topic.as_str())).cloned());
        drop(views);
        for index in &indices {
            let mut log = index.log.write().unwrap_or_else(PoisonError::into_inner);
            log.events.extend(events.iter().cloned());
        }
        let line = &mut order.lines[RetentionRule::place(&self.rules, topic)];
        for event in events {
            line.bytes += event.retained_bytes();
            line.events.push_back(Placed { event: Arc::clone(event), indices: indices.clone() });
        }
        if let Some(last) = events.last() {
            self.head.store(last.offset(), Ordering::SeqCst);
        }
        indices
    }

    /// Lets go what is too old though nothing is published. To be called about once a second.
    pub fn sweep(&self) {
        self.trim(&mut lock(&self.order), now_us());
    }

    fn trim(&self, order: &mut Order, now: u64) {
        let mut is_less = false;
        for (line, rule) in order.lines.iter_mut().zip(&self.rules) {
            let Retention { events, bytes, age } = rule.retention;
            let oldest = now.saturating_sub(micros(age));
            while let Some(Placed { event, .. }) = line.events.front() {
                let is_kept = line.events.len() <= events
                    && line.bytes <= bytes
                    && event.event().published_at_us >= oldest;
                if is_kept {
                    break;
                }
                self.let_go(line);
                is_less = true;
            }
        }
        while self.is_over_cap(order) {
            let oldest =
                order.lines.iter_mut().filter(|line| !line.events.is_empty()).min_by_key(|line| line.first());
            let Some(line) = oldest else { break };
            self.let_go(line);
            is_less = true;
        }
        if is_less {
            let first = order.lines.iter().map(Line::first).min().unwrap_or(u64::MAX);
            let head = self.head.load(Ordering::SeqCst);
            self.earliest.store((first - 1).min(head), Ordering::SeqCst);
        }
    }

    fn is_over_cap(&self, order: &Order) -> bool {
        let events: usize = order.lines.iter().map(|line| line.events.len()).sum();
        let bytes: u64 = order.lines.iter().map(|line| line.bytes).sum();
        events > self.cap.events || bytes > self.cap.bytes
    }

    fn let_go(&self, line: &mut Line) {
        let Some(Placed { event, indices }) = line.events.pop_front() else { return };
        line.bytes -= event.retained_bytes();
        for index in indices {
            let is_empty = {
                let mut log = index.log.write().unwrap_or_else(PoisonError::into_inner);
                // A view that nobody reads any more holds nothing.
                if log.events.front().is_some_and(|first| first.offset() == event.offset()) {
                    log.events.pop_front();
                }
                log.trimmed += 1;
                log.trimmed_through = event.offset();
                log.events.is_empty()
            };
            if is_empty {
                self.forget(index);
            }
        }
    }

    /// The index of a topic or pattern. A topic that nobody knows is an empty one; a pattern's index is made of what is
    /// there when it is first read.
    pub(crate) fn index(&self, filter: &Filter) -> Arc<TopicTail> {
        match filter.topic() {
            Some(topic) => self.topic(&topic),
            None => self.view(filter),
        }
    }

    fn view(&self, filter: &Filter) -> Arc<TopicTail> {
        let known = |views: &[Arc<TopicTail>]| views.iter().find(|view| view.name == *filter).cloned();
        if let Some(view) = known(&self.views.read().unwrap_or_else(PoisonError::into_inner)) {
            return view;
        }
        // Nothing is published meanwhile, so the view begins with all there is and misses nothing that follows.
        let mut order = lock(&self.order);
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = known(&views) {
            return view;
        }
        let earliest = self.earliest.load(Ordering::SeqCst);
        let log =
            TopicLog { trimmed_through: earliest.max(self.unknown_through(filter)), ..TopicLog::default() };
        let view = Arc::new(TopicTail::new(filter.clone(), self.relays.len(), log));
        let mut events = Vec::new();
        for line in &mut order.lines {
            for placed in &mut line.events {
                if filter.takes(placed.event.event().topic.as_str()) {
                    placed.indices.push(Arc::clone(&view));
                    events.push(Arc::clone(&placed.event));
                }
            }
        }
        events.sort_unstable_by_key(|event| event.offset());
        view.log.write().unwrap_or_else(PoisonError::into_inner).events = events.into();
        views.push(Arc::clone(&view));
        view
    }

    /// How many patterns have an index.
    pub fn patterns(&self) -> usize {
        self.views.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// A reader of the index has left. A pattern's index goes with its last reader.
    pub(crate) fn left(&self, index: Arc<TopicTail>) {
        if !index.name.is_pattern() {
            let is_empty = index.log.read().unwrap_or_else(PoisonError::into_inner).events.is_empty();
            if is_empty {
                self.forget(index);
            }
            return;
        }
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        if !index.is_read() {
            views.retain(|view| !Arc::ptr_eq(view, &index));
            index.log.write().unwrap_or_else(PoisonError::into_inner).events.clear();
        }
    }

    /// The topic's index; a topic that nobody knows is an empty one.
    fn topic(&self, name: &Topic) -> Arc<TopicTail> {
        if let Some(topic) = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(topic);
        }
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        match topics.entry(name.clone()) {
            Entry::Occupied(there) => Arc::clone(there.get()),
            Entry::Vacant(place) => {
                let name = Filter::from(name);
                let log = TopicLog { trimmed_through: self.unknown_through(&name), ..TopicLog::default() };
                let topic = TopicTail::new(name, self.relays.len(), log);
                Arc::clone(place.insert(Arc::new(topic)))
            }
        }
    }

    /// Drops the topic's index if it is empty and this was the last handle, so that topics that came and went cost
    /// nothing. A reader that comes back with an older cursor gets a reset, since nobody knows any more what it missed.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the handle is given up: a reader that kept it could go on reading"
    )]
    fn forget(&self, topic: Arc<TopicTail>) {
        let Some(name) = topic.name.topic() else { return };
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        // Two: the map's and this one. Nobody can take another while the map is locked.
        if Arc::strong_count(&topic) > 2 {
            return;
        }
        let log = topic.log.read().unwrap_or_else(PoisonError::into_inner);
        if log.events.is_empty() {
            self.forgotten.fetch_max(log.trimmed_through, Ordering::SeqCst);
            topics.remove(&name);
        }
    }

    /// Whether somebody reads the topic, by its name or by a pattern.
    pub(crate) fn is_read(&self, topic: &Topic) -> bool {
        let by_name = {
            let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
            topics.get(topic).is_some_and(|index| index.is_read())
        };
        let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
        by_name || views.iter().any(|view| view.name.takes(topic.as_str()))
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
            |topic| topic.state(name),
        )
    }

    /// The first `limit` topics by name of those that are wanted, and how many there are of these.
    pub fn topic_states(&self, limit: usize, wanted: impl Fn(&Topic) -> bool) -> (Vec<TopicState>, usize) {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = topics.iter().filter(|(name, _)| wanted(name)).collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        (all.iter().take(limit).map(|(name, topic)| topic.state(name)).collect(), all.len())
    }

    /// Wakes everybody who reads something, though nothing was published.
    pub(crate) fn wake_all(&self) {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
        for index in topics.values().chain(views.iter()) {
            for (shard, relay) in self.relays.iter().enumerate() {
                relay.notify(index, shard);
            }
        }
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

impl Line {
    /// The offset of the oldest; the largest number if there is none.
    fn first(&self) -> u64 {
        self.events.front().map_or(u64::MAX, |placed| placed.event.offset())
    }
}
