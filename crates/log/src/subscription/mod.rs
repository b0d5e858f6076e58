//! One reader's view of the log: a cursor, topics and a policy. A subscription has no queue: a slow reader is a cursor
//! that lags, and a reader that lags behind the tail reads from the archive, if there is one, on a thread that may
//! block.
//!
//! There is no step from replay to live: a subscription first registers with its topics' waiters and then always reads
//! the log, so every event is either found by a read or wakes the reader.

mod ahead;
mod begin;
mod lag;
mod lost;
mod memory;
mod older;
mod page;
mod scan;

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use fourways_shared::{After, Cursor, Filter, Offset, Policy, Reset, Technique};
use smallvec::SmallVec;

use crate::{
    encoding::Encoded,
    engine::{Floors, LagAction, LagRule, Older, Seek, Shard, Tail, TopicTail},
    sync::Arc,
};

/// The result of one read of a [`Subscription`]: a reset, events in the order of the log, or both.
#[derive(Debug, Default)]
pub struct Batch {
    /// A break in continuity, which precedes the events.
    pub reset: Option<Box<Reset>>,
    /// The events, each after the one before it in the log. One at a time is the common case and needs no allocation.
    pub events: SmallVec<[Arc<Encoded>; 1]>,
}

impl Batch {
    fn bytes(&self) -> u64 {
        self.events.iter().map(|event| event.retained_bytes()).sum()
    }
}

/// A reader of topics and patterns, with its own cursor.
///
/// Owned by one reader: a connection, which polls it on its worker's thread, or a task of the server. The log keeps no
/// reference to a subscription but its waker with each topic, which is removed when the subscription is dropped. Only
/// the [`Tail`] is shared.
pub struct Subscription {
    tail: Arc<Tail>,
    /// The topics and patterns. A single one, the common case, needs no allocation.
    topics: SmallVec<[TopicCursor; 1]>,
    shard: Shard,
    /// `None` for the server's own readers, which no meter counts.
    technique: Option<Technique>,
    policy: Policy,
    position: u64,
    /// A reset that has not been returned yet, and the cursor that the reader keeps until it is.
    pending_reset: Option<(Box<Reset>, Cursor)>,
    waker: Option<Waker>,
    /// The read of the archive under way.
    reading: Option<Reading>,
    /// The last offset that may be read; `u64::MAX` without a limit.
    until: u64,
    /// The log's head when the subscription began.
    began_at: u64,
    /// Microseconds from the publish of the last batch's newest event until the batch was returned.
    lag_us: u64,
    /// The lag rule: the action, and the number of pending events above which it is taken.
    lag: Option<(LagAction, u64)>,
    /// True once the lag rule requires the connection to be closed.
    is_too_slow: bool,
    /// True while the lag rule gives the reader only the newest event of each topic.
    is_conflating: bool,
    /// The number of confirmations of the log's end when the reader came with a cursor that the tail has not reached
    /// yet; `None` once the tail has.
    ahead_since: Option<u64>,
    /// The unfinished search for the offset at which the newest requested events begin.
    seek: Option<Seek>,
    /// True if the last poll stopped early to let other tasks run, with more of the log to look at.
    has_yielded: bool,
}

type Reading = Pin<Box<dyn Future<Output = io::Result<Read>> + Send>>;

/// The result of a read of the archive.
enum Read {
    /// Events, and the offset up to which they are complete.
    Older(Older),
    /// The offset after which the newest requested events begin.
    Begin(Offset),
}

/// The result of a look at the tail.
enum Step {
    Batch(Batch),
    Nothing,
    /// The events up to this offset are no longer in the indices: a scan or the archive must provide them.
    Behind(u64),
}

/// A topic of a subscription, with the index of the subscription's waiter in the topic's list.
#[derive(Debug)]
struct TopicCursor {
    topic: Arc<TopicTail>,
    waiter: usize,
    /// Number of the index's events, dropped ones included, at or before the position. `None` if the position is older
    /// than the index, as a client's cursor may be.
    seen: Option<u64>,
    /// Offsets up to which dropped events need no reset: it was sent, or they were dropped before the reader came.
    acknowledged_through: Floors,
}

/// The reader that a subscription is for.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'t> {
    /// Tail of the log that is read.
    pub tail: &'t Arc<Tail>,
    /// Shard of the thread that polls the subscription.
    pub shard: Shard,
    /// Technique that the reader is counted under; `None` for a reader of the server itself, which counts as no
    /// subscriber and is in no metric.
    pub technique: Option<Technique>,
    /// Every event, or only the newest of each topic.
    pub policy: Policy,
    /// Last offset to read; `None` to go on with every event that follows.
    pub until: Option<Offset>,
}

