//! The limits for one client: over a limit, it is refused at once, told when to come back, and counted.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    api::frames::Socket,
    server::{DEADLINE, Server},
};

fn refused(server: &Server, limit: &str) -> Value {
    server.get("/v1/limits").json()["refused"][limit].clone()
}

#[test]
fn connections_in_all_have_a_limit() {
    let server = Server::with(&["--max-connections", "3"]);
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut wire = server.connect();
        assert_eq!(wire.request("GET /v1/events?topic=a HTTP/1.1", b"").status, 200);
        held.push(wire);
    }
    let mut over = server.connect();
    let answer = over.answer();
    assert_eq!((answer.status, answer.json()["code"].as_str()), (429, Some("too_many")));
    assert_eq!(answer.header("retry-after").as_deref(), Some("5"));
    assert_eq!(over.rest(), b"", "and closed");
    drop(held);
    // Each request that is refused until the permit is free counts as one more.
    let (began, mut refused) = (Instant::now(), 1);
    let limits = loop {
        let mut wire = server.connect();
        wire.send(b"GET /v1/limits HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = wire.answer();
        if answer.status == 200 {
            break answer.json();
        }
        assert_eq!(answer.status, 429);
        refused += 1;
        assert!(began.elapsed() < DEADLINE, "places are given back");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(limits["refused"]["connections"], json!(refused));
}

#[test]
fn held_polls_and_streams_have_limits() {
    let server = Server::with(&["--max-held-polls", "1", "--max-held-per-address", "3"]);
    let mut poll = server.connect();
    poll.send(b"GET /v1/events?topic=a&wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    server.await_subscribers("a", "long_poll", 1);
    let second = server.get("/v1/events?topic=a&wait=20");
    assert_eq!((second.status, second.header("retry-after").as_deref()), (429, Some("5")));
    let mut stream = server.connect();
    assert_eq!(stream.request("GET /v1/stream?topic=a HTTP/1.1", b"").status, 200);
    let _socket = Socket::open(&server, "", "");
    assert_eq!(server.get("/v1/stream?topic=a").status, 429);
    assert_eq!(server.get("/v1/events?topic=a").status, 200, "a short poll holds nothing");
    assert_eq!((refused(&server, "held_polls"), refused(&server, "address_held")), (json!(1), json!(1)));
    drop(stream);
    server.await_subscribers("a", "sse", 0);
    let began = Instant::now();
    while server.connect().request("GET /v1/stream?topic=a HTTP/1.1", b"").status != 200 {
        assert!(began.elapsed() < DEADLINE, "the place is given back");
    }
}

#[test]
fn publishing_has_a_rate() {
    let server = Server::with(&["--publish-rate", "5"]);
    let publish = |lines: usize| {
        let head = "POST /v1/topics/a/events HTTP/1.1\r\nContent-Type: application/x-ndjson";
        server.request(head, "1\n".repeat(lines).as_bytes())
    };
    assert_eq!(publish(20).status, 201, "four seconds' worth at once");
    let over = publish(10);
    assert_eq!((over.status, over.json()["code"].as_str()), (429, Some("too_many")));
    assert!(over.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1, "{over:?}");
    assert_eq!(publish(21).status, 429, "more than ever fits");
    let mut socket = Socket::json(&server);
    let began = Instant::now();
    loop {
        socket.say(&json!({ "type": "publish", "topic": "a", "data": 1 }));
        let answer = socket.text();
        if answer["type"] == "error" {
            assert_eq!(answer["status"], 429, "{answer}");
            break;
        }
        assert!(began.elapsed() < DEADLINE, "a socket has the same rate");
    }
    assert!(refused(&server, "publish_rate").as_u64().unwrap() >= 3);
}

#[test]
fn patterns_have_a_limit_that_no_client_reaches_alone() {
    let server = Server::with(&["--max-patterns", "8", "--trusted-hops", "1"]);
    let by = |client: usize| format!("HTTP/1.1\r\nX-Forwarded-For: 192.0.2.{client}");
    let get = |pattern: &str, client| {
        let answer = server.request(&format!("GET /v1/events?topic={pattern} {}", by(client)), b"");
        (answer.status, answer.header("retry-after"))
    };
    let held: Vec<_> = (0..8)
        .map(|at| {
            let mut wire = server.connect();
            let head = format!("GET /v1/stream?topic=t{at}.* {}", by(at / 2));
            assert_eq!(wire.request(&head, b"").status, 200, "{at}");
            wire
        })
        .collect();
    let refused = (429, Some("5".to_owned()));
    assert_eq!(get("other.*", 9), refused, "that is all there may be");
    assert_eq!(get("t0.*", 9).0, 200, "one that is read already is no other");
    assert_eq!(get("a", 9).0, 200);
    drop(held);
    let began = std::time::Instant::now();
    while get("other.*", 9) == refused {
        assert!(began.elapsed() < DEADLINE, "places are given back");
    }
    let _two: Vec<_> = ["a.*", "b.*"]
        .map(|pattern| {
            let mut wire = server.connect();
            assert_eq!(wire.request(&format!("GET /v1/stream?topic={pattern} {}", by(9)), b"").status, 200);
            wire
        })
        .into();
    assert_eq!(get("c.*", 9), refused, "a quarter of them is what one client has");
    assert_eq!(get("c.*", 8).0, 200);
}

/// The attack of slowloris: a byte now and then, and never an end.
#[test]
fn who_sends_a_head_or_a_body_too_slowly_is_cut() {
    let server = Server::with(&["--head-timeout", "300ms"]);
    let mut head = server.connect();
    head.send(b"GET /v1/events?topic=a HTTP/1.1\r\nX-Slow: ");
    let answer = head.rest();
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"),
        "{:?}",
        String::from_utf8_lossy(&answer)
    );
    let server = Server::with(&["--body-timeout", "300ms"]);
    let mut body = server.connect();
    body.send(b"POST /v1/topics/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n\"");
    let answer = body.answer();
    assert_eq!((answer.status, answer.json()["code"].as_str()), (408, Some("body_timeout")));
    let mut endless = server.connect();
    endless
        .send(b"POST /v1/topics/a/events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let piece = [b"8000\r\n".as_slice(), &vec![b' '; 0x8000], b"\r\n"].concat();
    // The server reads no further than the limit, so writing fails at some point.
    let began = Instant::now();
    while endless.stream.write_all(&piece).is_ok() {
        assert!(began.elapsed() < DEADLINE, "an endless body is read for ever");
    }
    assert_eq!(refused(&server, "body_time"), json!(1));
}

/// With `FOURWAYS_HALF_OPEN=9000`, as many connections as the file limits of two processes allow.
#[test]
fn half_open_connections_hold_up_nobody_and_are_closed() {
    let count = std::env::var("FOURWAYS_HALF_OPEN").map_or(1_000, |text| text.parse().expect("a number"));
    let server = Server::with(&["--head-timeout", "2s"]);
    let mut half: Vec<_> = (0..count)
        .map(|_| {
            let mut wire = server.connect();
            wire.send(b"GET /v1/events?topic=a HT");
            wire
        })
        .collect();
    assert_eq!(server.get("/v1/events?topic=a").status, 200);
    for wire in &mut half {
        // A client that is too slow gets a 408, or is only cut.
        let answer = wire.rest();
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"),
            "{:?}",
            String::from_utf8_lossy(&answer)
        );
    }
    drop(half);
    let began = Instant::now();
    while server.get("/v1/limits").json()["connections"].as_u64().is_none_or(|open| open > 1) {
        assert!(began.elapsed() < DEADLINE, "their places are given back");
    }
}
