//! The input of hostile clients in fields, paths and bodies. Tokens, origins, limits and frames have modules of their
//! own.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::server::{Answer, Server, UPGRADE};

const JSON: &str = "Content-Type: application/json";
const TEXT: &str = "Content-Type: text/plain";

fn post(server: &Server, fields: &str, body: &[u8]) -> Answer {
    server.request(&format!("POST /v1/topics/a/events HTTP/1.1\r\n{fields}"), body)
}

/// Counts the events of the topic `a` by a poll.
fn count(server: &Server) -> usize {
    server.get("/v1/events?topic=a&after=earliest").json()["events"].as_array().unwrap().len()
}

#[test]
fn nothing_that_is_published_can_write_a_field_of_an_event_stream() {
    let server = Server::start();
    let evil = "x\r\nid: 1-9\revent: reset\ndata: forged\n\n\u{2028}\u{feff}data: forged\0\n\nretry: 0\n\n";
    assert_eq!(post(&server, TEXT, evil.as_bytes()).status, 201);
    // JSON can have line breaks between its tokens.
    let spaced = b"{\r\n\"id: 1-9\"\r:\n\n\"event: reset\"\r\r}";
    assert_eq!(post(&server, JSON, spaced).status, 201);
    assert_eq!(post(&server, "Content-Type: application/octet-stream", evil.as_bytes()).status, 201);
    assert_eq!(post(&server, TEXT, b"last").status, 201);
    let mut wire = server.connect();
    wire.send(b"GET /v1/stream?topic=a&after=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let heard = String::from_utf8(wire.until(b"\"last\"")).unwrap();
    // Splits lines as the HTML Standard 9.2.5 does: at CR LF, LF and CR.
    let lines: Vec<&str> =
        heard.split("\r\n\r\n").skip(1).flat_map(|body| body.split(['\r', '\n'])).collect();
    let with = |field: &str| lines.iter().filter(|line| line.starts_with(field)).count();
    assert_eq!((with("id: "), with("event: "), with("data: forged")), (5, 5, 0), "{heard}");
    assert_eq!(with("event: message"), 4, "{heard}");
    let events = server.get("/v1/events?topic=a&after=earliest").json();
    assert_eq!(events["events"][0]["data"], evil, "and it arrives as it was sent");
    assert_eq!(events["events"][2]["data"], BASE64_STANDARD.encode(evil));
}

#[test]
fn nothing_that_is_asked_can_write_a_field_of_an_answer() {
    let server = Server::start();
    for line in [
        "GET /v1/events?topic=a%0d%0aSet-Cookie:%20x=1 HTTP/1.1",
        "GET /v1/events?topic=a&after=1-1%0d%0aSet-Cookie:%20x=1 HTTP/1.1",
        "GET /v1/topics/a%0d%0aSet-Cookie:%20x=1 HTTP/1.1",
        "GET /v1/nothing%0d%0aSet-Cookie:%20x=1 HTTP/1.1",
        "GET /v1/stream?topic=a HTTP/1.1\r\nLast-Event-ID: 1-1%0d%0aSet-Cookie: x=1",
        "POST /v1/topics/a/events?name=x%0d%0aSet-Cookie:%20x=1 HTTP/1.1",
        &format!("GET /v1/ws HTTP/1.1\r\n{UPGRADE}\r\nSec-WebSocket-Protocol: x%0d%0aSet-Cookie:%20x=1"),
    ] {
        let answer = server.request(line, b"");
        // A `Last-Event-ID` that is not from this server is no error: see `resume`.
        let is_told = (400..500).contains(&answer.status) || line.contains("Last-Event-ID");
        assert!(is_told, "{line}: {answer:?}");
        assert_eq!(answer.header("set-cookie"), None, "{line}: {answer:?}");
    }
}

/// A message that two parsers could split into different requests is refused, and its connection closed (RFC 9112 6.3,
/// 11.2).
#[test]
fn a_request_can_not_hide_another() {
    let server = Server::start();
    let hidden = "POST /v1/topics/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n7";
    for fields in [
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 0",
        "Content-Length: +5",
        "Content-Length: 5, 5",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "X: y\r\n folded: z",
        "X: a\rContent-Length: 5",
        "X\0: y",
    ] {
        let mut wire = server.connect();
        let head = format!("POST /v1/topics/other/events HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n");
        wire.send(format!("{head}0\r\n\r\n{hidden}").as_bytes());
        let heard = String::from_utf8_lossy(&wire.rest()).into_owned();
        let answers = heard.matches("HTTP/1.1 ").count();
        assert!(answers <= 1 && !heard.contains("201 Created"), "{fields:?}: {heard}");
        assert_eq!(count(&server), 0, "{fields:?}");
    }
}

