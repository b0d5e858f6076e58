//! Invalid input: a problem names the field and what is allowed, nothing is done in part, and no answer is a 500.

use crate::server::{Answer, Server, UPGRADE};

#[track_caller]
fn check(answer: &Answer, status: u16, code: &str, field: &str, says: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:fourways:problem:{code}"));
    assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()));
    assert_eq!(problem["field"].as_str().unwrap_or_default(), field, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(says), "{detail:?} should say {says:?}");
}

#[test]
fn a_wrong_parameter_of_a_read_is_named() {
    let server = Server::start();
    for path in ["/v1/events", "/v1/stream"] {
        let get = |query: &str| server.get(&format!("{path}?{query}"));
        check(&get(""), 400, "bad_topic", "topic", "at least one topic");
        check(&get("topic=Chat"), 400, "bad_topic", "topic", "a-z 0-9 . _ -");
        check(&get("topic=a%0Aid:%207"), 400, "bad_topic", "topic", "at byte 1");
        check(&get(&format!("topic={}", "a".repeat(129))), 400, "bad_topic", "topic", "1 to 128");
        check(&get("topic=a&after=soon"), 400, "bad_cursor", "after", "not one that this server gave out");
        check(&get("topic=a&limit=0"), 400, "bad_parameter", "limit", "from 1");
        check(&get("topic=a&limit=x"), 400, "bad_parameter", "limit", "from 1");
        check(&get("topic=a&data=half"), 400, "bad_parameter", "data", "event, raw");
        check(&get("topic=a&last=0"), 400, "bad_parameter", "last", "1 to 1000");
        check(&get("topic=a&last=3&after=earliest"), 400, "bad_parameter", "last", "exclude each other");
        check(&get("topic=a&policy=some"), 400, "bad_parameter", "policy", "all, latest");
        check(&get("topic=a&heartbeat=loud"), 400, "bad_parameter", "heartbeat", "comment, event");
        check(&get("topic=a&wait=-1"), 400, "bad_parameter", "wait", "seconds from 0");
        check(&get("topic=a&wait=NaN"), 400, "bad_parameter", "wait", "seconds from 0");
        let many: Vec<_> = (0..65).map(|n| format!("topic=t{n}")).collect();
        check(&get(&many.join("&")), 400, "bad_topic", "topic", "at most 64");
    }
    let json = server.request("GET /v1/stream?topic=a HTTP/1.1\r\nAccept: application/json", b"");
    check(&json, 406, "not_acceptable", "Accept", "text/event-stream");
    check(&server.get("/v1/topics/Chat"), 400, "bad_topic", "topic", "a-z 0-9 . _ -");
}

#[test]
fn a_wrong_body_publishes_nothing() {
    let server = Server::start();
    let post = |path: &str, headers: &str, body: &[u8]| {
        server.request(&format!("POST /v1/topics/{path} HTTP/1.1\r\n{headers}"), body)
    };
    let json = "Content-Type: application/json";
    let lines = "Content-Type: application/x-ndjson";
    check(&post("a/events", json, b"{\"a\":"), 400, "bad_body", "body", "not one JSON value");
    check(&post("a/events", json, b"1 2"), 400, "bad_body", "body", "not one JSON value");
    check(&post("a/events", json, b""), 400, "bad_body", "body", "not one JSON value");
    check(&post("a/events", json, b"\"\xff\""), 400, "bad_body", "body", "not one JSON value");
    check(&post("a/events", lines, b"1\n2\n{\n4\n"), 400, "bad_body", "body", "line 3");
    check(&post("a/events", lines, b"\n\n"), 400, "bad_body", "body", "no line");
    let many = "1\n".repeat(10_001);
    check(&post("a/events", lines, many.as_bytes()), 400, "bad_body", "body", "10000 in one request");
    check(&post("a/events", "Content-Type: text/plain", b"\xff"), 400, "bad_body", "body", "not UTF-8");
    check(&post("A/events", json, b"1"), 400, "bad_topic", "topic", "a-z 0-9 . _ -");
    let form = "Content-Type: application/x-www-form-urlencoded";
    check(&post("a/events", form, b"a=1"), 415, "unsupported_media_type", "Content-Type", "application/json");
    check(&post("a/events?name=error", json, b"1"), 400, "bad_name", "name", "reserved");
    check(&post("a/events?name=x%0Aid:%201", json, b"1"), 400, "bad_name", "name", "control characters");
    let key = "Content-Type: application/json\r\nIdempotency-Key: a b";
    check(&post("a/events", key, b"1"), 400, "bad_id", "Idempotency-Key", "visible ASCII");
    let key = "Content-Type: application/json\r\nIdempotency-Key: fourways-1";
    check(&post("a/events", key, b"1"), 400, "bad_id", "Idempotency-Key", "reserved for the server");
    let head = server.get("/v1/topics").json()["cursor"].as_str().unwrap().to_owned();
    assert!(head.ends_with("-0"), "nothing was published: {head}");
}

#[test]
fn a_body_over_the_limit_is_refused_whether_its_length_is_told_or_not() {
    let server = Server::with(&["--max-body-bytes", "1000"]);
    let head = "POST /v1/topics/a/events HTTP/1.1\r\nContent-Type: application/json";
    let fits = format!("\"{}\"", "x".repeat(998));
    assert_eq!(server.request(head, fits.as_bytes()).status, 201);
    let over = format!("\"{}\"", "x".repeat(999));
    check(&server.request(head, over.as_bytes()), 413, "body_too_large", "", "1000 bytes");
    let mut chunked = server.connect();
    chunked.send(
        format!("{head}\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{over}\r\n0\r\n\r\n")
            .as_bytes(),
    );
    check(&chunked.answer(), 413, "body_too_large", "", "1000 bytes");
}

#[test]
fn an_address_or_method_that_is_not_there_is_told() {
    let server = Server::start();
    check(&server.get("/v1/nothing"), 404, "not_found", "", "/v1/topics");
    check(&server.request("DELETE /v1/topics HTTP/1.1", b""), 405, "method_not_allowed", "", "GET");
    check(&server.request("PUT /v1/events?topic=a HTTP/1.1", b""), 405, "method_not_allowed", "", "GET");
    check(&server.get("/v1/ws"), 426, "upgrade_required", "Upgrade", "websocket");
}

#[test]
fn a_wrong_upgrade_is_refused_before_it_happens() {
    let server = Server::start();
    let get =
        |path: &str, more: &str| server.request(&format!("GET {path} HTTP/1.1\r\n{UPGRADE}{more}"), b"");
    let foreign = get("/v1/ws", "\r\nSec-WebSocket-Protocol: mqtt, chat");
    check(&foreign, 400, "bad_subprotocol", "Sec-WebSocket-Protocol", "fourways.v1.json, fourways.v1.cbor");
    check(&get("/v1/ws?topic=A", ""), 400, "bad_topic", "topic", "a-z");
    check(&get("/v1/ws?encoding=xml", ""), 400, "bad_parameter", "encoding", "json, cbor");
    let old = format!("GET /v1/ws HTTP/1.1\r\n{}", UPGRADE.replace("Version: 13", "Version: 8"));
    let old = server.request(&old, b"");
    check(&old, 426, "upgrade_required", "Sec-WebSocket-Version", "13");
    assert_eq!(old.header("sec-websocket-version").as_deref(), Some("13"), "RFC 6455 4.2.2");
}
