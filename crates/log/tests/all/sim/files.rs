//! The simulated disk behind the log's own traits for files.

use std::{
    any::Any,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use fourways_log::engine::{Files, OpenFile, OpenMode};

use super::{Change, Inode, Name, Node, Sim, State, above, apply, below, broken};

impl Files for Sim {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.change(|state, _| {
            if state.live.contains_key(folder) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            if state.is_full {
                return Err(ErrorKind::StorageFull.into());
            }
            state.node(above(folder)?)?;
            state.name(above(folder)?, vec![Name::Given(folder.to_owned(), Node::Folder)]);
            Ok(())
        })
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.state().node(path).is_ok_and(|node| node == Node::Folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.look(|state| {
            state.node(folder)?;
            Ok(state.live.keys().filter(|path| path.parent() == Some(folder)).cloned().collect())
        })
    }

    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn OpenFile>> {
        if matches!(how, OpenMode::Read | OpenMode::Existing) {
            let node = self.look(|state| state.node(path))?;
            let Node::File(at) = node else { return Err(ErrorKind::IsADirectory.into()) };
            return Ok(Box::new(SimFile { disk: self.clone(), at }));
        }
        let mut opened = 0;
        self.change(|state, is_whole| match state.node(path) {
            Ok(Node::File(at)) => {
                opened = at;
                if how == OpenMode::Truncate {
                    state.alter(at, Change::Length(0))?;
                }
                Ok(())
            }
            Ok(Node::Folder) => Err(ErrorKind::IsADirectory.into()),
            Err(_) if state.is_full => Err(ErrorKind::StorageFull.into()),
            Err(_) => {
                state.node(above(path)?)?;
                opened = state.files.len();
                state.files.push(Inode::default());
                if is_whole || below(&mut state.chance, 2) == 0 {
                    state.name(above(path)?, vec![Name::Given(path.to_owned(), Node::File(opened))]);
                }
                Ok(())
            }
        })?;
        Ok(Box::new(SimFile { disk: self.clone(), at: opened }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|state, is_whole| {
            let node = state.node(from)?;
            if is_whole || below(&mut state.chance, 2) == 0 {
                state.name(above(to)?, vec![Name::Taken(from.to_owned()), Name::Given(to.to_owned(), node)]);
            }
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(|state, is_whole| {
            state.node(path)?;
            if is_whole || below(&mut state.chance, 2) == 0 {
                state.name(above(path)?, vec![Name::Taken(path.to_owned())]);
            }
            // A removed file frees space.
            state.is_full = false;
            Ok(())
        })
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.sync_change(|state, is_whole| {
            let names = std::mem::take(&mut state.names);
            let (ours, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|(above, _)| above == folder);
            let kept = if is_whole { ours.len() } else { below(&mut state.chance, ours.len() + 1) };
            for (_, changes) in &ours[..kept] {
                apply(changes, &mut state.durable);
            }
            // Names are in the file system's journal, which forgets nothing when a sync fails.
            state.names = ours[kept..].iter().cloned().chain(others).collect();
            Ok(())
        })
    }

    fn lock(&self, path: &Path, _: OpenMode) -> io::Result<Box<dyn Any + Send + Sync>> {
        struct Held(Sim, PathBuf);
        impl Drop for Held {
            fn drop(&mut self) {
                self.0.state().locks.remove(&self.1);
            }
        }
        if !self.state().locks.insert(path.to_owned()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Held(self.clone(), path.to_owned())))
    }
}

#[derive(Debug)]
struct SimFile {
    disk: Sim,
    at: usize,
}

impl OpenFile for SimFile {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.disk.look(|state| {
            let at = usize::try_from(at).unwrap();
            let bytes = state.files[self.at].live.get(at..at + buffer.len());
            buffer.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let write = Change::Write(usize::try_from(at).unwrap(), bytes.to_vec());
        self.disk.change(|state, is_whole| {
            let write = if is_whole { write } else { write.torn(&mut state.chance) };
            state.alter(self.at, write)
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap();
        self.disk.change(|state, is_whole| {
            if is_whole || below(&mut state.chance, 2) == 0 {
                state.alter(self.at, Change::Length(length))?;
            }
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.look(|state| Ok(state.files[self.at].live.len() as u64))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync_change(|state, is_whole| {
            if std::mem::take(&mut state.is_sync_failing) {
                state.files[self.at].unsynced.clear();
                return Err(broken());
            }
            let State { files, chance, .. } = state;
            let Inode { live, durable, unsynced } = &mut files[self.at];
            if is_whole {
                // Only changes since the last sync are written: what an earlier, failed sync lost stays lost.
                for change in std::mem::take(unsynced) {
                    change.apply(durable);
                }
                durable.resize(live.len(), 0);
            } else {
                unsynced.retain(|change| {
                    match below(chance, 3) {
                        0 => {}
                        1 => change.torn(chance).apply(durable),
                        _ => change.apply(durable),
                    }
                    false
                });
            }
            Ok(())
        })
    }
}
