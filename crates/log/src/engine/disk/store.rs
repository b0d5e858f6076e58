//! The folder of a log: its identity, and a shelf for each retention rule.

use std::{
    any::Any,
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use fourways_shared::{Epoch, Filter, Offset, Topic};

use super::{
    block::Stored,
    catalogue::Catalogue,
    files::{Files, OpenMode, make_folders, read_whole, write_whole},
    findings::Finding,
    lives::Epochs,
    segment::Held,
    shelf::Shelf,
};
use crate::engine::{Ages, Last, RetentionRule, TailCap};

/// Name of the file that holds the reservation: the offset up to which offsets may have been assigned.
const RESERVED_FILE: &str = "reserved";
/// Name of the file that holds the time of the last clean stop.
const STOPPED_FILE: &str = "stopped";
/// Names of the folders of shelves: [`ALL`] for the rule of every topic, and [`OF`] with a filter for the others.
const ALL: &str = "all";
const OF: &str = "of.";
/// Name of the file that a server locks while it has the log open.
const LOCK_FILE: &str = "lock";

/// A log on the disk.
///
/// The writer's thread changes it; the tail shares it in an `Arc` as its archive. It locks the folder until it is
/// dropped.
#[derive(Debug)]
pub(super) struct Store {
    files: Arc<dyn Files>,
    folder: PathBuf,
    epoch: Epoch,
    shelves: Vec<Shelf>,
    catalogue: RwLock<Catalogue>,
    /// Lock on the folder. If the server is killed, the kernel releases it.
    _lock: Box<dyn Any + Send + Sync>,
}

/// Result of opening a log.
#[derive(Debug)]
pub(super) struct Opened {
    /// The opened log.
    pub store: Store,
    /// Highest offset that was assigned, or may have been. Volatile events have offsets too, and a crash may take
    /// events that were not synced. A client that has seen such an event resumes after it, and is not taken for a
    /// client of another epoch.
    pub head: u64,
    /// The end of the log; `None` if it is new.
    pub last: Option<Last>,
    /// Everything that is not as it was written.
    pub findings: Vec<Finding>,
}

impl Store {
    /// Opens the log in a folder, or begins a new one, with the given epoch or with one of its own. `visit` is called
    /// with every event that is kept, shelf by shelf.
    ///
    /// # Errors
    /// If another server has the log open, or it can't be read or written.
    pub(super) fn open(
        files: Arc<dyn Files>,
        folder: &Path,
        epoch: Option<Epoch>,
        rules: &[RetentionRule],
        visit: &mut dyn FnMut(&Stored<'_>, u64),
    ) -> io::Result<Opened> {
        make_folders(&*files, folder)?;
        // The folder may come from a start that ended before its name was synced.
        sync_above(&*files, folder)?;
        let lock = lock(&*files, folder)?;
        let lives = Epochs::read_or_begin(&*files, folder, epoch)?;
        let (mut head, mut last) = (0, None);
        let mut visit = |stored: &Stored<'_>, arrived_us| {
            if stored.offset > head {
                (head, last) = (stored.offset, Some(Last { wall_us: stored.published_at_us, arrived_us }));
            }
            visit(stored, arrived_us);
        };
        let mut findings = Vec::new();
        let mut shelves = Vec::with_capacity(rules.len());
        for rule in rules {
            let folder = folder.join(shelf_name(&rule.filter));
            let rule = (rule.clone(), false);
            shelves.push(Shelf::open(&files, rule, folder, &lives, &mut findings, &mut visit)?);
        }
        // Shelves of former rules: what they hold stays readable, within the limits of the last rule.
        let Some(rest) = rules.last() else { return Err(io::Error::other("there is no retention rule")) };
        let mut others = files.list(folder)?;
        others.retain(|path| {
            // A volume may have folders of its own, such as lost+found.
            let name = path.file_name().and_then(|name| name.to_str());
            let is_shelf = name.is_some_and(|name| name == ALL || name.starts_with(OF));
            is_shelf && files.is_folder(path) && shelves.iter().all(|shelf| shelf.folder() != path)
        });
        others.sort();
        for path in others {
            let rule = RetentionRule { filter: Filter::all(), ..rest.clone() };
            shelves.push(Shelf::open(&files, (rule, true), path, &lives, &mut findings, &mut visit)?);
        }
        // Syncs the names that an earlier process made and could not sync.
        files.sync_folder(folder)?;
        // An empty segment remembers the offset up to which events were dropped before it.
        let bases = shelves.iter().flat_map(Shelf::segments).map(|segment| segment.index().last);
        let reserved = reserved(&*files, folder)?;
        head = bases.max().unwrap_or(0).max(head).max(reserved);
        let last = stopped(&*files, folder)?.into_iter().chain(last).max_by_key(|last| last.arrived_us);
        let mut catalogue = Catalogue::default();
        for segment in shelves.iter().flat_map(Shelf::segments) {
            for (topic, held) in &segment.index().topics {
                catalogue.add(topic, *held);
            }
        }
        let catalogue = RwLock::new(catalogue);
        let store =
            Self { files, folder: folder.to_owned(), epoch: lives.now, shelves, catalogue, _lock: lock };
        Ok(Opened { store, head, last, findings })
    }

    /// Returns the log's epoch.
    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Limits the arrival of everything kept to the start.
    pub(super) fn clamp_arrivals(&self, ages: &Ages) {
        for segment in self.shelves.iter().flat_map(Shelf::segments) {
            segment.clamp_arrivals(ages);
        }
    }

    /// Returns the shelves: those of the rules in their order, then those of former rules.
    pub(super) fn shelves(&self) -> &[Shelf] {
        &self.shelves
    }

    /// Makes an empty log begin after an offset: a reader with a cursor before it has lost what lies in between.
    ///
    /// # Errors
    /// If the disk fails.
    pub(super) fn begin_after(&self, offset: Offset) -> io::Result<()> {
        self.shelves.iter().try_for_each(|shelf| shelf.begin_after(offset.0, self.epoch))
    }

    /// Reserves offsets: records that those up to this one may be assigned.
    ///
    /// # Errors
    /// If the file can't be written.
    pub(super) fn reserve(&self, offset: u64) -> io::Result<()> {
        write_whole(&*self.files, &self.folder.join(RESERVED_FILE), format!("{offset}\n").as_bytes())
    }

    /// Locks the catalogue for reading.
    pub(super) fn catalogue(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds committed events to the catalogue.
    pub(super) fn count<'a>(&self, come: impl Iterator<Item = (&'a Topic, Held)>) {
        let mut catalogue = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        come.for_each(|(topic, held)| catalogue.add(topic, held));
    }

    /// Removes dropped events from the catalogue: topics, and the number of events of each.
    pub(super) fn discount(&self, gone: impl Iterator<Item = (Topic, u64)>) {
        let mut catalogue = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        gone.for_each(|(topic, events)| catalogue.remove(&topic, events));
    }

    /// Records the time of a clean stop.
    ///
    /// # Errors
    /// If the file can't be written.
    pub(super) fn write_stopped(&self, last: Last) -> io::Result<()> {
        let text = format!("{} {}\n", last.arrived_us, last.wall_us);
        write_whole(&*self.files, &self.folder.join(STOPPED_FILE), text.as_bytes())
    }

    /// Returns an offset that at least as many events follow as the tail's memory may hold, or 0.
    pub(super) fn warm_after(&self, cap: TailCap) -> Offset {
        let mut segments: Vec<_> = self.shelves.iter().flat_map(Shelf::segments).collect();
        segments.sort_unstable_by_key(|segment| std::cmp::Reverse(segment.index().last));
        let (mut events, mut bytes, mut after) = (0, 0, 0);
        for segment in segments {
            let index = segment.index();
            if events >= cap.events as u64 || bytes >= cap.bytes {
                // The events of this segment are not loaded; later segments in this order end before it.
                after = after.max(index.last);
                break;
            }
            events += index.events;
            bytes += index.length;
        }
        Offset(after)
    }
}

