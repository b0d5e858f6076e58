//! The folder of a log: who it is, and a shelf for each retention rule.

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
    files::{Files, How, make_folders, read_whole, write_whole},
    findings::Finding,
    lives::Lives,
    segment::Held,
    shelf::Shelf,
};
use crate::log::engine::{Ages, Last, RetentionRule, TailCap};

/// Says up to which offset numbers may have been given out.
const RESERVED_FILE: &str = "reserved";
/// Says when the server was ended last, in order.
const STOPPED_FILE: &str = "stopped";
/// How folders of shelves are called: that of every topic, and of a filter.
const ALL: &str = "all";
const OF: &str = "of.";
/// Held by the server that has the log open.
const LOCK_FILE: &str = "lock";

/// A log on the disk.
#[derive(Debug)]
pub(super) struct Store {
    files: Arc<dyn Files>,
    folder: PathBuf,
    epoch: Epoch,
    shelves: Vec<Shelf>,
    catalogue: RwLock<Catalogue>,
    /// Locked as long as this lives; the kernel unlocks it for a server that was killed.
    _lock: Box<dyn Any + Send + Sync>,
}

/// What was found when a log was opened.
#[derive(Debug)]
pub(super) struct Opened {
    /// The log.
    pub store: Store,
    /// The last offset that was given out, or may have been: volatile events have some, and a crash can take some back
    /// that the disk was still to keep. A client that has seen one of those goes on after it, and is not taken for one
    /// of another life of the log.
    pub head: u64,
    /// When it ended, if it ever began.
    pub last: Option<Last>,
    /// What is not as it was written.
    pub findings: Vec<Finding>,
}

impl Store {
    /// Opens the log in a folder, or begins one. `visit` sees every event that is kept, shelf by shelf.
    ///
    /// # Errors
    /// If another server has it open, or it can't be read or written.
    pub(super) fn open(
        files: Arc<dyn Files>,
        folder: &Path,
        rules: &[RetentionRule],
        visit: &mut dyn FnMut(&Stored<'_>, u64),
    ) -> io::Result<Opened> {
        make_folders(&*files, folder)?;
        // It may have been made by a start that ended before the disk had its name.
        sync_above(&*files, folder)?;
        let lock = lock(&*files, folder)?;
        let lives = Lives::read_or_begin(&*files, folder)?;
        let (mut head, mut last) = (0, None);
        let mut visit = |stored: &Stored<'_>, came_us| {
            if stored.offset > head {
                (head, last) = (stored.offset, Some(Last { wall_us: stored.published_at_us, came_us }));
            }
            visit(stored, came_us);
        };
        let mut findings = Vec::new();
        let mut shelves = Vec::with_capacity(rules.len());
        for rule in rules {
            let folder = folder.join(shelf_name(&rule.filter));
            let rule = (rule.clone(), false);
            shelves.push(Shelf::open(&files, rule, folder, &lives, &mut findings, &mut visit)?);
        }
        // Shelves of rules that were given once: what they hold stays readable, by the rule for all the rest.
        let Some(rest) = rules.last() else { return Err(io::Error::other("there is no retention rule")) };
        let mut others = files.list(folder)?;
        others.retain(|path| {
            // A volume may have folders of its own, as lost+found.
            let name = path.file_name().and_then(|name| name.to_str());
            let is_shelf = name.is_some_and(|name| name == ALL || name.starts_with(OF));
            is_shelf && files.is_folder(path) && shelves.iter().all(|shelf| shelf.folder() != path)
        });
        others.sort();
        for path in others {
            let rule = RetentionRule { filter: Filter::all(), ..rest.clone() };
            shelves.push(Shelf::open(&files, (rule, true), path, &lives, &mut findings, &mut visit)?);
        }
        // What a process has made that was ended before it could have the disk keep it.
        files.sync_folder(folder)?;
        // An empty segment remembers what was let go before it.
        let bases = shelves.iter().flat_map(Shelf::segments).map(|segment| segment.index().last);
        let reserved = reserved(&*files, folder)?;
        head = bases.max().unwrap_or(0).max(head).max(reserved);
        let last = stopped(&*files, folder)?.into_iter().chain(last).max_by_key(|last| last.came_us);
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

    /// This life of the log.
    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What is there came before the start.
    pub(super) fn came_by(&self, ages: &Ages) {
        for segment in self.shelves.iter().flat_map(Shelf::segments) {
            segment.came_by(ages);
        }
    }

    /// The shelves: those of the rules, in their order, then those of rules that were.
    pub(super) fn shelves(&self) -> &[Shelf] {
        &self.shelves
    }

    /// Says that offsets up to this one may be given out.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub(super) fn reserve(&self, offset: u64) -> io::Result<()> {
        write_whole(&*self.files, &self.folder.join(RESERVED_FILE), format!("{offset}\n").as_bytes())
    }

