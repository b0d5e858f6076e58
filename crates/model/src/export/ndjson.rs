//! The wire as lines of JSON, an object for each entry: for `jq`, or a table.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use fourways_shared::lab::{Class, Unit};

use super::{json::Writer, secrets::shareable};
use crate::{format::plain, wire::Entry};

/// Returns a line for each entry, in order: the number of bytes by class, and the bytes that were kept, as text in
/// `raw` or, if they are not UTF-8, in `raw_base64`.
pub fn ndjson<'a>(entries: impl Iterator<Item = &'a Entry>) -> String {
    let mut out = Writer::default();
    for entry in entries {
        line(&mut out, &shareable(entry));
        out.end_line();
    }
    out.finish()
}

fn line(out: &mut Writer, entry: &Entry) {
    out.open('{');
    out.name("seq").number(entry.seq);
    out.name("technique").string(entry.technique.name());
    out.name("n").number(entry.n.into());
    match entry.connection {
        Some(connection) => out.name("connection").number(connection.into()),
        None => out.name("connection").raw("null"),
    }
    out.name("direction").string(if entry.up { "up" } else { "down" });
    out.name("unit").string(unit(entry.unit));
    out.name("code").number(entry.code.into());
    out.name("at_ms").raw(&plain(entry.at_ms));
    out.name("bytes").open('{');
    for (name, class) in
        [("headers", Class::Headers), ("framing", Class::Framing), ("payload", Class::Payload)]
    {
        out.name(name).number(entry.bytes(class));
    }
    out.close('}');
    match entry.events {
        Some((first, last, count)) => {
            out.name("events").open('{');
            out.name("first").number(first);
            out.name("last").number(last);
            out.name("count").number(count.into());
            out.close('}');
        }
        None => out.name("events").raw("null"),
    }
    out.name("failure").string_or_null(entry.failure.as_deref());
    match str::from_utf8(&entry.raw) {
        Ok(text) => out.name("raw").string(text),
        Err(_) => out.name("raw_base64").string(&BASE64_STANDARD.encode(&entry.raw)),
    }
    out.close('}');
}

/// Returns the name of a unit in the server's records.
const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Request => "request",
        Unit::Response => "response",
        Unit::Body => "body",
        Unit::Event => "event",
        Unit::Comment => "comment",
        Unit::End => "end",
        Unit::Frame => "frame",
        Unit::Cut => "cut",
    }
}

#[cfg(test)]
mod tests {
    use fourways_shared::Technique;
    use serde_json::{Value, json};

    use super::*;
    use crate::export::example;

    fn lines(entries: &[Entry]) -> Vec<Value> {
        ndjson(entries.iter()).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_tells_all_of_an_entry() {
        let entries = example::conversation();
        let lines = lines(&entries);
        assert_eq!(lines.len(), entries.len());
        let at = entries.iter().position(|entry| entry.unit == Unit::Event).unwrap();
        let expected = json!({
            "seq": at, "technique": "sse", "n": 1, "connection": 3, "direction": "down", "unit": "event", "code": 0,
            "at_ms": 1_763_870_400_030.25,
            "bytes": { "headers": 0, "framing": 37, "payload": example::EVENT.len() },
            "events": { "first": 7, "last": 7, "count": 1 }, "failure": null,
            "raw": format!("6d\r\nid: 1-7\nevent: message\ndata: {}\n\n\r\n", example::EVENT),
        });
        assert_eq!(lines[at], expected);
        for (line, entry) in lines.iter().zip(&entries) {
            let bytes = line["bytes"].as_object().unwrap().values().filter_map(Value::as_u64);
            assert_eq!(bytes.sum::<u64>(), entry.total());
            assert_eq!(line["unit"], serde_json::to_value(entry.unit).unwrap());
            assert_eq!(line["failure"].as_str(), entry.failure.as_deref());
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_base64_and_the_page_may_be_alone() {
        let mut entries = example::conversation();
        entries.retain(|entry| entry.unit == Unit::Frame && entry.technique == Technique::Websocket);
        entries[0].connection = None;
        let lines = lines(&entries);
        assert_eq!(lines[0]["connection"], Value::Null);
        for (line, entry) in lines.iter().zip(&entries) {
            assert_eq!(line.get("raw"), None);
            let raw = BASE64_STANDARD.decode(line["raw_base64"].as_str().unwrap()).unwrap();
            assert_eq!(raw, entry.raw);
        }
    }

    #[test]
    fn no_line_tells_who_the_page_is() {
        let text = ndjson(example::conversation().iter());
        assert!(!text.contains(example::ID) && text.contains("lab=****************.1&topic=a"));
        assert!(!text.contains("theme=dark"), "a cookie of another server");
    }
}
