//! Faults in the files of a log. Opening a log and checking it find the same ones.

use std::{fmt, path::PathBuf};

use super::block::Damage;

/// A place in the files of a log where something is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path of the file.
    pub file: PathBuf,
    /// Offset of the first byte concerned, from the beginning of the file.
    pub at: u64,
    /// Number of bytes concerned.
    pub bytes: u64,
    /// Offset of the last event before the place.
    pub after: u64,
    /// Kind of the fault.
    pub kind: FindingKind,
}

/// The kind of a fault, and what a start does about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// Bytes that were whole once and can't be read any more: events are lost. Readers that pass them get a `reset`.
    /// With the reason.
    Lost(String),
    /// A write that a crash cut short; nobody was told that it was kept. A start cuts it off and keeps a copy in a
    /// file beside the segment. With the reason, and the path of the copy or the error that prevented it.
    Torn(String, Result<PathBuf, String>),
    /// A new file that holds no event yet. A start removes it.
    Begun,
    /// A number that was only half written. A start uses [`Finding::after`] instead.
    Half,
}

impl Finding {
    /// True if events are lost that had been kept.
    pub const fn is_loss(&self) -> bool {
        matches!(self.kind, FindingKind::Lost(_))
    }

    pub(super) fn lost(file: PathBuf, at: u64, bytes: u64, after: u64, damage: Damage) -> Self {
        Self { file, at, bytes, after, kind: FindingKind::Lost(damage.to_string()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, bytes, after, .. } = self;
        let file = self.file.display();
        match &self.kind {
            FindingKind::Lost(why) => {
                write!(
                    f,
                    "{file}: {why}: {bytes} bytes from byte {at} on can't be read; the lost events come after offset {after}"
                )
            }
            FindingKind::Torn(why, kept) => {
                write!(
                    f,
                    "{file}: {why}: {bytes} bytes from byte {at} on, after offset {after}, are a write that was cut short; "
                )?;
                match kept {
                    Ok(beside) => write!(f, "a start cuts them off and keeps them as {}", beside.display()),
                    Err(error) => write!(f, "a start cuts them off and can't keep a copy: {error}"),
                }
            }
            FindingKind::Begun => {
                write!(f, "{file}: an unfinished new file: {bytes} bytes that hold no event")
            }
            FindingKind::Half => {
                write!(f, "{file}: a number that was only half written; {after} is used instead")
            }
        }
    }
}
