//! A shelf: the segments of one retention rule, oldest first. Letting go is unlinking the first.

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
    files::{Files, How, make_folders, read_whole},
    findings::{Finding, FindingKind},
    lives::Lives,
    segment::{Found, Segment, Wanted, base_of},
};
use crate::log::engine::{Now, Retention, RetentionRule, micros};

/// A limit is kept to within this share of it: so much more than it says may be there.
const SHARE: u64 = 8;
/// Smaller segments would be more files than they are worth, larger ones take longer to check after a crash.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 64 * 1024..=64 << 20;
/// Says up to which offset events were let go.
const FLOOR_FILE: &str = "floor";

/// Segments that are kept by one rule.
#[derive(Debug)]
pub(super) struct Shelf {
    files: Arc<dyn Files>,
    rule: RetentionRule,
    is_former: bool,
    folder: PathBuf,
    segments: RwLock<VecDeque<Arc<Segment>>>,
    /// Events up to here were let go.
    floor: AtomicU64,
}

impl Shelf {
    /// Opens the segments of a folder, or makes the folder. `visit` sees every event.
    ///
    /// # Errors
    /// If something can't be read, or belongs to another log.
    pub(super) fn open(
        files: &Arc<dyn Files>,
        (rule, is_former): (RetentionRule, bool),
        folder: PathBuf,
        lives: &Lives,
        findings: &mut Vec<Finding>,
        visit: &mut dyn FnMut(&Stored<'_>, u64),
    ) -> io::Result<Self> {
        make_folders(&**files, &folder)?;
        let mut paths = files.list(&folder)?;
        // Names are offsets with leading zeros.
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        paths.sort();
        let mut whole = Vec::with_capacity(paths.len());
        for path in paths {
            // A crash, or a full disk, while it was made: there was nothing in it yet.
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
            // A crash while it was said: what is there begins behind it.
            Err(bytes) => {
                let base = segments.front().map_or(0, |first: &Arc<Segment>| first.base());
                findings.push(Finding { file: path, at: 0, bytes, after: base, kind: FindingKind::Half });
                base
            }
        };
        // Made now: letting go is what helps a full disk, so it must need no room.
        if floor == 0 {
            say(&**files, &folder, floor)?;
        }
        // With it the names that a process has made which was ended before it could have the disk keep them.
        files.sync_folder(&folder)?;
        let (segments, floor) = (RwLock::new(segments), AtomicU64::new(floor));
        Ok(Self { files: Arc::clone(files), rule, is_former, folder, segments, floor })
    }

    /// What is kept here, and how much of it.
    pub(super) const fn rule(&self) -> &RetentionRule {
        &self.rule
    }

    /// Its rule is not given any more; nothing is written here, and what is here may be of any topic.
    pub(super) const fn is_former(&self) -> bool {
        self.is_former
    }

    /// Events up to here were let go.
    pub(super) fn floor(&self) -> u64 {
        self.floor.load(Ordering::SeqCst)
    }

    /// The segments as they are now.
    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The segment to write to, for an event after `head`: a new one where the last is full or too old.
    ///
    /// # Errors
    /// If a new one can't be made.
    pub(super) fn active(&self, head: u64, now: Now, epoch: Epoch) -> io::Result<Arc<Segment>> {
        let last = self.segments.read().unwrap_or_else(PoisonError::into_inner).back().cloned();
        if let Some(last) = last.filter(|segment| !self.is_full(segment, now)) {
            return Ok(last);
        }
        self.begin(head, epoch)
    }

    /// Begins another segment, whatever the last is like.
    ///
    /// # Errors
    /// If it can't be made.
    pub(super) fn begin(&self, head: u64, epoch: Epoch) -> io::Result<Arc<Segment>> {
        let segment = Arc::new(Segment::create(&*self.files, &self.folder, head, epoch)?);
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        // An empty one of the same name was just made anew.
        if segments.back().is_some_and(|last| last.path() == segment.path()) {
            segments.pop_back();
        }
        segments.push_back(Arc::clone(&segment));
        Ok(segment)
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

    /// Lets go what no limit keeps, and hands it to `gone`. It needs no room for that. In place of a last segment that is
    /// all too old comes an empty one.
    ///
    /// # Errors
    /// If a file can't be removed.
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
            // First said, then done: a crash in between leaves a segment that goes at the next sweep.
            say(&*self.files, &self.folder, floor)?;
            self.floor.store(floor, Ordering::SeqCst);
            self.files.remove(first.path())?;
            self.segments.write().unwrap_or_else(PoisonError::into_inner).pop_front();
            gone(&first);
            if is_last {
                // Only now: on a full disk there was no room for it before.
                self.begin(head, epoch)?;
            }
        }
    }

    /// The oldest offset that is there.
    pub(super) fn first(&self) -> Option<u64> {
        self.segments
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .find_map(|segment| segment.index().first)
    }

    /// The segment where an offset would be.
    pub(super) fn segment_of(&self, offset: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let at = segments.partition_point(|segment| segment.base() < offset);
        segments.get(at.checked_sub(1)?).cloned()
    }

    /// Reads on from an offset. `range_in` says between which offsets there may be something in a segment, if there may.
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
            // What can't be read may have been of these topics.
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
                // Behind the last of them there is nothing more in it.
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
                // What comes next may claim to lie where the hole does; a reader must get past it.
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

    /// Where its folder lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Says in a file that is there already, and as long, up to where events were let go.
fn say(files: &dyn Files, folder: &Path, floor: u64) -> io::Result<()> {
    let file = files.open(&folder.join(FLOOR_FILE), How::Made)?;
    let number = format!("{floor:020}");
    let checksum = crc32fast::hash(number.as_bytes());
    file.write_all_at(format!("{number} {checksum:08x}\n").as_bytes(), 0)?;
    file.sync()
}

/// What was said there, 0 if nothing was; how many bytes there are if they say nothing. Logs that were made before there
/// was a checksum have none.
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