impl<'t> Reader<'t> {
    /// Returns a reader of the server itself, for every event and without an end.
    pub const fn of_server(tail: &'t Arc<Tail>) -> Self {
        Self { tail, shard: Shard::DIRECT, technique: None, policy: Policy::All, until: None }
    }

    /// Creates the subscription of this reader, from `after` on. `topics` holds at least one topic, and none twice.
    pub fn read(self, topics: &[Filter], after: After) -> Subscription {
        Subscription::of(self, topics, after)
    }
}

impl Subscription {
    /// Creates a subscription of a client that reads from `after` on. `topics` holds at least one topic, and none twice.
    pub fn new(
        tail: &Arc<Tail>,
        topics: &[Filter],
        after: After,
        policy: Policy,
        technique: Technique,
        shard: Shard,
    ) -> Self {
        Reader { policy, shard, technique: Some(technique), ..Reader::of_server(tail) }.read(topics, after)
    }

    fn of(reader: Reader<'_>, topics: &[Filter], after: After) -> Self {
        let Reader { tail, shard, technique, policy, until } = reader;
        let topics = topics.iter().map(|topic| {
            let topic = tail.join(topic, technique);
            // Registers before the head is read: the other order would lose events appended in between.
            let waiter = topic.waiters_of(shard).join();
            TopicCursor { topic, waiter, seen: None, acknowledged_through: Floors::new() }
        });
        let topics = topics.collect();
        if let Some(technique) = technique {
            tail.meter(shard, technique).begin(matches!(after, After::Cursor(_)));
        }
        let tail_head = tail.head().0;
        let tail = Arc::clone(tail);
        let mut this = Self {
            tail,
            topics,
            shard,
            technique,
            policy,
            position: 0,
            pending_reset: None,
            waker: None,
            reading: None,
            until: until.map_or(u64::MAX, |until| until.0),
            began_at: tail_head,
            lag_us: 0,
            lag: None,
            is_too_slow: false,
            is_conflating: false,
            ahead_since: None,
            seek: None,
            has_yielded: false,
        };
        this.begin(after);
        this
    }

    /// Returns the cursor up to which every event of the topics has been returned.
    ///
    /// While a reset is pending, returns the cursor from before the break: a reader that got the new cursor first, and
    /// was disconnected before the reset, would resume with it and never learn of the break.
    pub fn cursor(&self) -> Cursor {
        self.pending_reset
            .as_ref()
            .map_or_else(|| self.tail.cursor(Offset(self.position)), |(_, asked)| *asked)
    }

    /// Returns the topics and patterns of this subscription.
    pub fn topics(&self) -> impl Iterator<Item = &Filter> {
        self.topics.iter().map(|topic_cursor| topic_cursor.topic.name())
    }

    /// Applies a rule to the reader's lag; without one it may lag without limit.
    #[must_use]
    pub fn with_lag_rule(mut self, rule: Option<&LagRule>) -> Self {
        self.lag = rule.map(|rule| (rule.action, rule.events));
        self
    }

    /// Returns the microseconds from the publish of the last batch's newest event until the batch was returned.
    pub const fn lag_us(&self) -> u64 {
        self.lag_us
    }

    /// Returns true if the reader lags too far and its connection must be closed.
    pub const fn is_too_slow(&self) -> bool {
        self.is_too_slow
    }

    /// Stops reading a topic or pattern. Returns false if the subscription does not have it.
    pub fn remove(&mut self, topic: &Filter) -> bool {
        let at = self.topics.iter().position(|topic_cursor| topic_cursor.topic.name() == topic);
        at.map(|at| self.topics.swap_remove(at)).map(|topic_cursor| self.leave(topic_cursor)).is_some()
    }

    /// Waits for the next batch of at most `limit` events. Returns `None` if the deadline passes first.
    pub async fn next(&mut self, limit: usize, deadline: Instant) -> Option<Batch> {
        let next = poll_fn(|cx| self.poll_next(cx, limit));
        tokio::time::timeout_at(deadline.into(), next).await.ok()
    }

    /// Returns true if there may be more to read after the events returned so far.
    pub fn has_more(&self) -> bool {
        self.pending_reset.is_some()
            || self.seek.is_some()
            || self.position < self.tail.head().0.min(self.until)
    }

