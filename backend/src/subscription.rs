//! One reader's view of the log: a cursor, topics and a policy. It has no queue: a slow one is a cursor that lags, and
//! one that lags behind the tail reads from the archive, if there is one, on a thread that may block.
//!
//! From replay to live there is no step: a subscription takes its place among the waiters first and then always reads
//! the log, so there is no moment at which an event is neither in what was read nor in what wakes it.

use std::{
    collections::HashSet,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use fourways_shared::{After, Cursor, Filter, Offset, Policy, Reset, ResetReason, ResetTag, Technique};
use smallvec::SmallVec;

use crate::{
    encoding::Encoded,
    engine::{Archive, LagAction, LagRule, Older, Selection, Shard, Tail, TopicTail},
    sync::{Arc, Ordering, PoisonError},
};

/// A batch ends with the event that fills it, so that a long backlog of large events is not copied at once.
const POLL_BYTES: u64 = 256 * 1024;
/// The same for a stream, which is asked again as soon as its socket has taken this.
const STREAM_BYTES: u64 = 8 * 1024;

/// What one `next` returned: at least a reset or an event, in the order of the log.
#[derive(Debug, Default)]
pub struct Batch {
    /// Comes before the events.
    pub reset: Option<Box<Reset>>,
    /// One event at a time is the common case and needs no allocation.
    pub events: SmallVec<[Arc<Encoded>; 1]>,
}

/// A reader of some topics. Dropping it frees its place at once.
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
    /// A read of the archive that is under way.
    reading: Option<Reading>,
    /// Nothing behind this offset is read.
    until: u64,
    /// What is done when too much is pending, and how much that is.
    lag: Option<(LagAction, u64)>,
    /// It was too much, and its connection is to end.
    is_too_slow: bool,
    /// It was too much: what is pending is read as the newest of each topic.
    is_conflating: bool,
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
}

impl Place {
    /// Its topic has an event behind the position.
    fn has_more(&self, position: u64) -> bool {
        let log = self.topic.log.read().unwrap_or_else(PoisonError::into_inner);
        log.events.back().is_some_and(|event| event.offset() > position)
    }
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
        let topics = topics.iter().map(|topic| {
            let topic = tail.index(topic);
            topic.subscribers(technique).fetch_add(1, Ordering::Relaxed);
            // Joins before the head is read: the other order loses what is appended in between.
            let waiter = topic.waiters_of(shard).join();
            Place { topic, waiter, seen: None }
        });
        let topics = topics.collect();
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
            lag: None,
            is_too_slow: false,
            is_conflating: false,
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