#[test]
fn deep_json_is_refused_and_wide_json_is_not() {
    let server = Server::start();
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(post(&server, JSON, deep(64).as_bytes()).status, 201);
    for depth in [65, 128, 100_000] {
        let answer = post(&server, JSON, deep(depth).as_bytes());
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (400, Some("bad_body")),
            "{depth}: {answer:?}"
        );
    }
    let lines = format!("1\n{}\n3\n", deep(65));
    let answer = post(&server, "Content-Type: application/x-ndjson", lines.as_bytes());
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.json()["detail"].as_str().unwrap().contains("line 2"), "{answer:?}");
    let wide = format!("[{}]", vec!["[]"; 10_000].join(","));
    assert_eq!(post(&server, JSON, wide.as_bytes()).status, 201);
    assert_eq!(count(&server), 2);
    // The same for bodies that are documents of the protocol.
    assert_eq!(server.request("POST /v1/ledger HTTP/1.1", deep(100_000).as_bytes()).status, 400);
    assert_eq!(server.request("PUT /v1/lab/feeds/lab.a HTTP/1.1", deep(100_000).as_bytes()).status, 400);
}

#[test]
fn a_packed_body_is_not_unpacked() {
    let server = Server::start();
    for coding in ["gzip", "br", "deflate", "zstd", "gzip, gzip", "identity, gzip"] {
        let answer = post(&server, &format!("{JSON}\r\nContent-Encoding: {coding}"), b"\x1f\x8b\x08");
        assert_eq!(answer.status, 415, "{coding}: {answer:?}");
        assert_eq!(answer.json()["field"], "Content-Encoding");
    }
    assert_eq!(post(&server, &format!("{JSON}\r\nContent-Encoding: identity"), b"1").status, 201);
}

#[test]
fn bytes_that_are_no_text_are_told_wherever_they_stand() {
    let server = Server::start();
    for line in [
        "GET /v1/topics/%ff HTTP/1.1",
        "GET /v1/events?topic=%ff HTTP/1.1",
        "GET /v1/events?topic=a&after=%ff HTTP/1.1",
        "GET /v1/stream?topic=%c0%80 HTTP/1.1",
        "POST /v1/topics/a/events?name=%ed%a0%80 HTTP/1.1",
    ] {
        assert_eq!(server.request(line, b"1").status, 400, "{line}");
    }
    for (fields, body) in [(TEXT, &b"\xff"[..]), (JSON, b"\"\xed\xa0\x80\""), (JSON, b"\"\xc0\x80\"")] {
        assert_eq!(post(&server, fields, body).status, 400, "{body:?}");
    }
    let mut wire = server.connect();
    wire.send(
        b"GET /v1/events?topic=a HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=\xff\r\nIf-None-Match: \"\xff\"\r\n\r\n",
    );
    assert_eq!(wire.answer().status, 200, "a field that can't be read is not there (RFC 7240 2)");
    assert_eq!(count(&server), 0);
}

#[test]
fn no_path_leads_out_of_its_place() {
    let server = Server::start();
    for path in [
        "/v1/topics/../topics/a/events",
        "/v1/topics/%2e%2e/events",
        "/v1/topics/..%2fa/events",
        "/v1/topics/a%2f..%2fb/events",
        "/v1/topics/a%00/events",
        "/v1/topics/a%5c..%5cb/events",
        "/v1/topics/.a/events",
        "/v1/topics/a./events",
        "/v1/topics/a..b/events",
        "/v1/topics//events",
        "/v1/topics/a*/events",
        "/v1/topics/a.%3e/events",
        "//v1/topics/a/events",
    ] {
        let answer = server.request(&format!("POST {path} HTTP/1.1\r\n{JSON}"), b"1");
        assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
    }
    for path in [
        "/../Cargo.toml",
        "/..%2f..%2fCargo.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%5c..%5cetc%5cpasswd",
        "//etc/passwd",
        "/index.html%00.png",
    ] {
        let answer = server.get(path);
        let body = String::from_utf8_lossy(&answer.body);
        assert!(!body.contains("[workspace") && !body.contains("root:"), "{path}: {answer:?}");
    }
    let topics = server.get("/v1/topics").json();
    assert_eq!(topics["topics"].as_array().map(Vec::len), Some(0), "{topics}");
}

