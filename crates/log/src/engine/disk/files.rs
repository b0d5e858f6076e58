//! The file system as the log uses it. Everything that the log asks of a disk goes through here, so that tests can
//! give it a disk that fails.

use std::{
    any::Any,
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// A file system, as far as the log needs one. A change of names (making, renaming, removing) certainly survives a
/// power failure once [`Files::sync_folder`] has returned, as POSIX has it for `fsync` of a directory.
pub trait Files: fmt::Debug + Send + Sync {
    /// Makes a folder; the folder above must exist.
    ///
    /// # Errors
    /// If the folder exists already, or can't be made.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// True if a folder of this name exists.
    fn is_folder(&self, path: &Path) -> bool;

    /// Returns the paths of everything in a folder, in no order.
    ///
    /// # Errors
    /// If the folder can't be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// Opens a file for reading, and for writing too unless `how` is [`OpenMode::Read`].
    ///
    /// # Errors
    /// If the file can't be opened; [`io::ErrorKind::NotFound`] if it does not exist and is not to be made.
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn OpenFile>>;

    /// Renames a file, replacing any file that has the new name.
    ///
    /// # Errors
    /// If the file can't be renamed.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// If the file can't be removed.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Blocks until the names in a folder are on the disk.
    ///
    /// # Errors
    /// If the disk fails.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Locks a file until the returned guard is dropped, and makes the file first unless `how` is [`OpenMode::Read`].
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if the file is locked already.
    fn lock(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn Any + Send + Sync>>;
}

/// The way to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The file exists, and is only read.
    Read,
    /// The file exists, and is read and written.
    Existing,
    /// The file is made if it does not exist.
    Create,
    /// The file is made if it does not exist, and emptied if it does.
    Truncate,
}

/// An open file. It may be used from several threads at once.
pub trait OpenFile: fmt::Debug + Send + Sync {
    /// Fills the buffer with the bytes from `at` on.
    ///
    /// # Errors
    /// If the file can't be read, or ends before.
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;

    /// Writes all bytes at `at`.
    ///
    /// # Errors
    /// If the bytes can't be written; some of them may have been.
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Cuts the file to a length, or extends it with zeros.
    ///
    /// # Errors
    /// If the length can't be changed.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Returns the length of the file, in bytes.
    ///
    /// # Errors
    /// If the length can't be read.
    fn length(&self) -> io::Result<u64>;

    /// Blocks until the contents and the length of the file are on the disk.
    ///
    /// # Errors
    /// If the disk fails; it is then unknown what the disk has kept.
    fn sync(&self) -> io::Result<()>;
}

/// The files of the operating system.
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

    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn OpenFile>> {
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

    fn lock(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn Any + Send + Sync>> {
        let file = options(how).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::Error(error)) => Err(error),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

fn options(how: OpenMode) -> OpenOptions {
    let mut options = OpenOptions::new();
    let is_made = matches!(how, OpenMode::Create | OpenMode::Truncate);
    options.read(true).write(how != OpenMode::Read).create(is_made).truncate(how == OpenMode::Truncate);
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

/// Makes a folder and all missing folders above it, and syncs their names to the disk.
///
/// # Errors
/// If a folder can't be made.
pub(super) fn make_folders(files: &dyn Files, folder: &Path) -> io::Result<()> {
    if files.is_folder(folder) {
        return Ok(());
    }
    // A name without a folder before it is in the current folder.
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

/// Reads a whole file; `None` if it does not exist.
///
/// # Errors
/// If the file can't be read.
pub(super) fn read_whole(files: &dyn Files, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match files.open(path, OpenMode::Read) {
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
/// If the file can't be written; the old one is still there then.
pub(super) fn write_whole(files: &dyn Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_added_extension("new");
    let file = files.open(&fresh, OpenMode::Truncate)?;
    file.write_all_at(bytes, 0)?;
    file.sync()?;
    files.rename(&fresh, path)?;
    path.parent().map_or(Ok(()), |folder| files.sync_folder(folder))
}
