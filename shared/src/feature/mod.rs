//! What the lab's nine features publish: the types of their events, and the topics that they are on.
//!
//! Below `feature.` events are kept as all others are; below `feature.live.` they are worth nothing a minute later, and a
//! log on disk keeps them in memory alone.

pub mod chat;
pub mod host;
pub mod notice;
pub mod order;
mod plain;
pub mod pointer;
pub mod score;
pub mod text;
pub mod trade;
pub mod upload;

use serde::{Serialize, de::DeserializeOwned};

pub use self::plain::is_plain;
use crate::{Data, Event, EventId, Topic};

/// Everything of the features, and what of it is not worth a disk.
pub const ALL: &str = "feature.>";
/// See [`ALL`].
pub const LIVE: &str = "feature.live.>";

/// A topic of the features; `None` if a part of the name can't be in one.
pub fn topic(parts: &[&str]) -> Option<Topic> {
    Topic::parse(&format!("feature.{}", parts.join("."))).ok()
}

/// What an event says; `None` if somebody published something else.
pub fn read<T: DeserializeOwned>(event: &Event) -> Option<T> {
    match &event.data {
        Data::Json(raw) | Data::Text(raw) => serde_json::from_str(raw.get()).ok(),
        Data::Bytes(_) => None,
    }
}

/// The server itself says it: nobody else can publish with such an id.
pub fn is_servers(event: &Event) -> bool {
    event.id.as_ref().is_some_and(EventId::is_servers)
}

/// What the server itself says; `None` for a stranger's word on the same topic.
pub fn read_servers<T: DeserializeOwned>(event: &Event) -> Option<T> {
    if is_servers(event) { read(event) } else { None }
}

/// What is published, as JSON.
pub fn write<T: Serialize>(said: &T) -> String {
    // Numbers, texts and lists of them: nothing that JSON has no form for.
    serde_json::to_string(said).unwrap_or_default()
}

/// The part of a topic after `feature.`, `name` and a dot.
pub fn rest<'a>(topic: &'a Topic, name: &str) -> Option<&'a str> {
    topic.as_str().strip_prefix("feature.")?.strip_prefix(name)?.strip_prefix('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_have_a_place_below_feature() {
        let topic = topic(&["orders", "abc"]).unwrap();
        assert_eq!((topic.as_str(), rest(&topic, "orders")), ("feature.orders.abc", Some("abc")));
        assert_eq!(rest(&topic, "order"), None);
        assert_eq!(super::topic(&["chat", "no room"]), None);
    }
}
