//! The files of a log whose order is decided elsewhere: a thread keeps events that come with their offsets.
//!
//! The order's own store has every event, so the files are a copy: they are synced once a second, nobody waits for that,
//! and a copy that may have lost something is thrown away and made anew.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

use fourways_shared::{Epoch, Offset};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Durability, OpenLog, SystemFiles,
    files::{Files as _, make_folders, read_whole, write_whole},
    keeper::{Blocks, Keeper},
};
use crate::engine::{
    Clock, RetentionRule, Tail, TailCap,
    followed::{Followed, Kept},
    keys::Keys,
};

/// Name of the file that names the folder of the present copy, and says whether it was closed in order.
const COPY_FILE: &str = "followed";
/// Beginning of the names of the folders of copies.
const COPY: &str = "copy.";
/// Word in [`COPY_FILE`] for a copy that was closed in order.
const CLOSED: &str = "closed";
/// Time between two syncs.
const SYNC: Duration = Duration::from_secs(1);
/// Time after which a disk that refused events is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The place of a followed log's copies.
#[derive(Clone, Debug)]
pub(in crate::engine) struct CopyPlace {
    /// Folder that holds the copies and the file that names the present one.
    pub(in crate::engine) folder: PathBuf,
    /// The part of the log that is kept in memory too.
    pub(in crate::engine) cap: TailCap,
}

/// An open copy. Dropping it closes it.
#[derive(Debug)]
pub(in crate::engine) struct DiskCopy {
    jobs: Sender<Message>,
    thread: Option<JoinHandle<()>>,
    is_closing: Arc<AtomicBool>,
    place: CopyPlace,
    name: String,
}

/// A copy just opened: itself, its tail, and the idempotency keys that were found in it.
#[derive(Debug)]
pub(in crate::engine) struct OpenCopy {
    pub(in crate::engine) copy: DiskCopy,
    pub(in crate::engine) tail: Arc<Tail>,
    pub(in crate::engine) keys: Keys,
}

/// A message to the thread that keeps.
#[derive(Debug)]
enum Message {
    /// Keep these appends. The permit is given back once they are kept.
    Keep { appends: Vec<Followed>, arrived_us: Option<u64>, room: OwnedSemaphorePermit },
    /// End after everything before.
    Close,
}

impl CopyPlace {
    /// Opens the copy that is there; `None` if there is none that can be trusted, because it is damaged or was open when
    /// the machine went down.
    ///
    /// # Errors
    /// If the folder holds the log of a single server, or can't be read or written.
    pub(in crate::engine) fn resume(
        &self,
        rules: &[RetentionRule],
        workers: usize,
        clock: Arc<dyn Clock>,
        kept: impl FnOnce(&Arc<Tail>) -> Arc<Kept>,
    ) -> io::Result<Option<OpenCopy>> {
        make_folders(&SystemFiles, &self.folder)?;
        self.is_of_no_single_server()?;
        let Some((name, state)) = self.present()? else { return Ok(None) };
        let folder = self.folder.join(&name);
        let is_whole = state == CLOSED || boot().is_some_and(|boot| boot == state);
        if !is_whole || !SystemFiles.is_folder(&folder) {
            tracing::warn!(copy = %folder.display(), "the machine went down while the log was open; it is taken from the order again");
            return Ok(None);
        }
        let log = self.open_log(&folder, None, rules, workers, clock, None)?;
        if log.is_damaged {
            return Ok(None);
        }
        self.run(log, name, rules, kept).map(Some)
    }

