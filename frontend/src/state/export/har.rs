//! The wire as a HAR 1.2 file, as Chrome writes it, for any tool that reads one: an entry for each request, with the
//! events of a stream and the frames of a socket in the members that Chrome has for them.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use fourways_shared::{
    Technique,
    lab::Class,
    wire::sse::{Block, Parser},
};

use super::{
    date::{iso, seconds},
    exchange::{Exchange, body, exchanges, message},
    head::{Head, is_head},
    json::Writer,
    secrets::{hide_lab, shareable, without_lab},
};
use crate::state::{format::plain, wire::Entry};

/// All requests of these entries, in the order in which they began; what is still open too. Times are the entries' own.
/// `origin` as in `http://127.0.0.1:8080`.
pub(crate) fn har<'a>(entries: impl Iterator<Item = &'a Entry>, origin: &str) -> String {
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
        write(&mut out, &exchange, origin);
    }
    out.close(']');
    out.name("comment").string("Bytes and times as the server had them.");
    out.close('}');
    out.close('}');
    out.finish()
}

fn write(out: &mut Writer, exchange: &Exchange<'_>, origin: &str) {
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
        out.name("comment").string("The request is not kept any more: its head is a guess.");
    }
    out.close('}');
}

/// Milliseconds; -1 is not known. What has no answer was blocked for as long as it lasted, as Chrome has it.
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
    let origin = match technique {
        Technique::Websocket => Cow::Owned(origin.replacen("http", "ws", 1)),
        _ => Cow::Borrowed(origin),
    };
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
        // Its head is not kept any more, but there would be no event without one.
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
    out.name("bodySize").raw(&if is_answered { wire.to_string() } else { "-1".to_owned() });
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
        out.name("comment").string("Not all of its bytes were kept.");
    }
    out.close('}');
}

fn event_source_messages(out: &mut Writer, exchange: &Exchange<'_>) {
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

fn web_socket_messages(out: &mut Writer, exchange: &Exchange<'_>) {
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
