//! A shelf: the segments of one retention rule, oldest first. Dropping events means removing the first file.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use fourways_shared::Epoch;

use super::{
    block::Stored,
    files::{Files, OpenMode, make_folders, read_whole},
    findings::{Finding, FindingKind},
    lives::Epochs,
    segment::{Found, Segment, Wanted, base_of},
};
use crate::engine::{Now, Retention, RetentionRule, micros};

/// Share of a limit that a segment may fill: a shelf may exceed its limits by an eighth.
const SHARE: u64 = 8;
/// Limits on the length of a segment. Smaller ones would be too many files, larger ones take longer to check after a
/// crash.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 64 * 1024..=64 << 20;
/// Name of the file that holds the offset up to which events were dropped.
const FLOOR_FILE: &str = "floor";

/// The segments of one retention rule.
///
/// The [`Store`](super::store::Store) owns it. Only the writer's thread changes it; readers copy the list of segments
/// under the lock and read without it. A dropped file stays readable as long as a reader holds its segment.
#[derive(Debug)]
pub(super) struct Shelf {
    files: Arc<dyn Files>,
    rule: RetentionRule,
    is_former: bool,
    folder: PathBuf,
    segments: RwLock<VecDeque<Arc<Segment>>>,
    /// Offset up to which events were dropped. It rises before the file is removed.
    floor: AtomicU64,
}