    /// Begins an empty copy for the events after an offset, and removes all others.
    ///
    /// # Errors
    /// If the folder holds the log of a single server, or can't be written.
    pub(in crate::engine) fn begin(
        &self,
        (epoch, after): (Epoch, Offset),
        rules: &[RetentionRule],
        workers: usize,
        clock: Arc<dyn Clock>,
        before: Option<&Tail>,
        kept: impl FnOnce(&Arc<Tail>) -> Arc<Kept>,
    ) -> io::Result<OpenCopy> {
        make_folders(&SystemFiles, &self.folder)?;
        self.is_of_no_single_server()?;
        let copies = self.copies()?;
        let number = copies.iter().filter_map(|name| name.strip_prefix(COPY)?.parse::<u64>().ok()).max();
        let name = format!("{COPY}{}", number.unwrap_or(0) + 1);
        let folder = self.folder.join(&name);
        let log = self.open_log(&folder, Some((epoch, after)), rules, workers, clock, before)?;
        let open = self.run(log, name, rules, kept)?;
        for old in copies {
            // What is left takes space and nothing else; the next start tries again.
            if let Err(error) = std::fs::remove_dir_all(self.folder.join(&old)) {
                tracing::warn!(%error, copy = old, "an old copy of the log can't be removed");
            }
        }
        Ok(open)
    }

    fn open_log(
        &self,
        folder: &Path,
        begin: Option<(Epoch, Offset)>,
        rules: &[RetentionRule],
        workers: usize,
        clock: Arc<dyn Clock>,
        before: Option<&Tail>,
    ) -> io::Result<OpenLog> {
        let shape = |tail: Tail| {
            let tail = tail.following();
            if let Some(before) = before { tail.with_meters_of(before) } else { tail }
        };
        let epoch = begin.map(|(epoch, _)| epoch);
        let open = |clock| {
            OpenLog::open((Arc::new(SystemFiles), clock), folder, epoch, rules, self.cap, shape, workers)
        };
        let log = open(Arc::clone(&clock))?;
        match begin {
            Some((_, after)) if after.0 > 0 => {
                log.store.begin_after(after)?;
                // Opened again, so that the tail begins there too. The store's lock must be given back first.
                drop(log);
                open(clock)
            }
            _ => Ok(log),
        }
    }

    /// Starts the thread that keeps, and names the copy as the present one.
    fn run(
        &self,
        log: OpenLog,
        name: String,
        rules: &[RetentionRule],
        kept: impl FnOnce(&Arc<Tail>) -> Arc<Kept>,
    ) -> io::Result<OpenCopy> {
        let mut known = Keys::default();
        let OpenLog { store, tail, head, keys, .. } = log;
        keys.each_recent(tail.ages(), |topic, id, content, place, arrived_us| {
            known.restore(topic, id, content, place, arrived_us);
        });
        self.name_present(&name, &boot().unwrap_or_else(|| "unknown".to_owned()))?;
        let (jobs, waiting) = mpsc::channel();
        let keeper = Keeper::new(store, Arc::clone(&tail), rules.to_vec(), Durability::Interval(SYNC));
        let is_closing = Arc::new(AtomicBool::new(false));
        let thread = Thread { keeper, head, kept: kept(&tail), waiting, is_closing: Arc::clone(&is_closing) };
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || thread.run())?;
        let copy = DiskCopy { jobs, thread: Some(thread), is_closing, place: self.clone(), name };
        Ok(OpenCopy { copy, tail, keys: known })
    }

    /// Refuses a folder in which a single server numbered its own log.
    fn is_of_no_single_server(&self) -> io::Result<()> {
        if super::lives::Epochs::read(&SystemFiles, &self.folder)?.is_none() {
            return Ok(());
        }
        let text = format!(
            "{} holds the log of a single server; give another folder, and publish the old events again if they are needed",
            self.folder.display()
        );
        Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
    }

    /// Returns the names of all copies.
    fn copies(&self) -> io::Result<Vec<String>> {
        let names = SystemFiles.list(&self.folder)?;
        let names = names.iter().filter_map(|path| path.file_name()?.to_str());
        Ok(names.filter(|name| name.starts_with(COPY)).map(str::to_owned).collect())
    }

    /// Returns the name of the present copy, and how it was left.
    fn present(&self) -> io::Result<Option<(String, String)>> {
        let bytes = read_whole(&SystemFiles, &self.folder.join(COPY_FILE))?;
        let text = bytes.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        Ok(text
            .and_then(|text| text.trim().split_once(' '))
            .map(|(name, state)| (name.to_owned(), state.to_owned())))
    }

    fn name_present(&self, name: &str, state: &str) -> io::Result<()> {
        write_whole(&SystemFiles, &self.folder.join(COPY_FILE), format!("{name} {state}\n").as_bytes())
    }
}

