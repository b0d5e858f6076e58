//! Files as the log uses them: all that it asks of a disk goes through here, so that tests can give it one that fails.

use std::{
    any::Any,
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// A file system, as far as the log needs one. What is done to names (making, renaming, removing) is certain to outlive the
/// machine's power once [`Files::sync_folder`] has returned, as POSIX has it for `fsync` of a directory.
pub trait Files: fmt::Debug + Send + Sync {
    /// Makes a folder in one that is there.
    ///
    /// # Errors
    /// If it is there already, or can't be made.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// Whether a folder of this name is there.
    fn is_folder(&self, path: &Path) -> bool;

    /// All that is in a folder, in no order.
    ///
    /// # Errors
    /// If it can't be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// Opens a file to be read, and written unless it is [`How::Read`].
    ///
    /// # Errors
    /// If it can't be opened; [`io::ErrorKind::NotFound`] if it is not there and is not to be made.
    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn OpenFile>>;

    /// Gives a file another name, in place of one that had it.
    ///
    /// # Errors
    /// If it can't.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// If it can't.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Has the disk keep the names that are in a folder now.
    ///
    /// # Errors
    /// If the disk fails.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Keeps others out for as long as what is returned lives, by a file that is made unless it is [`How::Read`].
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another keeps this one out.
    fn lock(&self, path: &Path, how: How) -> io::Result<Box<dyn Any + Send + Sync>>;
}

/// What becomes of a file that is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is there, and is only read.
    Read,
    /// It is there.
    Existing,
    /// It is made if it is not there.
    Made,
    /// It is made if it is not there, and emptied if it is.
    Emptied,
}

/// An open file.
pub trait OpenFile: fmt::Debug + Send + Sync {
    /// Reads as much as the buffer holds.
    ///
    /// # Errors
    /// If it can't, or the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;

    /// Writes all of this.
    ///
    /// # Errors
    /// If it can't; a part of it may be written then.
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Cuts it off, or makes it longer with zeros.
    ///
    /// # Errors
    /// If it can't.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Its bytes.
    ///
    /// # Errors
    /// If it can't be asked.
    fn length(&self) -> io::Result<u64>;

    /// Has the disk keep what was written, and how long the file is.
    ///
    /// # Errors
    /// If the disk fails; nobody knows then what it has kept.
    fn sync(&self) -> io::Result<()>;
}

/// The system's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir(folder)
    }

    fn is_folder(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    }

    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(options(how).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn lock(&self, path: &Path, how: How) -> io::Result<Box<dyn Any + Send + Sync>> {
        let file = options(how).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::Error(error)) => Err(error),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

fn options(how: How) -> OpenOptions {
    let mut options = OpenOptions::new();
    let is_made = matches!(how, How::Made | How::Emptied);
    options.read(true).write(how != How::Read).create(is_made).truncate(how == How::Emptied);
    options
}

impl OpenFile for File {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, at)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, at)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Self::set_len(self, length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Makes a folder and those above it that are not there, and has the disk keep their names.
///
/// # Errors
/// If one can't be made.
pub(super) fn make_folders(files: &dyn Files, folder: &Path) -> io::Result<()> {
    if files.is_folder(folder) {
        return Ok(());
    }
    // A name without a folder before it lies in the current one.
    let above = folder.parent().map(|above| if above == Path::new("") { Path::new(".") } else { above });
    if let Some(above) = above {
        make_folders(files, above)?;
    }
    match files.make_folder(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    above.map_or(Ok(()), |above| files.sync_folder(above))
}

/// All bytes of a file; `None` if it is not there.
///
/// # Errors
/// If it can't be read.
pub(super) fn read_whole(files: &dyn Files, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match files.open(path, How::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = vec![0; usize::try_from(file.length()?).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

/// Writes a small file, whole or not at all.
///
/// # Errors
/// If it can't be written; the one before it is there then.
pub(super) fn write_whole(files: &dyn Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_added_extension("new");
    let file = files.open(&fresh, How::Emptied)?;
    file.write_all_at(bytes, 0)?;
    file.sync()?;
    files.rename(&fresh, path)?;
    path.parent().map_or(Ok(()), |folder| files.sync_folder(folder))
}