    /// Polls for the next batch of at most `limit` events. If there is none, the task is woken once there may be.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Batch> {
        let batch = ready!(self.poll_batch(cx, limit));
        let Some(technique) = self.technique else { return Poll::Ready(batch) };
        let meter = self.tail.meter(self.shard, technique);
        if let Some(reset) = &batch.reset {
            meter.reset(reset.reason);
        }
        if let Some(newest) = batch.events.last() {
            self.lag_us = meter.count_batch(batch.events.len(), newest.event().published_at_us);
            let is_old = |event: &&Arc<Encoded>| event.offset() <= self.began_at;
            // For a live reader the first comparison is enough.
            if batch.events.first().is_some_and(|first| is_old(&first)) {
                meter.caught_up(batch.events.iter().filter(is_old).count());
            }
        }
        Poll::Ready(batch)
    }

    #[inline]
    fn poll_batch(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Batch> {
        self.register(cx);
        // Looked at after the wakers are registered, so that a tail that ends from here on wakes the task.
        while self.tail.is_succeeded() && self.move_on() {
            self.register(cx);
        }
        self.leave_ahead();
        self.has_yielded = false;
        loop {
            if let Some(seek) = self.seek {
                self.seek(seek);
                if self.seek.is_some() {
                    return self.yield_now(cx);
                }
            }
            if let Some(reading) = &mut self.reading {
                let read = ready!(reading.as_mut().poll(cx));
                self.reading = None;
                if let Some(batch) = self.take(read, limit) {
                    return Poll::Ready(batch);
                }
                // The piece held none of the topics' events. Yielding lets `now` count such pieces, and stop in time.
                if self.pending_reset.is_none() && self.has_more() {
                    return self.yield_now(cx);
                }
            }
            // The wakers are registered, so an event appended from here on wakes the task.
            match self.step(limit) {
                Step::Batch(batch) => return Poll::Ready(batch),
                Step::Nothing => return Poll::Pending,
                Step::Behind(through) if self.is_in_memory() => {
                    if let Some(batch) = self.scan(through, limit) {
                        return Poll::Ready(batch);
                    }
                    if self.pending_reset.is_none() && self.position < through {
                        return self.yield_now(cx);
                    }
                }
                Step::Behind(through) => self.read_older(through, limit),
            }
        }
    }

    /// Registers the task with the waiters of all topics, unless it is registered already.
    fn register(&mut self, cx: &Context<'_>) {
        if self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            for topic_cursor in &self.topics {
                topic_cursor.topic.waiters_of(self.shard).wait(topic_cursor.waiter, cx.waker());
            }
        }
    }

    /// Returns `Pending` and wakes the task at once, so that other tasks run in between.
    fn yield_now(&mut self, cx: &Context<'_>) -> Poll<Batch> {
        self.has_yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads the next batch from the tail's indices.
    fn step(&mut self, limit: usize) -> Step {
        let head = self.tail.head().0.min(self.until);
        if self.pending_reset.is_none() && head <= self.position {
            return Step::Nothing;
        }
        let mut batch =
            Batch { reset: self.pending_reset.take().map(|(reset, _)| reset), ..Batch::default() };
        if head > self.position {
            let behind = match self.policy {
                Policy::All if self.is_conflating => {
                    let behind = self.read_latest(&mut batch, head, limit);
                    self.is_conflating = behind.is_some() || self.position < head;
                    self.count_seen();
                    behind
                }
                Policy::All => {
                    let behind = self.read_all(&mut batch, head, limit);
                    self.judge_lag(head);
                    behind
                }
                Policy::Latest => self.read_latest(&mut batch, head, limit),
            };
            // A pending reset is returned before older events are looked for.
            if let (Some(through), None) = (behind, &batch.reset) {
                return Step::Behind(through);
            }
        }
        if batch.reset.is_some() || !batch.events.is_empty() { Step::Batch(batch) } else { Step::Nothing }
    }

    /// Returns true if one event may be in the indices of several topics of this subscription.
    fn may_overlap(&self) -> bool {
        self.topics.len() > 1 && self.has_pattern()
    }

    fn has_pattern(&self) -> bool {
        self.topics().any(Filter::is_pattern)
    }

    fn leave(&self, topic_cursor: TopicCursor) {
        topic_cursor.topic.waiters_of(self.shard).leave(topic_cursor.waiter);
        self.tail.left(topic_cursor.topic, self.technique);
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let topics: Vec<_> = self.topics().collect();
        f.debug_struct("Subscription")
            .field("topics", &topics)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        for topic_cursor in std::mem::take(&mut self.topics) {
            self.leave(topic_cursor);
        }
        if self.ahead_since.is_some() {
            self.tail.count_ahead(false);
        }
        if let Some(technique) = self.technique {
            self.tail.meter(self.shard, technique).end();
        }
    }
}
