//! A file upload: the file arrives in pieces, then the server hashes, packs and indexes it.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::Topic;

/// Size of the largest file that the server accepts, in bytes.
pub const MAX_BYTES: u64 = 16 << 20;
/// Size of the pieces in which a page sends a file, in bytes; the last piece may be smaller.
pub const PIECE_BYTES: usize = 128 * 1024;

/// Returns the topic of a visitor's upload job, whose id is random; `None` if either id can't be part of a topic.
pub fn job(visitor: &str, job: &str) -> Option<Topic> {
    topic(&["upload", visitor, job])
}

/// Returns the topic to which a page publishes the pieces of a job's file, as bytes; `None` as for [`job`].
pub fn pieces(visitor: &str, job: &str) -> Option<Topic> {
    topic(&["pieces", visitor, job])
}

/// A message on the topic of an upload job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum UploadMessage {
    /// From the page: the pieces of a file will follow.
    Begun {
        /// Name of the file.
        name: Box<str>,
        /// Size of the file, in bytes; at most [`MAX_BYTES`].
        bytes: u64,
    },
    /// From the page: the visitor cancelled the job.
    Cancelled,
    /// From the server: the progress of the current step.
    Step {
        /// The current step.
        step: Step,
        /// Bytes that the step has processed.
        done: u64,
        /// Size of the file, in bytes.
        of: u64,
    },
    /// From the server: the job is finished, with its results.
    Done(Found),
    /// From the server: the file was refused.
    Refused {
        /// Reason for the refusal, ready to be shown.
        why: Box<str>,
    },
}

/// The steps of an upload job, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The pieces of the file arrive.
    Receive,
    /// The SHA-256 of the file is computed.
    Hash,
    /// The file is compressed, to measure its packed size.
    Pack,
    /// The lines and words of the file are counted.
    Index,
}

impl Step {
    /// All steps, first to last.
    pub const ALL: [Self; 4] = [Self::Receive, Self::Hash, Self::Pack, Self::Index];

    /// Returns the label of the step, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Receive => "Receive",
            Self::Hash => "Hash (SHA-256)",
            Self::Pack => "Pack (deflate)",
            Self::Index => "Index words",
        }
    }
}

/// The results of an upload job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: Box<str>,
    /// Size of the file after deflate at the best level, in bytes.
    pub packed_bytes: u64,
    /// Number of line ends in the file.
    pub lines: u64,
    /// Number of words in the file.
    pub words: u64,
    /// The most common words in lower case with their counts, most common first.
    pub commonest: Vec<(Box<str>, u64)>,
}
