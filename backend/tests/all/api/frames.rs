//! WebSocket to the byte: commands, encodings, and the rules of RFC 6455.

use fourways_shared::wire::cbor;
use serde_json::{Value, json};

use crate::server::{Server, UPGRADE, Wire};

/// A client's socket, after the handshake.
pub struct Socket(pub Wire);

impl Socket {
    #[track_caller]
    pub fn open(server: &Server, query: &str, headers: &str) -> Self {
        let mut wire = server.connect();
        let answer = wire.request(&format!("GET /v1/ws{query} HTTP/1.1\r\n{UPGRADE}{headers}"), b"");
        assert_eq!(answer.status, 101, "{answer:?}");
        // The answer to the sample key of RFC 6455 1.3.
        assert_eq!(answer.header("sec-websocket-accept").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        Self(wire)
    }

    #[track_caller]
    pub fn json(server: &Server) -> Self {
        let mut socket = Self::open(server, "", "");
        assert_eq!(socket.text()["type"], "welcome");
        socket
    }

    pub fn send(&mut self, first: u8, payload: &[u8]) {
        self.0.send(&masked(first, payload));
    }

    pub fn say(&mut self, command: &Value) {
        self.send(0x81, command.to_string().as_bytes());
    }

    #[track_caller]
    pub fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.0.exactly(2);
        assert_eq!(head[1] & 0x80, 0, "a server never masks");
        let length = match head[1] {
            126 => u64::from(u16::from_be_bytes(self.0.exactly(2).try_into().unwrap())),
            127 => u64::from_be_bytes(self.0.exactly(8).try_into().unwrap()),
            short => u64::from(short),
        };
        (head[0], self.0.exactly(usize::try_from(length).unwrap()))
    }

    #[track_caller]
    pub fn text(&mut self) -> Value {
        let (first, payload) = self.frame();
        assert_eq!(first, 0x81, "{:?}", String::from_utf8_lossy(&payload));
        serde_json::from_slice(&payload).unwrap()
    }

