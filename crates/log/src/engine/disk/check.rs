//! Work on a log that no server has open: checking that it is whole, and giving a restored log a new epoch.

use std::{
    any::Any,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use fourways_shared::Epoch;

use super::{
    Finding,
    block::Stored,
    files::{Files, OpenFile, OpenMode, SystemFiles},
    lives::Epochs,
    store::{self, Opened, Store},
};
use crate::engine::{Retention, RetentionRule};

/// The reason why a log can't be checked or renewed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The folder holds no log.
    #[error("{} is not the folder of a log", .0.display())]
    None(PathBuf),
    /// The log can't be read or written, or a server has it open.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The contents of a log, and everything that is wrong with it.
#[derive(Debug)]
pub struct Checked {
    /// Epoch of the log's cursors.
    pub epoch: Epoch,
    /// Offset after which the next event would be numbered.
    pub head: u64,
    /// Number of events that can be read.
    pub events: u64,
    /// Number of segment files.
    pub segments: usize,
    /// Length of all segment files together, in bytes.
    pub bytes: u64,
    /// Number of topics that have events.
    pub topics: usize,
    /// Everything that is not as it was written, file by file.
    pub findings: Vec<Finding>,
}

/// Reads every byte of a log, as a start would, and changes nothing.
///
/// # Errors
/// If there is no log, a server has it open, or it can't be read.
pub fn check(folder: &Path) -> Result<Checked, LogError> {
    check_on(Arc::new(SystemFiles), folder)
}

/// Checks a log on other files than the system's.
///
/// # Errors
/// As for [`check`].
pub fn check_on(files: Arc<dyn Files>, folder: &Path) -> Result<Checked, LogError> {
    if Epochs::read(&*files, folder)?.is_none() {
        return Err(LogError::None(folder.to_owned()));
    }
    let everything = Retention { events: usize::MAX, bytes: u64::MAX, age: std::time::Duration::MAX };
    let rules = [RetentionRule::for_all(everything)];
    let (mut events, mut topics) = (0, BTreeMap::<String, u64>::new());
    let mut visit = |stored: &Stored<'_>, _| {
        events += 1;
        match topics.get_mut(stored.topic) {
            Some(count) => *count += 1,
            None => drop(topics.insert(stored.topic.to_owned(), 1)),
        }
    };
    let Opened { store, head, findings, .. } =
        Store::open(Arc::new(Untouched(files)), folder, None, &rules, &mut visit)?;
    let segments: Vec<_> = store.shelves().iter().flat_map(super::shelf::Shelf::segments).collect();
    let bytes = segments.iter().map(|segment| segment.index().length).sum();
    let (epoch, segments, topics) = (store.epoch(), segments.len(), topics.len());
    Ok(Checked { epoch, head, events, segments, bytes, topics, findings })
}

/// Gives a log a new epoch and returns it. For a log that was restored from a backup or a snapshot: it will give out
/// offsets again that readers know as other events. With a new epoch, their old cursors are answered with a `reset`.
///
/// # Errors
/// If there is no log, a server has it open, or it can't be written.
pub fn renew(folder: &Path) -> Result<Epoch, LogError> {
    let files = SystemFiles;
    let Some(lives) = Epochs::read(&files, folder)? else { return Err(LogError::None(folder.to_owned())) };
    let _lock = store::lock(&files, folder)?;
    Ok(lives.renew(&files, folder)?.now)
}

/// Files that are never changed: writes are accepted and discarded.
#[derive(Debug)]
struct Untouched(Arc<dyn Files>);

impl Files for Untouched {
    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.0.is_folder(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        // A folder that a start would have made is empty.
        if self.0.is_folder(folder) { self.0.list(folder) } else { Ok(Vec::new()) }
    }

    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn OpenFile>> {
        let is_there = matches!(how, OpenMode::Read | OpenMode::Existing);
        Ok(Box::new(Reading(if is_there { Some(self.0.open(path, OpenMode::Read)?) } else { None })))
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path, _: OpenMode) -> io::Result<Box<dyn Any + Send + Sync>> {
        match self.0.lock(path, OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Box::new(())),
            locked => locked,
        }
    }
}

/// An open file; `None` for one that a start would have made.
#[derive(Debug)]
struct Reading(Option<Box<dyn OpenFile>>);

impl OpenFile for Reading {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match &self.0 {
            Some(file) => file.read_exact_at(buffer, at),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        self.0.as_ref().map_or(Ok(0), |file| file.length())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
