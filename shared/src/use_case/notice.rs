//! The notification feed: one topic per visitor, with its notices and the marks of how far they were read.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::{Offset, Topic};

/// Returns the topic of a visitor's notices; `None` if the visitor's id can't be part of a topic.
pub fn notices(visitor: &str) -> Option<Topic> {
    topic(&["notice", visitor])
}

/// A message on a visitor's notices topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NoticeMessage {
    /// From the server: something happened to the visitor's orders, uploads or trades. From the page: a note that the
    /// visitor wrote.
    Notice {
        /// Subject of the notice: `order`, `upload`, `trade` or `note`.
        about: Box<str>,
        /// Text of the notice, ready to be shown.
        text: Box<str>,
        /// Offset of the event that caused the notice; `None` for a note.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<Offset>,
    },
    /// From the page: the visitor has read every notice up to this offset, in one of its tabs.
    Read {
        /// Offset of the last notice that was read.
        through: Offset,
    },
}
