//! One text that everybody writes.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::{Offset, Topic};

/// Where what was written goes.
pub fn edits(document: &str) -> Option<Topic> {
    topic(&["text", document])
}

/// Where the whole text is put now and then.
pub fn states(document: &str) -> Option<Topic> {
    topic(&["text", document, "state"])
}

/// The document that the page opens.
pub const DOCUMENT: &str = "minutes";

/// Where carets are told.
pub fn carets(document: &str) -> Option<Topic> {
    topic(&["live", "text", document])
}

/// The name of the text in its document.
pub const TEXT: &str = "text";

/// Something was written: an update of the document, in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The update.
    pub update: Box<str>,
}

/// The whole document, so that nobody has to read everything from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// All edits up to here are in it.
    pub through: Offset,
    /// The document as one update, in base64.
    pub update: Box<str>,
}

/// Where somebody writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caret {
    /// The page.
    pub who: Box<str>,
    /// What that person wants to be called.
    pub name: Box<str>,
    /// Characters before it (in UTF-16, as browsers count).
    pub at: u32,
}
