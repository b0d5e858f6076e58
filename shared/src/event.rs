//! The units of delivery: an event, the body of a poll, and a reset (an explicit break in continuity).

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{Cursor, Data, Filter, Topic};

/// One event, as every technique delivers it.
///
/// In JSON: `{"type":"event","topic":…,"cursor":…,"name":…,"published_at":…,"data":…}`, with `id` before
/// `published_at` if the publisher gave one, and `"encoding":"base64"` before `data` if the data is bytes.
#[derive(Clone, Debug)]
pub struct Event {
    /// Topic that the event was published to.
    pub topic: Topic,
    /// The event's cursor: its epoch and offset in the log.
    pub cursor: Cursor,
    /// Name of the event, which SSE calls its type.
    pub name: EventName,
    /// The publisher's idempotency key, if it gave one.
    pub id: Option<EventId>,
    /// Time at which the server accepted the event, in microseconds since the Unix epoch, by the server's clock.
    pub published_at_us: u64,
    /// The published data.
    pub data: Data,
}

/// The reason why a text is not an event name or an idempotency key.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LabelError {
    /// The text is empty or too long; holds its length and the longest one allowed, in bytes.
    #[error("has {0} bytes; allowed are 1 to {1}")]
    Length(usize, usize),
    /// A character that is not allowed: a control character such as a line break, or anything but visible ASCII in a
    /// key. Holds the character, its byte position and what is allowed.
    #[error("has {0:?} at byte {1}; allowed are {2}")]
    Character(char, usize, &'static str),
    /// A name that the browser's `EventSource` or the protocol itself uses.
    #[error(
        "{0:?} is reserved; error and open are the browser's own events, heartbeat, problem and reset the protocol's"
    )]
    Reserved(String),
    /// A client's key with the prefix of the server's own keys.
    #[error("begins with {:?}, which is reserved for the server", EventId::SERVER_PREFIX)]
    Servers,
}

/// The name of an event: 1 to 64 bytes of text without control characters, and not one of the reserved names.
///
/// `error` and `open` would fire the browser's own `onerror` and `onopen`; `heartbeat`, `problem` and `reset` are the
/// names of the protocol's own SSE events.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventName(Option<Box<str>>);

impl EventName {
    /// Length of the longest name, in bytes.
    pub const MAX_BYTES: usize = 64;
    /// Name of an event that was published without one: `message`, as in the HTML Standard 9.2.6.
    pub const DEFAULT: Self = Self(None);
    const RESERVED: [&str; 5] = ["error", "open", "heartbeat", "problem", "reset"];

    /// Returns the name as text; `message` for [`Self::DEFAULT`].
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("message")
    }
}

impl Default for EventName {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromStr for EventName {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        if text.is_empty() || text.len() > Self::MAX_BYTES {
            return Err(LabelError::Length(text.len(), Self::MAX_BYTES));
        }
        if let Some((at, found)) = text.char_indices().find(|(_, c)| c.is_control()) {
            return Err(LabelError::Character(found, at, "all but control characters"));
        }
        if Self::RESERVED.contains(&text) {
            return Err(LabelError::Reserved(text.to_owned()));
        }
        Ok(if text == "message" { Self::DEFAULT } else { Self(Some(text.into())) })
    }
}

/// A publisher's idempotency key: 1 to 128 visible ASCII characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventId(Box<str>);

impl EventId {
    /// Length of the longest key, in bytes.
    pub const MAX_BYTES: usize = 128;
    /// Prefix of the server's own keys. No client may publish with it, so a reader knows that such an event is the
    /// server's.
    pub const SERVER_PREFIX: &str = "fourways-";

    /// Returns the key as text, exactly as the publisher gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if the key has the prefix of the server's own keys.
    pub fn is_from_server(&self) -> bool {
        self.0.starts_with(Self::SERVER_PREFIX)
    }

    /// Parses a key that a client gives.
    ///
    /// # Errors
    /// If the text is not a key, or has the prefix of the server's own keys.
    pub fn parse_client_id(text: &str) -> Result<Self, LabelError> {
        let id: Self = text.parse()?;
        if id.is_from_server() { Err(LabelError::Servers) } else { Ok(id) }
    }
}

impl FromStr for EventId {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        if text.is_empty() || text.len() > Self::MAX_BYTES {
            return Err(LabelError::Length(text.len(), Self::MAX_BYTES));
        }
        match text.char_indices().find(|(_, c)| !c.is_ascii_graphic()) {
            Some((at, found)) => Err(LabelError::Character(found, at, "visible ASCII characters")),
            None => Ok(Self(text.into())),
        }
    }
}

macro_rules! label {
    ($type:ty) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}
label!(EventName);
label!(EventId);

