//! The wire as a HAR 1.2 file, written as Chrome writes it, for any tool that reads one: an entry for each request,
//! with the events of a stream and the frames of a socket in the members that Chrome has for them.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use fourways_shared::{Technique, lab::Class};

use super::{
    date::iso,
    exchange::{Exchange, body, exchanges},
    head::{Head, is_head},
    json::Writer,
    messages::{event_source_messages, web_socket_messages},
    secrets::{hide_lab, shareable, without_lab},
};
use crate::{format::plain, wire::Entry};

/// Returns a HAR of all requests among these entries, in the order in which they began, those that are still open
/// included. Times are those of the entries. `origin` as in `http://127.0.0.1:8080`.
pub fn har<'a>(entries: impl Iterator<Item = &'a Entry>, origin: &str) -> String {
    let mut out = Writer::default();
    out.open('{');
    out.name("log").open('{');
    out.name("version").string("1.2");
    out.name("creator").open('{');
    out.name("name").string("Fourways");
    out.name("version").string(env!("CARGO_PKG_VERSION"));
    out.close('}');
    out.name("pages").raw("[]");
    out.name("entries").open('[');
    for exchange in exchanges(entries) {
        write_entry(&mut out, &exchange, origin);
    }
    out.close(']');
    out.name("comment").string(
        "The server measured bytes and times; an entry without a connection was recorded by the page.",
    );
    out.close('}');
    out.close('}');
    out.finish()
}

fn write_entry(out: &mut Writer, exchange: &Exchange<'_>, origin: &str) {
    let Entry { technique, n, connection, at_ms, .. } = exchange.first;
    out.open('{');
    out.name("startedDateTime").string(&iso(*at_ms));
    timings(out, exchange);
    out.name("request");
    request(out, exchange, origin);
    out.name("response");
    response(out, exchange);
    out.name("cache").raw("{}");
    if let Some(connection) = connection {
        out.name("connection").string(&connection.to_string());
    }
    out.name("_technique").string(technique.name());
    out.name("_n").number((*n).into());
    out.name("_resourceType").string(match technique {
        Technique::ShortPoll | Technique::LongPoll => "fetch",
        Technique::Sse => "eventsource",
        Technique::Websocket => "websocket",
    });
    match technique {
        Technique::Sse => event_source_messages(out, exchange),
        Technique::Websocket => web_socket_messages(out, exchange),
        Technique::ShortPoll | Technique::LongPoll => {}
    }
    if exchange.request().is_none() {
        out.name("comment").string("The request is no longer kept: its head is a guess.");
    }
    out.close('}');
}

/// Writes the timings in milliseconds; -1 stands for unknown. A request without an answer was blocked for its whole
/// duration, as in Chrome.
fn timings(out: &mut Writer, exchange: &Exchange<'_>) {
    let (began_ms, ended_ms) = (exchange.first.at_ms, exchange.ended_ms());
    let lasted = |from_ms: f64, to_ms: f64| plain((to_ms - from_ms).max(0.0));
    let [blocked, send, wait, receive] = match exchange.answered_ms() {
        Some(answered_ms) => [
            None,
            Some("0".to_owned()),
            Some(lasted(began_ms, answered_ms)),
            Some(lasted(answered_ms, ended_ms)),
        ],
        None => [Some(lasted(began_ms, ended_ms)), Some("0".to_owned()), None, None],
    };
    out.name("time").raw(&lasted(began_ms, ended_ms));
    out.name("timings").open('{');
    let others = [("dns", None), ("connect", None), ("ssl", None)];
    let own = [("blocked", blocked), ("send", send), ("wait", wait), ("receive", receive)];
    for (name, ms) in own.into_iter().chain(others) {
        out.name(name).raw(ms.as_deref().unwrap_or("-1"));
    }
    out.close('}');
}

