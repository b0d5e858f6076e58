//! The folder of a log: who it is, and a shelf for each retention rule.

use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use fourways_shared::{Epoch, Filter, Offset, Topic};

use super::{
    block::Stored,
    segment::{Found, Held, Hole, Segment, Wanted},
    shelf::Shelf,
};
use crate::{
    encoding::Encoded,
    engine::{Archive, Floors, Older, RetentionRule, Selection, Stock, TailCap},
};

/// Names the log: its format, and its epoch.
const NAME_FILE: &str = "log";
const FORMAT: &str = "fourways log 1";
/// Says up to which offset numbers may have been given out.
const RESERVED_FILE: &str = "reserved";
/// How folders of shelves are called: that of every topic, and of a filter.
const ALL: &str = "all";
const OF: &str = "of.";
/// Held by the server that has the log open.
const LOCK_FILE: &str = "lock";
/// Bytes of data that one read of older events returns, about.
const READ_BYTES: usize = 256 * 1024;

/// A log on the disk.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    epoch: Epoch,
    shelves: Vec<Shelf>,
    /// Locked as long as this lives; the kernel unlocks it for a server that was killed.
    _lock: File,
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
    /// When the last event was published.
    pub published_at_us: u64,
    /// What can't be read.
    pub holes: Vec<Hole>,
}

impl Store {
    /// Opens the log in a folder, or begins one. `visit` sees every event that is kept, shelf by shelf.
    ///
    /// # Errors
    /// If another server has it open, or it can't be read or written.
    pub(super) fn open(
        folder: &Path,
        rules: &[RetentionRule],
        visit: &mut dyn FnMut(&Stored<'_>),
    ) -> io::Result<Opened> {
        fs::create_dir_all(folder)?;
        let lock = lock(folder)?;
        let epoch = epoch(folder)?;
        let (mut head, mut published_at_us) = (0, 0);
        let mut visit = |stored: &Stored<'_>| {
            head = head.max(stored.offset);
            published_at_us = published_at_us.max(stored.published_at_us);
            visit(stored);
        };
        let mut holes = Vec::new();
        let mut shelves = Vec::with_capacity(rules.len());
        for rule in rules {
            let folder = folder.join(shelf_name(&rule.filter));
            shelves.push(Shelf::open(rule.clone(), false, folder, epoch, &mut holes, &mut visit)?);
        }
        // Shelves of rules that were given once: what they hold stays readable, by the rule for all the rest.
        let Some(rest) = rules.last() else { return Err(io::Error::other("there is no retention rule")) };
        let mut others: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // A volume may have folders of its own, as lost+found.
            let is_shelf = entry.file_name().to_str().is_some_and(|name| name == ALL || name.starts_with(OF));
            let path = entry.path();
            if is_shelf && path.is_dir() && shelves.iter().all(|shelf| shelf.folder() != path) {
                others.push(path);
            }
        }
        for path in others {
            let rule = RetentionRule { filter: Filter::all(), ..rest.clone() };
            shelves.push(Shelf::open(rule, true, path, epoch, &mut holes, &mut visit)?);
        }
        // An empty segment remembers what was let go before it.
        let bases = shelves.iter().flat_map(Shelf::segments).map(|segment| segment.index().last);
        head = bases.max().unwrap_or(0).max(head).max(number_in(&folder.join(RESERVED_FILE))?);
        let store = Self { folder: folder.to_owned(), epoch, shelves, _lock: lock };
        Ok(Opened { store, head, published_at_us, holes })
    }

    /// This life of the log.
    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
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
        say_number(&self.folder, RESERVED_FILE, offset)
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

    /// The shelves where events that a filter takes may be; `None` in the place of another.
    fn shelves_of(&self, filter: &Filter) -> impl Iterator<Item = Option<&Shelf>> {
        let mut is_over = false;
        self.shelves.iter().map(move |shelf| {
            let is_one = shelf.is_former() || (!is_over && shelf.rule().filter.meets(filter));
            is_over |= shelf.rule().filter.covers(filter);
            is_one.then_some(shelf)
        })
    }

    fn found(&self, selection: Selection<'_>, wanted: Wanted<'_>) -> io::Result<Found> {
        let mut all = Found { through: wanted.through, ..Found::default() };
        for shelf in &self.shelves {
            let found = shelf.read(selection, wanted, self.epoch)?;
            if (found.is_full || found.hole.is_some()) && found.through <= all.through {
                // What lies behind it in other shelves comes after what is missing here.
                (all.through, all.is_full) = (found.through, true);
                (all.hole, all.resumes_after) = (found.hole, found.resumes_after);
            }
            all.events.extend(found.events);
        }
        all.events.retain(|event| event.cursor.offset.0 <= all.through);
        all.events.sort_unstable_by_key(|event| event.cursor.offset);
        if all.events.len() > wanted.limit {
            all.events.truncate(wanted.limit);
            all.through = all.events.last().map_or(wanted.after, |last| last.cursor.offset.0);
            (all.hole, all.resumes_after) = (None, None);
        }
        Ok(all)
    }
}

impl Archive for Store {
    fn floors(&self, filter: &Filter) -> Floors {
        self.shelves_of(filter).map(|shelf| shelf.map_or(0, Shelf::floor)).collect()
    }

    fn lowest(&self, filter: &Filter) -> Offset {
        Offset(self.shelves_of(filter).flatten().map(Shelf::floor).min().unwrap_or(0))
    }

    fn earliest(&self) -> Offset {
        let first = self.shelves.iter().flat_map(Shelf::segments).filter_map(|segment| {
            let index = segment.index();
            index.topics.values().map(|held| held.first).min()
        });
        first.min().map_or(Offset(0), |first| Offset(first - 1))
    }

