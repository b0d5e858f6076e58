//! The notification feed: one topic for each visitor, with what happened and how far it was read.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::{Offset, Topic};

/// Where a visitor's notices are.
pub fn notices(visitor: &str) -> Option<Topic> {
    topic(&["notices", visitor])
}

/// Something to be told of, or told before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Said {
    /// Something happened.
    Notice {
        /// What it is about: `order`, `upload`, `trade`, `note`.
        about: Box<str>,
        /// In words.
        text: Box<str>,
        /// The event that it is of, where it is of one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<Offset>,
    },
    /// Everything up to here was read, in some tab.
    Read {
        /// The offset of the last notice that was seen.
        through: Offset,
    },
}
