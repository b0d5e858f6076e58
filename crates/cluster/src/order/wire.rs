//! An event as a message of the stream. Any NATS program can write and read such messages.
//!
//! The subject is the topic behind a prefix, and the payload is the data. Headers say only what differs from the usual:
//! `Fw-Name` the event's name, `Fw-Kind` that the data is `text` or `bytes` and not JSON, `Fw-Key` the idempotency key,
//! `Fw-By` a hash of the key's publisher. A message without them is JSON if it can be read as such, otherwise text, and
//! otherwise bytes.

use async_nats::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use fourways_log::engine::{Draft, Followed};
use fourways_shared::{Cursor, Data, Event, EventId, EventName, Topic};
use serde_json::value::RawValue;

use super::follow::Batch;

const NAME: &str = "Fw-Name";
const KIND: &str = "Fw-Kind";
const KEY: &str = "Fw-Key";
const BY: &str = "Fw-By";
const TEXT: &str = "text";
const BYTES: &str = "bytes";
/// Headers of an atomic batch (ADR-50).
pub(super) const BATCH_ID: &str = "Nats-Batch-Id";
pub(super) const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
pub(super) const BATCH_COMMIT: &str = "Nats-Batch-Commit";

/// The subjects of one log.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    root: String,
    prefix: String,
}

impl Subjects {
    /// Returns the subjects of the log of this name: `fw.e.>` for the usual one, and `<name>.e.>` for others.
    pub(super) fn of(log: &str) -> Self {
        let root = if log == super::settings::USUAL_NAME { "fw" } else { log };
        Self { root: root.to_owned(), prefix: format!("{root}.e.") }
    }

    /// Returns the beginning of the subjects on which servers talk to each other.
    pub(super) fn peers(&self) -> String {
        format!("{}.n", self.root)
    }

    /// Returns the subject of a topic's events.
    pub(super) fn of_topic(&self, topic: &Topic) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// Returns the subjects of all topics.
    pub(super) fn all(&self) -> String {
        format!("{}>", self.prefix)
    }

    fn topic(&self, subject: &str) -> Option<Topic> {
        subject.strip_prefix(&self.prefix)?.parse().ok()
    }
}

/// A message of the stream, read: an event, or nothing that this log can hold.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) event: Option<Event>,
    pub(super) by: Option<Box<str>>,
}

impl PartialEq for Item {
    /// Compares what every server must read the same; the publisher's hash is not kept.
    fn eq(&self, other: &Self) -> bool {
        match (&self.event, &other.event) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                (&a.topic, &a.name, &a.id, a.published_at_us) == (&b.topic, &b.name, &b.id, b.published_at_us)
                    && a.cursor.offset == b.cursor.offset
                    && a.data == b.data
            }
            _ => false,
        }
    }
}

/// Returns the headers and the payload of a draft's message. `key` is the append's key and the hash of its publisher.
pub(super) fn encode(draft: &Draft, key: Option<(&EventId, Option<&str>)>) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    if draft.name != EventName::DEFAULT {
        headers.insert(NAME, draft.name.as_str());
    }
    if let Some((id, by)) = key {
        headers.insert(KEY, id.as_str());
        if let Some(by) = by {
            headers.insert(BY, by);
        }
    }
    let payload = match &draft.data {
        Data::Json(raw) => Bytes::copy_from_slice(raw.get().as_bytes()),
        Data::Text(raw) => {
            headers.insert(KIND, TEXT);
            // Text is always kept as a JSON string.
            let text: String = serde_json::from_str(raw.get()).unwrap_or_default();
            text.into()
        }
        Data::Bytes(bytes) => {
            headers.insert(KIND, BYTES);
            bytes.clone()
        }
    };
    (headers, payload)
}

/// Reads a message of the stream.
pub(super) fn decode(
    subjects: &Subjects,
    subject: &str,
    headers: Option<&HeaderMap>,
    payload: &Bytes,
    cursor: Cursor,
    published_at_us: u64,
) -> Item {
    let Some(topic) = subjects.topic(subject) else { return Item { event: None, by: None } };
    let value = |name: &str| headers.and_then(|headers| headers.get(name)).map(HeaderValue::as_str);
    let name = value(NAME).and_then(|name| name.parse().ok()).unwrap_or(EventName::DEFAULT);
    let id = value(KEY).and_then(|id| id.parse().ok());
    let data = match value(KIND) {
        Some(TEXT) => text(payload),
        Some(BYTES) => None,
        _ => json(payload).or_else(|| text(payload)),
    };
    let data = data.unwrap_or_else(|| Data::Bytes(payload.clone()));
    let by = value(BY).map(Into::into);
    Item { event: Some(Event { topic, cursor, name, id, published_at_us, data }), by }
}

fn json(payload: &Bytes) -> Option<Data> {
    let raw: Box<RawValue> = serde_json::from_slice(payload).ok()?;
    Data::from_client_json(raw).ok()
}

fn text(payload: &Bytes) -> Option<Data> {
    std::str::from_utf8(payload).ok().map(Data::plain)
}

/// Returns the atomic batch that a message belongs to.
pub(super) fn batch(headers: Option<&HeaderMap>) -> Option<Batch> {
    let headers = headers?;
    let id = headers.get(BATCH_ID)?.as_str().into();
    Some(Batch { id, is_last: headers.get(BATCH_COMMIT).is_some() })
}

/// Returns the headers that make a message part of an atomic batch.
pub(super) fn put_in_batch(headers: &mut HeaderMap, id: &str, number: usize, is_last: bool) {
    headers.insert(BATCH_ID, id);
    headers.insert(BATCH_SEQUENCE, number.to_string().as_str());
    if is_last {
        headers.insert(BATCH_COMMIT, "1");
    }
}

/// Sets the id by which JetStream recognises a message that is sent again.
pub(super) fn put_id(headers: &mut HeaderMap, id: &str) {
    headers.insert(header::NATS_MESSAGE_ID, id);
}

/// Returns what the log keeps of one append: a part for each run of events of the same topic, because another program may
/// put several topics into one batch.
pub(super) fn followed(append: Vec<Item>) -> Vec<Followed> {
    let mut parts: Vec<Followed> = Vec::new();
    for Item { event, by } in append {
        let Some(event) = event else { continue };
        match parts.last_mut() {
            Some(part) if part.events.last().is_some_and(|last| last.topic == event.topic) => {
                part.events.push(event);
            }
            _ => parts.push(Followed { events: vec![event], by }),
        }
    }
    parts
}
