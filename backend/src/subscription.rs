//! One reader's view of the log: a cursor, topics and a policy. It has no queue: a slow one is a cursor that lags.
//!
//! From replay to live there is no step: a subscription takes its place among the waiters first and then always reads
//! the log, so there is no moment at which an event is neither in what was read nor in what wakes it.

use std::{
    future::poll_fn,
    task::{Context, Poll, Waker},
    time::Instant,
};

use fourways_shared::{After, Cursor, Offset, Policy, Reset, ResetReason, ResetTag, Technique, Topic};
use smallvec::SmallVec;

use crate::{
    encoding::Encoded,
    engine::{Shard, Tail, TopicTail},
    sync::{Arc, Ordering, PoisonError},
};

/// A batch ends with the event that fills it, so that a long backlog of large events is not copied at once.
const BATCH_BYTES: u64 = 256 * 1024;

/// What one `next` returned: at least a reset or an event, in the order of the log.
#[derive(Debug, Default)]
pub struct Batch {
    /// Comes before the events.
    pub reset: Option<Box<Reset>>,
    /// One event at a time is the common case and needs no allocation.
    pub events: SmallVec<[Arc<Encoded>; 1]>,
}

/// A reader of some topics. Dropping it frees its place at once.
#[derive(Debug)]
pub struct Subscription {
    tail: Arc<Tail>,
    /// One is the common case: it lies here, not behind a pointer.
    topics: SmallVec<[Place; 1]>,
    shard: Shard,
    technique: Technique,
    policy: Policy,
    position: u64,
    /// A break that the reader has not been told of yet, and the cursor that it came with.
    untold: Option<(Box<Reset>, Cursor)>,
    waker: Option<Waker>,
}

/// A topic of a subscription, and its place among the topic's waiters.
#[derive(Debug)]
struct Place {
    topic: Arc<TopicTail>,
    waiter: usize,
    /// How many events of the topic, from the first ever, lie at or before the position; unknown for a cursor that
    /// came from outside and is older than what is retained.
    seen: Option<u64>,
}

impl Subscription {
    /// Begins to read. `topics` holds at least one and none twice.
    pub fn new(
        tail: &Arc<Tail>,
        topics: &[Topic],
        after: After,
        policy: Policy,
        technique: Technique,
        shard: Shard,
    ) -> Self {
        let topics = topics.iter().map(|topic| {
            let topic = tail.topic(topic);
            topic.subscribers(technique).fetch_add(1, Ordering::Relaxed);
            // Joins before the head is read: the other order loses what is appended in between.
            let waiter = topic.waiters_of(shard).join();
            Place { topic, waiter, seen: None }
        });
        let topics = topics.collect();
        let tail = Arc::clone(tail);
        let mut this =
            Self { tail, topics, shard, technique, policy, position: 0, untold: None, waker: None };
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

    /// The topics.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.iter().map(|place| place.topic.name())
    }

    /// Stops reading a topic; false if it was none of these.
    pub fn remove(&mut self, topic: &Topic) -> bool {
        let at = self.topics.iter().position(|place| place.topic.name() == topic);
        at.map(|at| self.topics.swap_remove(at)).map(|place| self.leave(place)).is_some()
    }

    /// Waits for the next batch of at most `limit` events, until the deadline at most; `None`: nothing came.
    pub async fn next(&mut self, limit: usize, deadline: Instant) -> Option<Batch> {
        let next = poll_fn(|cx| self.poll_next(cx, limit));
        tokio::time::timeout_at(deadline.into(), next).await.ok()
    }

    /// What there is now; `None`: nothing.
    pub fn now(&mut self, limit: usize) -> Option<Batch> {
        let head = self.tail.head().0;
        if self.untold.is_none() && head == self.position {
            return None;
        }
        let mut batch = Batch { reset: self.untold.take().map(|(reset, _)| reset), ..Batch::default() };
        if head > self.position {
            match self.policy {
                Policy::All => self.read_all(&mut batch, head, limit),
                Policy::Latest => self.read_latest(&mut batch, head),
            }
        }
        (batch.reset.is_some() || !batch.events.is_empty()).then_some(batch)
    }

