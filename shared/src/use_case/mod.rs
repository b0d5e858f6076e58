//! The events of the lab's use cases: their types, and the topics to which they are published.
//!
//! Events below `use-case.` are kept like all others. Events below `use-case.live.` are worth nothing a minute later, so
//! a log on disk keeps them in memory only.

pub mod chat;
pub mod dashboard;

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

/// Pattern of all topics of the use cases.
pub const ALL: &str = "use-case.>";
/// Pattern of the topics whose events are kept in memory only.
pub const LIVE: &str = "use-case.live.>";

/// Returns the topic `use-case.` followed by `parts` joined with dots; `None` if a part can't be in a topic.
pub fn topic(parts: &[&str]) -> Option<Topic> {
    Topic::parse(&format!("use-case.{}", parts.join("."))).ok()
}

/// Parses the data of an event; `None` if it is something else, since anybody may publish on these topics.
pub fn read<T: DeserializeOwned>(event: &Event) -> Option<T> {
    match &event.data {
        Data::Json(raw) | Data::Text(raw) => serde_json::from_str(raw.get()).ok(),
        Data::Bytes(_) => None,
    }
}

/// True if the server itself published the event: clients can't publish with an id like that of the event.
pub fn is_from_server(event: &Event) -> bool {
    event.id.as_ref().is_some_and(EventId::is_from_server)
}

/// Parses the data of an event that the server itself published; `None` for an event of anybody else.
pub fn read_if_from_server<T: DeserializeOwned>(event: &Event) -> Option<T> {
    if is_from_server(event) { read(event) } else { None }
}

/// Encodes a message as JSON.
pub fn write<T: Serialize>(said: &T) -> String {
    // A message holds numbers, texts and lists of them, which JSON can always express.
    serde_json::to_string(said).unwrap_or_default()
}

/// Returns the part of a topic after `use-case.`, `name` and a dot; `None` for a topic that does not begin with these.
pub fn rest<'a>(topic: &'a Topic, name: &str) -> Option<&'a str> {
    topic.as_str().strip_prefix("use-case.")?.strip_prefix(name)?.strip_prefix('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_stand_below_use_case() {
        let topic = topic(&["order", "abc"]).unwrap();
        assert_eq!((topic.as_str(), rest(&topic, "order")), ("use-case.order.abc", Some("abc")));
        assert_eq!(rest(&topic, "orders"), None);
        assert_eq!(super::topic(&["chat", "no room"]), None);
    }
}
