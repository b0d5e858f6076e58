//! The chat: its messages are kept; the lists of visitors who are present and typing are not.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::Topic;

/// The chat rooms.
pub const ROOMS: [&str; 3] = ["lobby", "backend", "frontend"];

/// Returns the topic of a room's messages.
pub fn messages(room: &str) -> Option<Topic> {
    topic(&["chat", room])
}

/// Returns the topic on which the pages in a room report that they are present.
pub fn people(room: &str) -> Option<Topic> {
    topic(&["live", "chat", room])
}

/// One chat message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Public id of the page that sent the message.
    pub who: Box<str>,
    /// Name that the visitor chose.
    pub name: Box<str>,
    /// Text of the message.
    pub text: Box<str>,
}

/// A sign of presence in a room; a page publishes one every few seconds and whenever a field changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Here {
    /// Public id of the page.
    pub who: Box<str>,
    /// Name that the visitor chose.
    pub name: Box<str>,
    /// True while the visitor is typing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "types")]
    pub is_typing: bool,
    /// True if the page is leaving the room.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "goes")]
    pub is_leaving: bool,
}
