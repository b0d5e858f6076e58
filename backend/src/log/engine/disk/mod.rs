//! The log on the disk: what was acknowledged is there after a crash, at the same offsets of the same epoch.
//!
//! ```text
//! append ─► writer (one thread): number ─► block ─► segment ─► sync ─► tail ─► answer
//!                                                      │
//!                 a subscription behind the tail ◄── store (archive)
//! ```
//!
//! Nobody sees an event before the disk has it: an event that was seen and then lost would leave its offset to another.

mod block;
mod catalogue;
mod check;
mod files;
mod findings;
#[cfg(fuzzing)]
mod fuzzing;
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

use fourways_shared::{EventId, Filter, Offset, Topic};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

#[cfg(fuzzing)]
pub use self::fuzzing::segments;
use self::{
    block::Stored,
    store::{Opened, Store},
    writer::{Job, Order, Writer},
};
pub use self::{
    check::{Checked, LogError, check, check_on, renew},
    files::{Files, How, OpenFile, SystemFiles},
    findings::{Finding, FindingKind},
};
use super::{
    Ages, Append, Appending, Archive as _, Clock, Engine, EngineError, KEY_WINDOW, MAX_KEYS, RetentionRule,
    Selection, Shard, SystemClock, Tail, TailCap, keys::Content, micros, sequence::Sequence,
};

/// When an append is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once the disk has it (fsync). Appends that wait together share one.
    Always,
    /// Once the kernel has it, which outlives this process but not the machine; the disk gets it so often.
    Interval(Duration),
}

/// Bytes of appends that may wait for the disk at once; whoever comes then waits for room.
const MAX_WAITING_KIB: u32 = 64 * 1024;
/// How long for. A disk that is so far behind is not going to catch up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps the log on the disk, and its end in memory.
#[derive(Debug)]
pub struct DiskEngine {
    tail: Arc<Tail>,
    jobs: mpsc::Sender<Order>,
    room: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl DiskEngine {
    /// Opens the log in a folder, or begins one. `workers`: see [`Shard`]. Of the rules, the last takes every topic
    /// that no other does.
    ///
    /// # Errors
    /// If another server has it open, or it can't be read or written. Damage is no error: it is logged, and left out.
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

    /// The same on other files, and by another clock, than the system's.
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
        let mut keys = Keys::default();
        let Opened { store, head, last, findings } =
            Store::open(files, folder, &rules, &mut |stored, came_us| keys.see(stored, came_us))?;
        for finding in &findings {
            if finding.is_loss() {
                tracing::error!("{finding}; it is left out");
            } else {
                tracing::warn!("{finding}");
            }
        }
        let store = Arc::new(store);
        let ages = Arc::new(Ages::new(clock, last));
        store.came_by(&ages);
        let mut sequence = Sequence::new(store.epoch(), head);
        keys.into_sequence(&mut sequence, &ages);
        let tail = Tail::new(store.epoch(), rules.clone(), Shard::count(workers), ages);
        let archive = Arc::clone(&store) as Arc<dyn super::Archive>;
        let tail = Arc::new(tail.with_archive(Offset(head), archive, cap));
        warm(&store, &tail, cap, Offset(head))?;
        let (jobs, waiting) = mpsc::channel();
        let writer = Writer::new(Arc::clone(&store), Arc::clone(&tail), sequence, rules, durability, waiting);
        let writer = std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.run())?;
        let room = Arc::new(Semaphore::new(MAX_WAITING_KIB as usize));
        Ok(Self { tail, jobs, room, writer: Mutex::new(Some(writer)) })
    }
}

impl DiskEngine {
    /// Lets go what is not retained, after what was appended before and ahead of what is from now on. It does so by
    /// itself once a second.
    pub fn sweep(&self) {
        // A log that is closed keeps what it has.
        drop(self.jobs.send(Order::Sweep));
    }
}

impl Engine for DiskEngine {
    fn tail(&self) -> &Arc<Tail> {
        &self.tail
    }

    fn append(&self, append: Append) -> Appending<'_> {
        let late =
            |_| EngineError::Unavailable("the disk does not keep up; repeat it with the same key".to_owned());
        let closed = || EngineError::Unavailable("the log is being closed".to_owned());
        Box::pin(async move {
            let bytes: usize = append.drafts.iter().map(|draft| 64 + draft.data.len()).sum();
            let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).min(MAX_WAITING_KIB);
            let room =
                timeout(PATIENCE, Arc::clone(&self.room).acquire_many_owned(kib)).await.map_err(late)?;
            let room = room.map_err(|_| closed())?;
            let (answer, answered) = oneshot::channel();
            self.jobs.send(Order::Keep(Job { append, answer, room })).map_err(|_| closed())?;
            timeout(PATIENCE, answered).await.map_err(late)?.map_err(|_| closed())?
        })
    }

    fn close(&self) {
        // Who has closed it already has ended the thread.
        drop(self.jobs.send(Order::Close));
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It panics on nothing; if it did, there is nobody left to tell.
            drop(writer.join());
        }
    }
}

impl Drop for DiskEngine {
    fn drop(&mut self) {
        self.close();
    }
}

/// Reads the end of the log into memory.
fn warm(store: &Store, tail: &Tail, cap: TailCap, head: Offset) -> io::Result<()> {
    let everything = [Filter::all()];
    let selection = Selection(&everything);
    let mut after = store.warm_after(cap);
    tail.begin_after(after);
    while after < head {
        let page = store.read(selection, after, head, 4096)?;
        after = page.resumes_after.unwrap_or(page.through);
        if let Some(resumes) = page.resumes_after {
            // What can't be read is behind the tail for good.
            tail.begin_after(resumes);
        }
        tail.put_before(&page.events);
    }
    Ok(())
}

/// The idempotency keys of the last minutes, in the order of the log.
#[derive(Default)]
struct Keys(Vec<Found>);

/// An event with a key.
struct Found {
    offset: u64,
    came_us: u64,
    topic: Topic,
    id: EventId,
    content: Content,
    continues: bool,
}

impl Keys {
    fn see(&mut self, stored: &Stored<'_>, came_us: u64) {
        if stored.id.is_empty() {
            return;
        }
        if let (Ok(topic), Ok(id)) = (Topic::parse(stored.topic), stored.id.parse()) {
            let Stored { offset, continues, .. } = *stored;
            self.0.push(Found { offset, came_us, topic, id, content: stored.content(), continues });
        }
        // Which of them are of the last minutes is known at the end; shelves come one after the other.
        if self.0.len() > 2 * MAX_KEYS {
            self.sort();
            self.0.drain(..MAX_KEYS);
        }
    }

    fn sort(&mut self) {
        self.0.sort_unstable_by_key(|found| found.offset);
    }

    fn into_sequence(mut self, sequence: &mut Sequence, ages: &Ages) {
        self.sort();
        let now = ages.now();
        let mut found = self.0.into_iter().peekable();
        while let Some(Found { offset, came_us, topic, id, content, .. }) = found.next() {
            let mut count = 1;
            let mut content = Content::default().and(content);
            // An append is in one piece, and all of its events have its key.
            let follows = |next: &Found, count| next.continues && next.offset == offset + count as u64;
            while let Some(next) = found.next_if(|next| follows(next, count)) {
                content = content.and(next.content);
                count += 1;
            }
            let came_us = ages.then_us(came_us);
            if now.age_us(came_us) <= micros(KEY_WINDOW) {
                sequence.restore(topic, id, content, (offset, count), came_us);
            }
        }
    }
}
