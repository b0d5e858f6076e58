//! A client that leaves frees its subscription at once; one that does not read costs nothing.

use std::{io::Write as _, net::Shutdown};

use crate::server::{Server, UPGRADE, Wire};

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
    poll.send(b"GET /v1/events?topic=a&wait=25 HTTP/1.1\r\nHost: localhost\r\n\r\n");
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
    let head = format!("GET /v1/ws?topic=a HTTP/1.1\r\n{UPGRADE}");
    assert_eq!(socket.request(&head, b"").status, 101);
    server.await_subscribers("a", "websocket", 1);
    drop(socket);
    server.await_subscribers("a", "websocket", 0);
}

#[test]
fn a_reader_that_stands_still_holds_up_nobody() {
    // However long the machine takes for this, the one that stands still is not to be cut.
    let server = Server::with(&["--heartbeat", "600", "--write-timeout", "600", "--retain-events", "50"]);
    let mut still = server.connect();
    still.send(b"GET /v1/stream?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n");
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

/// One that takes nothing, on a socket whose room is small.
fn stuck(server: &Server, head: &str) -> Wire {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.address.into()).unwrap();
    let mut wire = Wire::of(socket.into());
    wire.send(format!("{head}\r\nHost: localhost\r\n\r\n").as_bytes());
    wire
}

#[test]
fn who_reads_nothing_is_cut_and_resumes_from_its_place() {
    let server = Server::with(&["--write-timeout", "1s", "--heartbeat", "600"]);
    let upgrade = format!("GET /v1/ws?topic=a HTTP/1.1\r\n{UPGRADE}");
    let first = server.publish("a", "1");
    let mut stream = stuck(&server, "GET /v1/stream?topic=a HTTP/1.1");
    let _socket = stuck(&server, &upgrade);
    server.await_subscribers("a", "sse", 1);
    server.await_subscribers("a", "websocket", 1);
    // More than the kernel takes for them: both stop, and nobody else does.
    let data = format!("\"{}\"", "x".repeat(200_000));
    for _ in 0..20 {
        server.publish("a", &data);
    }
    server.await_subscribers("a", "sse", 0);
    server.await_subscribers("a", "websocket", 0);
    // What had reached it, it has; from the last place that it knows, everything follows.
    let seen = String::from_utf8_lossy(&stream.rest()).into_owned();
    // An id counts once its block has come to its end (HTML Standard 9.2.6).
    let complete = seen.rfind("\n\n").map_or("", |end| &seen[..=end]);
    let place =
        complete.rsplit("\nid: ").find_map(|rest| rest.split_once('\n').map(|(place, _)| place.to_owned()));
    let place = place.unwrap_or(first);
    let mut after = place;
    let mut count = 0;
    loop {
        let body = server.get(&format!("/v1/events?topic=a&after={after}")).json();
        assert!(body["reset"].is_null());
        let events = body["events"].as_array().unwrap().len();
        if events == 0 {
            break;
        }
        count += events;
        after = body["cursor"].as_str().unwrap().to_owned();
    }
    let whole = seen.matches("\"}\n\n").count();
    assert!(count >= 20 - whole, "{count} after {whole} whole ones");
}
