//! A segment: one file of the log, from its first block to its last. One thread writes it, many read it.
//!
//! Its first 32 bytes say what it is; blocks follow without gaps. What is in the [`Index`] is on the disk (or, where
//! the operator chose so, on its way there); readers go no further.

mod blocks;
mod bloom;
mod head;
mod index;
mod opening;
mod reads;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use fourways_shared::{Epoch, Topic};

use self::head::{FILE_HEADER, file_header};
pub(super) use self::{
    bloom::Mark,
    index::{Held, Index},
    opening::base_of,
    reads::{Found, Wanted},
};
use super::{
    block::{self, HEADER, Header, Salt},
    files::{Files, How, OpenFile},
};
use crate::log::engine::Ages;

/// How one begins, for the fuzz target.
#[cfg(fuzzing)]
pub(super) fn file_head(epoch: Epoch, salt: Salt) -> [u8; head::FILE_HEADER_BYTES] {
    file_header(0, epoch, salt)
}

/// One file of the log.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: Box<dyn OpenFile>,
    salt: Salt,
    /// Its offsets lie behind this one.
    base: u64,
    /// Its first bytes could be read; otherwise nothing of it can.
    has_head: bool,
    index: RwLock<Index>,
    /// Bytes that are on the disk for certain.
    synced: AtomicU64,
}

impl Segment {
    /// Makes an empty one for offsets after `base`, and has the disk keep it.
    ///
    /// # Errors
    /// If the file can't be made; then nothing is left of it, as far as the disk does what it is told.
    pub(super) fn create(files: &dyn Files, folder: &Path, base: u64, epoch: Epoch) -> io::Result<Self> {
        let path = folder.join(format!("{:020}.log", base + 1));
        let salt = Salt::fresh()?;
        let make = || {
            let file = files.open(&path, How::Emptied)?;
            file.write_all_at(&file_header(base, epoch, salt), 0)?;
            file.sync()?;
            // Without it a file that is whole may have no name after a crash.
            files.sync_folder(folder)?;
            Ok(file)
        };
        // If it can't be removed, the next start does.
        let file = make().inspect_err(|_: &io::Error| drop(files.remove(&path)))?;
        let (index, synced) = (RwLock::new(Index::new(base)), AtomicU64::new(FILE_HEADER));
        Ok(Self { path, file, salt, base, has_head: true, index, synced })
    }

    /// Its offsets lie behind this one.
    pub(super) const fn base(&self) -> u64 {
        self.base
    }

    /// Whether it can be written to, and read at all.
    pub(super) const fn has_head(&self) -> bool {
        self.has_head
    }

    /// What every checksum in it begins with.
    pub(super) const fn salt(&self) -> Salt {
        self.salt
    }

    /// What it holds.
    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in it came before the start.
    pub(super) fn came_by(&self, ages: &Ages) {
        self.index.write().unwrap_or_else(PoisonError::into_inner).came_by(ages);
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a block behind the last. It can't be read until it is [`Self::commit`]ted.
    ///
    /// # Errors
    /// If there is no room, or the disk fails. A part of it may be left: see [`Self::roll_back`].
    pub(super) fn write(&self, block: &[u8]) -> io::Result<()> {
        self.file.write_all_at(block, self.index().length)
    }

    /// Cuts off what was written and not committed, and has the disk keep that: what comes back after a crash would be
    /// told beside what was written in its place.
    ///
    /// # Errors
    /// If the disk fails; nobody knows then what it has kept.
    pub(super) fn roll_back(&self) -> io::Result<()> {
        let length = self.index().length;
        self.synced.fetch_min(length, Ordering::Relaxed);
        self.file.set_len(length)?;
        self.sync()
    }

    /// Has the disk keep what was written.
    ///
    /// # Errors
    /// If the disk fails; nobody knows then what it has kept.
    pub(super) fn sync(&self) -> io::Result<()> {
        // Only the thread that asks writes.
        let length = self.file.length()?;
        self.file.sync()?;
        self.synced.store(length, Ordering::Relaxed);
        Ok(())
    }

    /// How many bytes are on the disk for certain.
    pub(super) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Relaxed)
    }

    /// What it holds of each topic: how many events.
    pub(super) fn held(&self) -> Vec<(Topic, u64)> {
        self.index().topics.iter().map(|(topic, held)| (topic.clone(), held.events)).collect()
    }

    /// Lets readers see a block that was written at this time.
    pub(super) fn commit(&self, block: &[u8], now_us: u64) {
        let Ok(header) = Header::parse(block, self.salt) else { return };
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let (at, body) = (index.length, &block[HEADER..]);
        for stored in block::events(body).flatten() {
            index.count(&stored);
        }
        index.extend(at, &header, body);
        index.grow(now_us);
    }
}
