//! The wire contract, line by line.

use serde_json::json;

use crate::server::Server;

#[test]
pub(super) fn publishing_answers_with_the_cursor_and_a_poll_returns_the_event() {
    let server = Server::start();
    let cursor = server.publish("chat.1", r#"{"a": 1.0}"#);
    let poll = server.get("/v1/events?topic=chat.1&after=earliest");
    assert_eq!(poll.status, 200);
    assert_eq!(poll.header("etag"), Some(format!("\"{cursor}\"")));
    assert_eq!(poll.header_names(), ["cache-control", "content-length", "content-type", "etag"]);
    let body = poll.json();
    let published_at = body["events"][0]["published_at"].as_u64().expect("a time");
    let event = json!({"type": "event", "topic": "chat.1", "cursor": cursor, "name": "message", "published_at": published_at, "data": {"a": 1.0}});
    assert_eq!(body, json!({"events": [event], "cursor": cursor}));
    let text = String::from_utf8(poll.body).unwrap();
    assert!(text.contains(r#""data":{"a": 1.0}}"#), "data stay as they were written: {text}");
}

#[test]
pub(super) fn a_poll_without_after_begins_at_the_head() {
    let server = Server::start();
    let before = server.publish("a", "1");
    let head = server.get("/v1/events?topic=a").json();
    assert_eq!(head, json!({"events": [], "cursor": before}));
    server.publish("a", "2");
    let next = server.get(&format!("/v1/events?topic=a&after={before}")).json();
    assert_eq!(next["events"][0]["data"], 2);
}

#[test]
pub(super) fn an_etag_is_a_cursor_and_304_means_nothing_is_new() {
    let server = Server::start();
    let first = server.publish("a", "1");
    let poll = |tag: &str| {
        server.request(&format!("GET /v1/events?topic=a HTTP/1.1\r\nIf-None-Match: \"{tag}\""), b"")
    };
    let unchanged = poll(&first);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header("etag"), Some(format!("\"{first}\"")));
    server.publish("b", "\"other people's traffic\"");
    assert_eq!(poll(&first).status, 304);
    let second = server.publish("a", "2");
    let changed = poll(&first);
    assert_eq!(changed.status, 200);
    assert_eq!(changed.json()["events"][0]["data"], 2);
    assert_eq!(changed.header("etag"), Some(format!("\"{second}\"")));
    let pinned = format!("GET /v1/events?topic=a&after={first} HTTP/1.1\r\nIf-None-Match: \"{first}\"");
    assert_eq!(server.request(&pinned, b"").json()["events"].as_array().map(Vec::len), Some(1));
}

#[test]
pub(super) fn limit_and_last_and_policy_choose_what_comes() {
    let server = Server::start();
    for n in 1..=5 {
        server.publish("a", &n.to_string());
        server.publish("b", &(10 * n).to_string());
    }
    let data = |query: &str| {
        let body = server.get(&format!("/v1/events?topic=a&topic=b&{query}")).json();
        body["events"].as_array().unwrap().iter().map(|e| e["data"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(data("after=earliest&limit=3"), [1, 10, 2]);
    assert_eq!(data("last=3"), [40, 5, 50]);
    assert_eq!(data("after=earliest&policy=latest"), [5, 50]);
}

#[test]
pub(super) fn a_limited_poll_goes_on_where_it_ended() {
    let server = Server::start();
    for n in 1..=7 {
        server.publish(if n % 2 == 0 { "a" } else { "b" }, &n.to_string());
    }
    let (mut after, mut seen) = ("earliest".to_owned(), Vec::new());
    for _ in 0..4 {
        let body = server.get(&format!("/v1/events?topic=a&topic=b&limit=2&after={after}")).json();
        seen.extend(body["events"].as_array().unwrap().iter().map(|e| e["data"].as_u64().unwrap()));
        assert_eq!(body["more"] == true, seen.len() < 7, "{body}");
        after = body["cursor"].as_str().unwrap().to_owned();
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
}

/// An answer also ends once it has enough bytes, so the number of its events does not tell whether more are waiting.
#[test]
pub(super) fn a_poll_says_that_there_is_more() {
    let server = Server::start();
    let head = "POST /v1/topics/a/events HTTP/1.1\r\nContent-Type: application/x-ndjson";
    let lines: Vec<String> = (0..400).map(|n| format!("[{n},\"{}\"]\n", "x".repeat(1000))).collect();
    server.request(head, lines.concat().as_bytes());
    for wait in ["", "&wait=20"] {
        let (mut after, mut seen, mut pages) = ("earliest".to_owned(), Vec::new(), 0);
        loop {
            let body = server.get(&format!("/v1/events?topic=a&limit=4000000000{wait}&after={after}")).json();
            seen.extend(body["events"].as_array().unwrap().iter().map(|e| e["data"][0].as_u64().unwrap()));
            after = body["cursor"].as_str().unwrap().to_owned();
            pages += 1;
            if body.get("more").is_none() {
                break;
            }
            assert_eq!(body["more"], true);
        }
        assert_eq!(seen, (0..400).collect::<Vec<u64>>());
        assert!(pages > 1, "the answer ended before a thousand");
    }
}

#[test]
pub(super) fn raw_data_are_what_was_published() {
    let server = Server::start();
    let mut stream = server.connect();
    stream.request("GET /v1/stream?topic=a&data=raw HTTP/1.1", b"");
    assert!(stream.chunk().contains("\nevent: heartbeat\ndata: {\"type\":\"heartbeat\","));
    let publish = |kind: &str, name: &str, body: &[u8]| {
        let head = format!("POST /v1/topics/a/events{name} HTTP/1.1\r\nContent-Type: {kind}");
        server.request(&head, body).json()["cursor"].as_str().unwrap().to_owned()
    };
    let event = format!("{{\"x\":\"{}\"}}", "y".repeat(92));
    let cursor = publish("application/json", "", event.as_bytes());
    let block = stream.chunk();
    assert_eq!((event.len(), block.as_str()), (100, &*format!("id: {cursor}\ndata: {event}\n\n")));
    // The block with the framing of its chunk.
    assert!(block.len() + 6 <= 150, "{}", block.len());
    let cursor = publish("application/json", "", b"{\n \"a\": 1.0}");
    assert_eq!(stream.chunk(), format!("id: {cursor}\ndata: {{\ndata:  \"a\": 1.0}}\n\n"));
    let cursor = publish("text/plain", "?name=said", "ä \"b\"\nc".as_bytes());
    assert_eq!(stream.chunk(), format!("id: {cursor}\nevent: said\ndata: ä \"b\"\ndata: c\n\n"));
    let cursor = publish("application/json", "", b"\"a text in JSON\"");
    assert_eq!(stream.chunk(), format!("id: {cursor}\ndata: \"a text in JSON\"\n\n"));
    let cursor = publish("application/octet-stream", "", &[0, 255]);
    assert_eq!(stream.chunk(), format!("id: {cursor}\ndata: AP8=\n\n"));
    let mut again = server.connect();
    let head = format!("GET /v1/stream?topic=a&data=raw HTTP/1.1\r\nLast-Event-ID: {cursor}");
    again.request(&head, b"");
    assert!(again.chunk().contains(&cursor));
}

#[test]
pub(super) fn a_long_poll_is_held_until_an_event_or_the_deadline() {
    let server = Server::start();
    let mut held = server.connect();
    held.send(b"GET /v1/events?topic=a&wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    server.await_subscribers("a", "long_poll", 1);
    server.publish("a", "1");
    let answer = held.answer();
    assert_eq!((answer.status, &answer.json()["events"][0]["data"]), (200, &json!(1)));
    let empty = server.get("/v1/events?topic=a&wait=0.05");
    assert_eq!((empty.status, empty.body.len()), (204, 0));
    let cursor = empty.header("etag").expect("a 204 tells where it stands");
    let head = server.get("/v1/events?topic=a").header("etag").unwrap();
    assert_eq!(cursor, head);
}

#[test]
pub(super) fn a_preference_to_wait_is_honoured_and_capped() {
    let server = Server::with(&["--max-wait", "1"]);
    let answer = server.request("GET /v1/events?topic=a HTTP/1.1\r\nPrefer: respond-async, wait=30", b"");
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("preference-applied").as_deref(), Some("wait=1"));
    let ignored = server.request("GET /v1/events?topic=a HTTP/1.1\r\nPrefer: wait=soon", b"");
    assert_eq!(ignored.status, 200, "a preference that can't be read is ignored");
}

#[test]
pub(super) fn lines_are_published_all_or_none_and_a_key_makes_a_repeat_harmless() {
    let server = Server::start();
    let head =
        "POST /v1/topics/a/events HTTP/1.1\r\nContent-Type: application/x-ndjson\r\nIdempotency-Key: \"k-1\"";
    let first = server.request(head, b"1\n\n{\"x\":2}\r\n3");
    assert_eq!(first.status, 201);
    assert_eq!(first.json()["cursors"].as_array().map(Vec::len), Some(3));
    assert_eq!(server.request(head, b"1\n\n{\"x\":2}\r\n3").json(), first.json());
    for other in [&b"1\n2\n3"[..], b"1\n{\"x\":2}", b"1\n{\"x\":2}\n3\n4"] {
        let refused = server.request(head, other);
        assert_eq!((refused.status, &refused.json()["code"]), (422, &json!("key_reused")), "{other:?}");
        assert_eq!(refused.json()["field"], "Idempotency-Key");
    }
    let named = head.replace("events HTTP", "events?name=other HTTP");
    assert_eq!(server.request(&named, b"1\n\n{\"x\":2}\r\n3").status, 422);
    let events = server.get("/v1/events?topic=a&after=earliest").json()["events"].clone();
    assert_eq!(events.as_array().map(Vec::len), Some(3));
    assert_eq!(events[1]["data"], json!({"x": 2}));
    assert_eq!(events[1]["id"], "k-1");
}

#[test]
pub(super) fn texts_and_bytes_travel_too() {
    let server = Server::start();
    let post = |kind: &str, body: &[u8]| {
        server
            .request(&format!("POST /v1/topics/a/events?name=price HTTP/1.1\r\nContent-Type: {kind}"), body)
            .status
    };
    assert_eq!(post("text/plain; charset=utf-8", "a \"b\"\nä".as_bytes()), 201);
    assert_eq!(post("application/octet-stream", &[0, 255]), 201);
    let events = server.get("/v1/events?topic=a&after=earliest").json()["events"].clone();
    assert_eq!((&events[0]["data"], &events[0]["name"]), (&json!("a \"b\"\nä"), &json!("price")));
    assert_eq!((&events[1]["data"], &events[1]["encoding"]), (&json!("AP8="), &json!("base64")));
}

#[test]
pub(super) fn a_stream_opens_with_its_place_and_frames_every_event() {
    let server = Server::start();
    let before = server.publish("a", "0");
    let mut stream = server.connect();
    let opened = stream.request("GET /v1/stream?topic=a HTTP/1.1\r\nAccept: text/event-stream", b"");
    assert_eq!(opened.status, 200);
    assert_eq!(opened.header("content-type").as_deref(), Some("text/event-stream"));
    assert_eq!(opened.header("cache-control").as_deref(), Some("no-cache, no-transform"));
    assert_eq!(opened.header("x-accel-buffering").as_deref(), Some("no"));
    assert_eq!(
        opened.header_names(),
        ["cache-control", "content-type", "transfer-encoding", "x-accel-buffering"]
    );
    assert!(stream.chunk().starts_with(&format!("retry: 2000\nid: {before}\nevent: heartbeat\ndata: {{")));
    let cursor = server.publish("a", "{\n\"x\": 1}");
    let block = stream.chunk();
    assert!(
        block.starts_with(&format!("id: {cursor}\nevent: message\ndata: {{\"type\":\"event\",")),
        "{block}"
    );
    assert!(block.ends_with(",\"data\":{\ndata: \"x\": 1}}\n\n"), "{block}");
}

#[test]
pub(super) fn last_event_id_wins_over_after() {
    let server = Server::start();
    let cursors: Vec<_> = (1..=3).map(|n| server.publish("a", &n.to_string())).collect();
    let mut stream = server.connect();
    let head =
        format!("GET /v1/stream?topic=a&after={} HTTP/1.1\r\nLast-Event-ID: {}", cursors[0], cursors[1]);
    stream.request(&head, b"");
    stream.chunk();
    assert!(stream.chunk().starts_with(&format!("id: {}\n", cursors[2])));
}

#[test]
pub(super) fn a_heartbeat_moves_the_place_without_an_event() {
    let server = Server::with(&["--heartbeat", "0.05"]);
    let mut stream = server.connect();
    stream.request("GET /v1/stream?topic=quiet HTTP/1.1", b"");
    stream.chunk();
    let elsewhere = server.publish("busy", "1");
    let beat = |cursor: &str| {
        let data = format!("{{\"type\":\"heartbeat\",\"cursor\":\"{cursor}\",\"every_ms\":50}}");
        format!("id: {cursor}\nevent: heartbeat\ndata: {data}\n\n")
    };
    while stream.chunk() != beat(&elsewhere) {}
    assert_eq!(stream.chunk(), ": heartbeat\n", "nothing new");
    let mut heard = server.connect();
    heard.request("GET /v1/stream?topic=quiet&heartbeat=event HTTP/1.1", b"");
    assert_eq!(heard.chunk(), format!("retry: 2000\n{}", beat(&elsewhere)), "at once, and");
    assert_eq!(heard.chunk(), beat(&elsewhere), "again");
}

#[test]
pub(super) fn a_reader_that_no_longer_chunks_gets_plain_blocks() {
    let server = Server::start();
    let mut stream = server.connect();
    let opened = stream.request("GET /v1/stream?topic=a HTTP/1.0", b"");
    assert_eq!(opened.header("transfer-encoding"), None);
    stream.until(b"\n\n");
    server.publish("a", "1");
    let block = String::from_utf8(stream.until(b"\n\n")).unwrap();
    assert!(block.starts_with("id: "), "{block}");
}

#[test]
pub(super) fn an_unknown_topic_is_an_empty_one() {
    let server = Server::start();
    let topic = server.get("/v1/topics/never.seen").json();
    assert_eq!((&topic["events"], &topic["earliest"]), (&json!(0), &json!(null)));
    assert_eq!(server.get("/v1/events?topic=never.seen&after=earliest").json()["events"], json!([]));
}

#[test]
pub(super) fn topics_are_listed_with_what_is_retained() {
    let server = Server::with(&["--retain-events", "2"]);
    for n in 0..3 {
        server.publish("a", &n.to_string());
    }
    let listing = server.get("/v1/topics").json();
    assert_eq!((&listing["next"], &listing["topics"][0]["events"]), (&json!(null), &json!(2)));
    let epoch = listing["cursor"].as_str().unwrap().split('-').next().unwrap().to_owned();
    assert_eq!(listing["earliest"], format!("{epoch}-1"));
    assert_eq!(listing["topics"][0]["newest"], format!("{epoch}-3"));
    for topic in ["c", "b.1", "b"] {
        server.publish(topic, "1");
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/v1/topics?limit=1{after}")).json();
        seen.extend(page["topics"].as_array().unwrap().iter().map(|item| item["topic"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, ["b", "b.1"], "of two that are left");
    for (wrong, field) in
        [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=null", "limit"), ("after=Chat", "after")]
    {
        let refused = server.get(&format!("/v1/topics?{wrong}"));
        assert_eq!((refused.status, &refused.json()["field"]), (400, &json!(field)), "{wrong}");
    }
}

#[test]
pub(super) fn a_cursor_behind_retention_gets_a_reset_that_says_what_is_left() {
    let server = Server::with(&["--retain-events", "2"]);
    let first = server.publish("a", "1");
    for n in 2..=5 {
        server.publish("a", &n.to_string());
    }
    let body = server.get(&format!("/v1/events?topic=a&after={first}")).json();
    let epoch = first.split('-').next().unwrap();
    let earliest = format!("{epoch}-3");
    let reset = json!({"type": "reset", "reason": "retention", "missed": null, "earliest": earliest, "cursor": earliest, "topics": ["a"]});
    assert_eq!(body["reset"], reset);
    assert_eq!(
        body["events"].as_array().unwrap().iter().map(|e| e["data"].clone()).collect::<Vec<_>>(),
        [4, 5]
    );
    let mut stream = server.connect();
    stream.request(&format!("GET /v1/stream?topic=a&after={first} HTTP/1.1"), b"");
    stream.until(b"event: reset\ndata: ");
    let told: serde_json::Value = serde_json::from_slice(stream.until(b"\n").trim_ascii()).unwrap();
    assert_eq!(told, reset);
}

#[test]
pub(super) fn a_feed_publishes_at_the_wished_rate_and_only_under_lab() {
    let server = Server::start();
    let put = |topic: &str, body: &str| {
        server.request(&format!("PUT /v1/lab/feeds/{topic} HTTP/1.1"), body.as_bytes()).status
    };
    assert_eq!(put("lab.x", r#"{"rate":100,"bytes":64}"#), 204);
    let poll = server.get("/v1/events?topic=lab.x&after=earliest&wait=10").json();
    assert_eq!(poll["events"][0]["data"]["n"], 1);
    assert_eq!(poll["events"][0]["data"].to_string().len(), 64);
    assert_eq!(put("lab.x", r#"{"rate":0}"#), 204);
    assert_eq!(put("orders", r#"{"rate":1}"#), 400);
    assert_eq!(put("lab.x", r#"{"rate":501}"#), 400);
    assert_eq!(put("lab.x", r#"{"rate":1,"bytes":99999}"#), 400);
    assert_eq!(put("lab.x", "fast"), 400);
}

#[test]
pub(super) fn whatever_has_get_has_head_which_holds_nothing_and_has_no_body() {
    let server = Server::start();
    let mut wire = server.connect();
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/v1/events?topic=a",
        "/v1/events?topic=a&wait=20",
        "/v1/topics",
        "/v1/topics/a",
        "/v1/connections",
        "/v1/limits",
        "/v1/stream?topic=a",
        "/",
    ] {
        // All requests use one connection, on which a body would be taken for the next answer.
        wire.send(format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        let head = String::from_utf8(wire.until(b"\r\n\r\n")).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
    }
    server.await_subscribers("a", "sse", 0);
}

#[test]
pub(super) fn the_probes_are_not_kept_and_the_description_is_not_sent_twice() {
    let server = Server::start();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.get(path).header("cache-control").as_deref(), Some("no-store"), "{path}");
    }
    let tag = server.get("/openapi.json").header("etag").unwrap();
    let again = server.request(&format!("GET /openapi.json HTTP/1.1\r\nIf-None-Match: {tag}"), b"");
    assert_eq!((again.status, again.header("etag")), (304, Some(tag)));
}

/// A cursor ages even if its topic gets no events: the server replaces it before retention passes it.
#[test]
pub(super) fn who_polls_a_quiet_topic_is_never_told_that_it_lost_something() {
    let server = Server::with(&["--retain-events", "2000"]);
    let lines = vec!["1"; 500].join("\n");
    let mut known = server.publish("quiet", "1");
    let mut kept = 0;
    for _ in 0..20 {
        let noise = server.request(
            "POST /v1/topics/noise/events HTTP/1.1\r\nContent-Type: application/x-ndjson",
            lines.as_bytes(),
        );
        assert_eq!(noise.status, 201);
        let answer = server.request(
            &format!("GET /v1/events?topic=quiet&topic=other.* HTTP/1.1\r\nIf-None-Match: \"{known}\""),
            b"",
        );
        if answer.status == 304 {
            kept += 1;
            continue;
        }
        assert_eq!((answer.status, answer.json()["reset"].is_null()), (200, true), "{answer:?}");
        answer.json()["cursor"].as_str().unwrap().clone_into(&mut known);
    }
    assert!(kept > 0, "and most of the time nothing is sent");
}

#[test]
pub(super) fn a_read_may_say_what_it_wants_in_a_body() {
    let server = Server::with(&["--max-topics", "1000"]);
    let names: Vec<String> =
        (0..1000).map(|n| format!("a.rather.long.name.of.a.topic.that.no.address.can.hold.{n}")).collect();
    let first = server.publish(&names[0], "1");
    server.publish(&names[999], "2");
    let json = json!({ "topics": names, "after": "earliest", "limit": 10 }).to_string();
    let form = format!("topic={}", names.join("&topic="));
    for method in ["POST", "QUERY"] {
        for (kind, path, body) in [
            ("application/json", "/v1/events", &json),
            ("application/x-www-form-urlencoded", "/v1/events?after=earliest", &form),
        ] {
            let answer =
                server.request(&format!("{method} {path} HTTP/1.1\r\nContent-Type: {kind}"), body.as_bytes());
            let data: Vec<_> =
                answer.json()["events"].as_array().unwrap().iter().map(|e| e["data"].clone()).collect();
            assert_eq!((answer.status, data), (200, vec![json!(1), json!(2)]), "{method} {kind}");
        }
        let mut stream = server.connect();
        let body = json!({ "topics": names, "after": first }).to_string();
        let length = body.len();
        stream.send(
            format!("{method} /v1/stream HTTP/1.1\r\nHost: fourways.test\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
                .as_bytes(),
        );
        stream.until(b"\"data\":2");
    }
    for (kind, body, status, field) in [
        ("application/json", "[1]", 400, "body"),
        ("application/json", "{\"topics\":[1]}", 400, "body"),
        ("application/json", "{\"topics\":[\"A\"]}", 400, "topic"),
        ("application/json", "{}", 400, "topic"),
        ("text/plain", "topic=a", 415, "Content-Type"),
    ] {
        let refused =
            server.request(&format!("POST /v1/events HTTP/1.1\r\nContent-Type: {kind}"), body.as_bytes());
        assert_eq!((refused.status, &refused.json()["field"]), (status, &json!(field)), "{kind} {body}");
    }
}
