//! A client that leaves frees its subscription at once; one that does not read costs nothing.

use std::{io::Write as _, net::Shutdown};

use crate::server::Server;

/// Long heartbeats, so that only noticing can free a place.
fn patient() -> Server {
    Server::with(&["--heartbeat", "600"])
}

#[test]
fn a_stream_that_is_left_is_freed() {
    let server = patient();
    for _ in 0..3 {
        let mut stream = server.connect();
        stream.request("GET /v1/stream?topic=a HTTP/1.1", b"");
        stream.chunk();
        server.await_subscribers("a", "sse", 1);
        drop(stream);
        server.await_subscribers("a", "sse", 0);
    }
}

#[test]
fn a_held_poll_that_is_left_is_freed() {
    let server = patient();
    let mut poll = server.connect();
    poll.send(b"GET /v1/events?topic=a&wait=25 HTTP/1.1\r\nHost: x\r\n\r\n");
    server.await_subscribers("a", "long_poll", 1);
    drop(poll);
    server.await_subscribers("a", "long_poll", 0);
}

#[test]
fn a_half_closed_stream_is_freed_too() {
    let server = patient();
    let mut stream = server.connect();
    stream.request("GET /v1/stream?topic=a HTTP/1.1", b"");
    server.await_subscribers("a", "sse", 1);
    stream.stream.shutdown(Shutdown::Write).unwrap();
    server.await_subscribers("a", "sse", 0);
}

#[test]
fn a_socket_that_vanishes_is_freed() {
    let server = patient();
    let mut socket = server.connect();
    let head = "GET /v1/ws?topic=a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    assert_eq!(socket.request(head, b"").status, 101);
    server.await_subscribers("a", "websocket", 1);
    drop(socket);
    server.await_subscribers("a", "websocket", 0);
}

#[test]
fn a_reader_that_stands_still_holds_up_nobody() {
    let server = Server::with(&["--heartbeat", "600", "--retain-events", "50"]);
    let mut still = server.connect();
    still.send(b"GET /v1/stream?topic=a HTTP/1.1\r\nHost: x\r\n\r\n");
    server.await_subscribers("a", "sse", 1);
    let mut quick = server.connect();
    quick.request("GET /v1/stream?topic=a HTTP/1.1", b"");
    quick.chunk();
    let data = format!("\"{}\"", "x".repeat(100_000));
    for _ in 0..300 {
        let cursor = server.publish("a", &data);
        let block = quick.chunk();
        assert!(block.contains(&cursor), "the quick one has each at once");
    }
    // The still one fell out of retention and is told how much it missed, once it reads.
    still.until(b"\"reason\":\"lag\",\"missed\":");
    let missed: u64 = String::from_utf8(still.until(b",")).unwrap().trim_end_matches(',').parse().unwrap();
    assert!(missed > 0);
    still.stream.flush().unwrap();
}
