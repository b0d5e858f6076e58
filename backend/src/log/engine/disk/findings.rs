//! Places in the files of a log that are not as they were written. Opening a log and checking it find the same ones.

use std::{fmt, path::PathBuf};

use super::block::Damage;

/// A place in the files of a log where something is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// The first byte of it that is meant.
    pub at: u64,
    /// How many bytes are meant.
    pub bytes: u64,
    /// The last offset before it.
    pub after: u64,
    /// What it is.
    pub kind: FindingKind,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// Bytes that were whole once and can't be read: events are lost. Who reads past them is told by a `reset`.
    Lost(String),
    /// A write that a crash has cut short, and why it is none; nobody was told that it is kept. A start cuts it off, and
    /// keeps it in a file beside, or says why it can't.
    Torn(String, Result<PathBuf, String>),
    /// A file that was being made, with nothing in it. A start removes it.
    Begun,
    /// A number that was being written. A start takes what is there in its place.
    Half,
}

impl Finding {
    /// Whether something is lost that was kept.
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
                    "{file}: {why}: {bytes} bytes from byte {at} on can't be read; what they held lies after offset {after}"
                )
            }
            FindingKind::Torn(why, kept) => {
                write!(
                    f,
                    "{file}: {why}: {bytes} bytes from byte {at} on are a write that was cut short, after offset {after}; "
                )?;
                match kept {
                    Ok(beside) => write!(f, "they are cut off, and kept beside as {}", beside.display()),
                    Err(error) => write!(f, "they are cut off, and can't be kept beside: {error}"),
                }
            }
            FindingKind::Begun => {
                write!(f, "{file}: a file that was being made, {bytes} bytes with nothing in them")
            }
            FindingKind::Half => {
                write!(f, "{file}: a number that was being written; {after} takes its place")
            }
        }
    }
}