/// The JSON form of an [`Event`], borrowed to be written or owned after it was read.
#[derive(Serialize, Deserialize)]
struct EventJson<T, N, I, D> {
    #[serde(rename = "type")]
    kind: EventTag,
    topic: T,
    cursor: Cursor,
    name: N,
    #[serde(skip_serializing_if = "Option::is_none", default = "none")]
    id: Option<I>,
    published_at: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    encoding: Option<Base64Tag>,
    data: D,
}

fn none<I>() -> Option<I> {
    None
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EventTag {
    Event,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Base64Tag {
    Base64,
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let encoded;
        let (encoding, data): (_, &RawValue) = match &self.data {
            Data::Json(raw) | Data::Text(raw) => (None, raw),
            Data::Bytes(bytes) => {
                let text = BASE64_STANDARD.encode(bytes);
                encoded = serde_json::value::to_raw_value(&text).map_err(ser::Error::custom)?;
                (Some(Base64Tag::Base64), &encoded)
            }
        };
        EventJson {
            kind: EventTag::Event,
            topic: &self.topic,
            cursor: self.cursor,
            name: &self.name,
            id: self.id.as_ref(),
            published_at: self.published_at_us,
            encoding,
            data,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = EventJson::<Topic, EventName, EventId, Box<RawValue>>::deserialize(deserializer)?;
        let data = match json.encoding {
            None => Data::Json(json.data),
            Some(Base64Tag::Base64) => {
                let text: String = serde_json::from_str(json.data.get()).map_err(de::Error::custom)?;
                Data::Bytes(BASE64_STANDARD.decode(text).map_err(de::Error::custom)?.into())
            }
        };
        Ok(Self {
            topic: json.topic,
            cursor: json.cursor,
            name: json.name,
            id: json.id,
            published_at_us: json.published_at,
            data,
        })
    }
}

/// The reason why a subscription's continuity broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// The cursor belongs to another epoch of the log.
    Epoch,
    /// The cursor is older than the oldest retained event.
    Retention,
    /// The subscriber was connected, but lagged behind the oldest retained event.
    Lag,
}

/// The value of `type` in the JSON of a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetTag {
    /// The only value: `reset`.
    #[default]
    Reset,
}

impl ResetReason {
    /// Returns the word used on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Retention => "retention",
            Self::Lag => "lag",
        }
    }
}

/// An explicit break in continuity: events were missed, and the subscriber is told so. All four techniques deliver it,
/// as a member of a poll's body, as `event: reset` on SSE or as a message on WebSocket. Delivery continues after
/// `cursor` without a new request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// The constant `reset`.
    #[serde(rename = "type", default)]
    pub kind: ResetTag,
    /// Reason for the break.
    pub reason: ResetReason,
    /// Number of the topics' events that were missed, if it is known.
    pub missed: Option<u64>,
    /// Cursor just before the oldest retained event of the log.
    pub earliest: Cursor,
    /// Cursor that delivery continues from: the events after it are delivered.
    pub cursor: Cursor,
    /// Topics and patterns of the subscription that broke.
    pub topics: Vec<Filter>,
}

/// The body of a poll's `200`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PollBody {
    /// A break in continuity that comes before the events.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reset: Option<Reset>,
    /// The events, in the order of the log.
    pub events: Vec<Event>,
    /// Cursor to pass as `after` in the next request.
    pub cursor: Cursor,
    /// True if there may be more events than this answer holds, so that the client asks again at once. The number of
    /// events does not tell, because an answer is also limited in bytes.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub more: bool,
}

impl PollBody {
    /// Number of events in an answer at most, if the request has no `limit`.
    pub const DEFAULT_LIMIT: usize = 100;
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn an_event_reads_as_the_contract_says() {
        let text = r#"{"type":"event","topic":"chat.1","cursor":"k3f9-1842","name":"message","published_at":1763870400000000,"data":{"a": 1.0}}"#;
        let event: Event = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
    }

    #[test]
    fn bytes_travel_as_base64() {
        let text = r#"{"type":"event","topic":"a","cursor":"0-1","name":"x","id":"k","published_at":1,"encoding":"base64","data":"AP8="}"#;
        let event: Event = serde_json::from_str(text).unwrap();
        assert_eq!(event.data, Data::Bytes(Bytes::from_static(&[0, 255])));
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
    }

    #[test]
    fn a_name_can_neither_forge_a_field_nor_shadow_the_browsers_events() {
        for text in ["", "a\nid: 1", "a\rb", "a\0", "error", "open", "problem", "reset", &"a".repeat(65)] {
            assert!(text.parse::<EventName>().is_err(), "{text:?}");
        }
        assert_eq!("price".parse::<EventName>().unwrap().as_str(), "price");
        assert!("a\r\nb".parse::<EventId>().is_err());
    }
}