impl DiskCopy {
    /// Hands appends to the thread. Nothing happens if the copy is closed.
    pub(in crate::engine) fn keep(
        &self,
        appends: Vec<Followed>,
        arrived_us: Option<u64>,
        room: OwnedSemaphorePermit,
    ) {
        drop(self.jobs.send(Message::Keep { appends, arrived_us, room }));
    }

    /// Blocks until everything that was handed over is on the disk, and records that the copy is whole. Another call does
    /// nothing.
    pub(in crate::engine) fn close(&mut self) {
        self.is_closing.store(true, Ordering::SeqCst);
        drop(self.jobs.send(Message::Close));
        if let Some(thread) = self.thread.take() {
            // In case it waits for a disk that refuses.
            thread.thread().unpark();
            // The thread does not panic; if it did, the copy is not recorded as whole.
            let is_whole = thread.join().is_ok();
            let is_present =
                self.place.present().is_ok_and(|present| present.is_some_and(|(name, _)| name == self.name));
            if is_whole
                && is_present
                && let Err(error) = self.place.name_present(&self.name, CLOSED)
            {
                tracing::warn!(%error, "the log is closed, but can't be marked as whole; it is taken from the order again if the machine goes down");
            }
        }
    }
}

impl Drop for DiskCopy {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread that keeps what is followed.
struct Thread {
    keeper: Keeper,
    head: u64,
    kept: Arc<Kept>,
    waiting: Receiver<Message>,
    is_closing: Arc<AtomicBool>,
}

impl Thread {
    fn run(mut self) {
        loop {
            match self.waiting.recv_timeout(self.keeper.next_duty()) {
                Ok(Message::Keep { appends, arrived_us, room }) => {
                    if !self.keep(appends, arrived_us) {
                        break;
                    }
                    drop(room);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => break,
            }
            self.keeper.do_duties(self.head);
        }
        if let Err(error) = self.keeper.sync().and_then(|()| self.keeper.write_stopped()) {
            tracing::error!(%error, "the log could not be closed cleanly");
        }
    }

    /// Keeps appends and hands them to the tail. A disk that refuses is tried again until it accepts: nothing may be left
    /// out. False once the copy is closed meanwhile.
    fn keep(&mut self, appends: Vec<Followed>, arrived_us: Option<u64>) -> bool {
        let first = appends.iter().find_map(|append| append.events.first());
        let Some(before) = first.map(|first| first.cursor.offset.0 - 1) else { return true };
        let mut has_said = false;
        loop {
            let mut blocks = Blocks::default();
            for append in &appends {
                blocks.add(self.keeper.rules(), &append.events);
            }
            let now = self.keeper.tail().ages().now();
            let kept = if self.keeper.is_broken() {
                Err(io::Error::other("an earlier failure left it unknown what the disk has kept"))
            } else {
                self.keeper.keep(blocks, now, arrived_us.unwrap_or(now.us), before)
            };
            match kept {
                Ok(()) => break,
                Err(error) => {
                    if !std::mem::replace(&mut has_said, true) {
                        tracing::error!(%error, "the copy of the log can't be written; this node stays behind until it can");
                    }
                    self.kept.say_stuck(Some(error.to_string()));
                    if self.is_closing.load(Ordering::SeqCst) {
                        return false;
                    }
                    std::thread::park_timeout(RETRY);
                    // Dropping old events is what helps a full disk.
                    self.keeper.do_duties(self.head);
                }
            }
        }
        if has_said {
            tracing::info!("the copy of the log can be written again");
            self.kept.say_stuck(None);
        }
        self.keeper.count(appends.iter().map(|append| append.events.as_slice()));
        self.kept.remember(&appends, self.keeper.tail().ages().now());
        let last = appends.iter().rev().find_map(|append| append.events.last());
        self.head = last.map_or(self.head, |last| last.cursor.offset.0);
        let events = appends.into_iter().map(|append| append.events);
        self.keeper.tail().put_all(events, arrived_us);
        self.kept.reached(self.head);
        true
    }
}

/// Returns the id of the machine's present start, if the system tells it. The kernel's memory has everything that was
/// written since.
fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}
