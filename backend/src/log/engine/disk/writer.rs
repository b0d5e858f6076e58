//! The one thread that writes the log.
//!
//! Appends that come while the disk is at work wait, and go to it together: the slower the disk, the more share a sync.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use fourways_shared::{Cursor, Event, Topic};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    Durability,
    block::Builder,
    segment::{Held, Segment},
    store::Store,
};
use crate::log::engine::{
    Append, EngineError, Last, Now, RetentionRule, Tail,
    sequence::{Numbered, Sequence},
};

/// An append and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) append: Append,
    pub(super) answer: oneshot::Sender<Result<Vec<Cursor>, EngineError>>,
    /// Given back once it is answered.
    pub(super) room: OwnedSemaphorePermit,
}

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Keep this.
    Keep(Job),
    /// Let go what is not retained, though it is not time yet.
    Sweep,
    /// End, once what came before is kept.
    Close,
}

/// A commit ends with the append that fills it, so that the first of them is not kept waiting.
const MAX_COMMIT_BYTES: usize = 8 << 20;
/// So many numbers are said to be given out before they are, so that it need not be said for each.
const RESERVE: u64 = 1 << 16;
/// Topics of what was let go that are counted at once.
const DISCOUNTED: usize = 4096;
/// How often what is too old is let go.
const SWEEP: Duration = Duration::from_secs(1);

/// What is said of a disk that has lost what was acknowledged, or may have kept what was refused.
const BROKEN: &str = "nobody knows what the disk has kept; nothing more is taken until a restart";

/// Writes.
#[derive(Debug)]
pub(super) struct Writer {
    store: Arc<Store>,
    tail: Arc<Tail>,
    sequence: Sequence,
    reserved: u64,
    rules: Vec<RetentionRule>,
    durability: Durability,
    jobs: Receiver<Order>,
    is_closing: bool,
    /// The disk has lost what was acknowledged.
    is_broken: bool,
    /// Written, and not on the disk yet.
    unsynced: Vec<Arc<Segment>>,
    /// What was let go and still counts: of each topic so many events.
    gone: Vec<(Topic, u64)>,
    synced_at: Instant,
    swept_at: Instant,
}

/// An append in a commit.
struct Taken {
    answer: oneshot::Sender<Result<Vec<Cursor>, EngineError>>,
    _room: OwnedSemaphorePermit,
    cursors: Result<Vec<Cursor>, EngineError>,
    events: Vec<Event>,
}

impl Writer {
    pub(super) fn new(
        store: Arc<Store>,
        tail: Arc<Tail>,
        sequence: Sequence,
        rules: Vec<RetentionRule>,
        durability: Durability,
        jobs: Receiver<Order>,
    ) -> Self {
        let (reserved, now) = (sequence.head(), Instant::now());
        Self {
            store,
            tail,
            sequence,
            reserved,
            rules,
            durability,
            jobs,
            is_closing: false,
            is_broken: false,
            unsynced: Vec::new(),
            gone: Vec::new(),
            synced_at: now,
            swept_at: now,
        }
    }

