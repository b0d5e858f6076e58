//! Collaborative editing: one text that all visitors write together.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::{Offset, Topic};

/// Returns the topic of a document's edits.
pub fn edits(document: &str) -> Option<Topic> {
    topic(&["text", document])
}

/// Returns the topic of a document's snapshots, which the server publishes from time to time.
pub fn states(document: &str) -> Option<Topic> {
    topic(&["text", document, "state"])
}

/// Name of the document that the page opens.
pub const DOCUMENT: &str = "minutes";

/// Returns the topic of the carets in a document.
pub fn carets(document: &str) -> Option<Topic> {
    topic(&["live", "text", document])
}

/// Name of the text inside its CRDT document.
pub const TEXT: &str = "text";

/// One edit of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The edit as an update of the document (Yjs, `lib0` version 1), in base64.
    pub update: Box<str>,
}

/// A snapshot of a document, so that a reader need not read every edit from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Offset of the last edit that the snapshot contains; it contains every earlier one too.
    pub through: Offset,
    /// The whole document as one update, in base64.
    pub update: Box<str>,
}

/// The caret of one page in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caret {
    /// Public id of the page.
    pub who: Box<str>,
    /// Name that the visitor chose.
    pub name: Box<str>,
    /// Number of UTF-16 code units before the caret, the way browsers count.
    pub at: u32,
}
