//! A conversation on the wire, for the tests of the exports.

use fourways_shared::{
    Technique,
    lab::{Part, Unit, WireRecord},
};

use crate::wire::Entry;

/// The page's id, which no export may contain.
pub(crate) const ID: &str = "abcdefghijkmnpqr";
pub(crate) const ORIGIN: &str = "http://127.0.0.1:8080";
pub(crate) const EVENT: &str =
    r#"{"type":"event","topic":"a","cursor":"1-7","name":"message","data":{"n":"ä"}}"#;
const BEGAN_US: u64 = 1_763_870_400_000_000;

/// Creates an entry. `at_us` counts from the beginning of the conversation.
pub(crate) fn entry(
    technique: Technique,
    n: u32,
    unit: Unit,
    code: u16,
    up: bool,
    at_us: u64,
    parts: &[(Part, &[u8])],
) -> Entry {
    let connection = [1, 1, 3, 4][technique.index()];
    let mut record = WireRecord::new(technique, n, connection, up);
    (record.unit, record.code, record.at_us) = (unit, code, BEGAN_US + at_us);
    for (part, bytes) in parts {
        record.push(*part, bytes);
    }
    Entry::of_server(record)
}

/// Returns a short poll that brings nothing, a long poll that brings an event, a stream that ends and is cut when it is
/// opened again, a socket, and a long poll that is held.
pub(crate) fn conversation() -> Vec<Entry> {
    let mut entries = polls();
    entries.extend(stream());
    entries.extend(socket());
    let path = format!("/v1/events?topic=a&wait=20&lab={ID}.2");
    entries.push(request(Technique::LongPoll, 2, &path, "Accept: */*\r\n", 70_000));
    for (seq, entry) in entries.iter_mut().enumerate() {
        entry.seq = seq as u64;
    }
    entries
}

pub(crate) fn request(technique: Technique, n: u32, path: &str, fields: &str, at_us: u64) -> Entry {
    let line = format!("GET {path} HTTP/1.1\r\n");
    let fields = format!("Host: 127.0.0.1:8080\r\nConnection: keep-alive\r\n{fields}\r\n");
    let parts = [(Part::StartLine, line.as_bytes()), (Part::Headers, fields.as_bytes())];
    entry(technique, n, Unit::Request, 0, true, at_us, &parts)
}

fn response(technique: Technique, code: u16, reason: &str, fields: &str, at_us: u64) -> Entry {
    let line = format!("HTTP/1.1 {code} {reason}\r\n");
    let fields = format!("{fields}\r\n");
    let parts = [(Part::StartLine, line.as_bytes()), (Part::Headers, fields.as_bytes())];
    entry(technique, 1, Unit::Response, code, false, at_us, &parts)
}

fn polls() -> Vec<Entry> {
    let (short, long) = (Technique::ShortPoll, Technique::LongPoll);
    let body: [(Part, &[u8]); 3] = [
        (Part::Wrapper, b"{\"events\":["),
        (Part::Payload, EVENT.as_bytes()),
        (Part::Wrapper, b"],\"cursor\":\"1-7\"}"),
    ];
    let asked = "Accept-Encoding: gzip, br\r\nIf-None-Match: \"1-6\"\r\nX-Who: it's me\r\n";
    let json = "content-type: application/json\r\nset-cookie: theme=dark\r\netag: \"1-7\"\r\n";
    vec![
        request(short, 1, &format!("/v1/events?topic=a&lab={ID}.1"), asked, 0),
        response(short, 304, "Not Modified", "etag: \"1-6\"\r\n", 1_500),
        request(long, 1, &format!("/v1/events?topic=a%2Fb&lab={ID}.1&wait=20"), "Accept: */*\r\n", 10_000),
        response(long, 200, "OK", json, 12_000),
        entry(long, 1, Unit::Body, 0, false, 12_250, &body),
    ]
}

fn stream() -> Vec<Entry> {
    let sse = Technique::Sse;
    let path = format!("/v1/stream?lab={ID}.1&topic=a");
    let fields = "Accept: text/event-stream\r\nAccept-Encoding: gzip\r\nCookie: theme=dark\r\n";
    let down = |unit, at_us, parts: &[(Part, &[u8])]| entry(sse, 1, unit, 0, false, at_us, parts);
    let event: [(Part, &[u8]); 5] = [
        (Part::Chunk, b"6d\r\n"),
        (Part::Field, b"id: 1-7\nevent: message\ndata: "),
        (Part::Payload, EVENT.as_bytes()),
        (Part::Field, b"\n\n"),
        (Part::Chunk, b"\r\n"),
    ];
    vec![
        request(sse, 1, &path, fields, 20_000),
        response(sse, 200, "OK", "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n", 21_000),
        down(
            Unit::Comment,
            21_100,
            &[(Part::Chunk, b"15\r\n"), (Part::Field, b"retry: 2000\nid: 1-6\n\n"), (Part::Chunk, b"\r\n")],
        ),
        down(Unit::Event, 30_250, &event),
        down(Unit::End, 40_000, &[(Part::Chunk, b"0\r\n\r\n")]),
        request(sse, 1, &path, "Accept: text/event-stream\r\nLast-Event-ID: 1-7\r\n", 42_000),
        down(Unit::Cut, 43_000, &[]),
    ]
}

fn socket() -> Vec<Entry> {
    let socket = Technique::Websocket;
    let asked = "Upgrade: websocket\r\nOrigin: http://127.0.0.1:8080\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: fourways.json\r\n";
    let frame =
        |code, up, at_us, parts: &[(Part, &[u8])]| entry(socket, 1, Unit::Frame, code, up, at_us, parts);
    let mask: [u8; 4] = [1, 2, 3, 4];
    let ping: Vec<u8> = br#"{"type":"ping"}"#.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b).collect();
    vec![
        request(socket, 1, &format!("/v1/ws?topic=a&lab={ID}.1"), asked, 50_000),
        response(socket, 101, "Switching Protocols", "upgrade: websocket\r\n", 51_000),
        frame(1, false, 60_000, &[(Part::FrameHead, &[0x81, 78]), (Part::Payload, EVENT.as_bytes())]),
        frame(
            1,
            true,
            61_000,
            &[(Part::FrameHead, &[0x81, 0x8f]), (Part::Mask, &mask), (Part::Control, &ping)],
        ),
        frame(2, false, 62_000, &[(Part::FrameHead, &[0x82, 3]), (Part::Payload, &[0xa1, 0x00, 0xff])]),
        frame(8, false, 63_000, &[(Part::FrameHead, &[0x88, 2]), (Part::Control, &[0x03, 0xe8])]),
    ]
}
