//! A file on its way in, and what the server makes of it.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::Topic;

/// The largest file, and the pieces that it comes in.
pub const MAX_BYTES: u64 = 16 << 20;
/// See [`MAX_BYTES`].
pub const PIECE_BYTES: usize = 128 * 1024;

/// Where a visitor's job is told of. The job's id is random.
pub fn job(visitor: &str, job: &str) -> Option<Topic> {
    topic(&["uploads", visitor, job])
}

/// Where its pieces go, as bytes.
pub fn pieces(visitor: &str, job: &str) -> Option<Topic> {
    topic(&["pieces", visitor, job])
}

/// What is said of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Said {
    /// The page: a file comes.
    Begun {
        /// Its name.
        name: Box<str>,
        /// Its size.
        bytes: u64,
    },
    /// The page: it is not wanted any more.
    Cancelled,
    /// The server: so far.
    Step {
        /// What is being done.
        step: Step,
        /// How much of it.
        done: u64,
        /// Of how much.
        of: u64,
    },
    /// The server: finished.
    Done(Found),
    /// The server: it won't.
    Refused {
        /// Why.
        why: Box<str>,
    },
}

/// What is done with a file, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Its pieces come in.
    Receive,
    /// SHA-256 of it.
    Hash,
    /// How small it gets.
    Pack,
    /// Its words are counted.
    Index,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Receive, Self::Hash, Self::Pack, Self::Index];

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Receive => "Receive",
            Self::Hash => "Hash (SHA-256)",
            Self::Pack => "Pack (deflate)",
            Self::Index => "Index words",
        }
    }
}

/// What the server found in a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// In hexadecimal.
    pub sha256: Box<str>,
    /// Packed at the best level.
    pub packed_bytes: u64,
    /// Lines in it.
    pub lines: u64,
    /// Words in it.
    pub words: u64,
    /// The commonest, with how often.
    pub commonest: Vec<(Box<str>, u64)>,
}
