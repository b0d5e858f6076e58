//! Peers that are gone without a word: no packet of theirs arrives any more, and none is acknowledged.

use std::time::{Duration, Instant};

use serde_json::json;
use socket2::{SockFilter, SockRef};

use crate::server::{DEADLINE, Server, Wire};

const HEARTBEAT: Duration = Duration::from_secs(2);

/// The kernel drops whatever arrives for this socket before TCP sees it (classic BPF: `ret #0`), as if its host had lost
/// power: nothing is answered, not even with a reset.
fn die(wire: &Wire) {
    SockRef::from(&wire.stream).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)]).unwrap();
}

/// How long the server takes to find that the peers of a technique are gone.
fn found(technique: &str, open: impl Fn(&mut Wire)) -> Duration {
    let heartbeat = HEARTBEAT.as_secs().to_string();
    let server = Server::with(&["--heartbeat", &heartbeat, "--max-wait", "60"]);
    let mut wires: Vec<Wire> = (0..3).map(|_| server.connect()).collect();
    wires.iter_mut().for_each(open);
    server.await_subscribers("a", technique, 3);
    let began = Instant::now();
    wires.iter().for_each(die);
    while server.subscribers("a")[technique] != json!(0) {
        assert!(began.elapsed() < DEADLINE, "{technique}: dead peers are found");
        std::thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

#[test]
fn dead_peers_are_found_within_two_heartbeats() {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let ask = |line: &'static str, more: &'static str| {
        move |wire: &mut Wire| {
            wire.send(format!("GET {line} HTTP/1.1\r\nHost: x\r\n{more}\r\n\r\n").as_bytes());
        }
    };
    let techniques = std::thread::scope(|scope| {
        let all = [
            ("sse", scope.spawn(|| found("sse", ask("/v1/stream?topic=a", "Accept: text/event-stream")))),
            ("websocket", scope.spawn(|| found("websocket", ask("/v1/ws?topic=a", upgrade)))),
            (
                "long_poll",
                scope.spawn(|| found("long_poll", ask("/v1/events?topic=a&wait=60", "Accept: */*"))),
            ),
        ];
        all.map(|(technique, finding)| (technique, finding.join().unwrap()))
    });
    for (technique, after) in techniques {
        // Timers of the kernel run late by up to their own granularity, never early.
        assert!(after < HEARTBEAT * 2 + Duration::from_secs(1), "{technique}: found after {after:?}");
    }
}
