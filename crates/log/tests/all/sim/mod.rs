//! A disk in memory that fails, tears or forgets at a chosen operation, and that can lose power.
//!
//! The disk keeps two states: the one that programs see, and the one that is certain to survive a loss of power. The
//! changes since the last sync are between the two, and any part of them survives: bytes of files in any order, names
//! in a folder in order. A sync that fails may have kept any part of its changes, and the next sync does not write the
//! rest, as on Linux.

mod files;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

/// The fault of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails, without any effect.
    Fails(ErrorKind),
    /// The operation fails, and a part of it is done.
    Tears(ErrorKind),
    /// The operation fails, and so does every later one, until [`Sim::mend`].
    FailsOn,
    /// The disk is full from this operation on, until [`Sim::mend`] or until a file is removed.
    Full,
    /// The process is killed during the operation; the operating system goes on.
    Killed,
    /// The power is lost during the operation.
    Dark,
}

/// The unsynced changes that a loss of power leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// No unsynced change survives.
    Nothing,
    /// Every unsynced change survives.
    Everything,
    /// A random part survives.
    Part,
}

/// The simulated disk. A clone is the same disk; the test and the log's files share it, one operation at a time.
#[derive(Clone, Debug)]
pub struct Sim(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: Vec<Inode>,
    live: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    /// Changes of names since their folder was synced.
    names: Vec<(PathBuf, Vec<Name>)>,
    locks: BTreeSet<PathBuf>,
    operations: u64,
    changes: u64,
    faults: Vec<(u64, Fault)>,
    /// The last fault that happened.
    struck: Option<Fault>,
    is_sync_failing: bool,
    is_gone: bool,
    is_full: bool,
    chance: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Clone, Debug)]
enum Name {
    Given(PathBuf, Node),
    Taken(PathBuf),
}

#[derive(Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, new) => {
                if bytes.len() < at + new.len() {
                    bytes.resize(at + new.len(), 0);
                }
                bytes[*at..at + new.len()].copy_from_slice(new);
            }
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }

    /// Returns a random part of the change.
    fn torn(&self, chance: &mut u64) -> Self {
        match self {
            Self::Write(at, new) => Self::Write(*at, new[..below(chance, new.len())].to_vec()),
            Self::Length(_) => self.clone(),
        }
    }
}

