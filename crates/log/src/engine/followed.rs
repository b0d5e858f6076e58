//! The keeping half of an engine: a log whose offsets are assigned elsewhere, such as by a cluster's stream.
//!
//! ```text
//! order ─► put ─► copy (memory, or a thread and its files) ─► keys ─► tail ─► head
//! ```
//! A [`FollowedLog`] is fed by one task, with every event in the order of offsets. It serves readers as any other log does,
//! also while the order can't be reached.

use std::{io, path::PathBuf};

use fourways_shared::{Cursor, Epoch, Event, Offset};
use tokio::sync::{Semaphore, watch};

use super::{
    Ages, Append, Clock, EngineError, Key, Now, RetentionRule, Shard, SystemClock, Tail, TailCap,
    disk::{CopyPlace, DiskCopy, OpenCopy},
    keys::{Content, Keys, Use},
};
use crate::{
    encoding::Encoded,
    sync::{Arc, Mutex, PoisonError, RwLock, lock},
};

/// Size of the appends that may wait for the copy at once, in KiB.
const MAX_WAITING_KIB: u32 = 64 * 1024;

/// The place where a followed log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copy {
    /// The memory of the process: each start takes everything from the order again.
    Memory,
    /// A folder of files, with the newest events in memory too. A start takes only what is missing.
    Disk {
        /// Folder that holds the files.
        folder: PathBuf,
        /// The part of the log that is kept in memory too.
        cap: TailCap,
    },
}

/// The events of one append, with the offsets that they were given elsewhere.
#[derive(Debug)]
pub struct Followed {
    /// The events: at least one, all of one topic, in the order of offsets.
    pub events: Vec<Event>,
    /// The publisher, if the events carry an idempotency key (see [`Key::by`]).
    pub by: Option<Box<str>>,
}

/// The newest event that can be read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of times that the log has begun anew in this process.
    pub beginnings: u64,
    /// Offset of the newest event.
    pub offset: Offset,
}

/// A log whose offsets are assigned elsewhere.
///
/// One engine owns it. [`Self::put`] and [`Self::begin_anew`] are called by one task; the other methods by any thread.
#[derive(Debug)]
pub struct FollowedLog {
    at: Copy,
    rules: Vec<RetentionRule>,
    workers: usize,
    clock: Arc<dyn Clock>,
    present: RwLock<Present>,
    room: Arc<Semaphore>,
    head: watch::Sender<Head>,
}

/// The present copy of the log.
#[derive(Debug)]
struct Present {
    tail: Arc<Tail>,
    kept: Arc<Kept>,
    /// `None` if the tail is the whole copy.
    disk: Option<DiskCopy>,
}

/// The state of a copy that the thread that keeps it changes and publishers read. Both hold each lock for a few
/// instructions.
#[derive(Debug)]
pub(super) struct Kept {
    keys: Mutex<Keys>,
    beginnings: u64,
    head: watch::Sender<Head>,
    stuck: Mutex<Option<String>>,
}

impl Kept {
    /// Remembers the idempotency keys of appends. Called before the appends can be read.
    pub(super) fn remember(&self, appends: &[Followed], now: Now) {
        let mut keys = lock(&self.keys);
        keys.forget(now);
        for Followed { events, by } in appends {
            let Some(first) = events.first() else { continue };
            let Some(id) = first.id.clone() else { continue };
            let content =
                |content: Content, event: &Event| content.and(Content::of_one(&event.name, &event.data));
            let content = events.iter().fold(Content::default(), content);
            let place = (first.cursor.offset.0, events.len());
            keys.keep(first.topic.clone(), Key { id, by: by.clone() }, content, place, now);
        }
    }

    /// Tells those who wait for it that the events up to this offset can be read.
    pub(super) fn reached(&self, offset: u64) {
        self.head.send_if_modified(|head| {
            let is_present = head.beginnings == self.beginnings;
            head.offset = if is_present { Offset(offset) } else { head.offset };
            is_present
        });
    }

    /// Records why nothing can be kept at present; `None` once it can.
    pub(super) fn say_stuck(&self, why: Option<String>) {
        *lock(&self.stuck) = why;
    }
}

