//! A segment: one file of the log, from its first block to its last. One thread writes it, many read it.
//!
//! Its first 32 bytes say what it is; blocks follow without gaps. What is in the [`Index`] is on the disk (or, where
//! the operator chose so, on its way there); readers go no further.

mod blocks;
mod index;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use fourways_shared::{Epoch, Event};

use self::blocks::{Buffer, ReadError};
pub(super) use self::index::{Held, Index};
use super::block::{self, Damage, HEADER, Header, Salt, Stored};

/// How a segment begins; then follow its salt, the log's epoch, its base and a checksum.
const FILE_MAGIC: [u8; 4] = *b"4WL2";
/// How one begins that was made before there were salts; then follow epoch, base and a checksum.
const FIRST_MAGIC: [u8; 8] = *b"4WAYSLOG";
/// No offset is so large: adding to one never overflows.
const MAX_OFFSET: u64 = 1 << 62;
/// Bytes before the first block.
const FILE_HEADER_BYTES: usize = 32;
const FILE_HEADER: u64 = FILE_HEADER_BYTES as u64;
/// One file of the log.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    salt: Salt,
    /// Its offsets lie behind this one.
    base: u64,
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
    /// so many at most,
    pub limit: usize,
    /// and no more once they have so many bytes.
    pub bytes: usize,
}