impl Shelf {
    /// Opens the segments of a folder, or makes the folder. `visit` is called with every event.
    ///
    /// # Errors
    /// If something can't be read, or belongs to another log.
    pub(super) fn open(
        files: &Arc<dyn Files>,
        (rule, is_former): (RetentionRule, bool),
        folder: PathBuf,
        lives: &Epochs,
        findings: &mut Vec<Finding>,
        visit: &mut dyn FnMut(&Stored<'_>, u64),
    ) -> io::Result<Self> {
        make_folders(&**files, &folder)?;
        let mut paths = files.list(&folder)?;
        // File names are offsets with leading zeros, so their order is that of the offsets.
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        paths.sort();
        let mut whole = Vec::with_capacity(paths.len());
        for path in paths {
            // A crash or a full disk while the file was made: it holds no event yet.
            if let Some(bytes) = Segment::unfinished(&**files, &path)? {
                files.remove(&path)?;
                let after = base_of(&path).unwrap_or(0);
                findings.push(Finding { file: path, at: 0, bytes, after, kind: FindingKind::Begun });
                continue;
            }
            whole.push(path);
        }
        let mut segments = VecDeque::with_capacity(whole.len());
        let mut following = whole.iter().skip(1).map(|path| base_of(path)).collect::<Vec<_>>().into_iter();
        for path in whole {
            let next = following.next().flatten();
            segments.push_back(Arc::new(Segment::open(&**files, path, lives, next, findings, visit)?));
        }
        let path = folder.join(FLOOR_FILE);
        let floor = match said(read_whole(&**files, &path)?.as_deref()) {
            Ok(floor) => floor,
            // A crash while the number was written: the base of the first segment takes its place.
            Err(bytes) => {
                let base = segments.front().map_or(0, |first: &Arc<Segment>| first.base());
                findings.push(Finding { file: path, at: 0, bytes, after: base, kind: FindingKind::Half });
                base
            }
        };
        // Made now, because dropping events must not need disk space: it is what helps a full disk.
        if floor == 0 {
            say(&**files, &folder, floor)?;
        }
        // Also syncs the names of files that an earlier process made and could not sync.
        files.sync_folder(&folder)?;
        let (segments, floor) = (RwLock::new(segments), AtomicU64::new(floor));
        Ok(Self { files: Arc::clone(files), rule, is_former, folder, segments, floor })
    }

    /// Returns the retention rule.
    pub(super) const fn rule(&self) -> &RetentionRule {
        &self.rule
    }

    /// True if the rule of this shelf is not in use any more: nothing is written here, and any topic may be here.
    pub(super) const fn is_former(&self) -> bool {
        self.is_former
    }

    /// Returns the offset up to which events were dropped.
    pub(super) fn floor(&self) -> u64 {
        self.floor.load(Ordering::SeqCst)
    }

    /// Returns the segments that are here now, oldest first.
    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Returns the segment for an event after `head`: a new one if the last is full or too old.
    ///
    /// # Errors
    /// If a new segment can't be made.
    pub(super) fn active(&self, head: u64, now: Now, epoch: Epoch) -> io::Result<Arc<Segment>> {
        let last = self.segments.read().unwrap_or_else(PoisonError::into_inner).back().cloned();
        if let Some(last) = last.filter(|segment| !self.is_full(segment, now)) {
            return Ok(last);
        }
        self.begin(head, epoch)
    }

    /// Begins another segment, whatever the last one is like.
    ///
    /// # Errors
    /// If the segment can't be made.
    pub(super) fn begin(&self, head: u64, epoch: Epoch) -> io::Result<Arc<Segment>> {
        let segment = Arc::new(Segment::create(&*self.files, &self.folder, head, epoch)?);
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        // An empty segment of the same name: its file has just been made anew.
        if segments.back().is_some_and(|last| last.path() == segment.path()) {
            segments.pop_back();
        }
        segments.push_back(Arc::clone(&segment));
        Ok(segment)
    }

    /// Makes the empty shelf begin after an offset.
    ///
    /// # Errors
    /// If the disk fails.
    pub(super) fn begin_after(&self, offset: u64, epoch: Epoch) -> io::Result<()> {
        say(&*self.files, &self.folder, offset)?;
        self.floor.store(offset, Ordering::SeqCst);
        self.begin(offset, epoch).map(drop)
    }

    fn is_full(&self, segment: &Segment, now: Now) -> bool {
        if !segment.has_head() {
            return true;
        }
        let Retention { events, bytes, age } = self.rule.retention;
        let index = segment.index();
        let longest = (bytes / SHARE).clamp(*SEGMENT_BYTES.start(), *SEGMENT_BYTES.end());
        index.events > 0
            && (index.length >= longest
                || index.events >= (events as u64 / SHARE).max(1)
                || now.most_age_us(index.oldest_us) >= micros(age) / SHARE)
    }

    /// Drops the segments that no limit keeps, and calls `gone` with each. Needs no disk space. If the last segment
    /// is too old as a whole, an empty one takes its place.
    ///
    /// # Errors
    /// If a file can't be removed, or the empty segment can't be made.
    pub(super) fn sweep(
        &self,
        head: u64,
        now: Now,
        epoch: Epoch,
        gone: &mut dyn FnMut(&Segment),
    ) -> io::Result<()> {
        let Retention { events, bytes, age } = self.rule.retention;
        let is_old = |segment: &Segment| now.age_us(segment.index().newest_us) > micros(age);
        loop {
            let first = {
                let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
                let sum =
                    |of: fn(&Segment) -> u64| segments.iter().skip(1).map(|segment| of(segment)).sum::<u64>();
                let rest_is_enough = sum(|segment| segment.index().events) >= events as u64
                    || sum(|segment| segment.index().length) >= bytes;
                segments
                    .front()
                    .filter(|first| {
                        let may_go = segments.len() > 1 || first.index().events > 0;
                        may_go && (is_old(first) || (rest_is_enough && segments.len() > 1))
                    })
                    .map(|first| (Arc::clone(first), segments.len() == 1))
            };
            let Some((first, is_last)) = first else { return Ok(()) };
            let floor = first.index().last;
            // The new floor is recorded before the file is removed: after a crash in between, the next sweep removes
            // the file.
            say(&*self.files, &self.folder, floor)?;
            self.floor.store(floor, Ordering::SeqCst);
            self.files.remove(first.path())?;
            self.segments.write().unwrap_or_else(PoisonError::into_inner).pop_front();
            gone(&first);
            if is_last {
                // Only now, because a full disk had no space for it before.
                self.begin(head, epoch)?;
            }
        }
    }

    /// Returns the offset of the oldest event.
    pub(super) fn first(&self) -> Option<u64> {
        self.segments
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .find_map(|segment| segment.index().first)
    }

    /// Returns the segment in which an offset would be.
    pub(super) fn segment_of(&self, offset: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let at = segments.partition_point(|segment| segment.base() < offset);
        segments.get(at.checked_sub(1)?).cloned()
    }

    /// Reads on from an offset. `range_in` returns the range of offsets in which a segment may hold wanted events, if
    /// it may hold any.
    ///
    /// # Errors
    /// If a file can't be read.
    pub(super) fn read(
        &self,
        range_in: &dyn Fn(&Segment) -> Option<(u64, u64)>,
        mut wanted: Wanted<'_>,
        epoch: Epoch,
    ) -> io::Result<Found> {
        let mut all = Found { through: wanted.after, ..Found::default() };
        for segment in self.segments() {
            let (last, has_hole) = {
                let index = segment.index();
                (index.last, index.has_hole)
            };
            if last <= wanted.after {
                continue;
            }
            let after = all.through.max(wanted.after);
            // Unreadable events may have been of the wanted topics.
            let range = if has_hole { Some((0, u64::MAX)) } else { range_in(&segment) };
            let Some((lowest, highest)) = range.filter(|(_, highest)| *highest > after) else {
                all.through = last.min(wanted.through);
                continue;
            };
            let inner = Wanted {
                after: after.max(lowest.saturating_sub(1)),
                through: wanted.through.min(highest),
                ..wanted
            };
            let mut found = segment.read(inner, epoch)?;
            if !found.is_full && found.hole.is_none() {
                // The segment holds nothing more behind its last wanted event.
                found.through = last.min(wanted.through);
            }
            wanted.limit -= found.events.len().min(wanted.limit);
            wanted.look = wanted.look.saturating_sub(found.looked);
            wanted.bytes =
                wanted.bytes.saturating_sub(found.events.iter().map(|event| event.data.len()).sum());
            all.events.extend(found.events);
            all.through = found.through;
            if let Some(hole) = found.hole {
                let resumes = segment.resumes_after(&hole)?.unwrap_or(last).max(all.through);
                // A block after the damage may claim offsets before it; the reader must get past them.
                let is_stuck = resumes <= wanted.after;
                all.resumes_after = Some(if is_stuck { (wanted.after + 1).min(last) } else { resumes });
                all.hole = Some(hole);
                return Ok(all);
            }
            if found.is_full || all.through >= wanted.through {
                all.is_full = found.is_full;
                return Ok(all);
            }
        }
        all.through = wanted.through;
        Ok(all)
    }

    /// Returns the path of its folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Records the offset up to which events were dropped. Overwrites the file in place and with the same length, so that
/// no disk space is needed.
fn say(files: &dyn Files, folder: &Path, floor: u64) -> io::Result<()> {
    let file = files.open(&folder.join(FLOOR_FILE), OpenMode::Create)?;
    let number = format!("{floor:020}");
    let checksum = crc32fast::hash(number.as_bytes());
    file.write_all_at(format!("{number} {checksum:08x}\n").as_bytes(), 0)?;
    file.sync()
}

/// Parses a recorded floor: 0 if there is no file. Files made before there was a checksum have none.
///
/// # Errors
/// The length of the file, if it holds no valid number.
fn said(bytes: Option<&[u8]>) -> Result<u64, u64> {
    let Some(bytes) = bytes else { return Ok(0) };
    let read = || {
        let mut words = std::str::from_utf8(bytes).ok()?.split_whitespace();
        let number = words.next()?;
        let is_right = words.next().is_none_or(|checksum| {
            u32::from_str_radix(checksum, 16) == Ok(crc32fast::hash(number.as_bytes()))
        });
        number.parse().ok().filter(|_| is_right)
    };
    read().ok_or(bytes.len() as u64)
}