impl FollowedLog {
    /// Opens the copy that an earlier process left. `None` if there is none, or none that can be trusted. Blocks while
    /// the copy is read. The last of the rules applies to every topic that no other rule matches; `workers` is the number
    /// of threads that serve (see [`Shard`]).
    ///
    /// # Errors
    /// If the folder is in use, holds the log of a single server, or can't be read or written.
    pub fn resume(at: Copy, rules: Vec<RetentionRule>, workers: usize) -> io::Result<Option<Self>> {
        let Copy::Disk { folder, cap } = &at else { return Ok(None) };
        let place = CopyPlace { folder: folder.clone(), cap: *cap };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let head = watch::Sender::new(Head { beginnings: 0, offset: Offset(0) });
        let mut shared = None;
        let kept = |tail: &Arc<Tail>| Arc::clone(shared.insert(Kept::new(tail, 0, &head)));
        let Some(open) = place.resume(&rules, workers, Arc::clone(&clock), kept)? else { return Ok(None) };
        let Some(kept) = shared else { return Ok(None) };
        let present = Present::of(open, kept);
        Ok(Some(Self::with(at, rules, workers, clock, present, head)))
    }

    /// Begins an empty copy of the log of this epoch, for the events after an offset; what an earlier process left is
    /// removed.
    ///
    /// # Errors
    /// As for [`Self::resume`].
    pub fn begin(
        at: Copy,
        rules: Vec<RetentionRule>,
        workers: usize,
        (epoch, after): (Epoch, Offset),
    ) -> io::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let head = watch::Sender::new(Head { beginnings: 0, offset: after });
        let from = Beginning { epoch, after, beginnings: 0, before: None };
        let present = from.present(&at, &rules, workers, &clock, &head)?;
        Ok(Self::with(at, rules, workers, clock, present, head))
    }

    fn with(
        at: Copy,
        rules: Vec<RetentionRule>,
        workers: usize,
        clock: Arc<dyn Clock>,
        present: Present,
        head: watch::Sender<Head>,
    ) -> Self {
        let room = Arc::new(Semaphore::new(MAX_WAITING_KIB as usize));
        Self { at, rules, workers, clock, present: RwLock::new(present), room, head }
    }

    /// Returns the tail of the present copy.
    pub fn tail(&self) -> Arc<Tail> {
        Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner).tail)
    }

    /// Returns the newest event in memory that also outlives the process, to compare it with the order's; `None` if
    /// retention has dropped them all.
    pub fn newest_kept(&self) -> Option<Arc<Encoded>> {
        self.tail().newest_kept()
    }

    /// Returns a receiver that sees every change of the newest event that can be read here.
    pub fn head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// Returns why nothing can be kept at present, if that is so.
    pub fn stuck(&self) -> Option<String> {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        lock(&present.kept.stuck).clone()
    }

    /// Keeps appends that follow those before, in their order, and waits while too much is waiting for the disk. Events
    /// that are `live` have just been published; others are as old as their time of publishing says.
    pub async fn put(&self, appends: Vec<Followed>, is_live: bool) {
        let events = || appends.iter().flat_map(|append| &append.events);
        let Some(oldest_us) = events().map(|event| event.published_at_us).min() else { return };
        let bytes: usize = events().map(|event| 64 + event.data.len()).sum();
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).min(MAX_WAITING_KIB);
        // The semaphore is never closed.
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(kib).await else { return };
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        let arrived_us = (!is_live).then(|| present.tail.ages().then_us(oldest_us));
        let Some(disk) = &present.disk else {
            let last = appends.iter().rev().find_map(|append| append.events.last());
            let last = last.map_or(0, |last| last.cursor.offset.0);
            present.kept.remember(&appends, present.tail.ages().now());
            present.tail.put_all(appends.into_iter().map(|append| append.events), arrived_us);
            present.kept.reached(last);
            return;
        };
        disk.keep(appends, arrived_us, room);
    }

    /// Looks an append's key up among the keys of what can be read here. Returns the cursors of the first append with
    /// this key; `None` if the key is not known here.
    ///
    /// # Errors
    /// [`EngineError::KeyReused`] if the key was used for other events.
    pub fn look(&self, append: &Append) -> Result<Option<Vec<Cursor>>, EngineError> {
        let Some(key) = &append.key else { return Ok(None) };
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        let keys = lock(&present.kept.keys);
        match keys.look(&append.topic, key, Content::of(&append.drafts)) {
            Use::New => Ok(None),
            Use::Other => Err(EngineError::KeyReused),
            Use::Same { first, count } => {
                let cursors = (first..).take(count).map(|offset| present.tail.cursor(Offset(offset)));
                Ok(Some(cursors.collect()))
            }
        }
    }

    /// Records the end of the log, as just asked of those who decide its order. Readers with a cursor after it are told
    /// so, once it was confirmed twice.
    pub fn confirm_end(&self, offset: Offset) {
        self.tail().confirm_end(offset);
    }

    /// Begins an empty copy for the events after an offset, in this epoch. Readers go on in it with the cursors that they
    /// have, and get a `reset` if what they are to get next is not in it. Blocks while files are made.
    ///
    /// # Errors
    /// If the files can't be made; then nothing has changed.
    pub fn begin_anew(&self, epoch: Epoch, after: Offset) -> io::Result<()> {
        let beginnings = self.head.borrow().beginnings + 1;
        let before = self.tail();
        let from = Beginning { epoch, after, beginnings, before: Some(&before) };
        let next = from.present(&self.at, &self.rules, self.workers, &self.clock, &self.head)?;
        let tail = Arc::clone(&next.tail);
        let old = std::mem::replace(&mut *self.present.write().unwrap_or_else(PoisonError::into_inner), next);
        self.head.send_replace(Head { beginnings, offset: tail.head() });
        before.succeed(tail);
        if let Some(mut disk) = old.disk {
            disk.close();
        }
        Ok(())
    }

    /// Blocks until everything is where it is kept. Nothing may be put afterwards.
    pub fn close(&self) {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(disk) = &mut present.disk {
            disk.close();
        }
    }
}