    /// The next batch of at most `limit` events.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Batch> {
        if self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            for place in &self.topics {
                place.topic.waiters_of(self.shard).wait(place.waiter, cx.waker());
            }
        }
        // Reads after it waits: an event that is appended from here on wakes it.
        self.now(limit).map_or(Poll::Pending, Poll::Ready)
    }

    fn begin(&mut self, after: After) {
        let head = self.tail.head().0;
        self.position = match after {
            After::Head => head,
            After::Earliest => self.tail.earliest().0,
            After::Last(count) => self.before_last(count.get() as usize, head),
            // An offset beyond the head is of a life of the log that this one doesn't know.
            After::Cursor(cursor) if cursor.epoch != self.tail.epoch() || cursor.offset.0 > head => {
                let reset = self.break_off(ResetReason::Epoch, None);
                self.untold = Some((Box::new(reset), cursor));
                return;
            }
            After::Cursor(cursor) => cursor.offset.0,
        };
        for place in &mut self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            if self.position >= log.trimmed_through {
                place.seen = Some(log.trimmed + log.first_after(self.position) as u64);
            }
        }
        let is_behind = self.topics.iter().any(|place| place.seen.is_none());
        // What is earliest may be let go between the two reads above, and that is no break.
        match after {
            _ if !is_behind || self.policy == Policy::Latest => {}
            After::Cursor(cursor) => {
                let reset = self.break_off(ResetReason::Retention, None);
                self.untold = Some((Box::new(reset), cursor));
            }
            _ => self.position = self.oldest(),
        }
    }

    /// Goes on at the oldest retained event; the reader must be told.
    fn break_off(&mut self, reason: ResetReason, missed: Option<u64>) -> Reset {
        self.position = self.oldest();
        for place in &mut self.topics {
            place.seen = None;
        }
        let earliest = self.tail.cursor(self.tail.earliest());
        let topics = self.topics().cloned().collect();
        let cursor = self.tail.cursor(Offset(self.position));
        Reset { kind: ResetTag::Reset, reason, missed, earliest, cursor, topics }
    }

    /// The place before the oldest event that can still be read of all topics.
    fn oldest(&self) -> u64 {
        let trimmed = self
            .topics
            .iter()
            .map(|place| place.topic.log.read().unwrap_or_else(PoisonError::into_inner).trimmed_through);
        trimmed.max().unwrap_or(0).max(self.tail.earliest().0)
    }

    /// The place before the newest `count` events up to `head`.
    fn before_last(&self, count: usize, head: u64) -> u64 {
        let mut newest: Vec<u64> = Vec::new();
        for place in &self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let end = log.first_after(head);
            newest
                .extend(log.events.range(end.saturating_sub(count)..end).map(|e| e.event().cursor.offset.0));
        }
        newest.sort_unstable_by(|a, b| b.cmp(a));
        newest.truncate(count);
        newest.last().map_or(head, |oldest| oldest - 1)
    }

    fn read_all(&mut self, batch: &mut Batch, head: u64, limit: usize) {
        let mut missed = Some(0);
        for place in &mut self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let from = match place.seen {
                Some(seen) if seen < log.trimmed => {
                    missed = missed.map(|missed| missed + (log.trimmed - seen));
                    continue;
                }
                // Both bounded by the retained events, so it fits.
                Some(seen) => usize::try_from(seen - log.trimmed).unwrap_or(usize::MAX),
                None if self.position < log.trimmed_through => {
                    missed = None;
                    continue;
                }
                None => log.first_after(self.position),
            };
            let pending = log.events.range(from.min(log.events.len())..);
            let pending = pending.take(limit).take_while(|event| event.event().cursor.offset.0 <= head);
            let before = batch.events.len();
            batch.events.extend(pending.cloned());
            place.seen = Some(log.trimmed + (from + batch.events.len() - before) as u64);
        }
        if missed != Some(0) {
            batch.events.clear();
            batch.reset = Some(Box::new(self.break_off(ResetReason::Lag, missed)));
            return;
        }
        if self.topics.len() > 1 {
            batch.events.sort_unstable_by_key(|event| event.event().cursor.offset);
        }
        let found = batch.events.len();
        let mut room = BATCH_BYTES;
        let fitting = batch.events.iter().take_while(|event| {
            let fits = room > 0;
            room = room.saturating_sub(event.retained_bytes());
            fits
        });
        let kept = fitting.count().min(limit);
        batch.events.truncate(kept);
        self.position = match batch.events.last() {
            Some(last) if kept == limit || kept < found => last.event().cursor.offset.0,
            _ => head,
        };
        if kept < found {
            self.count_seen();
        }
    }

    fn read_latest(&mut self, batch: &mut Batch, head: u64) {
        let mut lost = false;
        for place in &self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let end = log.first_after(head);
            match log.events.range(..end).next_back() {
                Some(newest) if newest.event().cursor.offset.0 > self.position => {
                    batch.events.push(Arc::clone(newest));
                }
                // The newest is always worth having; only if it is gone itself has the reader lost something.
                _ => lost |= log.trimmed_through > self.position,
            }
        }
        batch.events.sort_unstable_by_key(|event| event.event().cursor.offset);
        if lost && batch.reset.is_none() {
            batch.reset = Some(Box::new(self.break_off(ResetReason::Retention, None)));
        }
        self.position = head;
    }

    /// Some topics gave more than fitted: what they have seen is what lies at or before the position.
    fn count_seen(&mut self) {
        for place in &mut self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            place.seen = (self.position >= log.trimmed_through)
                .then(|| log.trimmed + log.first_after(self.position) as u64);
        }
    }

    fn leave(&self, place: Place) {
        place.topic.waiters_of(self.shard).leave(place.waiter);
        place.topic.subscribers(self.technique).fetch_sub(1, Ordering::Relaxed);
        let is_empty = place.topic.log.read().unwrap_or_else(PoisonError::into_inner).events.is_empty();
        if is_empty {
            self.tail.forget(place.topic);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        for place in std::mem::take(&mut self.topics) {
            self.leave(place);
        }
    }
}