impl Sim {
    /// Creates an empty disk with a root folder. The same `seed` gives the same random choices.
    pub fn new(seed: u64) -> Self {
        let root = BTreeMap::from([(PathBuf::from("/"), Node::Folder)]);
        let state = State { live: root.clone(), durable: root, chance: seed | 1, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Injects a fault into the `at`-th operation from now on.
    pub fn fault(&self, at: u64, fault: Fault) {
        let mut state = self.state();
        let at = state.operations + at;
        state.faults.push((at, fault));
    }

    /// Returns the number of operations so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Makes the next sync of a file fail, and lose all unsynced changes of the file.
    pub fn fail_next_sync(&self) {
        self.state().is_sync_failing = true;
    }

    /// Removes all faults but [`Self::fail_next_sync`]: from now on the disk works.
    pub fn mend(&self) {
        let mut state = self.state();
        state.faults.clear();
        (state.is_gone, state.is_full) = (false, false);
    }

    /// Applies a loss of power: what was durable is left, with the given part of the unsynced changes. Faults end.
    pub fn lose_power(&self, left: Left) {
        let mut state = self.state();
        let State { files, live, durable, names, chance, .. } = &mut *state;
        for file in files.iter_mut() {
            for change in std::mem::take(&mut file.unsynced) {
                match left {
                    Left::Nothing => {}
                    Left::Everything => change.apply(&mut file.durable),
                    Left::Part => match below(chance, 4) {
                        0 => {}
                        1 => change.torn(chance).apply(&mut file.durable),
                        _ => change.apply(&mut file.durable),
                    },
                }
            }
            file.live.clone_from(&file.durable);
        }
        // In each folder, changes of names survive in order, up to the first one that is lost.
        let mut ended: BTreeSet<PathBuf> = BTreeSet::new();
        for (folder, changes) in std::mem::take(names) {
            let is_lost = match left {
                Left::Nothing => true,
                Left::Everything => false,
                Left::Part => ended.contains(&folder) || below(chance, 4) == 0,
            };
            if is_lost {
                ended.insert(folder);
            } else {
                apply(&changes, durable);
            }
        }
        // A file or folder without its parent folder does not exist.
        let folders = durable.clone();
        durable.retain(|path, _| {
            path.ancestors().skip(1).all(|above| folders.get(above) == Some(&Node::Folder))
        });
        live.clone_from(durable);
        state.faults.clear();
        (state.is_gone, state.is_full) = (false, false);
    }

    /// Returns the number of operations so far that change something.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Counts an operation that changes something. `doing` carries it out, in full if its flag is true, else in part.
    fn change(&self, doing: impl FnOnce(&mut State, bool) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state();
        state.changes += 1;
        match state.step()? {
            None => doing(&mut state, true),
            Some(Fault::Fails(kind)) => Err(kind.into()),
            Some(Fault::Tears(kind)) => {
                doing(&mut state, false)?;
                Err(kind.into())
            }
            Some(Fault::FailsOn) => {
                state.is_gone = true;
                Err(broken())
            }
            Some(Fault::Killed | Fault::Dark) => {
                doing(&mut state, false)?;
                state.is_gone = true;
                Err(broken())
            }
            Some(Fault::Full) => {
                state.is_full = true;
                doing(&mut state, true)
            }
        }
    }

    /// Counts a sync, as [`Self::change`] does. If the process or the power ends during it, the sync does nothing, as
    /// nobody sees its result.
    fn sync_change(&self, doing: impl FnOnce(&mut State, bool) -> io::Result<()>) -> io::Result<()> {
        self.change(|state, is_whole| {
            let is_ending = !is_whole && matches!(state.struck, Some(Fault::Killed | Fault::Dark));
            if is_ending { Ok(()) } else { doing(state, is_whole) }
        })
    }

    /// Counts an operation that only reads.
    fn look<T>(&self, looking: impl FnOnce(&State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        match state.step()? {
            None => looking(&state),
            Some(Fault::Full) => {
                state.is_full = true;
                looking(&state)
            }
            Some(Fault::Fails(kind) | Fault::Tears(kind)) => Err(kind.into()),
            Some(Fault::FailsOn | Fault::Killed | Fault::Dark) => {
                state.is_gone = true;
                Err(broken())
            }
        }
    }
}

impl State {
    fn step(&mut self) -> io::Result<Option<Fault>> {
        if self.is_gone {
            return Err(broken());
        }
        self.operations += 1;
        let fault = self.faults.iter().find(|(at, _)| *at == self.operations).map(|(_, fault)| *fault);
        self.struck = fault.or(self.struck);
        Ok(fault)
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        self.live.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn name(&mut self, folder: &Path, changes: Vec<Name>) {
        apply(&changes, &mut self.live);
        self.names.push((folder.to_owned(), changes));
    }

    fn alter(&mut self, file: usize, change: Change) -> io::Result<()> {
        let length = self.files[file].live.len();
        let grows = match &change {
            Change::Write(at, new) => at + new.len() > length,
            Change::Length(new) => *new > length,
        };
        if self.is_full && grows {
            return Err(ErrorKind::StorageFull.into());
        }
        let inode = &mut self.files[file];
        change.apply(&mut inode.live);
        inode.unsynced.push(change);
        Ok(())
    }
}

impl Name {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Given(path, node) => drop(names.insert(path.clone(), *node)),
            Self::Taken(path) => drop(names.remove(path)),
        }
    }
}

fn apply(changes: &[Name], names: &mut BTreeMap<PathBuf, Node>) {
    for name in changes {
        name.apply(names);
    }
}

fn above(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| ErrorKind::InvalidInput.into())
}

fn broken() -> io::Error {
    io::Error::other("input/output error")
}

/// Returns a random number below `end`; 0 if `end` is 0.
fn below(chance: &mut u64, end: usize) -> usize {
    // Xorshift: its quality does not matter, only that it repeats.
    *chance ^= *chance << 13;
    *chance ^= *chance >> 7;
    *chance ^= *chance << 17;
    usize::try_from(*chance >> 16).unwrap() % end.max(1)
}