/// The beginning of an empty copy.
struct Beginning<'t> {
    epoch: Epoch,
    after: Offset,
    beginnings: u64,
    before: Option<&'t Tail>,
}

impl Beginning<'_> {
    fn present(
        self,
        at: &Copy,
        rules: &[RetentionRule],
        workers: usize,
        clock: &Arc<dyn Clock>,
        head: &watch::Sender<Head>,
    ) -> io::Result<Present> {
        let Self { epoch, after, beginnings, before } = self;
        match at {
            Copy::Memory => {
                let ages = Arc::new(Ages::new(Arc::clone(clock), None));
                let tail = Tail::new(epoch, rules.to_vec(), Shard::count(workers), ages).following();
                let tail =
                    Arc::new(if let Some(before) = before { tail.with_meters_of(before) } else { tail });
                tail.begin_at(after);
                Ok(Present { kept: Kept::new(&tail, beginnings, head), tail, disk: None })
            }
            Copy::Disk { folder, cap } => {
                let place = CopyPlace { folder: folder.clone(), cap: *cap };
                let mut shared = None;
                let kept = |tail: &Arc<Tail>| Arc::clone(shared.insert(Kept::new(tail, beginnings, head)));
                let open = place.begin((epoch, after), rules, workers, Arc::clone(clock), before, kept)?;
                let kept = shared.ok_or_else(|| io::Error::other("the copy was not opened"))?;
                Ok(Present::of(open, kept))
            }
        }
    }
}

impl Present {
    fn of(open: OpenCopy, kept: Arc<Kept>) -> Self {
        *lock(&kept.keys) = open.keys;
        Self { tail: open.tail, kept, disk: Some(open.copy) }
    }
}

impl Kept {
    fn new(tail: &Tail, beginnings: u64, head: &watch::Sender<Head>) -> Arc<Self> {
        if beginnings == 0 {
            head.send_replace(Head { beginnings, offset: tail.head() });
        }
        let (keys, stuck) = (Mutex::default(), Mutex::default());
        Arc::new(Self { keys, beginnings, head: head.clone(), stuck })
    }
}
