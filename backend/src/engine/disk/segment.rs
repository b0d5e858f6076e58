//! A segment: one file of the log, from its first block to its last. One thread writes it, many read it.
//!
//! Its first 32 bytes say what it is; blocks follow without gaps. What is in the [`Index`] is on the disk (or, where
//! the operator chose so, on its way there); readers go no further.

mod blocks;
mod bloom;
mod head;
mod index;
mod opening;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use fourways_shared::{Epoch, Event, Topic};

use self::blocks::{Buffer, ONE_BYTES, READ_BYTES, ReadError};
use self::head::{FILE_HEADER, file_header};
pub(super) use self::{
    bloom::Mark,
    index::{Held, Index},
    opening::base_of,
};
use super::{
    block::{self, Damage, HEADER, Header, Salt},
    files::{Files, How, OpenFile},
    reading::Last,
};
use crate::engine::Ages;

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

/// Bytes that are not what was written: they are reported, and never served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {damage} at byte {at}; what is lost lies after offset {after}")]
pub(super) struct Hole {
    /// The file.
    pub path: String,
    /// Where in it.
    pub at: u64,
    /// What is wrong there.
    pub damage: Damage,
    /// The last offset before it.
    pub after: u64,
}

/// What one read found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In order.
    pub events: Vec<Event>,
    /// All up to here was looked at.
    pub through: u64,
    /// There may be more behind it in this segment.
    pub is_full: bool,
    /// So many bytes of the log were looked at.
    pub looked: u64,
    /// What comes next can't be read.
    pub hole: Option<Hole>,
    /// After this offset it goes on, where something can't be read.
    pub resumes_after: Option<u64>,
}