    fn read(
        &self,
        selection: Selection<'_>,
        after: Offset,
        through: Offset,
        limit: usize,
    ) -> io::Result<Older> {
        let takes = |topic: &str| selection.takes(topic);
        let wanted = Wanted { after: after.0, through: through.0, takes: &takes, limit, bytes: READ_BYTES };
        let found = self.found(selection, wanted)?;
        if let Some(hole) = &found.hole {
            tracing::error!(file = %hole.path, at = hole.at, after = hole.after, "{hole}; it is left out");
        }
        let events = found.events.into_iter().map(|event| Arc::new(Encoded::new(event))).collect();
        let resumes_after = found.resumes_after.map(Offset);
        Ok(Older { events, through: Offset(found.through), resumes_after })
    }

    fn before_newest(&self, selection: Selection<'_>, through: Offset, count: usize) -> io::Result<Offset> {
        let takes = |topic: &str| selection.takes(topic);
        let mut newest = Vec::new();
        for shelf in &self.shelves {
            let mut found = Vec::new();
            // Segment by segment from the end, until there are enough.
            for segment in shelf.segments().iter().rev() {
                let before = {
                    let index = segment.index();
                    let ours = index.topics.iter().filter(|(topic, _)| takes(topic.as_str()));
                    ours.map(|(_, held)| held.first).min().map(|first| first - 1)
                };
                let Some(after) = before else { continue };
                let wanted =
                    Wanted { after, through: through.0, takes: &takes, limit: usize::MAX, bytes: usize::MAX };
                // What can't be read is passed over here; who reads on meets it, and is told.
                let events = segment.read(wanted, self.epoch)?.events;
                found.extend(events.iter().rev().map(|event| event.cursor.offset.0));
                if found.len() >= count {
                    break;
                }
            }
            newest.extend(found);
        }
        newest.sort_unstable_by(|a, b| b.cmp(a));
        newest.truncate(count);
        Ok(newest.last().map_or(through, |oldest| Offset(oldest - 1)))
    }

    fn latest(&self, selection: Selection<'_>, after: Offset, through: Offset) -> io::Result<Older> {
        let mut newest: HashMap<Topic, (u64, Arc<Segment>)> = HashMap::new();
        for segment in self.shelves.iter().flat_map(Shelf::segments) {
            for (topic, held) in &segment.index().topics {
                let is_newer = newest.get(topic).is_none_or(|(last, _)| *last < held.last);
                if held.last > after.0 && is_newer && selection.takes(topic.as_str()) {
                    newest.insert(topic.clone(), (held.last, Arc::clone(&segment)));
                }
            }
        }
        let mut events = Vec::new();
        for (topic, (last, segment)) in newest {
            // A newer one is in memory.
            if last > through.0 {
                continue;
            }
            let takes = |other: &str| other == topic.as_str();
            let wanted =
                Wanted { after: last - 1, through: last, takes: &takes, limit: 1, bytes: usize::MAX };
            events.extend(segment.read(wanted, self.epoch)?.events);
        }
        events.sort_unstable_by_key(|event| event.cursor.offset);
        let events = events.into_iter().map(|event| Arc::new(Encoded::new(event))).collect();
        Ok(Older { events, through, resumes_after: None })
    }

    fn stock(&self, wanted: &dyn Fn(&Topic) -> bool) -> Vec<(Topic, Stock)> {
        let mut all: HashMap<Topic, Held> = HashMap::new();
        for segment in self.shelves.iter().flat_map(Shelf::segments) {
            for (topic, held) in segment.index().topics.iter().filter(|(topic, _)| wanted(topic)) {
                all.entry(topic.clone()).and_modify(|known| *known = known.and(*held)).or_insert(*held);
            }
        }
        let stock =
            |held: Held| Stock { events: held.events, first: Offset(held.first), last: Offset(held.last) };
        all.into_iter().map(|(topic, held)| (topic, stock(held))).collect()
    }
}

/// A wildcard can't be in a file's name everywhere.
fn shelf_name(filter: &Filter) -> String {
    if *filter == Filter::all() {
        return ALL.to_owned();
    }
    format!("{OF}{}", filter.as_str().replace('*', "+").replace('>', "@"))
}

fn lock(folder: &Path) -> io::Result<File> {
    let file = File::create(folder.join(LOCK_FILE))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            let text = format!("{} is open in another server", folder.display());
            Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
        }
    }
}

/// The log's epoch; a new one is written whole or not at all.
fn epoch(folder: &Path) -> io::Result<Epoch> {
    let path = folder.join(NAME_FILE);
    let bad = || {
        let text = format!("{} does not name a log that this version reads", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let rest = text.strip_prefix(FORMAT).ok_or_else(bad)?;
            rest.trim().parse().map_err(|_| bad())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let bits = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
            let epoch = Epoch::from_bits(bits);
            let fresh = folder.join("log.new");
            let mut file = File::create(&fresh)?;
            writeln!(file, "{FORMAT}\n{epoch}")?;
            file.sync_all()?;
            fs::rename(fresh, &path)?;
            File::open(folder)?.sync_all()?;
            Ok(epoch)
        }
        Err(error) => Err(error),
    }
}

/// The number that a file says; 0 if there is none.
pub(super) fn number_in(path: &Path) -> io::Result<u64> {
    match fs::read_to_string(path) {
        Ok(text) => text.trim().parse().map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} does not say a number", path.display()))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Writes a number into a file, whole or not at all.
pub(super) fn say_number(folder: &Path, name: &str, number: u64) -> io::Result<()> {
    let fresh = folder.join(format!("{name}.new"));
    let mut file = File::create(&fresh)?;
    writeln!(file, "{number}")?;
    file.sync_all()?;
    fs::rename(fresh, folder.join(name))?;
    File::open(folder)?.sync_all()
}