/// Returns the folder name of a filter's shelf. Not every file system allows a wildcard in a name.
fn shelf_name(filter: &Filter) -> String {
    if *filter == Filter::all() {
        return ALL.to_owned();
    }
    format!("{OF}{}", filter.as_str().replace('*', "+").replace('>', "@"))
}

/// Syncs the names of all folders above one, as far as they may be opened.
fn sync_above(files: &dyn Files, folder: &Path) -> io::Result<()> {
    for above in folder.ancestors().skip(1).filter(|above| *above != Path::new("")) {
        match files.sync_folder(above) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Locks a folder against other servers.
///
/// # Errors
/// If another server has locked it.
pub(super) fn lock(files: &dyn Files, folder: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
    files.lock(&folder.join(LOCK_FILE), OpenMode::Create).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            let text = format!("{} is open in another server", folder.display());
            io::Error::new(io::ErrorKind::ResourceBusy, text)
        }
        _ => error,
    })
}

/// Reads the offset up to which offsets may have been assigned; 0 if there is no file.
fn reserved(files: &dyn Files, folder: &Path) -> io::Result<u64> {
    let path = folder.join(RESERVED_FILE);
    let Some(bytes) = read_whole(files, &path)? else { return Ok(0) };
    let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} does not hold a number", path.display()))
    })
}

/// Reads the time of the last clean stop; `None` if there was none, or the file is unreadable.
fn stopped(files: &dyn Files, folder: &Path) -> io::Result<Option<Last>> {
    let Some(bytes) = read_whole(files, &folder.join(STOPPED_FILE))? else { return Ok(None) };
    let parse = || {
        let (arrived_us, wall_us) = std::str::from_utf8(&bytes).ok()?.trim().split_once(' ')?;
        Some(Last { arrived_us: arrived_us.parse().ok()?, wall_us: wall_us.parse().ok()? })
    };
    Ok(parse())
}
