//! Presence: the list of subjects that read a topic.

use std::time::Instant;

use serde_json::json;

use crate::{
    api::{
        access::{Guarded, claims, signed},
        frames::Socket,
    },
    server::DEADLINE,
};

#[test]
fn who_is_on_a_topic_is_known_by_name_and_comings_and_goings_are_told() {
    let guarded = Guarded::start(&[]);
    let token = |subject: &str| {
        let mut claims = claims(&[">"], &[">"]);
        claims["sub"] = json!(subject);
        signed(&claims)
    };
    let bearer = |subject: &str| format!("\r\nAuthorization: Bearer {}", token(subject));
    let present =
        || guarded.with(&token("eve"), "GET /v1/topics/chat.1/presence", "").json()["subjects"].clone();
    assert_eq!(present(), json!([]));
    let mut watcher = Socket::open(&guarded.server, "?topic=presence.chat.1", &bearer("eve"));
    watcher.text();
    watcher.text();
    let mut stream = guarded.server.connect();
    stream.request(&format!("GET /v1/stream?topic=chat.1 HTTP/1.1{}", bearer("ada")), b"");
    let joined = watcher.text();
    assert_eq!((&joined["name"], &joined["data"]), (&json!("join"), &json!({ "subject": "ada" })));
    let mut socket = Socket::open(&guarded.server, "?topic=chat.1", &bearer("ada"));
    socket.text();
    socket.text();
    let _by_pattern = Socket::open(&guarded.server, "?topic=chat.*", &bearer("bob"));
    let began = Instant::now();
    let expected = json!([{ "subject": "ada", "connections": 2 }, { "subject": "bob", "connections": 1 }]);
    while present() != expected {
        assert!(began.elapsed() < DEADLINE, "{}", present());
    }
    // A subject leaves with its last connection, and not with the first of two.
    drop(stream);
    socket.say(&json!({ "type": "unsubscribe", "topics": ["chat.1"] }));
    let left = watcher.text();
    assert_eq!((&left["name"], &left["data"]["subject"]), (&json!("leave"), &json!("ada")));
    let nobody = signed(&claims(&["other"], &[]));
    assert_eq!(guarded.with(&nobody, "GET /v1/topics/chat.1/presence", "").status, 403);
}