    /// Which topics there are.
    pub(super) fn catalogue(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events of these topics have come.
    pub(super) fn count<'a>(&self, come: impl Iterator<Item = (&'a Topic, Held)>) {
        let mut catalogue = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        come.for_each(|(topic, held)| catalogue.add(topic, held));
    }

    /// Events of these topics were let go: so many of each.
    pub(super) fn discount(&self, gone: impl Iterator<Item = (Topic, u64)>) {
        let mut catalogue = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        gone.for_each(|(topic, events)| catalogue.remove(&topic, events));
    }

    /// Says when the server was ended.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub(super) fn say_stopped(&self, last: Last) -> io::Result<()> {
        let text = format!("{} {}\n", last.came_us, last.wall_us);
        write_whole(&*self.files, &self.folder.join(STOPPED_FILE), text.as_bytes())
    }

    /// The offset behind which as much lies as is to be in memory, at least.
    pub(super) fn warm_after(&self, cap: TailCap) -> Offset {
        let mut segments: Vec<_> = self.shelves.iter().flat_map(Shelf::segments).collect();
        segments.sort_unstable_by_key(|segment| std::cmp::Reverse(segment.index().last));
        let (mut events, mut bytes, mut after) = (0, 0, 0);
        for segment in segments {
            let index = segment.index();
            if events >= cap.events as u64 || bytes >= cap.bytes {
                // What lies in this one at the latest is not read; the others reach further back, if at all.
                after = after.max(index.last);
                break;
            }
            events += index.events;
            bytes += index.length;
        }
        Offset(after)
    }
}

/// A wildcard can't be in a file's name everywhere.
fn shelf_name(filter: &Filter) -> String {
    if *filter == Filter::all() {
        return ALL.to_owned();
    }
    format!("{OF}{}", filter.as_str().replace('*', "+").replace('>', "@"))
}

/// Has the disk keep the names of the folders that lead to one, as far as they may be opened.
fn sync_above(files: &dyn Files, folder: &Path) -> io::Result<()> {
    for above in folder.ancestors().skip(1).filter(|above| *above != Path::new("")) {
        match files.sync_folder(above) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Keeps other servers out of a folder.
///
/// # Errors
/// If one is in it.
pub(super) fn lock(files: &dyn Files, folder: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
    files.lock(&folder.join(LOCK_FILE), How::Made).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            let text = format!("{} is open in another server", folder.display());
            io::Error::new(io::ErrorKind::ResourceBusy, text)
        }
        _ => error,
    })
}

/// Up to which offset numbers may have been given out; 0 if that was never said.
fn reserved(files: &dyn Files, folder: &Path) -> io::Result<u64> {
    let path = folder.join(RESERVED_FILE);
    let Some(bytes) = read_whole(files, &path)? else { return Ok(0) };
    let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} does not say a number", path.display()))
    })
}

/// When the server was ended last; nothing if it was not in order, or it does not say so any more.
fn stopped(files: &dyn Files, folder: &Path) -> io::Result<Option<Last>> {
    let Some(bytes) = read_whole(files, &folder.join(STOPPED_FILE))? else { return Ok(None) };
    let parse = || {
        let (came_us, wall_us) = std::str::from_utf8(&bytes).ok()?.trim().split_once(' ')?;
        Some(Last { came_us: came_us.parse().ok()?, wall_us: wall_us.parse().ok()? })
    };
    Ok(parse())
}