    /// Ends when it is told to, or nobody can append any more.
    pub(super) fn run(mut self) {
        while !self.is_closing {
            match self.jobs.recv_timeout(self.next_duty()) {
                Ok(Order::Keep(job)) => self.commit(job),
                Ok(Order::Sweep) => self.sweep(),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Close) | Err(RecvTimeoutError::Disconnected) => break,
            }
            self.do_duties();
        }
        let ages = self.tail.ages();
        let stopped = Last { wall_us: ages.wall_us(), came_us: ages.now().us };
        let closed = self
            .sync()
            .and_then(|()| self.store.reserve(self.sequence.head()))
            .and_then(|()| self.store.say_stopped(stopped));
        if let Err(error) = closed {
            tracing::error!(%error, "the log could not be closed in order");
        }
    }

    fn next_duty(&self) -> Duration {
        if !self.gone.is_empty() {
            return Duration::ZERO;
        }
        let sweep = SWEEP.saturating_sub(self.swept_at.elapsed());
        match self.durability {
            Durability::Interval(every) if !self.unsynced.is_empty() => {
                sweep.min(every.saturating_sub(self.synced_at.elapsed()))
            }
            _ => sweep,
        }
    }

    fn do_duties(&mut self) {
        if let Durability::Interval(every) = self.durability
            && !self.unsynced.is_empty()
            && self.synced_at.elapsed() >= every
            && let Err(error) = self.sync()
        {
            tracing::error!(%error, "what was acknowledged since the last sync: {BROKEN}");
        }
        if self.swept_at.elapsed() >= SWEEP {
            self.sweep();
        }
        // In pieces: who publishes meanwhile waits for one of them at most.
        let left = self.gone.len().saturating_sub(DISCOUNTED);
        self.store.discount(self.gone.drain(left..));
    }

    fn sweep(&mut self) {
        self.swept_at = Instant::now();
        let ages = self.tail.ages();
        ages.settle();
        let now = ages.now();
        self.sequence.forget_keys(now);
        for shelf in self.store.shelves() {
            let mut gone = |segment: &Segment| self.gone.extend(segment.held());
            if let Err(error) = shelf.sweep(self.sequence.head(), now, self.store.epoch(), &mut gone) {
                tracing::warn!(%error, folder = %shelf.folder().display(), "old events can't be let go");
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.synced_at = Instant::now();
        // All of them, whatever comes of one.
        let synced: Vec<_> =
            std::mem::take(&mut self.unsynced).iter().map(|segment| synced(segment, &self.tail)).collect();
        let synced: io::Result<()> = synced.into_iter().collect();
        // What could not be synced can't be told from what was: the system reports an error once, and the next sync says
        // that all is well. So nothing more is acknowledged.
        self.is_broken |= synced.is_err();
        synced
    }

    /// Keeps an append and those that wait behind it, all with one sync, and answers them.
    fn commit(&mut self, first: Job) {
        if self.is_broken {
            let why = "the disk has failed; the server takes events again once it is restarted";
            // A publisher that has gone does not want to know.
            drop(first.answer.send(Err(EngineError::Unavailable(why.to_owned()))));
            return;
        }
        let mark = self.sequence.mark();
        let (wall_us, now) = (self.tail.ages().wall_us(), self.tail.ages().now());
        let mut taken = Vec::new();
        let mut blocks: BTreeMap<usize, Builder> = BTreeMap::new();
        let mut bytes = 0;
        let mut next = Some(first);
        let mut is_sweep_due = false;
        while let Some(Job { append, answer, room }) = next {
            let place = RetentionRule::place(&self.rules, &append.topic);
            let (cursors, events) = match self.sequence.number(append, wall_us, now) {
                Ok(Numbered::Before(cursors)) => (Ok(cursors), Vec::new()),
                Ok(Numbered::New(events)) => (Ok(events.iter().map(|event| event.cursor).collect()), events),
                Err(error) => (Err(error), Vec::new()),
            };
            if !self.rules[place].is_volatile && !events.is_empty() {
                let block = blocks.entry(place).or_default();
                for (at, event) in events.iter().enumerate() {
                    block.push(event, at > 0);
                    bytes += event.data.len() + 64;
                }
            }
            taken.push(Taken { answer, _room: room, cursors, events });
            next = match if bytes < MAX_COMMIT_BYTES { self.jobs.try_recv().ok() } else { None } {
                Some(Order::Keep(job)) => Some(job),
                Some(Order::Sweep) => {
                    is_sweep_due = true;
                    None
                }
                Some(Order::Close) => {
                    self.is_closing = true;
                    None
                }
                None => None,
            };
        }
        match self.keep(blocks, now, mark_head(&taken, self.sequence.head())) {
            Ok(()) => {
                self.store.count(taken.iter().filter_map(|taken| {
                    let (first, last) = (taken.events.first()?, taken.events.last()?);
                    let is_kept = !self.rules[RetentionRule::place(&self.rules, &first.topic)].is_volatile;
                    let (events, first_at, last) =
                        (taken.events.len() as u64, first.cursor.offset.0, last.cursor.offset.0);
                    is_kept.then_some((&first.topic, Held { events, first: first_at, last }))
                }));
                for Taken { answer, cursors, events, .. } in taken {
                    self.tail.put(events);
                    // A publisher that has gone does not want to know.
                    drop(answer.send(cursors));
                }
            }
            Err(error) => {
                self.sequence.roll_back(mark);
                tracing::error!(%error, appends = taken.len(), "the log can't be written");
                for Taken { answer, .. } in taken {
                    drop(answer.send(Err(EngineError::of_disk(&error))));
                }
            }
        }
        if is_sweep_due {
            self.sweep();
        }
    }

    /// Writes the blocks, each to its shelf, and has the disk keep them; all of them or none.
    fn keep(&mut self, blocks: BTreeMap<usize, Builder>, now: Now, head: u64) -> io::Result<()> {
        let mut written: Vec<(Arc<Segment>, Vec<u8>)> = Vec::with_capacity(blocks.len());
        if self.sequence.head() > self.reserved {
            self.store.reserve(self.sequence.head() + RESERVE)?;
            self.reserved = self.sequence.head() + RESERVE;
        }
        let keep = || -> io::Result<()> {
            for (place, block) in blocks {
                let segment = self.store.shelves()[place].active(head, now, self.store.epoch())?;
                let block = block.finish(segment.synced(), now.us, segment.salt());
                written.push((Arc::clone(&segment), block));
                segment.write(&written[written.len() - 1].1)?;
            }
            if self.durability == Durability::Always {
                for (segment, _) in &written {
                    synced(segment, &self.tail)?;
                }
            }
            Ok(())
        };
        let kept = keep();
        for (segment, block) in written {
            match (&kept, self.durability) {
                (Err(_), _) => {
                    // If the disk does not take it back either, what it has kept may come back at the next start, and
                    // must not stand beside others of the same numbers.
                    if let Err(error) = segment.roll_back() {
                        tracing::error!(%error, file = %segment.path().display(), "{BROKEN}");
                        self.is_broken = true;
                    }
                }
                (Ok(()), Durability::Always) => segment.commit(&block, now.us),
                (Ok(()), Durability::Interval(_)) => {
                    segment.commit(&block, now.us);
                    if !self.unsynced.iter().any(|known| Arc::ptr_eq(known, &segment)) {
                        self.unsynced.push(segment);
                    }
                }
            }
        }
        kept
    }
}

/// The offset before the first event of a commit.
fn mark_head(taken: &[Taken], head: u64) -> u64 {
    let first = taken.iter().find_map(|taken| taken.events.first());
    first.map_or(head, |event| event.cursor.offset.0 - 1)
}
/// Has the disk keep what a segment holds, and counts how long that took.
fn synced(segment: &Segment, tail: &Tail) -> io::Result<()> {
    let began = Instant::now();
    segment.sync()?;
    tail.meters().fsync.observe(began.elapsed());
    Ok(())
}
