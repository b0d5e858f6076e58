//! One reader's view of the log: a cursor, topics and a policy. It has no queue: a slow one is a cursor that lags, and
//! one that lags behind the tail reads from the archive, if there is one, on a thread that may block.
//!
//! From replay to live there is no step: a subscription takes its place among the waiters first and then always reads
//! the log, so there is no moment at which an event is neither in what was read nor in what wakes it.

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

use crate::log::{
    encoding::Encoded,
    engine::{Floors, LagAction, LagRule, Older, Seek, Shard, Tail, TopicTail},
    sync::Arc,
};

/// What one `next` returned: at least a reset or an event, in the order of the log.
#[derive(Debug, Default)]
pub struct Batch {
    /// Comes before the events.
    pub reset: Option<Box<Reset>>,
    /// One event at a time is the common case and needs no allocation.
    pub events: SmallVec<[Arc<Encoded>; 1]>,
}

impl Batch {
    fn bytes(&self) -> u64 {
        self.events.iter().map(|event| event.retained_bytes()).sum()
    }
}

/// A reader of some topics. Dropping it frees its place at once.
pub struct Subscription {
    tail: Arc<Tail>,
    /// One is the common case: it lies here, not behind a pointer.
    topics: SmallVec<[Place; 1]>,
    shard: Shard,
    /// `None`: the server's own reader, which is in no count.
    technique: Option<Technique>,
    policy: Policy,
    position: u64,
    /// A break that the reader has not been told of yet, and the cursor that it came with.
    untold: Option<(Box<Reset>, Cursor)>,
    waker: Option<Waker>,
    /// A read of the archive that is under way.
    reading: Option<Reading>,
    /// Nothing behind this offset is read.
    until: u64,
    /// The log's head when it began.
    began_at: u64,
    /// From publish until the newest event of the last batch was returned.
    lag_us: u64,
    /// What is done when too much is pending, and how much that is.
    lag: Option<(LagAction, u64)>,
    /// It was too much, and its connection is to end.
    is_too_slow: bool,
    /// It was too much: what is pending is read as the newest of each topic.
    is_conflating: bool,
    /// Where the newest events that were asked for begin is still looked for.
    seek: Option<Seek>,
    /// It has more to look at at once, and lets others go first.
    has_yielded: bool,
}

type Reading = Pin<Box<dyn Future<Output = io::Result<Read>> + Send>>;

/// What came of a read of the archive.
enum Read {
    /// Events, and how far they go.
    Older(Older),
    /// Where to begin.
    Begin(Offset),
}

/// What the tail had.
enum Step {
    Batch(Batch),
    Nothing,
    /// What comes next is in the archive alone, up to this offset.
    Behind(u64),
}

/// A topic of a subscription, and its place among the topic's waiters.
#[derive(Debug)]
struct Place {
    topic: Arc<TopicTail>,
    waiter: usize,
    /// How many events of the topic, from the first ever, lie at or before the position; unknown for a cursor that
    /// came from outside and is older than what is retained.
    seen: Option<u64>,
    /// Up to here what was let go needs no telling any more.
    excused: Floors,
}

impl Subscription {
    /// Begins to read. `topics` holds at least one and none twice.
    pub fn new(
        tail: &Arc<Tail>,
        topics: &[Filter],
        after: After,
        policy: Policy,
        technique: Technique,
        shard: Shard,
    ) -> Self {
        Self::range((tail, shard), topics, after, None, (policy, technique))
    }

    /// Reads up to an offset, and no further. `topics` as in [`Self::new`].
    pub fn range(
        (tail, shard): (&Arc<Tail>, Shard),
        topics: &[Filter],
        after: After,
        until: Option<Offset>,
        (policy, technique): (Policy, Technique),
    ) -> Self {
        Self::of((tail, shard), topics, after, until, (policy, Some(technique)))
    }

    /// The server's own reader: no technique, no subscriber, in no figure. `topics` as in [`Self::new`].
    pub fn of_server(tail: &Arc<Tail>, topics: &[Filter], after: After) -> Self {
        Self::of((tail, Shard::DIRECT), topics, after, None, (Policy::All, None))
    }

