//! The identity of a log: its epoch, and the epochs that it had before.

use std::{io, path::Path};

use fourways_shared::Epoch;

use super::files::{Files, read_whole, write_whole};

/// Name of the file that identifies a log: its format, its epoch, and a line for each former epoch.
const NAME_FILE: &str = "log";
const FORMAT: &str = "fourways log 1";
const FORMER: &str = "was ";

/// The epochs of a log. A cursor is valid in one epoch only: a log that was restored begins another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Epochs {
    /// Epoch of the cursors that are given out.
    pub(super) now: Epoch,
    /// Former epochs. Segments that were made then are still part of the log.
    former: Vec<Epoch>,
}

impl Epochs {
    /// True if this is the log's epoch or was one.
    pub(super) fn have(&self, epoch: Epoch) -> bool {
        self.now == epoch || self.former.contains(&epoch)
    }

    /// Reads the epochs of the log in a folder; `None` if there is no log.
    ///
    /// # Errors
    /// If the file can't be read, or its format is unknown to this version.
    pub(super) fn read(files: &dyn Files, folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join(NAME_FILE);
        let Some(bytes) = read_whole(files, &path)? else { return Ok(None) };
        let parse = || {
            let mut lines = std::str::from_utf8(&bytes).ok()?.strip_prefix(FORMAT)?.trim().lines();
            let now = lines.next()?.parse().ok()?;
            let former = lines.map(|line| line.strip_prefix(FORMER)?.parse().ok()).collect::<Option<_>>()?;
            Some(Self { now, former })
        };
        parse().map(Some).ok_or_else(|| {
            let text = format!("{} does not describe a log that this version can read", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    /// Reads the epochs of the log in a folder, or begins a new log, with the given epoch or with one of its own. The
    /// file of a new log is written whole or not at all.
    ///
    /// # Errors
    /// As for [`Self::read`], or if the file can't be written.
    pub(super) fn read_or_begin(files: &dyn Files, folder: &Path, epoch: Option<Epoch>) -> io::Result<Self> {
        if let Some(known) = Self::read(files, folder)? {
            return Ok(known);
        }
        let new = Self { now: epoch.map_or_else(fresh, Ok)?, former: Vec::new() };
        new.write(files, folder)?;
        Ok(new)
    }

    /// Begins another epoch.
    ///
    /// # Errors
    /// If the file can't be written; then nothing has changed.
    pub(super) fn renew(self, files: &dyn Files, folder: &Path) -> io::Result<Self> {
        let mut former = self.former;
        former.push(self.now);
        let new = Self { now: fresh()?, former };
        new.write(files, folder)?;
        Ok(new)
    }

    fn write(&self, files: &dyn Files, folder: &Path) -> io::Result<()> {
        let mut lines = vec![FORMAT.to_owned(), self.now.to_string()];
        lines.extend(self.former.iter().map(|epoch| format!("{FORMER}{epoch}")));
        let text = lines.join("\n") + "\n";
        write_whole(files, &folder.join(NAME_FILE), text.as_bytes())
    }
}

fn fresh() -> io::Result<Epoch> {
    let bits = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Epoch::from_bits(bits))
}