    /// Asserts that the server sends a close frame with this code, and then closes the connection.
    #[track_caller]
    pub fn closes_with(&mut self, code: u16) {
        let (first, payload) = self.frame();
        assert_eq!(
            (first, &payload[..2]),
            (0x88, &code.to_be_bytes()[..]),
            "{:?}",
            String::from_utf8_lossy(&payload)
        );
        assert!(payload.len() <= 125 && payload.len() > 2, "a reason that fits");
        self.send(0x88, &code.to_be_bytes());
        assert_eq!(self.0.rest(), b"");
    }
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
        medium @ 126..65_536 => {
            frame.push(0x80 | 0x7E);
            frame.extend(u16::try_from(medium).unwrap().to_be_bytes());
        }
        long => {
            frame.push(0x80 | 0x7F);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[test]
fn commands_are_answered_with_their_ref_and_events_follow() {
    let server = Server::start();
    let before = server.publish("chat.1", "0");
    let mut socket = Socket::json(&server);
    socket.say(&json!({"type": "subscribe", "topics": ["chat.1", "chat.2"], "after": before, "ref": "1"}));
    assert_eq!(
        socket.text(),
        json!({"type": "subscribed", "topics": ["chat.1", "chat.2"], "cursor": before, "ref": "1"})
    );
    socket.say(&json!({"type": "publish", "topic": "chat.2", "data": {"x": 1}, "id": "c0ffee", "ref": "2"}));
    let published = socket.text();
    assert_eq!((&published["type"], &published["ref"]), (&json!("published"), &json!("2")));
    let event = socket.text();
    assert_eq!(
        (&event["cursor"], &event["data"], &event["id"]),
        (&published["cursor"], &json!({"x": 1}), &json!("c0ffee"))
    );
    socket.say(&json!({"type": "publish", "topic": "chat.2", "data": {"x": 1}, "id": "c0ffee", "ref": "3"}));
    assert_eq!(socket.text()["cursor"], published["cursor"], "a repeat returns the first answer");
    socket.say(&json!({"type": "unsubscribe", "topics": ["chat.2"], "ref": "4"}));
    assert_eq!(socket.text(), json!({"type": "unsubscribed", "topics": ["chat.2"], "ref": "4"}));
    server.publish("chat.2", "\"unheard\"");
    server.publish("chat.1", "7");
    assert_eq!(socket.text()["data"], 7);
    socket.say(&json!({"type": "ping", "ref": "5"}));
    let pong = socket.text();
    assert_eq!((&pong["type"], &pong["ref"]), (&json!("pong"), &json!("5")));
    assert!(pong["now"].as_u64().unwrap() > 1_700_000_000_000_000);
}

#[test]
fn a_wrong_command_gets_an_error_and_the_connection_goes_on() {
    let server = Server::start();
    let mut socket = Socket::json(&server);
    let mut check = |command: &str, code: &str, field: Value, reference: Value| {
        socket.send(0x81, command.as_bytes());
        let error = socket.text();
        assert_eq!(error["type"], "error", "{error}");
        assert_eq!(
            (&error["code"], &error["field"], &error["ref"]),
            (&json!(code), &field, &reference),
            "{error}"
        );
    };
    check("hello", "bad_command", Value::Null, Value::Null);
    check(r#"{"type":"fly","ref":"1"}"#, "bad_command", json!("type"), json!("1"));
    check(r#"{"type":"subscribe","topics":["A"],"ref":"2"}"#, "bad_topic", json!("topics"), json!("2"));
    check(
        r#"{"type":"subscribe","topics":["a"],"after":"x","ref":"3"}"#,
        "bad_cursor",
        json!("after"),
        json!("3"),
    );
    check(
        r#"{"type":"unsubscribe","topics":["a"],"ref":"4"}"#,
        "not_subscribed",
        json!("topics"),
        json!("4"),
    );
    check(
        r#"{"type":"publish","topic":"a","data":1,"name":"reset","ref":"5"}"#,
        "bad_name",
        json!("name"),
        json!("5"),
    );
    let many: Vec<_> = (0..65).map(|n| format!("t{n}")).collect();
    let many = json!({"type": "subscribe", "topics": many, "ref": "6"}).to_string();
    check(&many, "bad_topic", json!("topics"), json!("6"));
    socket.say(&json!({"type": "subscribe", "topics": ["a"], "ref": "7"}));
    assert_eq!(socket.text()["type"], "subscribed");
    socket.say(&json!({"type": "subscribe", "topics": ["b", "a"], "ref": "8"}));
    assert_eq!(socket.text()["code"], "already_subscribed");
    server.publish("a", "1");
    assert_eq!(socket.text()["data"], 1);
}

#[test]
fn a_topic_in_the_address_subscribes_at_once() {
    let server = Server::start();
    server.publish("a", "1");
    let mut socket =
        Socket::open(&server, "?topic=a&after=earliest", "\r\nSec-WebSocket-Protocol: x, fourways.v1.json");
    assert_eq!(socket.text()["type"], "welcome");
    assert_eq!(socket.text()["type"], "subscribed");
    assert_eq!(socket.text()["data"], 1);
}

#[test]
fn cbor_says_the_same_in_binary() {
    let server = Server::start();
    for (query, headers) in [("", "\r\nSec-WebSocket-Protocol: fourways.v1.cbor"), ("?encoding=cbor", "")] {
        let mut socket = Socket::open(&server, query, headers);
        let (first, welcome) = socket.frame();
        assert_eq!(first, 0x82);
        assert!(matches!(cbor::read_reply(&welcome), Some(fourways_shared::Reply::Welcome { .. })));
        let subscribe = cbor::write_command(r#"{"type":"subscribe","topics":["a"],"ref":"1"}"#);
        socket.send(0x82, &subscribe);
        assert!(matches!(
            cbor::read_reply(&socket.frame().1),
            Some(fourways_shared::Reply::Subscribed { .. })
        ));
        server.publish("a", r#"{"n":[1,-2,1.5]}"#);
        let (_, event) = socket.frame();
        let Some(fourways_shared::Reply::Event(event)) = cbor::read_reply(&event) else { panic!("no event") };
        assert_eq!(event.data, fourways_shared::Data::json(&json!({"n": [1, -2, 1.5]})));
        socket.send(0x81, b"{}");
        socket.closes_with(1003);
    }
}

#[test]
fn a_message_may_come_in_pieces_with_a_ping_in_between() {
    let server = Server::start();
    let mut socket = Socket::json(&server);
    socket.send(0x01, br#"{"type":"ping","#);
    socket.send(0x89, b"are you there");
    assert_eq!(socket.frame(), (0x8A, b"are you there".to_vec()));
    socket.send(0x00, br#""ref":"#);
    socket.send(0x80, br#""7"}"#);
    assert_eq!(socket.text()["ref"], "7");
    // A frame that arrives one byte at a time.
    for byte in masked(0x81, br#"{"type":"ping","ref":"8"}"#) {
        socket.0.send(&[byte]);
    }
    assert_eq!(socket.text()["ref"], "8");
}

#[test]
fn a_message_over_the_limit_closes_with_1009() {
    let server = Server::with(&["--max-body-bytes", "1000"]);
    let mut whole = Socket::json(&server);
    whole.send(0x81, &vec![b' '; 1001]);
    whole.closes_with(1009);
    let mut pieces = Socket::json(&server);
    pieces.send(0x01, &[b' '; 900]);
    pieces.send(0x00, &[b' '; 200]);
    pieces.closes_with(1009);
}

/// A frame announces its length before its payload (RFC 6455 5.2): the server must not wait for 2^40 bytes.
#[test]
fn a_frame_that_says_it_is_too_long_is_refused_by_its_head() {
    let server = Server::start();
    for path in ["/v1/ws", "/v1/lab/ws?lab=abcdefghijkmnpqr"] {
        for (head, code) in [
            (&[0x81, 0xFF, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4][..], 1009),
            (&[0x01, 0xFF, 0, 0, 0, 0, 0, 0x20, 0, 0, 1, 2, 3, 4], 1009),
            (&[0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1009),
            (&[0x89, 0xFE, 1, 0, 1, 2, 3, 4], 1002),
        ] {
            let mut wire = server.connect();
            let answer = wire.request(&format!("GET {path} HTTP/1.1\r\n{UPGRADE}"), b"");
            assert_eq!(answer.status, 101, "{answer:?}");
            wire.send(head);
            let closed = [&[0x88][..], &u16::to_be_bytes(code)].concat();
            let rest = wire.rest();
            let found = rest.windows(4).any(|bytes| bytes[0] == 0x88 && bytes[2..] == closed[1..]);
            assert!(found, "{path} {head:?}: {rest:?}");
        }
    }
}

#[test]
fn a_list_of_topics_ends_where_a_command_does() {
    let server = Server::start();
    let mut socket = Socket::json(&server);
    let topics: Vec<String> = (0..90_000).map(|n| format!("t{n}")).collect();
    for kind in ["subscribe", "unsubscribe"] {
        socket.say(&json!({"type": kind, "topics": topics, "ref": "1"}));
        let told = socket.text();
        assert_eq!(
            (&told["code"], &told["field"], &told["ref"]),
            (&json!("bad_topic"), &json!("topics"), &json!("1"))
        );
    }
    socket.say(&json!({"type": "subscribe", "topics": ["a"], "last": 1001, "ref": "2"}));
    let told = socket.text();
    assert_eq!((&told["code"], &told["field"]), (&json!("bad_parameter"), &json!("last")), "{told}");
}

#[test]
fn what_breaks_the_protocol_closes_with_its_code() {
    let server = Server::start();
    let check = |bytes: &[u8], code: u16| {
        let mut socket = Socket::json(&server);
        socket.0.send(bytes);
        socket.closes_with(code);
    };
    check(&[0x81, 0x02, b'h', b'i'], 1002); // unmasked
    check(&masked(0x83, b"reserved opcode"), 1002);
    check(&masked(0x80, b"continues nothing"), 1002);
    check(&masked(0x89, &[0; 126]), 1002); // a ping that is too long
    check(&masked(0x09, b"a ping in pieces"), 1002);
    check(&masked(0xC1, b"{}"), 1002); // RSV1 without an extension
    check(&masked(0x82, b"{}"), 1003); // binary on a JSON socket
    check(&masked(0x88, b"\x03"), 1002); // half a close code
    check(&masked(0x88, &999_u16.to_be_bytes()), 1002);
    check(&masked(0x88, &1005_u16.to_be_bytes()), 1002); // a code that no frame may have
    check(&masked(0x88, b"\x03\xe8\xff"), 1007); // a reason that is not UTF-8
    check(&masked(0x81, b"\xff\xff"), 1007);
    let mut nested = masked(0x01, b"{");
    nested.extend(masked(0x81, b"{}"));
    check(&nested, 1002);
}

#[test]
fn a_goodbye_is_answered_and_the_connection_ends() {
    let server = Server::start();
    let mut socket = Socket::json(&server);
    socket.send(0x88, &[0x03, 0xE8, b'b', b'y', b'e']);
    assert_eq!(socket.frame(), (0x88, vec![0x03, 0xE8]));
    assert_eq!(socket.0.rest(), b"");
}

#[test]
fn a_client_that_does_not_answer_pings_is_let_go() {
    let server = Server::with(&["--heartbeat", "0.1"]);
    let mut silent = Socket::open(&server, "?topic=a", "");
    server.await_subscribers("a", "websocket", 1);
    silent.0.until(&[0x89, 0x00]);
    server.await_subscribers("a", "websocket", 0);
    silent.0.rest();
}
