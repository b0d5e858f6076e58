//! Keeps events that have their offsets: writes them to the shelves, syncs, and drops what retention no longer keeps.
//! Each kind of log has a thread that owns a [`Keeper`].

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use fourways_shared::{Event, Topic};

use super::{
    Durability,
    block::{Block, Builder},
    segment::{Held, Segment},
    store::Store,
};
use crate::engine::{Last, Now, RetentionRule, Tail};

/// Size after which a commit takes no further append, in bytes, so that the first of them does not wait long.
const MAX_COMMIT_BYTES: usize = 8 << 20;
/// Number of dropped topics that are removed from the catalogue at once.
const DISCOUNTED: usize = 4096;
/// Time between two sweeps, which drop what retention no longer keeps.
const SWEEP: Duration = Duration::from_secs(1);

/// Text for a disk that has lost acknowledged events, or may have kept refused ones.
const BROKEN: &str = "it is unknown what the disk has kept; no events are accepted until a restart";

/// The only place that changes the files of a log. One thread owns it.
#[derive(Debug)]
pub(super) struct Keeper {
    store: Arc<Store>,
    tail: Arc<Tail>,
    rules: Vec<RetentionRule>,
    durability: Durability,
    /// A write or sync failed in such a way that it is unknown what the disk has kept. Nothing may be kept any more.
    is_broken: bool,
    /// Segments that were written and are not synced yet.
    unsynced: Vec<Arc<Segment>>,
    /// Dropped events that the catalogue still counts: topics, and the number of events of each.
    gone: Vec<(Topic, u64)>,
    synced_at: Instant,
    swept_at: Instant,
}

/// The events of one commit, as a block for each shelf.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    by_shelf: BTreeMap<usize, Builder>,
    bytes: usize,
}

impl Blocks {
    /// Adds the events of one append, unless its topic is volatile.
    pub(super) fn add(&mut self, rules: &[RetentionRule], events: &[Event]) {
        let Some(first) = events.first() else { return };
        let place = RetentionRule::index_of(rules, &first.topic);
        if rules[place].is_volatile {
            return;
        }
        let block = self.by_shelf.entry(place).or_default();
        for (at, event) in events.iter().enumerate() {
            block.push(event, at > 0);
            self.bytes += event.data.len() + 64;
        }
    }

    /// True if no further append belongs in this commit.
    pub(super) const fn are_full(&self) -> bool {
        self.bytes >= MAX_COMMIT_BYTES
    }
}

impl Keeper {
    pub(super) fn new(
        store: Arc<Store>,
        tail: Arc<Tail>,
        rules: Vec<RetentionRule>,
        durability: Durability,
    ) -> Self {
        let now = Instant::now();
        Self {
            store,
            tail,
            rules,
            durability,
            is_broken: false,
            unsynced: Vec::new(),
            gone: Vec::new(),
            synced_at: now,
            swept_at: now,
        }
    }

    /// Returns the log's files.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the tail of the log.
    pub(super) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Returns the retention rules.
    pub(super) fn rules(&self) -> &[RetentionRule] {
        &self.rules
    }

    /// True if it is unknown what the disk has kept, so that nothing may be kept until a restart.
    pub(super) const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Adds kept appends to the catalogue of topics. Before this, they are in the files, but in no list.
    pub(super) fn count<'a>(&self, appends: impl Iterator<Item = &'a [Event]>) {
        self.store.count(appends.filter_map(|events| {
            let (first, last) = (events.first()?, events.last()?);
            let is_kept = !self.rules[RetentionRule::index_of(&self.rules, &first.topic)].is_volatile;
            let held = Held {
                events: events.len() as u64,
                first: first.cursor.offset.0,
                last: last.cursor.offset.0,
            };
            is_kept.then_some((&first.topic, held))
        }));
    }

    /// Records a clean stop.
    ///
    /// # Errors
    /// If the file can't be written.
    pub(super) fn write_stopped(&self) -> io::Result<()> {
        let ages = self.tail.ages();
        self.store.write_stopped(Last { wall_us: ages.wall_us(), arrived_us: ages.now().us })
    }

    /// Returns the time until the next duty: a sync, a sweep, or a piece of one.
    pub(super) fn next_duty(&self) -> Duration {
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

    /// Does the duties that are due. `head` is the last offset that was assigned.
    pub(super) fn do_duties(&mut self, head: u64) {
        if let Durability::Interval(every) = self.durability
            && !self.unsynced.is_empty()
            && self.synced_at.elapsed() >= every
            && let Err(error) = self.sync()
        {
            tracing::error!(%error, "events acknowledged since the last sync may be lost: {BROKEN}");
        }
        if self.swept_at.elapsed() >= SWEEP {
            self.sweep(head);
        }
        // In pieces, so that a publisher waits for one of them at most.
        let left = self.gone.len().saturating_sub(DISCOUNTED);
        self.store.discount(self.gone.drain(left..));
    }

    /// Drops what retention no longer keeps. `head` is the last offset that was assigned.
    pub(super) fn sweep(&mut self, head: u64) {
        self.swept_at = Instant::now();
        let ages = self.tail.ages();
        ages.settle();
        let now = ages.now();
        for shelf in self.store.shelves() {
            let mut gone = |segment: &Segment| self.gone.extend(segment.held());
            if let Err(error) = shelf.sweep(head, now, self.store.epoch(), &mut gone) {
                tracing::warn!(%error, folder = %shelf.folder().display(), "old events can't be dropped");
            }
        }
    }

    /// Syncs everything that was written.
    ///
    /// # Errors
    /// If the disk fails; it is then unknown what the disk has kept.
    pub(super) fn sync(&mut self) -> io::Result<()> {
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

    /// Writes each block to its shelf and syncs as configured; keeps all blocks or none. `head` is the offset before
    /// the first event, `arrived_us` the time from which the age of the events counts.
    ///
    /// # Errors
    /// If the disk is full or fails. None of the events is kept then, unless [`Self::is_broken`].
    pub(super) fn keep(&mut self, blocks: Blocks, now: Now, arrived_us: u64, head: u64) -> io::Result<()> {
        let mut written: Vec<(Arc<Segment>, Block)> = Vec::with_capacity(blocks.by_shelf.len());
        let keep = || -> io::Result<()> {
            for (place, block) in blocks.by_shelf {
                let segment = self.store.shelves()[place].active(head, now, self.store.epoch())?;
                let block = block.finish(segment.synced(), arrived_us, segment.salt());
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
                (Ok(()), Durability::Always) => segment.commit(&block, arrived_us),
                (Ok(()), Durability::Interval(_)) => {
                    segment.commit(&block, arrived_us);
                    if !self.unsynced.iter().any(|known| Arc::ptr_eq(known, &segment)) {
                        self.unsynced.push(segment);
                    }
                }
            }
        }
        kept
    }
}

/// Syncs a segment, and counts how long it took.
fn synced(segment: &Segment, tail: &Tail) -> io::Result<()> {
    let began = Instant::now();
    segment.sync()?;
    tail.meters().fsync.observe(began.elapsed());
    Ok(())
}
