//! The chat: what was said is kept, who is here and types is not.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::Topic;

/// The rooms there are.
pub const ROOMS: [&str; 3] = ["lobby", "backend", "frontend"];

/// Where a room's messages are.
pub fn messages(room: &str) -> Option<Topic> {
    topic(&["chat", room])
}

/// Where its people say that they are here.
pub fn people(room: &str) -> Option<Topic> {
    topic(&["live", "chat", room])
}

/// What somebody said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The page that said it.
    pub who: Box<str>,
    /// What that person wants to be called.
    pub name: Box<str>,
    /// The words.
    pub text: Box<str>,
}

/// Somebody is here; said every few seconds, and when it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Here {
    /// The page.
    pub who: Box<str>,
    /// What that person wants to be called.
    pub name: Box<str>,
    /// Is writing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub types: bool,
    /// Is going.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub goes: bool,
}
