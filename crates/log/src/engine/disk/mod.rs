//! The log on the disk: every acknowledged event is still there after a crash, at the same offset of the same epoch.
//!
//! ```text
//! append ─► writer (one thread): number ─► block ─► segment ─► sync ─► tail ─► answer
//!                                                      │
//!                 a subscription behind the tail ◄── store (archive)
//! ```
//!
//! With [`Durability::Always`] nobody sees an event before the disk has it. With [`Durability::Interval`] readers may
//! have seen events that a power failure takes away; their offsets are not assigned again. Events of volatile topics
//! are in the tail only.

mod block;
mod catalogue;
mod check;
mod files;
mod findings;
mod followed;
#[cfg(fuzzing)]
mod fuzzing;
mod keeper;
mod lives;
mod reading;
mod segment;
mod shelf;
mod store;
mod writer;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use fourways_shared::{Epoch, EventId, Filter, Offset, Topic};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

pub(super) use self::followed::{CopyPlace, DiskCopy, OpenCopy};
#[cfg(fuzzing)]
pub use self::fuzzing::segments;
use self::{
    block::Stored,
    keeper::Keeper,
    store::{Opened, Store},
    writer::{Job, Writer, WriterMessage},
};
pub use self::{
    check::{Checked, LogError, check, check_on, renew},
    files::{Files, OpenFile, OpenMode, SystemFiles},
    findings::{Finding, FindingKind},
};
use super::{
    Ages, Append, Appending, Archive as _, Clock, Engine, EngineError, KEY_WINDOW, MAX_KEYS, RetentionRule,
    Selection, Shard, SystemClock, Tail, TailCap, keys::Content, micros, sequence::Sequence,
};

/// The moment an append is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once the events are on the disk (fsync). Appends that wait at the same time share one fsync.
    Always,
    /// Once the kernel has the events: they survive the process, but not a power failure until the next fsync. There
    /// is one every interval.
    Interval(Duration),
}

/// Size of the appends that may wait for the disk at once, in KiB. Further publishers wait for space.
const MAX_WAITING_KIB: u32 = 64 * 1024;
/// Time that a publisher waits, for space and again for the answer, before the append fails. A disk this far behind
/// will not catch up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A log on the disk, with its end in memory.
///
/// Appends are sent to the writer's thread, which numbers, writes and answers them. Dropping the engine closes it.
#[derive(Debug)]
pub struct DiskEngine {
    tail: Arc<Tail>,
    jobs: mpsc::Sender<WriterMessage>,
    room: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl DiskEngine {
    /// Opens the log in a folder, or begins a new one. Blocks while every byte is read. The last of the rules applies
    /// to every topic that no other rule matches; `workers` is the number of threads that serve (see [`Shard`]).
    ///
    /// # Errors
    /// If another server has the log open, or it can't be read or written. Damage is not an error: it is logged and
    /// skipped.
    pub fn open(
        folder: &Path,
        rules: Vec<RetentionRule>,
        cap: TailCap,
        durability: Durability,
        workers: usize,
    ) -> io::Result<Self> {
        let clock = Arc::new(SystemClock::default());
        Self::open_on((Arc::new(SystemFiles), clock), folder, rules, cap, durability, workers)
    }

    /// Opens a log with other files and clocks than the system's.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_on(
        (files, clock): (Arc<dyn Files>, Arc<dyn Clock>),
        folder: &Path,
        rules: Vec<RetentionRule>,
        cap: TailCap,
        durability: Durability,
        workers: usize,
    ) -> io::Result<Self> {
        let log = OpenLog::open((files, clock), folder, None, &rules, cap, |tail| tail, workers)?;
        let OpenLog { store, tail, head, keys, .. } = log;
        let mut sequence = Sequence::new(store.epoch(), head);
        keys.each_recent(tail.ages(), |topic, id, content, place, arrived_us| {
            sequence.restore(topic, id, content, place, arrived_us);
        });
        let (jobs, waiting) = mpsc::channel();
        let keeper = Keeper::new(Arc::clone(&store), Arc::clone(&tail), rules, durability);
        let writer = Writer::new(keeper, sequence, waiting);
        let writer = std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.run())?;
        let room = Arc::new(Semaphore::new(MAX_WAITING_KIB as usize));
        Ok(Self { tail, jobs, room, writer: Mutex::new(Some(writer)) })
    }
}

impl DiskEngine {
    /// Drops what retention no longer keeps, after the appends that were made before and ahead of later ones. The
    /// writer does so once a second by itself; this does not wait for it.
    pub fn sweep(&self) {
        // A closed log keeps what it has.
        drop(self.jobs.send(WriterMessage::Sweep));
    }
}

impl Engine for DiskEngine {
    fn tail(&self) -> Arc<Tail> {
        Arc::clone(&self.tail)
    }

    fn append(&self, append: Append) -> Appending<'_> {
        let late =
            |_| EngineError::Unavailable("the disk does not keep up; retry with the same key".to_owned());
        let closed = || EngineError::Unavailable("the log is being closed".to_owned());
        Box::pin(async move {
            let bytes: usize = append.drafts.iter().map(|draft| 64 + draft.data.len()).sum();
            let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).min(MAX_WAITING_KIB);
            let room =
                timeout(PATIENCE, Arc::clone(&self.room).acquire_many_owned(kib)).await.map_err(late)?;
            let room = room.map_err(|_| closed())?;
            let (answer, answered) = oneshot::channel();
            self.jobs.send(WriterMessage::Keep(Job { append, answer, room })).map_err(|_| closed())?;
            timeout(PATIENCE, answered).await.map_err(late)?.map_err(|_| closed())?
        })
    }

    fn close(&self) {
        // Fails if the log was closed before: the thread has ended then.
        drop(self.jobs.send(WriterMessage::Close));
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The writer does not panic; if it did, there would be nobody left to tell.
            drop(writer.join());
        }
    }
}

