//! Opening a segment: the whole file is read, and a write that a crash cut short is cut off.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    Index, Segment,
    blocks::{Buffer, READ_BYTES, ReadError},
    head::{FILE_HEADER, FILE_HEADER_BYTES, Head, MAX_OFFSET},
};
use crate::engine::disk::{
    block::{self, Damage, Salt, Stored},
    files::{Files, OpenMode},
    findings::{Finding, FindingKind},
    lives::Epochs,
};

/// Length of one step of a copy, in bytes.
const COPY_BYTES: usize = 1 << 20;

impl Segment {
    /// Returns the length of a file that was being made when a crash came: it has no whole header, and nothing after
    /// it. `None` for every other file.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(in super::super) fn unfinished(files: &dyn Files, path: &Path) -> io::Result<Option<u64>> {
        let file = files.open(path, OpenMode::Read)?;
        let bytes = file.length()?;
        if bytes < FILE_HEADER {
            return Ok(Some(bytes));
        }
        let mut head = [0; FILE_HEADER_BYTES];
        file.read_exact_at(&mut head, 0)?;
        // The file was extended and its header not written, or not all of it: the disk may keep the one without the
        // other.
        let is_one = bytes == FILE_HEADER && Head::read(&head).is_none();
        Ok(is_one.then_some(bytes))
    }

    /// Opens a segment, reads all of it, and calls `visit` with each event and its arrival. In the last segment, a
    /// write that a crash cut short is cut off. `next` is the base of the segment that follows; `None` for the last.
    ///
    /// # Errors
    /// If the file can't be read, or is a segment of another log.
    pub(in super::super) fn open(
        files: &dyn Files,
        path: PathBuf,
        lives: &Epochs,
        next: Option<u64>,
        findings: &mut Vec<Finding>,
        visit: &mut dyn FnMut(&Stored<'_>, u64),
    ) -> io::Result<Self> {
        let file = files.open(&path, OpenMode::Existing)?;
        // The process that wrote the file may have ended before it could sync: nothing is shown before the disk has
        // it.
        file.sync()?;
        let mut head = [0; FILE_HEADER_BYTES];
        file.read_exact_at(&mut head, 0)?;
        let end = file.length()?;
        let Some(Head { epoch, base, salt }) = Head::read(&head) else {
            // Without the salt, blocks can't be told from bytes that somebody published.
            let base = base_of(&path).ok_or_else(|| foreign(&path))?;
            let mut index = Index::new(base);
            (index.length, index.last, index.has_hole) = (end, next.unwrap_or(base), true);
            findings.push(Finding::lost(path.clone(), 0, end, base, Damage::Head));
            let (index, synced) = (RwLock::new(index), AtomicU64::new(end));
            return Ok(Self { path, file, salt: Salt::None, base, has_head: false, index, synced });
        };
        if !lives.have(epoch) {
            return Err(foreign(&path));
        }
        let (index, synced) = (RwLock::new(Index::new(base)), AtomicU64::new(0));
        let this = Self { path, file, salt, base, has_head: true, index, synced };
        let mut at = FILE_HEADER;
        let mut buffer = Buffer::of(READ_BYTES);
        while at < end {
            match this.block_in(&mut buffer, at, end) {
                Ok((header, body)) => {
                    let mut index = this.index.write().unwrap_or_else(PoisonError::into_inner);
                    if !follow(index.last, body) {
                        index.has_hole = true;
                        let (path, after) = (this.path.clone(), index.last);
                        findings.push(Finding::lost(path, at, header.length(), after, Damage::Order));
                        at += header.length();
                        continue;
                    }
                    for stored in block::events(body).flatten() {
                        visit(&stored, header.arrived_us);
                        index.count(&stored);
                    }
                    index.extend(at, &header, body);
                    index.grow(header.arrived_us);
                    at += header.length();
                }
                Err(ReadError::Io(error)) => return Err(error),
                Err(ReadError::Damage(damage)) => {
                    let follower = this.next_block(at + 1, end)?;
                    // A whole block that follows was written after this one, so this was not a write that a crash cut
                    // short. In a segment without a salt, the block that follows may be published bytes: it counts
                    // only if it was begun when this position was on the disk already.
                    let was_whole = match salt {
                        Salt::None => this.knew_of(at, follower, end)?,
                        _ => follower.is_some(),
                    };
                    if next.is_none() && !was_whole {
                        findings.push(this.cut_off(files, at, end, damage)?);
                        break;
                    }
                    this.index.write().unwrap_or_else(PoisonError::into_inner).has_hole = true;
                    let to = follower.map_or(end, |(place, _)| place);
                    let after = this.index().last;
                    findings.push(Finding::lost(this.path.clone(), at, to - at, after, damage));
                    if follower.is_none() {
                        break;
                    }
                    at = to;
                }
            }
        }
        this.index.write().unwrap_or_else(PoisonError::into_inner).length = at.min(end);
        this.synced.store(at.min(end), Ordering::Relaxed);
        Ok(this)
    }

    /// True if a whole block at or after `next` was begun when position `at` was on the disk already.
    fn knew_of(&self, at: u64, mut next: Option<(u64, u64)>, end: u64) -> io::Result<bool> {
        while let Some((place, synced)) = next {
            if synced > at {
                return Ok(true);
            }
            next = self.next_block(place + 1, end)?;
        }
        Ok(false)
    }

    /// Cuts off the end of the file, from a block that is not whole, and keeps a copy beside the segment.
    fn cut_off(&self, files: &dyn Files, at: u64, end: u64, damage: Damage) -> io::Result<Finding> {
        let beside = self.path.with_extension(format!("{at}.torn"));
        let kept = self.copy_to(files, &beside, at, end);
        let kept = kept.map(|()| beside).map_err(|error| error.to_string());
        self.file.set_len(at)?;
        self.file.sync()?;
        let kind = FindingKind::Torn(damage.to_string(), kept);
        Ok(Finding { file: self.path.clone(), at, bytes: end - at, after: self.index().last, kind })
    }

    fn copy_to(&self, files: &dyn Files, path: &Path, from: u64, end: u64) -> io::Result<()> {
        let out = files.open(path, OpenMode::Truncate)?;
        let mut at = from;
        let mut buffer = Vec::new();
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(COPY_BYTES);
            buffer.resize(length, 0);
            self.file.read_exact_at(&mut buffer, at)?;
            out.write_all_at(&buffer, at - from)?;
            at += length as u64;
        }
        out.sync()?;
        path.parent().map_or(Ok(()), |folder| files.sync_folder(folder))
    }
}

fn foreign(path: &Path) -> io::Error {
    let text = format!("{} is not a segment of this log", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Returns the base of a segment from its file name, which is the first offset.
pub(in super::super) fn base_of(path: &Path) -> Option<u64> {
    let first: u64 = path.file_stem()?.to_str()?.parse().ok()?;
    first.checked_sub(1).filter(|base| *base < MAX_OFFSET)
}

/// True if a block's offsets rise, and begin above `last`.
fn follow(last: u64, body: &[u8]) -> bool {
    let mut last = last;
    block::events(body).flatten().all(|stored| {
        let follows = stored.offset > last && stored.offset < MAX_OFFSET;
        last = stored.offset;
        follows
    })
}
