//! A client that leaves frees its subscription at once; a client that does not read holds up nobody.

use std::{io::Write as _, net::Shutdown};

use crate::server::{Server, UPGRADE, Wire};

/// Starts a server with a heartbeat interval so long that no failed heartbeat frees a subscription.
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
    // However slow the machine is, the client that reads nothing must not be cut by a timeout.
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
    // Once the still client reads, it learns how many events it missed: retention has dropped them.
    still.until(b"\"reason\":\"lag\",\"missed\":");
    let missed: u64 = String::from_utf8(still.until(b",")).unwrap().trim_end_matches(',').parse().unwrap();
    assert!(missed > 0);
    still.stream.flush().unwrap();
}

/// Opens a client that reads nothing, on a socket with a small receive buffer.
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
    // More bytes than the kernel buffers for these clients: both are cut, and nobody else is.
    let data = format!("\"{}\"", "x".repeat(200_000));
    for _ in 0..20 {
        server.publish("a", &data);
    }
    server.await_subscribers("a", "sse", 0);
    server.await_subscribers("a", "websocket", 0);
    // The client has the events that had reached it, and everything follows from the last cursor that it knows.
    let seen = String::from_utf8_lossy(&stream.rest()).into_owned();
    // An id counts only once its block has ended (HTML Standard 9.2.6).
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