    fn of(
        (tail, shard): (&Arc<Tail>, Shard),
        topics: &[Filter],
        after: After,
        until: Option<Offset>,
        (policy, technique): (Policy, Option<Technique>),
    ) -> Self {
        let topics = topics.iter().map(|topic| {
            let topic = tail.join(topic, technique);
            // Joins before the head is read: the other order loses what is appended in between.
            let waiter = topic.waiters_of(shard).join();
            Place { topic, waiter, seen: None, excused: Floors::new() }
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
            untold: None,
            waker: None,
            reading: None,
            until: until.map_or(u64::MAX, |until| until.0),
            began_at: tail_head,
            lag_us: 0,
            lag: None,
            is_too_slow: false,
            is_conflating: false,
            seek: None,
            has_yielded: false,
        };
        this.begin(after);
        this
    }

    /// The place up to which everything of the topics has been returned.
    ///
    /// While a reset is still to be returned, that is the reader's own cursor: told the new one before the reset, a
    /// reader that is cut off in between would come back with it and never hear of the break.
    pub fn cursor(&self) -> Cursor {
        self.untold.as_ref().map_or_else(|| self.tail.cursor(Offset(self.position)), |(_, asked)| *asked)
    }

    /// The topics and patterns.
    pub fn topics(&self) -> impl Iterator<Item = &Filter> {
        self.topics.iter().map(|place| place.topic.name())
    }

    /// Does not let it fall further behind than this.
    #[must_use]
    pub fn hold_to(mut self, rule: Option<&LagRule>) -> Self {
        self.lag = rule.map(|rule| (rule.action, rule.events));
        self
    }

    /// From publish until the newest event of the last batch was returned, in microseconds.
    pub(crate) const fn lag_us(&self) -> u64 {
        self.lag_us
    }

    /// It fell too far behind, and its connection is to end.
    pub const fn is_too_slow(&self) -> bool {
        self.is_too_slow
    }

    /// Stops reading a topic; false if it was none of these.
    pub fn remove(&mut self, topic: &Filter) -> bool {
        let at = self.topics.iter().position(|place| place.topic.name() == topic);
        at.map(|at| self.topics.swap_remove(at)).map(|place| self.leave(place)).is_some()
    }

    /// Waits for the next batch of at most `limit` events, until the deadline at most; `None`: nothing came.
    pub async fn next(&mut self, limit: usize, deadline: Instant) -> Option<Batch> {
        let next = poll_fn(|cx| self.poll_next(cx, limit));
        tokio::time::timeout_at(deadline.into(), next).await.ok()
    }

    /// Whether there may be more behind what was returned so far.
    pub fn has_more(&self) -> bool {
        self.untold.is_some() || self.seek.is_some() || self.position < self.tail.head().0.min(self.until)
    }

    /// The next batch of at most `limit` events.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Batch> {
        let batch = ready!(self.poll_batch(cx, limit));
        let Some(technique) = self.technique else { return Poll::Ready(batch) };
        let meter = self.tail.meter(self.shard, technique);
        if let Some(reset) = &batch.reset {
            meter.reset(reset.reason);
        }
        if let Some(newest) = batch.events.last() {
            self.lag_us = meter.gave(batch.events.len(), newest.event().published_at_us);
            let is_old = |event: &&Arc<Encoded>| event.offset() <= self.began_at;
            // Live, one look is enough.
            if batch.events.first().is_some_and(|first| is_old(&first)) {
                meter.caught_up(batch.events.iter().filter(is_old).count());
            }
        }
        Poll::Ready(batch)
    }

    #[inline]
    fn poll_batch(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Batch> {
        if self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            for place in &self.topics {
                place.topic.waiters_of(self.shard).wait(place.waiter, cx.waker());
            }
        }
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
                // A piece with nothing in it: a poll looks at so many of them and no more.
                if self.untold.is_none() && self.has_more() {
                    return self.yield_now(cx);
                }
            }
            // Reads after it waits: an event that is appended from here on wakes it.
            match self.step(limit) {
                Step::Batch(batch) => return Poll::Ready(batch),
                Step::Nothing => return Poll::Pending,
                Step::Behind(through) if self.is_in_memory() => {
                    if let Some(batch) = self.scan(through, limit) {
                        return Poll::Ready(batch);
                    }
                    if self.untold.is_none() && self.position < through {
                        return self.yield_now(cx);
                    }
                }
                Step::Behind(through) => self.read_older(through, limit),
            }
        }
    }

    /// Lets others go first.
    fn yield_now(&mut self, cx: &Context<'_>) -> Poll<Batch> {
        self.has_yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// What the tail has.
    fn step(&mut self, limit: usize) -> Step {
        let head = self.tail.head().0.min(self.until);
        if self.untold.is_none() && head <= self.position {
            return Step::Nothing;
        }
        let mut batch = Batch { reset: self.untold.take().map(|(reset, _)| reset), ..Batch::default() };
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
            // A reset that is due is told first.
            if let (Some(through), None) = (behind, &batch.reset) {
                return Step::Behind(through);
            }
        }
        if batch.reset.is_some() || !batch.events.is_empty() { Step::Batch(batch) } else { Step::Nothing }
    }

    /// Whether an event may be in more than one of its indices.
    fn may_overlap(&self) -> bool {
        self.topics.len() > 1 && self.has_pattern()
    }

    fn has_pattern(&self) -> bool {
        self.topics().any(Filter::is_pattern)
    }

    fn leave(&self, place: Place) {
        place.topic.waiters_of(self.shard).leave(place.waiter);
        self.tail.left(place.topic, self.technique);
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
        for place in std::mem::take(&mut self.topics) {
            self.leave(place);
        }
        if let Some(technique) = self.technique {
            self.tail.meter(self.shard, technique).end();
        }
    }
}