fn request(out: &mut Writer, exchange: &Exchange<'_>, origin: &str) {
    let technique = exchange.first.technique;
    let entry = exchange.request().map(shareable);
    let text = entry.as_ref().map(|entry| entry.text(is_head)).unwrap_or_default();
    let head = Head::parse(&text);
    let [method, target, version] = match (head.words(), technique) {
        ([method, target, version], _) if !target.is_empty() => [method, target, version],
        (_, Technique::ShortPoll | Technique::LongPoll) => ["GET", "/v1/events", "HTTP/1.1"],
        (_, Technique::Sse) => ["GET", "/v1/stream", "HTTP/1.1"],
        (_, Technique::Websocket) => ["GET", "/v1/ws", "HTTP/1.1"],
    };
    let is_socket = technique == Technique::Websocket;
    let origin = if is_socket { origin.replacen("http", "ws", 1) } else { origin.to_owned() };
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let query: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    out.open('{');
    out.name("method").string(method);
    out.name("url").string(&format!("{origin}{target}"));
    out.name("httpVersion").string(version);
    out.name("cookies").raw("[]");
    pairs(out, "headers", &head.fields);
    pairs(out, "queryString", &query);
    head_size(out, entry.as_ref());
    out.name("bodySize").number(0);
    out.close('}');
}

fn response(out: &mut Writer, exchange: &Exchange<'_>) {
    let entry = exchange.response().map(shareable);
    let text = entry.as_ref().map(|entry| entry.text(is_head)).unwrap_or_default();
    let head = Head::parse(&text);
    let [version, _, reason] = head.words();
    let is_answered = exchange.answered_ms().is_some();
    let status = match (&entry, exchange.first.technique) {
        (Some(entry), _) => entry.code,
        // The head is no longer kept, but without one there would be no event.
        (None, Technique::Websocket) if is_answered => 101,
        (None, _) if is_answered => 200,
        (None, _) => 0,
    };
    let (wire, _) = exchange.body_sizes();
    out.open('{');
    out.name("status").number(status.into());
    out.name("statusText").string(reason);
    out.name("httpVersion").string(version);
    out.name("cookies").raw("[]");
    pairs(out, "headers", &head.fields);
    content(out, exchange, head.field("content-type"));
    out.name("redirectURL").string(head.field("location").unwrap_or_default());
    head_size(out, entry.as_ref());
    if is_answered {
        out.name("bodySize").number(wire);
    } else {
        out.name("bodySize").raw("-1");
    }
    out.name("_transferSize").number(entry.map_or(0, |entry| entry.bytes(Class::Headers)) + wire);
    let failure = exchange.failure().map(without_lab);
    let failure = failure.or_else(|| (!is_answered).then(|| "no answer yet".to_owned()));
    out.name("_error").string_or_null(failure.as_deref());
    out.close('}');
}

fn content(out: &mut Writer, exchange: &Exchange<'_>, kind: Option<&str>) {
    let (_, size) = exchange.body_sizes();
    let mut bytes: Vec<u8> = exchange.bodies().flat_map(body).collect();
    hide_lab(&mut bytes);
    let is_cut = exchange.bodies().any(|entry| (entry.raw.len() as u64) < entry.total());
    out.name("content").open('{');
    out.name("size").number(size);
    out.name("mimeType").string(kind.unwrap_or("x-unknown"));
    match str::from_utf8(&bytes) {
        Ok(text) => out.name("text").string(text),
        Err(_) => {
            out.name("text").string(&BASE64_STANDARD.encode(&bytes));
            out.name("encoding").string("base64");
        }
    }
    if is_cut {
        out.name("comment").string("Some bytes of the body were not kept.");
    }
    out.close('}');
}

fn pairs(out: &mut Writer, name: &str, pairs: &[(&str, &str)]) {
    out.name(name).open('[');
    for (name, value) in pairs {
        out.open('{');
        out.name("name").string(name);
        out.name("value").string(value);
        out.close('}');
    }
    out.close(']');
}

fn head_size(out: &mut Writer, entry: Option<&Entry>) {
    match entry {
        Some(entry) => out.name("headersSize").number(entry.bytes(Class::Headers)),
        None => out.name("headersSize").raw("-1"),
    }
}

#[cfg(test)]
mod tests {
    use fourways_shared::lab::{Part, Unit, WireRecord};
    use serde_json::{Value, json};

    use super::*;
    use crate::export::example::{self, EVENT, ID, ORIGIN, entry};

    fn entries(entries: &[Entry]) -> Vec<Value> {
        let mut har: Value = serde_json::from_str(&har(entries.iter(), ORIGIN)).unwrap();
        assert_eq!(
            (&har["log"]["version"], &har["log"]["creator"]["name"]),
            (&json!("1.2"), &json!("Fourways"))
        );
        serde_json::from_value(har["log"]["entries"].take()).unwrap()
    }