impl Segment {
    /// Whether a file of so many bytes is one that was being made: it has no whole head, and nothing behind it.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) fn is_unfinished(path: &Path, bytes: u64) -> io::Result<bool> {
        if bytes != FILE_HEADER {
            return Ok(bytes < FILE_HEADER);
        }
        // Made longer, and not written: the disk may keep the one without the other.
        Ok(fs::read(path)?.iter().all(|byte| *byte == 0))
    }

    /// Makes an empty one for offsets after `base`, and has the disk keep it.
    ///
    /// # Errors
    /// If the file can't be made; then nothing is left of it, as far as the disk does what it is told.
    pub(super) fn create(folder: &Path, base: u64, epoch: Epoch) -> io::Result<Self> {
        let path = folder.join(format!("{:020}.log", base + 1));
        let salt = Salt::fresh()?;
        let make = || {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
            file.write_all_at(&file_header(base, epoch, salt), 0)?;
            file.sync_all()?;
            // Without it a file that is whole may have no name after a crash.
            File::open(folder)?.sync_all()?;
            Ok(file)
        };
        // If it can't be removed, the next start does.
        let file = make().inspect_err(|_: &io::Error| drop(fs::remove_file(&path)))?;
        let (index, synced) = (RwLock::new(Index::new(base)), AtomicU64::new(FILE_HEADER));
        Ok(Self { path, file, salt, base, index, synced })
    }

    /// Opens one, reads all of it and calls `visit` for each of its events. In the last segment, what a crash has left
    /// unfinished at the end is cut off.
    ///
    /// # Errors
    /// If it can't be read, or is a segment of another log.
    pub(super) fn open(
        path: PathBuf,
        epoch: Epoch,
        is_last: bool,
        visit: &mut dyn FnMut(&Stored<'_>),
    ) -> io::Result<(Self, Vec<Hole>)> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let mut header = [0; FILE_HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let Some((base, salt)) = read_header(&header, epoch) else {
            let text = format!("{} is no segment of this log", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        let end = file.metadata()?.len();
        let (index, synced) = (RwLock::new(Index::new(base)), AtomicU64::new(0));
        let this = Self { path, file, salt, base, index, synced };
        let mut holes = Vec::new();
        let mut at = FILE_HEADER;
        while at < end {
            match this.block_at(at, end) {
                Ok((header, bytes)) => {
                    let mut index = this.index.write().unwrap_or_else(PoisonError::into_inner);
                    let body = block::body(&header, &bytes, salt).unwrap_or_default();
                    if !follow(index.last, body) {
                        holes.push(this.hole(at, Damage::Order, index.last));
                        at += header.length();
                        continue;
                    }
                    for stored in block::events(body).flatten() {
                        visit(&stored);
                        index.count(&stored);
                    }
                    index.extend(at, &header, body);
                    at += header.length();
                }
                Err(ReadError::Io(error)) => return Err(error),
                Err(ReadError::Damage(damage)) => {
                    let next = this.next_block(at + 1, end)?;
                    // What follows whole was written after this, so this was no write that a crash has cut short; of a
                    // segment without a salt it may be bytes that somebody published, and is believed only if it was begun
                    // when this place was on the disk already.
                    let was_whole = match salt {
                        Salt::NONE => this.knew_of(at, next, end)?,
                        _ => next.is_some(),
                    };
                    if is_last && !was_whole {
                        this.cut_off(at, end, damage)?;
                        break;
                    }
                    holes.push(this.hole(at, damage, this.index().last));
                    let Some((next, _)) = next else { break };
                    at = next;
                }
            }
        }
        this.index.write().unwrap_or_else(PoisonError::into_inner).length = at.min(end);
        this.synced.store(at.min(end), Ordering::Relaxed);
        Ok((this, holes))
    }

    /// Whether a whole block from `next` on was begun when this place was on the disk already.
    fn knew_of(&self, at: u64, mut next: Option<(u64, u64)>, end: u64) -> io::Result<bool> {
        while let Some((place, synced)) = next {
            if synced > at {
                return Ok(true);
            }
            next = self.next_block(place + 1, end)?;
        }
        Ok(false)
    }

    /// Cuts off what is no block any more, keeps it beside the segment, and says so.
    fn cut_off(&self, at: u64, end: u64, damage: Damage) -> io::Result<()> {
        let beside = self.path.with_extension(format!("{at}.torn"));
        let kept = File::create(&beside).and_then(|mut out| {
            let mut torn = &self.file;
            torn.seek(SeekFrom::Start(at))?;
            io::copy(&mut torn.take(end - at), &mut out)?;
            out.sync_all()
        });
        let (file, bytes, after) = (self.path.display(), end - at, self.index().last);
        match kept {
            Ok(()) => tracing::warn!(
                %file, at, bytes, after, beside = %beside.display(),
                "{damage}: a write that was cut short; its bytes are kept beside"
            ),
            Err(error) => tracing::warn!(
                %file, at, bytes, after, %error,
                "{damage}: a write that was cut short; its bytes can't be kept beside"
            ),
        }
        self.file.set_len(at)?;
        self.file.sync_all()
    }

    /// Its offsets lie behind this one.
    pub(super) const fn base(&self) -> u64 {
        self.base
    }

    /// What every checksum in it begins with.
    pub(super) const fn salt(&self) -> Salt {
        self.salt
    }

    /// What it holds.
    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a block behind the last. It can't be read until it is [`Self::commit`]ted.
    ///
    /// # Errors
    /// If there is no room, or the disk fails. Nothing of it is left then, as far as the disk does what it is told.
    pub(super) fn write(&self, block: &[u8]) -> io::Result<()> {
        let at = self.index().length;
        self.file.write_all_at(block, at).inspect_err(|_| {
            // What is left of it would be cut off at the next start; if even this fails, that still holds.
            drop(self.file.set_len(at));
        })
    }

    /// Cuts off what was written and not committed.
    pub(super) fn roll_back(&self) {
        let length = self.index().length;
        // If it fails, the next start cuts it off.
        drop(self.file.set_len(length));
        self.synced.fetch_min(length, Ordering::Relaxed);
    }

    /// Has the disk keep what was written.
    ///
    /// # Errors
    /// If the disk fails; nobody knows then what it has kept.
    pub(super) fn sync(&self) -> io::Result<()> {
        // Only the thread that asks writes.
        let length = self.file.metadata()?.len();
        self.file.sync_data()?;
        self.synced.store(length, Ordering::Relaxed);
        Ok(())
    }

    /// How many bytes are on the disk for certain.
    pub(super) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Relaxed)
    }

    /// Lets readers see a block that was written.
    pub(super) fn commit(&self, block: &[u8]) {
        let Ok(header) = Header::parse(block) else { return };
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let (at, body) = (index.length, &block[HEADER..]);
        for stored in block::events(body).flatten() {
            index.count(&stored);
        }
        index.extend(at, &header, body);
    }

    /// Reads on from an offset.
    ///
    /// # Errors
    /// If the file can't be read. Damage is no error: see [`Found::hole`].
    pub(super) fn read(&self, wanted: Wanted<'_>, epoch: Epoch) -> io::Result<Found> {
        let (mut at, end) = {
            let index = self.index();
            (index.place_of(wanted.after), index.length)
        };
        let mut found = Found { through: wanted.after, ..Found::default() };
        let mut bytes = 0;
        let mut buffer = Buffer::default();
        while at < end {
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

    /// After which offset reading goes on behind a place that can't be read; `None` if nothing follows.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(super) fn resumes_after(&self, hole: &Hole) -> io::Result<Option<u64>> {
        Ok(self.next_place(hole)?.map(|(_, first)| first - 1))
    }

    /// The first block that can be read behind a hole, and its first offset.
    fn next_place(&self, hole: &Hole) -> io::Result<Option<(u64, u64)>> {
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

fn file_header(base: u64, epoch: Epoch, salt: Salt) -> [u8; FILE_HEADER_BYTES] {
    let mut header = [0; FILE_HEADER_BYTES];
    if let Some(bits) = salt.0 {
        header[..4].copy_from_slice(&FILE_MAGIC);
        header[4..12].copy_from_slice(&bits.to_le_bytes());
        header[12..20].copy_from_slice(&epoch.bits().to_le_bytes());
        header[20..28].copy_from_slice(&base.to_le_bytes());
        let checksum = crc32fast::hash(&header[..28]);
        header[28..].copy_from_slice(&checksum.to_le_bytes());
    } else {
        header[..8].copy_from_slice(&FIRST_MAGIC);
        header[8..16].copy_from_slice(&epoch.bits().to_le_bytes());
        header[16..24].copy_from_slice(&base.to_le_bytes());
        let checksum = crc32fast::hash(&header[..24]);
        header[24..28].copy_from_slice(&checksum.to_le_bytes());
    }
    header
}

/// Base and salt of a segment of this log; `None` if it is none.
fn read_header(header: &[u8; FILE_HEADER_BYTES], epoch: Epoch) -> Option<(u64, Salt)> {
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| header[at + i]));
    let (base, salt) = if header[..8] == FIRST_MAGIC {
        (number(16), Salt::NONE)
    } else {
        (number(20), Salt(Some(number(4))))
    };
    (base < MAX_OFFSET && *header == file_header(base, epoch, salt)).then_some((base, salt))
}

/// Whether a block's offsets come one after the other behind the last one.
fn follow(last: u64, body: &[u8]) -> bool {
    let mut last = last;
    block::events(body).flatten().all(|stored| {
        let follows = stored.offset > last && stored.offset < MAX_OFFSET;
        last = stored.offset;
        follows
    })
}