/// What a read asks for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Events after this offset
    pub after: u64,
    /// and up to this one,
    pub through: u64,
    /// of these topics,
    pub takes: &'a dyn Fn(&str) -> bool,
    /// which are known by these, if they are few,
    pub marks: Option<&'a [Mark]>,
    /// so many at most,
    pub limit: usize,
    /// no more once they have so many bytes,
    pub bytes: usize,
    /// and none behind so many bytes of the log.
    pub look: u64,
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
        let Ok(header) = Header::parse(block) else { return };
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let (at, body) = (index.length, &block[HEADER..]);
        for stored in block::events(body).flatten() {
            index.count(&stored);
        }
        index.extend(at, &header, body);
        index.grow(now_us);
    }

    /// Reads on from an offset.
    ///
    /// # Errors
    /// If the file can't be read. Damage is no error: see [`Found::hole`].
    pub(super) fn read(&self, wanted: Wanted<'_>, epoch: Epoch) -> io::Result<Found> {
        let mut found = Found { through: wanted.after, ..Found::default() };
        if !self.has_head {
            found.hole = Some(self.hole(0, Damage::Head, wanted.after));
            return Ok(found);
        }
        let (mut at, end, last) = {
            let index = self.index();
            (index.place_of(wanted.after), index.length, index.last)
        };
        let mut bytes = 0;
        let is_sparse = wanted.limit == 1 || wanted.marks.is_some();
        let mut buffer = Buffer::of(if is_sparse { ONE_BYTES } else { READ_BYTES });
        while at < end {
            if let Some(marks) = wanted.marks {
                let (next, passed) = self.index().skip(at, marks);
                at = next;
                // What is wanted may end before, and what came since is not to be passed over.
                if let Some(passed) = passed {
                    found.through = found.through.max(passed.min(wanted.through).min(last));
                }
                if at >= end || found.through >= wanted.through {
                    break;
                }
            }
            if found.looked >= wanted.look {
                found.is_full = true;
                return Ok(found);
            }
            let events = match self.block_in(&mut buffer, at, end) {
                Ok(block) => block,
                Err(ReadError::Io(error)) => return Err(error),
                Err(ReadError::Damage(damage)) => {
                    let hole = self.hole(at, damage, found.through);
                    match self.next_place(&hole)? {
                        // It lies before what is asked for: it is nobody's loss here.
                        Some((place, first)) if first <= wanted.after + 1 => {
                            at = place;
                            continue;
                        }
                        _ => found.hole = Some(hole),
                    }
                    return Ok(found);
                }
            };
            let (header, body) = events;
            at += header.length();
            found.looked += header.length();
            for stored in block::events(body) {
                let Ok(stored) = stored else {
                    found.hole = Some(self.hole(at, Damage::Event, found.through));
                    return Ok(found);
                };
                if stored.offset <= wanted.after {
                    continue;
                }
                if stored.offset > wanted.through {
                    found.through = wanted.through;
                    return Ok(found);
                }
                if found.events.len() >= wanted.limit || bytes >= wanted.bytes {
                    found.is_full = true;
                    return Ok(found);
                }
                if (wanted.takes)(stored.topic) {
                    match stored.event(epoch) {
                        Ok(event) => {
                            bytes += event.data.len();
                            found.events.push(event);
                        }
                        Err(damage) => {
                            found.hole = Some(self.hole(at, damage, found.through));
                            return Ok(found);
                        }
                    }
                }
                found.through = stored.offset;
            }
        }
        Ok(found)
    }

    /// The events at these offsets, which rise; those that are not there, or can't be read, are left out.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(super) fn read_these(&self, offsets: &[u64], epoch: Epoch) -> io::Result<Vec<Event>> {
        let mut found = Vec::with_capacity(offsets.len());
        let mut left = offsets.iter().copied().peekable();
        let end = self.index().length;
        let mut buffer = Buffer::of(if offsets.len() == 1 { ONE_BYTES } else { READ_BYTES });
        let mut at = 0;
        while let Some(next) = left.peek().copied().filter(|_| self.has_head) {
            // What lies between is passed over, as far as the index has places.
            at = self.index().place_of(next - 1).max(at);
            if at >= end {
                break;
            }
            let (header, body) = match self.block_in(&mut buffer, at, end) {
                Ok(block) => block,
                Err(ReadError::Io(error)) => return Err(error),
                Err(ReadError::Damage(damage)) => match self.next_place(&self.hole(at, damage, next - 1))? {
                    Some((place, _)) => {
                        at = place;
                        continue;
                    }
                    None => break,
                },
            };
            at += header.length();
            for stored in block::events(body).flatten() {
                while left.next_if(|wanted| *wanted < stored.offset).is_some() {}
                if left.next_if_eq(&stored.offset).is_some() {
                    found.extend(stored.event(epoch).ok());
                }
            }
        }
        Ok(found)
    }

    /// The offsets of the last `limit` events that are wanted; what can't be read is passed over.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(super) fn newest_offsets(&self, wanted: Wanted<'_>) -> io::Result<Vec<u64>> {
        let Wanted { after, through, takes, marks, limit, .. } = wanted;
        let mut newest = Last::of(limit);
        if !self.has_head {
            return Ok(Vec::new());
        }
        let (mut at, end) = {
            let index = self.index();
            (index.place_of(after), index.length)
        };
        let mut buffer = Buffer::of(if marks.is_some() { ONE_BYTES } else { READ_BYTES });
        while at < end {
            if let Some(marks) = marks {
                at = self.index().skip(at, marks).0;
                if at >= end {
                    break;
                }
            }
            match self.block_in(&mut buffer, at, end) {
                Ok((header, body)) => {
                    at += header.length();
                    for stored in block::events(body).flatten() {
                        if stored.offset > through {
                            return Ok(newest.into_vec());
                        }
                        if stored.offset > after && takes(stored.topic) {
                            newest.push(stored.offset);
                        }
                    }
                }
                Err(ReadError::Io(error)) => return Err(error),
                Err(ReadError::Damage(damage)) => match self.next_place(&self.hole(at, damage, after))? {
                    Some((place, _)) => at = place,
                    None => break,
                },
            }
        }
        Ok(newest.into_vec())
    }

    /// After which offset reading goes on behind a place that can't be read; `None` if nothing follows.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(super) fn resumes_after(&self, hole: &Hole) -> io::Result<Option<u64>> {
        Ok(self.next_place(hole)?.map(|(_, first)| first - 1))
    }

    /// The first block that can be read behind a hole, and its first offset.
    fn next_place(&self, hole: &Hole) -> io::Result<Option<(u64, u64)>> {
        if !self.has_head {
            return Ok(None);
        }
        let end = self.index().length;
        let Some((at, _)) = self.next_block(hole.at + 1, end)? else { return Ok(None) };
        let first = self.block_at(at, end).ok().and_then(|(header, bytes)| {
            let body = block::body(&header, &bytes, self.salt).ok()?;
            block::events(body).next()?.ok().map(|stored| stored.offset)
        });
        Ok(first.map(|first| (at, first)))
    }

    fn hole(&self, at: u64, damage: Damage, after: u64) -> Hole {
        Hole { path: self.path.display().to_string(), at, damage, after }
    }
}
