//! The list of open connections for the operator, and closing one of them.

use serde_json::{Value, json};

use crate::{api::frames::Socket, server::Server};

fn connections(server: &Server) -> Vec<Value> {
    server.get("/v1/connections").json()["connections"].as_array().unwrap().clone()
}

#[test]
fn connections_are_listed_with_what_they_were_given() {
    let server = Server::start();
    let mut stream = server.connect();
    stream.request("GET /v1/stream?topic=a&topic=b.* HTTP/1.1", b"");
    let opening = stream.chunk().len();
    let mut socket = Socket::open(&server, "?topic=a", "");
    (0..2).for_each(|_| drop(socket.text()));
    let mut poll = server.connect();
    poll.send(b"GET /v1/events?topic=c&wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    server.await_subscribers("c", "long_poll", 1);
    server.publish("a", "1");
    let block = stream.chunk().len();
    assert_eq!(socket.text()["data"], 1);
    socket.say(&json!({ "type": "subscribe", "topics": ["d"] }));
    assert_eq!(socket.text()["type"], "subscribed");
    let listed = connections(&server);
    let of = |technique: &str| listed.iter().find(|one| one["technique"] == technique).unwrap();
    assert_eq!(
        (of("sse")["topics"].clone(), of("websocket")["topics"].clone()),
        (json!(["a", "b.*"]), json!(["a", "d"]))
    );
    assert_eq!(
        (&of("sse")["events"], &of("websocket")["events"], &of("long_poll")["events"]),
        (&json!(1), &json!(1), &json!(0))
    );
    // The opening of a stream is written before bytes are counted.
    let bytes = usize::try_from(of("sse")["bytes"].as_u64().unwrap()).unwrap();
    assert!(bytes >= block && bytes < block + opening + 40, "{bytes}, {block}");
    assert!(of("sse")["lag_us"].as_u64().unwrap() < 20_000_000 && of("long_poll")["lag_us"].is_null());
    drop((stream, socket, poll));
    for (topic, technique) in [("a", "sse"), ("d", "websocket"), ("c", "long_poll")] {
        server.await_subscribers(topic, technique, 0);
    }
    assert_eq!(connections(&server), Vec::<Value>::new());
}

#[test]
fn a_connection_that_is_cut_is_told_when_to_come_back() {
    let server = Server::start();
    let before = server.publish("a", "1");
    let mut stream = server.connect();
    stream.request("GET /v1/stream?topic=a HTTP/1.1", b"");
    stream.chunk();
    let mut socket = Socket::open(&server, "?topic=a", "");
    (0..2).for_each(|_| drop(socket.text()));
    let mut poll = server.connect();
    poll.send(b"GET /v1/events?topic=a&wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    server.await_subscribers("a", "long_poll", 1);
    for one in connections(&server) {
        let head = format!("DELETE /v1/connections/{} HTTP/1.1", one["id"]);
        assert_eq!(server.request(&head, b"").status, 204);
    }
    let block = stream.chunk();
    assert!(
        block.starts_with("retry: ") && block.contains(&format!("\nid: {before}\nevent: heartbeat\n")),
        "{block}"
    );
    assert_eq!(stream.exactly(5), b"0\r\n\r\n");
    socket.closes_with(1012);
    let answer = poll.answer();
    assert_eq!((answer.status, answer.header("etag")), (204, Some(format!("\"{before}\""))));
    assert_eq!(server.request("DELETE /v1/connections/999 HTTP/1.1", b"").status, 404);
    assert_eq!(server.request("DELETE /v1/connections/x HTTP/1.1", b"").status, 404);
}

#[test]
fn a_socket_that_subscribes_to_nothing_is_cut_at_once_too() {
    // No ping wakes it within the test's own deadline.
    let server = Server::with(&["--heartbeat", "10m"]);
    let mut socket = Socket::json(&server);
    let listed = connections(&server);
    let path = format!("DELETE /v1/connections/{} HTTP/1.1", listed[0]["id"]);
    assert_eq!(server.request(&path, b"").status, 204);
    socket.closes_with(1012);
    let mut left = Socket::open(&server, "?topic=a", "");
    (0..2).for_each(|_| drop(left.text()));
    left.say(&json!({ "type": "unsubscribe", "topics": ["a"] }));
    assert_eq!(left.text()["type"], "unsubscribed");
    assert_eq!(server.request("POST /v1/rehearsal HTTP/1.1", b"").status, 200);
    left.closes_with(1012);
}
