//! A segment: one file of the log, from its first block to its last. One thread writes it, many read it.
//!
//! The first 32 bytes identify the file; blocks follow without gaps. Everything in the [`Index`] is on the disk, or
//! with [`Durability::Interval`](super::Durability::Interval) on its way there. Readers read no further than the
//! index.

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
    block::{self, Block, HEADER, Salt},
    files::{Files, OpenFile, OpenMode},
};
use crate::engine::Ages;

/// Returns the header of a segment's file, for the fuzz target.
#[cfg(fuzzing)]
pub(super) fn file_head(epoch: Epoch, salt: Salt) -> [u8; head::FILE_HEADER_BYTES] {
    file_header(0, epoch, salt)
}

/// One file of the log.
///
/// Its shelf shares it in an `Arc` with the readers, so an open file outlives its name. The index is under a
/// `RwLock`: the writer's thread changes it once for each commit, readers look at it between two blocks.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: Box<dyn OpenFile>,
    salt: Salt,
    /// Offset that all of the segment's offsets are above.
    base: u64,
    /// The file's header is valid. Without it, nothing in the file can be read.
    has_head: bool,
    index: RwLock<Index>,
    /// Length that is certainly on the disk, in bytes.
    synced: AtomicU64,
}

impl Segment {
    /// Makes an empty segment for offsets after `base`, and syncs the file and its name.
    ///
    /// # Errors
    /// If the file can't be made. It is removed then, as far as the disk allows.
    pub(super) fn create(files: &dyn Files, folder: &Path, base: u64, epoch: Epoch) -> io::Result<Self> {
        let path = folder.join(format!("{:020}.log", base + 1));
        let salt = Salt::fresh()?;
        let make = || {
            let file = files.open(&path, OpenMode::Truncate)?;
            file.write_all_at(&file_header(base, epoch, salt), 0)?;
            file.sync()?;
            // Without this, a whole file may have no name after a crash.
            files.sync_folder(folder)?;
            Ok(file)
        };
        // If the file can't be removed, the next start removes it.
        let file = make().inspect_err(|_: &io::Error| drop(files.remove(&path)))?;
        let (index, synced) = (RwLock::new(Index::new(base)), AtomicU64::new(FILE_HEADER));
        Ok(Self { path, file, salt, base, has_head: true, index, synced })
    }

    /// Returns the offset that all of the segment's offsets are above.
    pub(super) const fn base(&self) -> u64 {
        self.base
    }

    /// True if the file's header is valid. Otherwise nothing can be read or written.
    pub(super) const fn has_head(&self) -> bool {
        self.has_head
    }

    /// Returns the salt of the marks and checksums.
    pub(super) const fn salt(&self) -> Salt {
        self.salt
    }

    /// Locks the index for reading.
    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Limits the arrival of everything in the file to the start.
    pub(super) fn clamp_arrivals(&self, ages: &Ages) {
        self.index.write().unwrap_or_else(PoisonError::into_inner).clamp_arrivals(ages);
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a block after the last one. Nobody can read the block before [`Self::commit`].
    ///
    /// # Errors
    /// If there is no space, or the disk fails. A part of the block may have been written: see [`Self::roll_back`].
    pub(super) fn write(&self, block: &[u8]) -> io::Result<()> {
        self.file.write_all_at(block, self.index().length)
    }

    /// Cuts off what was written and not committed, and syncs. Otherwise the block could reappear after a crash,
    /// beside the events that later got its offsets.
    ///
    /// # Errors
    /// If the disk fails; it is then unknown what the disk has kept.
    pub(super) fn roll_back(&self) -> io::Result<()> {
        let length = self.index().length;
        self.synced.fetch_min(length, Ordering::Relaxed);
        self.file.set_len(length)?;
        self.sync()
    }

    /// Blocks until everything written is on the disk.
    ///
    /// # Errors
    /// If the disk fails; it is then unknown what the disk has kept.
    pub(super) fn sync(&self) -> io::Result<()> {
        // The length can't grow meanwhile: only the calling thread writes.
        let length = self.file.length()?;
        self.file.sync()?;
        self.synced.store(length, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the length that is certainly on the disk, in bytes.
    pub(super) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Relaxed)
    }

    /// Returns the number of events of each topic.
    pub(super) fn held(&self) -> Vec<(Topic, u64)> {
        self.index().topics.iter().map(|(topic, held)| (topic.clone(), held.events)).collect()
    }

    /// Shows readers a block that was written; its events arrived at `now_us`.
    pub(super) fn commit(&self, block: &Block, now_us: u64) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let (at, body) = (index.length, &block.bytes[HEADER..]);
        for stored in block::events(body).flatten() {
            index.count(&stored);
        }
        index.extend(at, &block.header, body);
        index.grow(now_us);
    }
}
