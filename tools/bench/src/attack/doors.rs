//! The list of doors, and the attacks over HTTP/1.1, WebSocket and the lab's channel.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};

use super::{http2, line::Attacker};

/// A door: a way in which any client can make the server work, with an attack on it.
pub(crate) struct Door {
    pub(crate) name: &'static str,
    /// Function that runs the attack, and returns the attacker with its connections still open.
    pub(crate) knock: fn(SocketAddr) -> anyhow::Result<Attacker>,
    /// True if the server speaks TLS during the attack.
    pub(crate) is_secure: bool,
}

const fn door(name: &'static str, knock: fn(SocketAddr) -> anyhow::Result<Attacker>) -> Door {
    Door { name, knock, is_secure: false }
}

const fn secure(name: &'static str, knock: fn(SocketAddr) -> anyhow::Result<Attacker>) -> Door {
    Door { name, knock, is_secure: true }
}

/// All doors, in the order in which they are attacked.
pub(crate) const DOORS: &[Door] = &[
    door("HTTP/1.1: long heads", long_heads),
    door("HTTP/1.1: long queries of topics", |address| ask(address, 100, |_| get(&topics(3500)))),
    secure("HTTP/2: heads that unpack to a lot", http2::heads),
    secure("HTTP/2: streams opened and reset", http2::resets),
    secure("HTTP/2: settings, pings, windows", http2::frames),
    door("WebSocket: a frame of 2^40 bytes", |address| huge(address, "/v1/ws", JSON)),
    door("WebSocket: 250 KB of topics", |address| messages(address, "/v1/ws", JSON, 8, |_| many_topics())),
    door("WebSocket: deep JSON", |address| messages(address, "/v1/ws", JSON, 8, |_| nested(b'['))),
    door("WebSocket: deep CBOR", |address| messages(address, "/v1/ws", CBOR, 8, |_| nested(0x81))),
    door("WebSocket: CBOR that claims to be long", |address| {
        messages(address, "/v1/ws", CBOR, 1000, |_| {
            b"\xa2\x64type\x9b\x00\x00\x00\xff\xff\xff\xff\xff".to_vec()
        })
    }),
    door("WebSocket: patterns come and go", patterns),
    door("WebSocket: small commands", |address| {
        messages(address, "/v1/ws", JSON, 20_000, |_| br#"{"type":"ping"}"#.to_vec())
    }),
    door("lab's channel: a frame of 2^40 bytes", |address| huge(address, LAB, "")),
    door("lab's channel: small messages", |address| {
        messages(address, LAB, "", 5000, |_| br#"{"type":"nothing","of":1}"#.to_vec())
    }),
    door("topics: listed", |address| ask(address, 50, |_| get("/v1/topics"))),
    door("topics: one that does not exist", |address| {
        ask(address, 1000, |n| get(&format!("/v1/topics/no.{n}")))
    }),
    door("poll: all topics, limit=1", |address| ask(address, 400, |_| get("/v1/events?topic=%3E&limit=1"))),
    door("poll: a pattern of nothing, from the beginning", |address| {
        ask(address, 50, |_| get("/v1/events?topic=nothing.*&after=earliest&limit=1"))
    }),
    door("poll: an unknown topic, from the beginning", |address| {
        ask(address, 400, |n| get(&format!("/v1/events?topic=unknown.{n}&after=earliest")))
    }),
    door("poll: the newest of all topics, limit=1", |address| {
        ask(address, 100, |_| get("/v1/events?topic=%3E&policy=latest&after=earliest&limit=1"))
    }),
    door("poll: the newest of all topics, limit=1000", |address| {
        ask(address, 10, |_| get("/v1/events?topic=%3E&policy=latest&after=earliest&limit=1000"))
    }),
    door("poll: the last of a rare topic", |address| {
        ask(address, 50, |_| get("/v1/events?topic=rare&last=1000"))
    }),
    door("poll: the last of a rare pattern", |address| {
        ask(address, 10, |_| get("/v1/events?topic=rare.*&last=1000"))
    }),
    door("stream: opened and closed", streams),
    door("publish: deep JSON", |address| {
        ask(address, 20, |_| post("/v1/topics/a/events", JSON_TYPE, nested(b'[')))
    }),
    door("publish: 10,000 lines", lines),
    door("publish: a body that is too long", too_long),
    door("ledger: reports", ledger),
    door("lab: feeds of an impossible rate", |address| {
        ask(address, 200, |n| {
            let (line, kind, body) = post(
                &format!("/v1/lab/feeds/lab.{n}.x"),
                JSON_TYPE,
                b"{\"rate\":1e-300,\"bytes\":1,\"arrivals\":\"steady\"}".to_vec(),
            );
            (line.replacen("POST", "PUT", 1), kind, body)
        })
    }),
    door("presence of a topic", |address| ask(address, 400, |n| get(&format!("/v1/topics/no.{n}/presence")))),
    door("connections, limits, metrics", |address| {
        ask(address, 90, |n| get(["/v1/connections", "/v1/limits", "/metrics"][n % 3]))
    }),
    door("the app's page", |address| ask(address, 400, |_| get("/no/such/page"))),
];

const JSON: &str = "fourways.v1.json";
const CBOR: &str = "fourways.v1.cbor";
const JSON_TYPE: &str = "application/json";
const LAB: &str = "/v1/lab/ws?lab=abcdefghjkmnpqrs";

/// A request: its method and path, its `Content-Type` (empty for none), and its body.
type Question = (String, &'static str, Vec<u8>);

fn get(path: &str) -> Question {
    (format!("GET {path}"), "", Vec::new())
}

fn post(path: &str, kind: &'static str, body: Vec<u8>) -> Question {
    (format!("POST {path}"), kind, body)
}

/// Sends `times` requests on one connection, and opens another whenever the server closes it.
fn ask(address: SocketAddr, times: usize, question: impl Fn(usize) -> Question) -> anyhow::Result<Attacker> {
    let mut attacker = Attacker::of(address);
    let mut line = attacker.connect()?;
    for n in 0..times {
        attacker.asked(1);
        let (head, kind, body) = question(n);
        let kind = if kind.is_empty() { String::new() } else { format!("\r\nContent-Type: {kind}") };
        if line.ask_with(&head, &kind, &body).is_err() {
            attacker.keep(line);
            line = attacker.connect()?;
        }
    }
    attacker.keep(line);
    Ok(attacker)
}

fn topics(count: usize) -> String {
    let names: Vec<String> = (0..count).map(|n| format!("t{n}")).collect();
    format!("/v1/events?topic={}", names.join("&topic="))
}

fn long_heads(address: SocketAddr) -> anyhow::Result<Attacker> {
    let mut attacker = Attacker::of(address);
    for _ in 0..20 {
        let mut line = attacker.connect()?;
        attacker.asked(1);
        line.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n");
        for n in 0..20_000 {
            if !line.send(format!("x-{n}: {n:040}\r\n").as_bytes()) {
                break;
            }
        }
        attacker.keep(line);
    }
    Ok(attacker)
}

/// Sends a frame that claims to have 2^40 bytes, and as many of them as the server accepts, at most 64 MiB.
fn huge(address: SocketAddr, path: &str, subprotocol: &str) -> anyhow::Result<Attacker> {
    let mut attacker = Attacker::of(address);
    let mut line = attacker.connect()?;
    attacker.asked(2);
    line.upgrade(path, subprotocol)?;
    line.send(b"\x81\xff\x00\x00\x01\x00\x00\x00\x00\x00\0\0\0\0");
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        if !line.send(&piece) {
            break;
        }
    }
    attacker.keep(line);
    Ok(attacker)
}

/// Sends `times` messages on one socket, and opens another whenever the server closes it.
fn messages(
    address: SocketAddr,
    path: &str,
    subprotocol: &str,
    times: usize,
    message: impl Fn(usize) -> Vec<u8>,
) -> anyhow::Result<Attacker> {
    let mut attacker = Attacker::of(address);
    let mut line = attacker.connect()?;
    line.upgrade(path, subprotocol)?;
    let opcode = if subprotocol == CBOR { 2 } else { 1 };
    for n in 0..times {
        attacker.asked(1);
        if !line.message(opcode, &message(n)) {
            attacker.keep(line);
            line = attacker.connect()?;
            line.upgrade(path, subprotocol)?;
        }
        if n % 500 == 499 || times < 500 {
            line.drain();
        }
    }
    attacker.keep(line);
    Ok(attacker)
}

fn many_topics() -> Vec<u8> {
    let names: Vec<String> = (0..28_000).map(|n| format!("\"t{n}\"")).collect();
    format!("{{\"type\":\"subscribe\",\"topics\":[{}]}}", names.join(",")).into_bytes()
}

fn nested(by: u8) -> Vec<u8> {
    vec![by; 250_000]
}

fn patterns(address: SocketAddr) -> anyhow::Result<Attacker> {
    messages(address, "/v1/ws", JSON, 2000, |n| {
        let what = if n % 2 == 0 { "subscribe" } else { "unsubscribe" };
        format!("{{\"type\":\"{what}\",\"topics\":[\"p.{}.>\",\"*.*.{}\"]}}", n / 2, n / 2).into_bytes()
    })
}

fn streams(address: SocketAddr) -> anyhow::Result<Attacker> {
    let mut attacker = Attacker::of(address);
    for n in 0..400 {
        attacker.asked(1);
        let mut line = attacker.connect()?;
        line.send(
            format!(
                "GET /v1/stream?topic=s.{n}&topic=s.*&after=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            .as_bytes(),
        );
        line.opened()?;
        attacker.left(line);
    }
    Ok(attacker)
}

/// Publishes many lines at once. Each line counts as a request, because it becomes an event like any other, which is
/// numbered, kept, and counted by the publish rate.
fn lines(address: SocketAddr) -> anyhow::Result<Attacker> {
    let mut attacker =
        ask(address, 10, |_| post("/v1/topics/a/events", "application/x-ndjson", b"1\n".repeat(10_000)))?;
    attacker.asked(10 * 10_000);
    Ok(attacker)
}

fn too_long(address: SocketAddr) -> anyhow::Result<Attacker> {
    let mut attacker = Attacker::of(address);
    for _ in 0..20 {
        attacker.asked(1);
        let mut line = attacker.connect()?;
        line.send(
            b"POST /v1/topics/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        let piece = [&b"10000\r\n"[..], &vec![b'x'; 0x10000], b"\r\n"].concat();
        for _ in 0..64 {
            if !line.send(&piece) {
                break;
            }
        }
        attacker.keep(line);
    }
    Ok(attacker)
}

/// Sends reports to the ledger, each for another reader and about the whole log, but with no event of it.
fn ledger(address: SocketAddr) -> anyhow::Result<Attacker> {
    let head = {
        let mut line = Attacker::of(address).connect()?;
        line.ask("GET /v1/topics?limit=1", b"")?;
        let cursor = line.last.split("\"cursor\":\"").nth(1).and_then(|rest| rest.split('"').next());
        cursor.context("no cursor")?.to_owned()
    };
    let epoch = head.split('-').next().unwrap_or_default().to_owned();
    let mut attacker = Attacker::of(address);
    let mut line = attacker.connect()?;
    for n in 0..600 {
        attacker.asked(1);
        let body = format!(
            "{{\"reader\":\"r{n}\",\"technique\":\"sse\",\"topics\":[\">\"],\"after\":\"{epoch}-0\",\"through\":\"{head}\",\"held\":[]}}"
        );
        let status =
            line.ask_with("POST /v1/ledger", "\r\nContent-Type: application/json", body.as_bytes())?;
        ensure!(matches!(status, 200 | 429), "a report was answered with {status}: {}", line.last);
    }
    attacker.keep(line);
    Ok(attacker)
}

/// Number of publishes that are sent before the answer to the first is read.
const AT_ONCE: usize = 100;

/// Returns the work that fills the log before the attacks: `topics` topics with one event each, and two rare ones
/// before them.
pub(crate) fn fill(topics: usize) -> impl FnOnce(SocketAddr) -> anyhow::Result<()> + Send + 'static {
    move |address| {
        let mut attacker = Attacker::of(address);
        let mut line = attacker.connect()?;
        for rare in ["rare", "rare.1"] {
            ensure!(
                line.ask_with(&format!("POST /v1/topics/{rare}/events"), "", b"1")? == 201,
                "not published"
            );
        }
        for begin in (0..topics).step_by(AT_ONCE) {
            let count = AT_ONCE.min(topics - begin);
            let mut asked = String::new();
            for n in begin..begin + count {
                asked.push_str("POST /v1/topics/many.t");
                asked.push_str(&n.to_string());
                asked.push_str("/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1");
            }
            line.send(asked.as_bytes());
            line.answers(count)?;
        }
        Ok(())
    }
}
