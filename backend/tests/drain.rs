//! SIGTERM: nobody new, everybody held is told when to come back, nothing is lost, and they come back spread out.
//!
//! `FOURWAYS_DRAIN_CLIENTS=5000 cargo test -p fourways --test drain -- --nocapture` prints the spread of a large crowd.
#![cfg(not(feature = "shuttle"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it measured"
)]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const DEADLINE: Duration = Duration::from_secs(30);

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(data: &Path, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fourways"))
            .args(["serve", "--listen", "127.0.0.1:0", "--source", "none", "--workers", "2", "--data"])
            .arg(data)
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let found =
            lines.by_ref().map_while(Result::ok).find_map(|line| line.split("://").nth(1).map(str::to_owned));
        // The pipe is emptied until the server ends, so that it never blocks on it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: found.expect("the server listens") }
    }

    fn connect(&self, head: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "{head}\r\nHost: x\r\n\r\n").unwrap();
        stream
    }

    fn get(&self, path: &str) -> String {
        let mut stream = self.connect(&format!("GET {path} HTTP/1.1\r\nConnection: close"));
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    fn await_end(&mut self) -> Duration {
        let began = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < DEADLINE, "the server ends");
            std::thread::sleep(Duration::from_millis(10));
        }
        began.elapsed()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads until the text has come.
fn until(stream: &mut TcpStream, mark: &str) -> String {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains(mark) {
        let count = stream.read(&mut piece).unwrap_or(0);
        assert!(count > 0, "no {mark:?} in {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

const SOCKET: &str = "GET /v1/ws?topic=a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

#[test]
fn everybody_held_is_told_when_to_come_back_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    let mut stream = server.connect("GET /v1/stream?topic=a HTTP/1.1");
    until(&mut stream, "retry: ");
    let mut socket = server.connect(SOCKET);
    until(&mut socket, "subscribed");
    let mut poll = server.connect("GET /v1/events?topic=a&wait=25 HTTP/1.1");
    let mut late = server.connect("GET /v1/events?topic=a HTTP/1.1");
    let first = until(&mut late, "\"cursor\"");
    assert!(first.starts_with("HTTP/1.1 200"));
    let publish = |server: &Server, data: &str| {
        let mut stream = server.connect("GET / HTTP/1.1");
        drop(stream.write_all(b""));
        let length = data.len();
        let mut stream = TcpStream::connect(&server.address).unwrap();
        write!(
            stream,
            "POST /v1/topics/a/events HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{data}"
        )
        .unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let answer = until(&mut stream, "\"cursor\":\"");
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    };
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200"));
    publish(&server, "41");
    until(&mut stream, "\"data\":41");
    until(&mut poll, "\"data\":41");
    let mut held = server.connect("GET /v1/events?topic=a&wait=25 HTTP/1.1");
    let began = Instant::now();
    while !server.get("/v1/topics/a").contains("\"long_poll\":1") {
        assert!(began.elapsed() < DEADLINE);
    }
    server.terminate();
    let ending = until(&mut stream, "0\r\n\r\n");
    let retry: u64 =
        ending.split("retry: ").nth(1).and_then(|rest| rest.lines().next()).unwrap().parse().unwrap();
    assert!((1_000..=3_000).contains(&retry), "{ending}");
    let cursor = ending.split("id: ").nth(1).and_then(|rest| rest.lines().next()).unwrap().to_owned();
    let closed = until(&mut socket, "retry after ms: ");
    assert!(closed.contains("\u{3}\u{fffd}retry after ms") || closed.contains("retry after ms"), "{closed}");
    assert!(until(&mut held, "\r\n\r\n").starts_with("HTTP/1.1 204"), "a held poll is answered at once");
    drop((stream, socket, held));
    let took = server.await_end();
    assert!(took < Duration::from_secs(8), "{took:?}");
    // Another server goes on with the same log from the same place.
    let again = Server::start(folder.path(), &[]);
    publish(&again, "42");
    let rest = again.get(&format!("/v1/events?topic=a&after={cursor}"));
    assert!(
        rest.contains("\"data\":42") && !rest.contains("\"data\":41") && !rest.contains("reset"),
        "{rest}"
    );
}

#[test]
fn a_crowd_comes_back_spread_out() {
    let count: usize =
        std::env::var("FOURWAYS_DRAIN_CLIENTS").map_or(300, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &["--max-connections", "19000"]);
    let mut streams: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut stream = server.connect("GET /v1/stream?topic=a HTTP/1.1");
            until(&mut stream, "retry: 2000");
            stream
        })
        .collect();
    server.terminate();
    let mut waits: Vec<u64> = streams
        .iter_mut()
        .map(|stream| {
            let ending = until(stream, "0\r\n\r\n");
            ending.rsplit("retry: ").next().and_then(|rest| rest.lines().next()).unwrap().parse().unwrap()
        })
        .collect();
    drop(streams);
    let took = server.await_end();
    waits.sort_unstable();
    let (first, last) = (waits[0], waits[count - 1]);
    let busiest = (first..=last)
        .step_by(100)
        .map(|from| waits.iter().filter(|wait| (from..from + 100).contains(*wait)).count());
    let busiest = busiest.max().unwrap();
    println!(
        "{count} streams were told to come back in {first} to {last} ms, at most {busiest} in any 100 ms; \
         the server ended after {} ms",
        took.as_millis()
    );
    let span = last - first;
    assert!(span >= 1_800, "spread over two seconds at least: {span} ms");
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let fair = count as f64 * 100.0 / span as f64;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let share = busiest as f64 / fair;
    assert!(share < 2.0, "{busiest} in 100 ms, evenly it would be {fair:.0}");
}