    fn header(name: &str, value: &str) -> Value {
        json!({ "name": name, "value": value })
    }

    #[test]
    fn each_request_is_an_entry_with_its_answer() {
        let found = entries(&example::conversation());
        let told: Vec<_> = found
            .iter()
            .map(|entry| {
                let (request, response) = (&entry["request"], &entry["response"]);
                let kind = entry["_resourceType"].as_str().unwrap();
                let status = response["status"].as_u64().unwrap();
                (kind, request["url"].as_str().unwrap(), status, response["_error"].as_str())
            })
            .collect();
        let hidden = "lab=****************";
        let url = |rest: &str| format!("http://127.0.0.1:8080{}", rest.replace("LAB", hidden));
        let expected = [
            ("fetch", url("/v1/events?topic=a&LAB.1"), 304, None),
            ("fetch", url("/v1/events?topic=a%2Fb&LAB.1&wait=20"), 200, None),
            ("eventsource", url("/v1/stream?LAB.1&topic=a"), 200, None),
            ("eventsource", url("/v1/stream?LAB.1&topic=a"), 0, Some("cut by the fault")),
            ("websocket", url("/v1/ws?topic=a&LAB.1").replace("http", "ws"), 101, None),
            ("fetch", url("/v1/events?topic=a&wait=20&LAB.2"), 0, Some("no answer yet")),
        ];
        let expected: Vec<_> =
            expected.iter().map(|(kind, url, code, why)| (*kind, &**url, *code, *why)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_poll_has_its_heads_its_body_and_its_times() {
        let conversation = example::conversation();
        let poll = &entries(&conversation)[1];
        assert_eq!(poll["startedDateTime"], "2025-11-23T04:00:00.010Z");
        assert_eq!((&poll["time"], &poll["connection"], &poll["_n"]), (&json!(2.25), &json!("1"), &json!(1)));
        assert_eq!(
            poll["timings"],
            json!({ "blocked": -1, "dns": -1, "connect": -1, "ssl": -1, "send": 0, "wait": 2, "receive": 0.25 })
        );
        let (request, response) = (&poll["request"], &poll["response"]);
        assert_eq!((&request["method"], &request["httpVersion"]), (&json!("GET"), &json!("HTTP/1.1")));
        assert_eq!(request["queryString"][0], header("topic", "a%2Fb"));
        assert_eq!(request["headers"][2], header("Accept", "*/*"));
        assert_eq!(request["headersSize"].as_u64(), Some(conversation[2].total()));
        assert_eq!((&response["statusText"], &response["httpVersion"]), (&json!("OK"), &json!("HTTP/1.1")));
        assert_eq!(response["headers"][1], header("set-cookie", "**********"));
        let text = format!("{{\"events\":[{EVENT}],\"cursor\":\"1-7\"}}");
        let size = text.len();
        assert_eq!(
            response["content"],
            json!({ "size": size, "mimeType": "application/json", "text": text })
        );
        assert_eq!(response["bodySize"], size);
        assert_eq!(response["_transferSize"].as_u64(), Some(conversation[3].total() + size as u64));
    }

    #[test]
    fn what_was_not_kept_is_said() {
        let data = "x".repeat(WireRecord::MAX_RAW + 5);
        let body =
            |bytes: &[u8]| entry(Technique::LongPoll, 3, Unit::Body, 0, false, 0, &[(Part::Payload, bytes)]);
        let found = entries(&[body(data.as_bytes())]);
        assert!(found[0]["comment"].is_string() && found[0]["response"]["content"]["comment"].is_string());
        assert_eq!(found[0]["request"]["url"], "http://127.0.0.1:8080/v1/events");
        assert_eq!(
            (&found[0]["request"]["headersSize"], &found[0]["response"]["status"]),
            (&json!(-1), &json!(200))
        );
        assert_eq!(found[0]["response"]["content"]["size"], data.len());
        let found = entries(&[body(&[0xff, 0])]);
        let content = &found[0]["response"]["content"];
        assert_eq!((&content["text"], &content["encoding"]), (&json!("/wA="), &json!("base64")));
    }

    #[test]
    fn no_entry_tells_who_the_page_is() {
        let text = har(example::conversation().iter(), ORIGIN);
        assert!(!text.contains(ID) && !text.contains("theme=dark"), "{text}");
    }
}