    /// What there is now, older events included; `None`: nothing. It waits for the archive, and for nothing else.
    pub async fn now(&mut self, limit: usize) -> Option<Batch> {
        poll_fn(|cx| match self.poll_next(cx, limit) {
            Poll::Ready(batch) => Poll::Ready(Some(batch)),
            Poll::Pending if self.reading.is_none() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// The next batch of at most `limit` events.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Batch> {
        if self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            for place in &self.topics {
                place.topic.waiters_of(self.shard).wait(place.waiter, cx.waker());
            }
        }
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(reading.as_mut().poll(cx));
                self.reading = None;
                if let Some(batch) = self.take(read) {
                    return Poll::Ready(batch);
                }
            }
            // Reads after it waits: an event that is appended from here on wakes it.
            match self.step(limit) {
                Step::Batch(batch) => return Poll::Ready(batch),
                Step::Nothing => return Poll::Pending,
                Step::Behind(through) => self.read_older(through, limit),
            }
        }
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
                Policy::All if std::mem::take(&mut self.is_conflating) => {
                    let behind = self.read_latest(&mut batch, head);
                    self.count_seen();
                    behind
                }
                Policy::All => {
                    let behind = self.read_all(&mut batch, head, limit);
                    self.judge_lag(head);
                    behind
                }
                Policy::Latest => self.read_latest(&mut batch, head),
            };
            // A reset that is due is told first.
            if let (Some(through), None) = (behind, &batch.reset) {
                return Step::Behind(through);
            }
        }
        if batch.reset.is_some() || !batch.events.is_empty() { Step::Batch(batch) } else { Step::Nothing }
    }

    /// Does what the rule says if too much is still pending.
    fn judge_lag(&mut self, head: u64) {
        let Some((action, most)) = self.lag else { return };
        // Offsets are of all topics: as many at least.
        if head.saturating_sub(self.position) <= most {
            return;
        }
        let pending = self.pending();
        if pending.is_some_and(|pending| pending <= most) {
            return;
        }
        let before = self.cursor();
        let missed = match action {
            LagAction::Cut => return self.is_too_slow = true,
            LagAction::Skip => {
                self.position = head;
                self.count_seen();
                pending
            }
            LagAction::Conflate => {
                self.is_conflating = true;
                // How many topics a pattern has is not counted.
                let is_countable = self.topics().all(|topic| !topic.is_pattern());
                let left = self.topics.iter().filter(|place| place.has_more(self.position)).count() as u64;
                pending.filter(|_| is_countable).map(|pending| pending.saturating_sub(left))
            }
        };
        self.untold = Some((Box::new(self.reset(ResetReason::Lag, missed)), before));
    }

    /// How many events of the topics lie behind the position; unknown where some are in the archive alone.
    fn pending(&self) -> Option<u64> {
        self.topics.iter().try_fold(0, |sum, place| {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let seen = place.seen.filter(|seen| *seen >= log.trimmed)?;
            Some(sum + (log.trimmed + log.events.len() as u64).saturating_sub(seen))
        })
    }

    fn read_older(&mut self, through: u64, limit: usize) {
        let (after, through) = (Offset(self.position), Offset(through.min(self.until)));
        let policy = self.policy;
        self.read(move |archive, selection| {
            let older = match policy {
                Policy::All => archive.read(selection, after, through, limit),
                Policy::Latest => archive.latest(selection, after, through),
            };
            older.map(Read::Older)
        });
    }

    /// Reads from the archive, on a thread that may block.
    fn read(&mut self, read: impl FnOnce(&dyn Archive, Selection<'_>) -> io::Result<Read> + Send + 'static) {
        let Some(archive) = self.tail.archive().cloned() else { return };
        let filters: Vec<Filter> = self.topics().cloned().collect();
        let blocking = tokio::task::spawn_blocking(move || read(&*archive, Selection(&filters)));
        self.reading = Some(Box::pin(async move { blocking.await.map_err(io::Error::other)? }));
    }

    /// Goes on from what was read.
    fn take(&mut self, read: io::Result<Read>) -> Option<Batch> {
        let mut batch = Batch::default();
        match read {
            Ok(Read::Begin(offset)) => self.position = offset.0,
            Ok(Read::Older(older)) => {
                // What was unsubscribed meanwhile is not wanted any more.
                let wanted = |event: &Arc<Encoded>| {
                    self.topics.iter().any(|place| place.topic.name().takes(event.event().topic.as_str()))
                };
                batch.events = older.events.into_iter().filter(wanted).collect();
                self.position = older.through.0;
                if let Some(resumes) = older.resumes_after {
                    let before = self.cursor();
                    self.position = resumes.0;
                    self.untold = Some((Box::new(self.reset(ResetReason::Retention, None)), before));
                }
            }
            Err(error) => {
                tracing::error!(%error, "older events can't be read; a reader goes on with what is in memory");
                let before = self.cursor();
                self.position = self.in_memory();
                self.untold = Some((Box::new(self.reset(ResetReason::Retention, None)), before));
            }
        }
        self.count_seen();
        (!batch.events.is_empty()).then_some(batch)
    }

    fn begin(&mut self, after: After) {
        let (newest, head) = (self.tail.head().0, self.tail.head().0.min(self.until));
        self.position = match after {
            After::Head => head,
            After::Earliest => self.tail.earliest().0.max(self.floor()),
            After::Last(count) => {
                let (found, position) = self.before_last(count.get() as usize, head);
                if found < count.get() as usize && self.tail.archive().is_some() {
                    self.begin_older(count.get() as usize - found);
                    return;
                }
                position
            }
            // An offset beyond the head is of a life of the log that this one doesn't know.
            After::Cursor(cursor) if cursor.epoch != self.tail.epoch() || cursor.offset.0 > newest => {
                let reset = self.break_off(ResetReason::Epoch, None);
                self.untold = Some((Box::new(reset), cursor));
                return;
            }
            After::Cursor(cursor) => cursor.offset.0,
        };
        self.count_seen();
        let is_behind = self.topics.iter().any(|place| place.seen.is_none());
        let is_archived = self.tail.archive().is_some() && self.position >= self.floor();
        // What is earliest may be let go between the two reads above, and that is no break.
        match after {
            _ if !is_behind || is_archived || self.policy == Policy::Latest => {}
            After::Cursor(cursor) => {
                let reset = self.break_off(ResetReason::Retention, None);
                self.untold = Some((Box::new(reset), cursor));
            }
            _ => self.position = self.oldest(),
        }
    }

    /// Looks in the archive for where the newest `count` events begin that are not in memory.
    fn begin_older(&mut self, count: usize) {
        let through = Offset(self.in_memory().min(self.until));
        // Until it is known: a reader that is cut off before gets more than it asked for, and misses nothing.
        self.position = self.floor().min(through.0);
        self.read(move |archive, selection| {
            archive.before_newest(selection, through, count).map(Read::Begin)
        });
    }

    /// Goes on at the oldest retained event; the reader must be told.
    fn break_off(&mut self, reason: ResetReason, missed: Option<u64>) -> Reset {
        self.position = self.oldest();
        self.reading = None;
        for place in &mut self.topics {
            place.seen = None;
        }
        self.reset(reason, missed)
    }

    /// Says that it goes on at its position.
    fn reset(&self, reason: ResetReason, missed: Option<u64>) -> Reset {
        let earliest = self.tail.cursor(self.tail.earliest());
        let topics = self.topics().cloned().collect();
        let cursor = self.tail.cursor(Offset(self.position));
        Reset { kind: ResetTag::Reset, reason, missed, earliest, cursor, topics }
    }

    /// The place before the oldest event that can still be read of all topics.
    fn oldest(&self) -> u64 {
        match self.tail.archive() {
            Some(_) => self.floor(),
            None => self.in_memory().max(self.tail.earliest().0),
        }
    }

    /// The place from which on everything of all topics is in memory.
    fn in_memory(&self) -> u64 {
        self.topics.iter().map(|place| place.topic.trimmed_through()).max().unwrap_or(0)
    }

    /// Up to here the archive may have let events of these topics go.
    fn floor(&self) -> u64 {
        let Some(archive) = self.tail.archive() else { return 0 };
        let filters: SmallVec<[Filter; 1]> = self.topics().cloned().collect();
        let volatile = self.topics.iter().filter(|place| self.tail.is_volatile(place.topic.name()));
        let gone = volatile.map(|place| place.topic.trimmed_through());
        archive.floor(Selection(&filters)).0.max(gone.max().unwrap_or(0))
    }

    /// How many of the newest `count` events up to `head` are in memory, and the place before them.
    fn before_last(&self, count: usize, head: u64) -> (usize, u64) {
        let mut newest: Vec<u64> = Vec::new();
        for place in &self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let end = log.first_after(head);
            newest.extend(log.events.range(end.saturating_sub(count)..end).map(|event| event.offset()));
        }
        newest.sort_unstable_by(|a, b| b.cmp(a));
        // In two patterns at once it is one event all the same.
        newest.dedup();
        newest.truncate(count);
        (newest.len(), newest.last().map_or(head, |oldest| oldest - 1))
    }

    /// Reads what follows; where that is in the archive alone, up to which offset.
    fn read_all(&mut self, batch: &mut Batch, head: u64, limit: usize) -> Option<u64> {
        let mut missed = Some(0);
        let mut behind = 0;
        for place in &mut self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let from = match place.seen {
                Some(seen) if seen < log.trimmed => {
                    behind = behind.max(log.trimmed_through);
                    missed = missed.map(|missed| missed + (log.trimmed - seen));
                    continue;
                }
                // Both bounded by the retained events, so it fits.
                Some(seen) => usize::try_from(seen - log.trimmed).unwrap_or(usize::MAX),
                None if self.position < log.trimmed_through => {
                    behind = behind.max(log.trimmed_through);
                    missed = None;
                    continue;
                }
                None => log.first_after(self.position),
            };
            let pending = log.events.range(from.min(log.events.len())..);
            let pending = pending.take(limit).take_while(|event| event.offset() <= head);
            let before = batch.events.len();
            batch.events.extend(pending.cloned());
            place.seen = Some(log.trimmed + (from + batch.events.len() - before) as u64);
        }
        if missed != Some(0) {
            batch.events.clear();
            // Places that were read have counted what is thrown away here.
            self.count_seen();
            if self.tail.archive().is_some() {
                if self.position >= self.floor() {
                    return Some(behind);
                }
                missed = None;
            }
            batch.reset = Some(Box::new(self.break_off(ResetReason::Lag, missed)));
            return None;
        }
        if self.topics.len() > 1 {
            batch.events.sort_unstable_by_key(|event| event.offset());
            batch.events.dedup_by_key(|event| event.offset());
        }
        let found = batch.events.len();
        let mut room = if self.technique.is_stream() { STREAM_BYTES } else { POLL_BYTES };
        let fitting = batch.events.iter().take_while(|event| {
            let fits = room > 0;
            room = room.saturating_sub(event.retained_bytes());
            fits
        });
        let kept = fitting.count().min(limit);
        batch.events.truncate(kept);
        self.position = match batch.events.last() {
            Some(last) if kept == limit || kept < found => last.offset(),
            _ => head,
        };
        if kept < found {
            self.count_seen();
        }
        None
    }

    /// Reads the newest of each topic; where that may be in the archive alone, up to which offset.
    fn read_latest(&mut self, batch: &mut Batch, head: u64) -> Option<u64> {
        let mut behind = 0;
        for place in &self.topics {
            let log = place.topic.log.read().unwrap_or_else(PoisonError::into_inner);
            let end = log.first_after(head);
            let newer = log.events.range(..end).rev().take_while(|event| event.offset() > self.position);
            let before = batch.events.len();
            if place.topic.name().is_pattern() {
                let mut topics = HashSet::new();
                batch.events.extend(newer.filter(|event| topics.insert(&event.event().topic)).cloned());
            } else {
                batch.events.extend(newer.take(1).cloned());
            }
            // The newest is always worth having; only if it is gone itself has the reader lost something.
            if batch.events.len() == before || place.topic.name().is_pattern() {
                behind = behind.max(log.trimmed_through);
            }
        }
        batch.events.sort_unstable_by_key(|event| event.offset());
        batch.events.dedup_by_key(|event| event.offset());
        let lost = behind > self.position;
        if lost && self.tail.archive().is_some() && batch.reset.is_none() {
            batch.events.clear();
            return Some(behind);
        }
        if lost && batch.reset.is_none() {
            batch.reset = Some(Box::new(self.break_off(ResetReason::Retention, None)));
        }
        self.position = head;
        None
    }

    /// What each topic has given is what lies at or before the position.
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
        self.tail.left(place.topic);
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
    }
}
