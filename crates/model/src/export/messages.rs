//! Messages inside an exchange that stays open, in the members that Chrome adds to a HAR for them.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use fourways_shared::wire::sse::{Block, Parser};

use super::{
    date::seconds,
    exchange::{Exchange, body, message},
    json::Writer,
    secrets::hide_lab,
};

/// Writes the events of a stream, as its reader received them (HTML Standard 9.2.6).
pub(super) fn event_source_messages(out: &mut Writer, exchange: &Exchange<'_>) {
    let mut parser = Parser::default();
    out.name("_eventSourceMessages").open('[');
    for entry in exchange.bodies() {
        let mut bytes = body(entry);
        hide_lab(&mut bytes);
        parser.push(&bytes, |block| {
            let Block { data: Some(data), name, last_event_id, .. } = block else { return };
            out.open('{');
            out.name("time").raw(&seconds(entry.at_ms));
            out.name("eventName").string(if name.is_empty() { "message" } else { &name });
            out.name("eventId").string(&last_event_id);
            out.name("data").string(&data);
            out.close('}');
        });
    }
    out.close(']');
}

/// Writes the frames of a socket: text frames as text, all others in base64.
pub(super) fn web_socket_messages(out: &mut Writer, exchange: &Exchange<'_>) {
    out.name("_webSocketMessages").open('[');
    for frame in exchange.frames() {
        out.open('{');
        out.name("type").string(if frame.up { "send" } else { "receive" });
        out.name("time").raw(&seconds(frame.at_ms));
        out.name("opcode").number(frame.code.into());
        let bytes = message(frame);
        let data = match frame.code {
            1 => String::from_utf8_lossy(&bytes).into_owned(),
            _ => BASE64_STANDARD.encode(&bytes),
        };
        out.name("data").string(&data);
        out.close('}');
    }
    out.close(']');
}

#[cfg(test)]
mod tests {
    use fourways_shared::{
        Technique,
        lab::{Part, Unit, WireRecord},
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        export::{
            example::{self, EVENT, entry},
            exchange::exchanges,
        },
        wire::Entry,
    };

    fn messages(entries: &[Entry], write: fn(&mut Writer, &Exchange<'_>)) -> Value {
        let mut out = Writer::default();
        out.open('{');
        write(&mut out, &exchanges(entries.iter())[0]);
        out.close('}');
        let mut members: Value = serde_json::from_str(&out.finish()).unwrap();
        members.as_object_mut().unwrap().values_mut().next().unwrap().take()
    }

    fn of(technique: Technique) -> Vec<Entry> {
        let mut entries = example::conversation();
        entries.retain(|entry| entry.technique == technique);
        entries
    }

    #[test]
    fn events_are_told_as_they_were_dispatched() {
        let told = messages(&of(Technique::Sse), event_source_messages);
        let event =
            json!({ "time": 1_763_870_400.030_25, "eventName": "message", "eventId": "1-7", "data": EVENT });
        assert_eq!(told, json!([event]));
    }

    #[test]
    fn a_block_that_was_cut_does_not_swallow_the_next() {
        let data = "x".repeat(WireRecord::MAX_RAW);
        let block = |data: &str| {
            let parts: [(Part, &[u8]); 3] = [
                (Part::Field, b"event: b\ndata: "),
                (Part::Payload, data.as_bytes()),
                (Part::Field, b"\n\n"),
            ];
            entry(Technique::Sse, 1, Unit::Event, 0, false, 0, &parts)
        };
        let told = messages(&[block(&data), block("2")], event_source_messages);
        assert_eq!(told.as_array().unwrap().len(), 2);
        assert_eq!((&told[1]["eventName"], &told[1]["data"]), (&json!("b"), &json!("2")));
    }

    #[test]
    fn frames_are_unmasked_and_binary_is_base64() {
        let told = messages(&of(Technique::Websocket), web_socket_messages);
        assert_eq!(
            told,
            json!([
                { "type": "receive", "time": 1_763_870_400.06, "opcode": 1, "data": EVENT },
                { "type": "send", "time": 1_763_870_400.061, "opcode": 1, "data": "{\"type\":\"ping\"}" },
                { "type": "receive", "time": 1_763_870_400.062, "opcode": 2, "data": "oQD/" },
                { "type": "receive", "time": 1_763_870_400.063, "opcode": 8, "data": "A+g=" },
            ])
        );
    }
}
