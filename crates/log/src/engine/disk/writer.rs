//! The one thread that writes the log.
//!
//! Appends that arrive while the disk is busy wait and are then committed together: the slower the disk, the more
//! appends share an fsync.

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
    block::{Block, Builder},
    segment::{Held, Segment},
    store::Store,
};
use crate::engine::{
    Append, EngineError, Last, Now, RetentionRule, Tail,
    sequence::{Numbered, Sequence},
};

/// An append, and the channel on which its publisher waits.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) append: Append,
    pub(super) answer: oneshot::Sender<Result<Vec<Cursor>, EngineError>>,
    /// Permit for the queue's space, returned once the append is answered.
    pub(super) room: OwnedSemaphorePermit,
}

/// A message to the writer.
#[derive(Debug)]
pub(super) enum WriterMessage {
    /// Keep an append.
    Keep(Job),
    /// Drop now what retention no longer keeps.
    Sweep,
    /// End after everything before it.
    Close,
}

/// Size after which a commit takes no further append, in bytes, so that the first of them does not wait long.
const MAX_COMMIT_BYTES: usize = 8 << 20;
/// Number of offsets that are reserved at once, so that the file is written once for them all and not for each event.
const RESERVE: u64 = 1 << 16;
/// Number of dropped topics that are removed from the catalogue at once.
const DISCOUNTED: usize = 4096;
/// Time between two sweeps, which drop what retention no longer keeps.
const SWEEP: Duration = Duration::from_secs(1);

/// Text for a disk that has lost acknowledged events, or may have kept refused ones.
const BROKEN: &str = "it is unknown what the disk has kept; no events are accepted until a restart";

/// The state of the thread that numbers, writes, syncs and answers appends, and that sweeps.
///
/// The thread owns it; nothing else numbers events or changes files. It runs until [`WriterMessage::Close`], or until the
/// engine is gone.
#[derive(Debug)]
pub(super) struct Writer {
    store: Arc<Store>,
    tail: Arc<Tail>,
    sequence: Sequence,
    reserved: u64,
    rules: Vec<RetentionRule>,
    durability: Durability,
    jobs: Receiver<WriterMessage>,
    is_closing: bool,
    /// A write or sync failed in such a way that it is unknown what the disk has kept. No append is accepted any
    /// more.
    is_broken: bool,
    /// Segments that were written and are not synced yet.
    unsynced: Vec<Arc<Segment>>,
    /// Dropped events that the catalogue still counts: topics, and the number of events of each.
    gone: Vec<(Topic, u64)>,
    synced_at: Instant,
    swept_at: Instant,
}

/// An append that is part of a commit.
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
        jobs: Receiver<WriterMessage>,
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

    /// Runs until it is told to close, or nobody can append any more; then syncs, and records a clean stop.
    pub(super) fn run(mut self) {
        while !self.is_closing {
            match self.jobs.recv_timeout(self.next_duty()) {
                Ok(WriterMessage::Keep(job)) => self.commit(job),
                Ok(WriterMessage::Sweep) => self.sweep(),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(WriterMessage::Close) | Err(RecvTimeoutError::Disconnected) => break,
            }
            self.do_duties();
        }
        let ages = self.tail.ages();
        let stopped = Last { wall_us: ages.wall_us(), arrived_us: ages.now().us };
        let closed = self
            .sync()
            .and_then(|()| self.store.reserve(self.sequence.head()))
            .and_then(|()| self.store.write_stopped(stopped));
        if let Err(error) = closed {
            tracing::error!(%error, "the log could not be closed cleanly");
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
            tracing::error!(%error, "events acknowledged since the last sync may be lost: {BROKEN}");
        }
        if self.swept_at.elapsed() >= SWEEP {
            self.sweep();
        }
        // In pieces, so that a publisher waits for one of them at most.
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
                tracing::warn!(%error, folder = %shelf.folder().display(), "old events can't be dropped");
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.synced_at = Instant::now();
        // Syncs every segment, even if one fails.
        let synced: Vec<_> =
            std::mem::take(&mut self.unsynced).iter().map(|segment| synced(segment, &self.tail)).collect();
        let synced: io::Result<()> = synced.into_iter().collect();
        // A failed sync leaves it unknown what is on the disk: the system reports an error once, and the next sync
        // succeeds as if nothing had happened. So nothing more is acknowledged.
        self.is_broken |= synced.is_err();
        synced
    }

    /// Keeps an append and those that wait behind it, all with one sync, and answers them.
    fn commit(&mut self, first: Job) {
        if self.is_broken {
            let why = "the disk has failed; the server accepts events again after a restart";
            // A publisher that has gone needs no answer.
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
            let place = RetentionRule::index_of(&self.rules, &append.topic);
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
                Some(WriterMessage::Keep(job)) => Some(job),
                Some(WriterMessage::Sweep) => {
                    is_sweep_due = true;
                    None
                }
                Some(WriterMessage::Close) => {
                    self.is_closing = true;
                    None
                }
                None => None,
            };
        }
        match self.keep(blocks, now, offset_before(&taken, self.sequence.head())) {
            Ok(()) => {
                self.store.count(taken.iter().filter_map(|taken| {
                    let (first, last) = (taken.events.first()?, taken.events.last()?);
                    let is_kept = !self.rules[RetentionRule::index_of(&self.rules, &first.topic)].is_volatile;
                    let (events, first_at, last) =
                        (taken.events.len() as u64, first.cursor.offset.0, last.cursor.offset.0);
                    is_kept.then_some((&first.topic, Held { events, first: first_at, last }))
                }));
                for Taken { answer, cursors, events, .. } in taken {
                    self.tail.put(events);
                    // A publisher that has gone needs no answer.
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

    /// Writes each block to its shelf and syncs as configured; keeps all blocks or none.
    fn keep(&mut self, blocks: BTreeMap<usize, Builder>, now: Now, head: u64) -> io::Result<()> {
        let mut written: Vec<(Arc<Segment>, Block)> = Vec::with_capacity(blocks.len());
        if self.sequence.head() > self.reserved {
            self.store.reserve(self.sequence.head() + RESERVE)?;
            self.reserved = self.sequence.head() + RESERVE;
        }
        let keep = || -> io::Result<()> {
            for (place, block) in blocks {
                let segment = self.store.shelves()[place].active(head, now, self.store.epoch())?;
                let block = block.finish(segment.synced(), now.us, segment.salt());
                written.push((Arc::clone(&segment), block));
                segment.write(&written[written.len() - 1].1.bytes)?;
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
                    // If the roll-back fails too, the block may reappear at the next start, and must not stand beside
                    // others with the same offsets.
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

/// Returns the offset before the first event of a commit.
fn offset_before(taken: &[Taken], head: u64) -> u64 {
    let first = taken.iter().find_map(|taken| taken.events.first());
    first.map_or(head, |event| event.cursor.offset.0 - 1)
}
/// Syncs a segment, and counts how long it took.
fn synced(segment: &Segment, tail: &Tail) -> io::Result<()> {
    let began = Instant::now();
    segment.sync()?;
    tail.meters().fsync.observe(began.elapsed());
    Ok(())
}