#[test]
fn the_table_of_attacks_names_tests() {
    let sources: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all/api"))
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok())
        .chain([
            include_str!("../../../src/lab/use_cases/tests/strangers.rs").to_owned(),
            include_str!("../../../../shared/src/use_case/plain.rs").to_owned(),
            include_str!("../../../src/lab/watch/dissect/http2.rs").to_owned(),
            include_str!("../../../src/access/keys.rs").to_owned(),
            include_str!("../../../../crates/race/tests/race.rs").to_owned(),
            include_str!("../../../../shared/src/data.rs").to_owned(),
            include_str!("../../../../tools/e2e/tests/e2e/client_js/tabs.rs").to_owned(),
            include_str!("../../../../crates/log/tests/all/encodings.rs").to_owned(),
            include_str!("../../../../crates/log/tests/all/costs.rs").to_owned(),
            include_str!("../../../../crates/log/tests/all/faults.rs").to_owned(),
            include_str!("../process/pipe.rs").to_owned(),
            include_str!("../cluster/servers.rs").to_owned(),
            include_str!("../../../../crates/cluster/tests/all/audit.rs").to_owned(),
            include_str!("../../../../crates/cluster/tests/all/beginnings.rs").to_owned(),
        ])
        .map(|source| source.lines().map(str::trim_start).collect::<Vec<_>>().join("\n"))
        .map(|source| source.replace("#[tokio::test]\nasync fn", "#[test]\nfn"))
        .collect();
    let table = include_str!("../../../../SECURITY.md").lines().filter(|line| line.starts_with("| ")).skip(2);
    let named: Vec<&str> = table
        .filter_map(|line| line.split('|').nth(3))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        let test = format!("#[test]\nfn {name}()");
        assert!(sources.iter().any(|source| source.contains(&test)), "{name}");
    }
}

/// A client that sends the whole body before it reads must still receive the refusal (RFC 9112 9.6).
#[test]
fn a_413_is_read_by_who_sends_everything_first() {
    use std::io::Write as _;
    let server = Server::start();
    let body = vec![b'x'; 3 << 20];
    for turn in 0..20 {
        let mut wire = server.connect();
        let head = "POST /v1/topics/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain";
        write!(wire.stream, "{head}\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
        wire.stream.write_all(&body).unwrap_or_else(|error| panic!("turn {turn}: {error}"));
        assert_eq!(wire.answer().status, 413, "turn {turn}");
    }
}

#[test]
fn a_body_that_nobody_wants_is_not_asked_for() {
    let server = Server::start();
    let mut wire = server.connect();
    let ask = |length: usize| {
        format!(
            "POST /v1/topics/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    wire.send(ask(2 << 20).as_bytes());
    let told = String::from_utf8(wire.until(b"\r\n")).unwrap();
    assert_eq!(told, "HTTP/1.1 413 Payload Too Large\r\n", "RFC 9110 10.1.1: the final answer at once");
    let mut wire = server.connect();
    wire.send(ask(1).as_bytes());
    assert!(wire.until(b"\r\n\r\n").starts_with(b"HTTP/1.1 100 Continue"));
    wire.send(b"1");
    assert_eq!(wire.answer().status, 201);
}

/// Upgrades that thousands of proxies offer with every request, and clients that could speak HTTP/2, are ignored.
#[test]
fn an_upgrade_that_is_offered_in_passing_is_passed_over() {
    let server = Server::start();
    for offer in [
        "Connection: upgrade",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c",
        "Connection: Upgrade\r\nUpgrade: websocket",
    ] {
        let get = server.request(&format!("GET /v1/events?topic=a HTTP/1.1\r\n{offer}"), b"");
        let post = server.request(&format!("POST /v1/topics/a/events HTTP/1.1\r\n{offer}"), b"1");
        assert_eq!((get.status, post.status), (200, 201), "{offer}");
        for answer in [get, post] {
            // The server closes the connection after such a request. The field keeps a proxy from sending another on it.
            assert_eq!(answer.header("connection").as_deref(), Some("close"), "{offer}: {answer:?}");
        }
    }
}

#[test]
fn a_feed_has_a_rate_that_a_clock_can_hold_and_a_body_that_ends() {
    let server = Server::with(&["--body-timeout", "1s"]);
    let wish = |body: &str| server.request("PUT /v1/lab/feeds/lab.a HTTP/1.1", body.as_bytes()).status;
    for rate in ["1e-300", "5e-324", "0.0009", "-1", "501", "1e400"] {
        assert_eq!(wish(&format!("{{\"rate\":{rate}}}")), 400, "{rate}");
    }
    for topic in 0..70 {
        // No refused feed keeps a place in the limit.
        let line = format!("PUT /v1/lab/feeds/lab.a{topic} HTTP/1.1");
        assert_eq!(server.request(&line, b"{\"rate\":1e-300}").status, 400);
    }
    assert_eq!(wish("{\"rate\":0.001}"), 204);
    assert_eq!(wish("{\"rate\":0}"), 204);
    let mut wire = server.connect();
    wire.send(b"PUT /v1/lab/feeds/lab.b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{");
    assert_eq!(wire.answer().status, 408, "a body that does not come");
}
