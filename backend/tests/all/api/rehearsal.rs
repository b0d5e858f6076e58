//! A rehearsed deploy: every stream is told to reconnect, and those that do are counted, with the events they had
//! missed.

use std::thread;

use serde_json::json;

use crate::server::Server;

#[test]
fn who_is_told_comes_back_as_expected_and_catches_up() {
    let server = Server::start();
    let before = server.publish("a", "0");
    let mut streams: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.request("GET /v1/stream?topic=a HTTP/1.1", b"");
        stream.chunk();
    }
    let rehearsal = thread::scope(|scope| {
        let rehearsing = scope.spawn(|| server.request("POST /v1/rehearsal HTTP/1.1", b""));
        let told: Vec<u64> = streams
            .iter_mut()
            .map(|stream| {
                let block = stream.chunk();
                let retry = block.strip_prefix("retry: ").and_then(|rest| rest.split('\n').next());
                retry.unwrap().parse().unwrap()
            })
            .collect();
        assert!(told.iter().all(|ms| (1000..=3000).contains(ms)), "{told:?}");
        assert_eq!(server.request("POST /v1/rehearsal HTTP/1.1", b"").status, 503, "one at a time");
        server.publish("a", "1");
        // Half of the streams reconnect, each having missed one event.
        let head = format!("GET /v1/stream?topic=a&after={before} HTTP/1.1");
        for stream in &mut streams[..10] {
            *stream = server.connect();
            stream.request(&head, b"");
            stream.until(b"\"data\":1}");
        }
        rehearsing.join().unwrap()
    });
    assert_eq!(rehearsal.status, 200);
    let seen = rehearsal.json();
    assert_eq!(
        (&seen["told"], &seen["came_back"], &seen["caught_up"]),
        (&json!(20), &json!(10), &json!(10)),
        "{seen}"
    );
    let sum =
        |name: &str| -> f64 { seen[name].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).sum() };
    assert!((sum("predicted") - 20.0).abs() < 1e-6 && (sum("measured") - 10.0).abs() < 1e-6, "{seen}");
}
