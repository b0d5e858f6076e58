//! `--compress`: the same events in fewer bytes, for clients that ask for it.

use std::io::Write as _;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, write::GzDecoder};
use serde_json::{Value, json};

use crate::{
    api::frames::Socket,
    server::{Server, UPGRADE, Wire},
};

const OFFER: &str = "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";

fn long() -> String {
    format!("\"{}\"", "as long as this ".repeat(40))
}

/// Decompresses the payload of a message (RFC 7692 7.2.2).
fn unpacked(payload: &[u8]) -> Value {
    let mut out = Vec::with_capacity(100_000);
    let whole = [payload, &[0, 0, 0xFF, 0xFF]].concat();
    Decompress::new(false).decompress_vec(&whole, &mut out, FlushDecompress::Sync).unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// Compresses the payload of a message (RFC 7692 7.2.1).
fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 1000);
    Compress::new(Compression::best(), false).compress_vec(bytes, &mut out, FlushCompress::Sync).unwrap();
    assert!(out.ends_with(&[0, 0, 0xFF, 0xFF]));
    out.truncate(out.len() - 4);
    out
}

#[test]
fn an_event_stream_is_one_gzip_stream_and_every_event_is_there_at_once() {
    let server = Server::with(&["--compress", "200", "--heartbeat", "0.2"]);
    let ask = |version: &str, accept: &str| {
        let mut wire = server.connect();
        let answer =
            wire.request(&format!("GET /v1/stream?topic=a {version}\r\nAccept-Encoding: {accept}"), b"");
        (wire, answer)
    };
    for refused in ["identity", "br", "gzip;q=0", "x-gzip-not"] {
        let (mut wire, answer) = ask("HTTP/1.1", refused);
        assert_eq!(answer.header("content-encoding"), None, "{refused}");
        assert_eq!(answer.header("vary").as_deref(), Some("Accept-Encoding"), "a cache must tell them apart");
        assert!(wire.chunk().starts_with("retry: "));
    }
    let (mut wire, answer) = ask("HTTP/1.1", "deflate, gzip;q=0.5, br");
    assert_eq!(answer.header("content-encoding").as_deref(), Some("gzip"));
    let mut text = GzDecoder::new(Vec::new());
    let (mut sent, mut plain) = (0, 0);
    let mut read = |wire: &mut Wire, mark: &str| {
        let before = text.get_ref().len();
        loop {
            let chunk = wire.raw_chunk();
            sent += chunk.len();
            text.write_all(&chunk).unwrap();
            text.flush().unwrap();
            let fresh = String::from_utf8(text.get_ref()[before..].to_vec()).unwrap();
            if fresh.contains(mark) {
                plain = text.get_ref().len();
                return fresh;
            }
        }
    };
    read(&mut wire, "retry: 2000\nid: ");
    for round in 0..5 {
        let cursor = server.publish("a", &long());
        let block = read(&mut wire, &cursor);
        assert!(block.ends_with("\n\n") && block.contains(&long()), "{round}: {block}");
        let cursor = server.publish("a", "7");
        assert!(read(&mut wire, &cursor).contains("\"data\":7}"), "{round}");
    }
    read(&mut wire, ": heartbeat\n");
    assert!(sent * 2 < plain, "{sent} bytes for {plain}");
    let (mut old, answer) = ask("HTTP/1.0", "gzip");
    assert_eq!(answer.header("content-encoding").as_deref(), Some("gzip"));
    assert_eq!(old.exactly(3), [0x1F, 0x8B, 8]);
}

#[test]
fn the_labs_own_streams_are_shown_as_they_are() {
    let server = Server::with(&["--compress", "1"]);
    let watched = "GET /v1/stream?topic=a&lab=0123456789abcdef.1 HTTP/1.1\r\nAccept-Encoding: gzip";
    let answer = server.connect().request(watched, b"");
    assert_eq!((answer.status, answer.header("content-encoding")), (200, None), "{answer:?}");
    let polled = server.request("GET /v1/events?topic=a HTTP/1.1\r\nAccept-Encoding: gzip", b"");
    assert_eq!(
        polled.header("content-encoding"),
        None,
        "a poll's answer has an end: any proxy can compress it"
    );
}

#[test]
fn a_socket_agrees_on_compression_without_a_window() {
    let server = Server::with(&["--compress", "200"]);
    let mut socket = Socket::open(&server, "?topic=a", OFFER);
    assert_eq!(socket.text()["type"], "welcome");
    assert_eq!(socket.text()["type"], "subscribed");
    let cursor = server.publish("a", &long());
    let (first, payload) = socket.frame();
    assert_eq!(first, 0xC1, "text, whole, compressed");
    assert!(payload.len() < 250, "{}", payload.len());
    assert_eq!(unpacked(&payload)["cursor"], cursor);
    server.publish("a", "7");
    assert_eq!(socket.text()["data"], 7, "what is short goes as it is");
    // The client compresses too: a whole message, and one in fragments with a ping in between.
    let publish =
        |data: Value| json!({ "type": "publish", "topic": "b", "data": data, "ref": "1" }).to_string();
    socket.send(0xC1, &packed(publish(json!(long())).as_bytes()));
    assert_eq!(socket.text()["type"], "published");
    let bytes = packed(publish(json!([1, 2, 3])).as_bytes());
    let (one, other) = bytes.split_at(bytes.len() / 2);
    socket.send(0x41, one);
    socket.send(0x89, b"?");
    socket.send(0x80, other);
    assert_eq!(socket.frame(), (0x8A, b"?".to_vec()));
    assert_eq!(socket.text()["type"], "published");
    assert_eq!(server.get("/v1/events?topic=b&after=earliest").json()["events"][1]["data"], json!([1, 2, 3]));
}

#[test]
fn what_can_not_be_unpacked_closes_with_its_code() {
    let server = Server::with(&["--compress", "200", "--max-body-bytes", "100000"]);
    let open = || {
        let mut socket = Socket::open(&server, "", OFFER);
        assert_eq!(socket.text()["type"], "welcome");
        socket
    };
    let check = |first: u8, payload: &[u8], code: u16| {
        let mut socket = open();
        socket.send(first, payload);
        socket.closes_with(code);
    };
    let bomb = packed(&vec![b' '; 90_000_000]);
    assert!(bomb.len() < 100_000, "it is within the limit itself");
    check(0xC1, &bomb, 1009);
    check(0xC1, b"\xff\xff\xff", 1007);
    check(0xC1, &packed(b"\"\xff\""), 1007);
    check(0xC9, b"?", 1002);
    check(0xA1, b"{}", 1002);
    let mut socket = open();
    socket.send(0x01, b"{");
    socket.send(0xC0, b"}");
    socket.closes_with(1002);
}

#[test]
fn without_an_offer_that_can_be_kept_nothing_is_compressed() {
    let extensions = |server: &Server, offer: &str| {
        let mut wire = server.connect();
        let head = format!("GET /v1/ws HTTP/1.1\r\n{UPGRADE}{offer}");
        wire.request(&head, b"").header("sec-websocket-extensions")
    };
    let plain = Server::start();
    assert_eq!(extensions(&plain, OFFER), None, "off unless told");
    let server = Server::with(&["--compress", "200"]);
    let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(extensions(&server, OFFER).as_deref(), Some(agreed));
    assert_eq!(extensions(&server, ""), None);
    let narrow = "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9";
    assert_eq!(extensions(&server, narrow), None);
    let second = format!("{narrow}, permessage-deflate");
    assert_eq!(extensions(&server, &second).as_deref(), Some(agreed), "another offer");
}