impl Drop for DiskEngine {
    fn drop(&mut self) {
        self.close();
    }
}

/// The files of a log, and the tail that was made of them.
struct OpenLog {
    store: Arc<Store>,
    tail: Arc<Tail>,
    /// Highest offset that was assigned, or may have been.
    head: u64,
    keys: Keys,
    /// Some of what was written is lost.
    is_damaged: bool,
}

impl OpenLog {
    /// Opens the log in a folder, or begins a new one, with the given epoch or with one of its own. `shape` makes the
    /// empty tail what it is to be. Reports damage to the server's own log.
    fn open(
        (files, clock): (Arc<dyn Files>, Arc<dyn Clock>),
        folder: &Path,
        epoch: Option<Epoch>,
        rules: &[RetentionRule],
        cap: TailCap,
        shape: impl Fn(Tail) -> Tail,
        workers: usize,
    ) -> io::Result<Self> {
        let mut keys = Keys::default();
        let mut visit = |stored: &Stored<'_>, arrived_us| keys.see(stored, arrived_us);
        let Opened { store, head, last, findings } = Store::open(files, folder, epoch, rules, &mut visit)?;
        for finding in &findings {
            if finding.is_loss() {
                tracing::error!("{finding}; it is skipped");
            } else {
                tracing::warn!("{finding}");
            }
        }
        let is_damaged = findings.iter().any(Finding::is_loss);
        let store = Arc::new(store);
        let ages = Arc::new(Ages::new(clock, last));
        store.clamp_arrivals(&ages);
        let empty = || {
            let archive = Arc::clone(&store) as Arc<dyn super::Archive>;
            let tail = Tail::new(store.epoch(), rules.to_vec(), Shard::count(workers), Arc::clone(&ages));
            shape(tail).with_archive(Offset(head), archive, cap)
        };
        let tail = Arc::new(warm(&store, empty, store.warm_after(cap), Offset(head))?);
        Ok(Self { store, tail, head, keys, is_damaged })
    }
}

/// Returns a tail that holds the events after an offset in memory, or those after the last damage that follows it.
///
/// Events before damage are not kept in memory: a reader with a cursor there must read from the archive, which reports
/// the loss.
fn warm(store: &Store, empty: impl Fn() -> Tail, after: Offset, head: Offset) -> io::Result<Tail> {
    let everything = [Filter::all()];
    let mut tail = empty();
    tail.begin_after(after);
    let mut after = after;
    while after < head {
        let page = store.read(Selection(&everything), after, head, 4096)?;
        if let Some(resumes) = page.resumes_after {
            tail = empty();
            tail.begin_after(resumes);
        } else {
            tail.put_before(&page.events);
        }
        after = page.resumes_after.unwrap_or(page.through);
    }
    Ok(tail)
}

/// The events with an idempotency key that were found while the log was opened.
#[derive(Default)]
struct Keys(Vec<Found>);

/// An event with an idempotency key.
struct Found {
    offset: u64,
    arrived_us: u64,
    topic: Topic,
    id: EventId,
    content: Content,
    continues: bool,
}

impl Keys {
    fn see(&mut self, stored: &Stored<'_>, arrived_us: u64) {
        if stored.id.is_empty() {
            return;
        }
        if let (Ok(topic), Ok(id)) = (Topic::parse(stored.topic), stored.id.parse()) {
            let Stored { offset, continues, .. } = *stored;
            self.0.push(Found { offset, arrived_us, topic, id, content: stored.content(), continues });
        }
        // Only at the end is it known which keys are recent, because the shelves are read one after the other.
        if self.0.len() > 2 * MAX_KEYS {
            self.sort();
            self.0.drain(..MAX_KEYS);
        }
    }

    fn sort(&mut self) {
        self.0.sort_unstable_by_key(|found| found.offset);
    }

    /// Calls `each` with every key of the last [`KEY_WINDOW`]: its topic, itself, a hash of its events, their place (the
    /// first offset and their number), and its arrival.
    fn each_recent(mut self, ages: &Ages, mut each: impl FnMut(Topic, EventId, Content, (u64, usize), u64)) {
        self.sort();
        let now = ages.now();
        let mut found = self.0.into_iter().peekable();
        while let Some(Found { offset, arrived_us, topic, id, content, .. }) = found.next() {
            let mut count = 1;
            let mut content = Content::default().and(content);
            // The events of an append have consecutive offsets and the same key.
            let follows = |next: &Found, count| next.continues && next.offset == offset + count as u64;
            while let Some(next) = found.next_if(|next| follows(next, count)) {
                content = content.and(next.content);
                count += 1;
            }
            let arrived_us = ages.then_us(arrived_us);
            if now.age_us(arrived_us) <= micros(KEY_WINDOW) {
                each(topic, id, content, (offset, count), arrived_us);
            }
        }
    }
}
