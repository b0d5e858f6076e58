//! A disk in memory that fails, tears or forgets at a chosen operation, and what a loss of power leaves of it.
//!
//! It keeps two states: what programs see, and what is certain to outlive the power. What was done since the last sync is
//! between them, and after a loss of power any part of it is there, bytes of files in any order, names of a folder in
//! order. A sync that fails may have kept any part, and the next one knows nothing of the rest: that is what Linux does.

mod files;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails once, and nothing of it is done.
    Fails(ErrorKind),
    /// It fails once, and a part of it is done.
    Tears(ErrorKind),
    /// It fails, and so does everything after it, until [`Sim::mend`].
    FailsOn,
    /// From it on there is no room for another byte, until [`Sim::mend`].
    Full,
    /// The process ends while it is under way; the system goes on.
    Killed,
    /// The power is lost while it is under way.
    Dark,
}

/// How much of what was not synced is there after a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// All.
    Everything,
    /// A part, by chance.
    Part,
}

/// The disk.
#[derive(Clone, Debug)]
pub struct Sim(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: Vec<Inode>,
    live: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    /// What was done to names since their folder was synced.
    names: Vec<(PathBuf, Vec<Name>)>,
    locks: BTreeSet<PathBuf>,
    operations: u64,
    changes: u64,
    faults: Vec<(u64, Fault)>,
    /// The one that came.
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

    /// A part of it.
    fn torn(&self, chance: &mut u64) -> Self {
        match self {
            Self::Write(at, new) => Self::Write(*at, new[..below(chance, new.len())].to_vec()),
            Self::Length(_) => self.clone(),
        }
    }
}

impl Sim {
    /// An empty one with a root folder. `seed`: what happens by chance is the same for the same.
    pub fn new(seed: u64) -> Self {
        let root = BTreeMap::from([(PathBuf::from("/"), Node::Folder)]);
        let state = State { live: root.clone(), durable: root, chance: seed | 1, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Has the operation of this number, counted from now on, go wrong.
    pub fn fault(&self, at: u64, fault: Fault) {
        let mut state = self.state();
        let at = state.operations + at;
        state.faults.push((at, fault));
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Has the next sync of a file fail, and keep nothing.
    pub fn fail_next_sync(&self) {
        self.state().is_sync_failing = true;
    }

    /// Nothing goes wrong any more.
    pub fn mend(&self) {
        let mut state = self.state();
        state.faults.clear();
        (state.is_gone, state.is_full) = (false, false);
    }

    /// What a loss of power leaves; whoever held files has lost them.
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
        // Of each folder the first so many.
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
        // What lies in a folder that is not there is not there.
        let folders = durable.clone();
        durable.retain(|path, _| {
            path.ancestors().skip(1).all(|above| folders.get(above) == Some(&Node::Folder))
        });
        live.clone_from(durable);
        state.faults.clear();
        (state.is_gone, state.is_full) = (false, false);
    }

    /// How often something was changed.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Counts an operation that changes something; `doing` does it, or a part of it.
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

    /// The same for a sync: one that nobody waits for any more has not failed.
    fn sync_change(&self, doing: impl FnOnce(&mut State, bool) -> io::Result<()>) -> io::Result<()> {
        self.change(|state, is_whole| {
            let is_ending = !is_whole && matches!(state.struck, Some(Fault::Killed | Fault::Dark));
            if is_ending { Ok(()) } else { doing(state, is_whole) }
        })
    }

    /// Counts an operation that only looks.
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

/// A number below another, or 0.
fn below(chance: &mut u64, end: usize) -> usize {
    // Xorshift: that it is the same each time is what matters.
    *chance ^= *chance << 13;
    *chance ^= *chance >> 7;
    *chance ^= *chance << 17;
    usize::try_from(*chance >> 16).unwrap() % end.max(1)
}
