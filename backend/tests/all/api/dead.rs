//! Peers that vanish: none of their packets arrives any more, and they acknowledge nothing.

use std::time::{Duration, Instant};

use serde_json::json;
use socket2::{SockFilter, SockRef};

use crate::server::{DEADLINE, Server, UPGRADE, Wire};

const HEARTBEAT: Duration = Duration::from_secs(2);

/// Makes a client vanish as if its host had lost power: the kernel discards every packet for this socket before TCP
/// sees it (classic BPF: `ret #0`), so nothing is answered, not even with a reset.
fn die(wire: &Wire) {
    SockRef::from(&wire.stream).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)]).unwrap();
}

/// Returns the number of heartbeats that a live reader gets until the server has found that the peers of a technique
/// are gone.
fn found(technique: &str, open: impl Fn(&mut Wire)) -> usize {
    let heartbeat = HEARTBEAT.as_secs().to_string();
    let server = Server::with(&["--heartbeat", &heartbeat, "--max-wait", "600"]);
    let mut alive = server.connect();
    assert_eq!(alive.request("GET /v1/stream?topic=b HTTP/1.1", b"").status, 200);
    alive.chunk();
    let mut wires: Vec<Wire> = (0..3).map(|_| server.connect()).collect();
    wires.iter_mut().for_each(open);
    server.await_subscribers("a", technique, 3);
    wires.iter().for_each(die);
    let began = Instant::now();
    while server.subscribers("a")[technique] != json!(0) {
        assert!(began.elapsed() < DEADLINE, "{technique}: dead peers are found");
        std::thread::sleep(Duration::from_millis(20));
    }
    server.publish("b", "\"found\"");
    let mut heartbeats = 0;
    while !alive.chunk().contains("found") {
        heartbeats += 1;
    }
    heartbeats
}

/// The limit is counted in heartbeats and not in seconds, because a busy machine sends fewer of them in the same time.
#[test]
fn dead_peers_are_found_within_two_heartbeats() {
    let ask = |line: &'static str, more: &'static str| {
        move |wire: &mut Wire| {
            wire.send(format!("GET {line} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n\r\n").as_bytes());
        }
    };
    let techniques = std::thread::scope(|scope| {
        let all = [
            ("sse", scope.spawn(|| found("sse", ask("/v1/stream?topic=a", "Accept: text/event-stream")))),
            ("websocket", scope.spawn(|| found("websocket", ask("/v1/ws?topic=a", UPGRADE)))),
            (
                "long_poll",
                scope.spawn(|| found("long_poll", ask("/v1/events?topic=a&wait=600", "Accept: */*"))),
            ),
        ];
        all.map(|(technique, finding)| (technique, finding.join().unwrap()))
    });
    for (technique, heartbeats) in techniques {
        // Kernel timers can be late by their own granularity, and the live reader joined before the others.
        assert!(heartbeats <= 3, "{technique}: found after {heartbeats} heartbeats");
    }
}
