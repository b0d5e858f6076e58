//! Events, replies and commands in CBOR (RFC 8949): the same members as in JSON, but `data` is a native value, and
//! bytes are a byte string.

mod exact;
mod published;

use ciborium::value::Value;

pub(crate) use self::published::Published;
use crate::{Data, Event, Reply};

/// Encodes a reply as a binary message.
pub fn write_reply(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Event(event) => write_event(event),
        other => write(&other),
    }
}

/// Encodes an event as a binary message.
pub fn write_event(event: &Event) -> Vec<u8> {
    let data = match &event.data {
        Data::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        Data::Json(raw) | Data::Text(raw) => exact::value_of(raw.get()).unwrap_or(Value::Null),
    };
    let mut members = vec![
        member("type", "event"),
        member("topic", event.topic.as_str()),
        member("cursor", event.cursor.to_string()),
        member("name", event.name.as_str()),
    ];
    members.extend(event.id.as_ref().map(|id| member("id", id.as_str())));
    members.push(member("published_at", event.published_at_us));
    members.push((Value::from("data"), data));
    write(&Value::Map(members))
}

/// Parses a binary message of the server. Returns `None` for a message that [`Reply::from_json`] would not know either.
pub fn read_reply(bytes: &[u8]) -> Option<Reply> {
    let bytes_given = bytes.len();
    let value: Value = ciborium::from_reader(bytes).ok()?;
    let Value::Map(members) = &value else { return None };
    let bytes = members.iter().find_map(|(key, value)| match (key.as_text(), value) {
        (Some("data"), Value::Bytes(bytes)) => Some(bytes.clone()),
        _ => None,
    });
    let mut json = String::with_capacity(2 * bytes_given);
    exact::write_json(&value, &mut json)?;
    let reply = Reply::from_json(&json)?;
    Some(match (reply, bytes) {
        (Reply::Event(event), Some(bytes)) => {
            Reply::Event(Event { data: Data::Bytes(bytes.into()), ..event })
        }
        (reply, _) => reply,
    })
}

/// Encodes a command as a binary message, from its JSON form; JSON that is invalid becomes `null`.
pub fn write_command(json: &str) -> Vec<u8> {
    write(&exact::value_of(json).unwrap_or(Value::Null))
}

/// Decodes a binary message.
///
/// # Errors
/// A sentence for the client if the message is not CBOR, or not what `T` reads.
pub(crate) fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    ciborium::from_reader(bytes)
        .map_err(|error| format!("the message is not a CBOR map with a type: {error}"))
}

fn write<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    match ciborium::into_writer(value, &mut bytes) {
        Ok(()) => bytes,
        // Writing to memory can't fail, and every type here has a CBOR form. The empty map is never sent.
        Err(_) => vec![0xA0],
    }
}

fn member(key: &str, value: impl Into<Value>) -> (Value, Value) {
    (key.into(), value.into())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::Command;

    #[test]
    fn an_event_survives_cbor() {
        let text = r#"{"type":"event","topic":"a","cursor":"k3f9-3","name":"x","id":"k","published_at":1763870400000000,"data":{"a":[1,-2,1.5,null,true,"ä"]}}"#;
        let event: Event = serde_json::from_str(text).unwrap();
        let Some(Reply::Event(read)) = read_reply(&write_event(&event)) else { panic!("no event") };
        assert_eq!(serde_json::to_string(&read).unwrap(), text);

        let bytes = Event { data: Data::Bytes(Bytes::from_static(&[0, 255])), ..event };
        let Some(Reply::Event(read)) = read_reply(&write_event(&bytes)) else { panic!("no event") };
        assert_eq!(read.data, bytes.data);
    }

    #[test]
    fn a_command_reads_the_same_from_both_encodings() {
        for text in [
            r#"{"type":"subscribe","topics":["chat.1"],"after":"k3f9-1800","policy":"latest","ref":"1"}"#,
            r#"{"type":"subscribe","topics":["a"],"last":3}"#,
            r#"{"type":"unsubscribe","topics":["chat.1"],"ref":"3"}"#,
            r#"{"type":"publish","topic":"chat.1","data":{"x":[1,2]},"id":"c0ffee","name":"said","ref":"2"}"#,
            r#"{"type":"authorize","token":"a.b.c","ref":"4"}"#,
            r#"{"type":"ping","ref":"5"}"#,
        ] {
            let bytes = write_command(text);
            assert_eq!(Command::from_cbor(&bytes).unwrap(), Command::from_json(text).unwrap());
        }
        assert!(Command::from_cbor(&[]).is_err() && Command::from_cbor(&[0x80]).is_err());
    }
}
