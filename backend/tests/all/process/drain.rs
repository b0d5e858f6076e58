//! Draining after SIGTERM: new connections are refused, every held one is told when to reconnect, nothing is lost, and
//! the clients reconnect spread out in time.
//!
//! `FOURWAYS_DRAIN_CLIENTS=5000 cargo test -p fourways --test all process::drain -- --nocapture` prints the spread of a
//! large crowd.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::Instant,
};

use fourways_testkit::{DEADLINE, Process, UPGRADE};

use crate::FOURWAYS;

struct Server(Process);

impl Server {
    fn start(data: &Path, flags: &[&str]) -> Self {
        let data = data.to_str().unwrap();
        let base = ["--source", "none", "--workers", "2", "--data", data];
        Self(Process::serve(FOURWAYS, &[&base, flags].concat()).unwrap())
    }

    fn connect(&self, head: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.0.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "{head}\r\nHost: localhost\r\n\r\n").unwrap();
        stream
    }

    fn get(&self, path: &str) -> String {
        let mut stream = self.connect(&format!("GET {path} HTTP/1.1\r\nConnection: close"));
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn publish(&self, data: &str) {
        self.publish_to("a", data);
    }

    fn publish_to(&self, topic: &str, data: &str) {
        let mut stream = TcpStream::connect(self.0.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = format!("POST /v1/topics/{topic}/events HTTP/1.1\r\nHost: localhost");
        write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{data}", data.len()).unwrap();
        let answer = until(&mut stream, "\"cursor\":\"");
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
}

/// Reads until this text has come, and returns everything that was read.
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

#[test]
fn everybody_held_is_told_when_to_come_back_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    let mut stream = server.connect("GET /v1/stream?topic=a HTTP/1.1");
    until(&mut stream, "retry: ");
    let mut socket = server.connect(&format!("GET /v1/ws?topic=a HTTP/1.1\r\n{UPGRADE}"));
    until(&mut socket, "subscribed");
    let mut poll = server.connect("GET /v1/events?topic=a&wait=25 HTTP/1.1");
    let mut late = server.connect("GET /v1/events?topic=a HTTP/1.1");
    let first = until(&mut late, "\"cursor\"");
    assert!(first.starts_with("HTTP/1.1 200"));
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200"));
    server.publish("41");
    until(&mut stream, "\"data\":41");
    until(&mut poll, "\"data\":41");
    let mut held = server.connect("GET /v1/events?topic=a&wait=25 HTTP/1.1");
    let began = Instant::now();
    while !server.get("/v1/topics/a").contains("\"long_poll\":1") {
        assert!(began.elapsed() < DEADLINE);
    }
    server.0.terminate().unwrap();
    let ending = until(&mut stream, "0\r\n\r\n");
    let retry: u64 =
        ending.split("retry: ").nth(1).and_then(|rest| rest.lines().next()).unwrap().parse().unwrap();
    assert!((1_000..=3_000).contains(&retry), "{ending}");
    let cursor = ending.split("id: ").nth(1).and_then(|rest| rest.lines().next()).unwrap().to_owned();
    // A close frame (RFC 6455 5.5.1) with the code 1012, "service restart", and the time to wait before reconnecting.
    let mut closed = Vec::new();
    socket.read_to_end(&mut closed).unwrap();
    let at = closed.windows(4).position(|bytes| bytes[0] == 0x88 && bytes[2..] == 1012_u16.to_be_bytes());
    let reason = &closed[at.unwrap_or_else(|| panic!("no 1012 in {closed:?}")) + 4..];
    let wait = std::str::from_utf8(reason).unwrap().strip_prefix("retry after ms: ");
    let wait: u64 = wait.expect("when to come back").parse().unwrap();
    assert!((1_000..=3_000).contains(&wait), "{wait}");
    assert!(until(&mut held, "\r\n\r\n").starts_with("HTTP/1.1 204"), "a held poll is answered at once");
    drop((stream, socket, held));
    assert!(server.0.ended().unwrap().success());
    // Another server goes on with the same log from the same cursor.
    let again = Server::start(folder.path(), &[]);
    again.publish("42");
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
    server.0.terminate().unwrap();
    let mut waits: Vec<u64> = streams
        .iter_mut()
        .map(|stream| {
            let ending = until(stream, "0\r\n\r\n");
            ending.rsplit("retry: ").next().and_then(|rest| rest.lines().next()).unwrap().parse().unwrap()
        })
        .collect();
    drop(streams);
    let began = Instant::now();
    assert!(server.0.ended().unwrap().success());
    let took = began.elapsed();
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

#[test]
fn whoever_comes_while_it_ends_is_refused_by_the_kernel_and_never_told_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut server =
        Server::start(folder.path(), &["--drain", "600", "--write-timeout", "600", "--heartbeat", "600"]);
    // A client that reads nothing keeps the server from ending.
    let mut deaf = server.connect("GET /v1/stream?topic=big HTTP/1.1");
    until(&mut deaf, "retry: ");
    let idle = server.connect("GET /v1/events?topic=a HTTP/1.1");
    let mut idle = idle;
    until(&mut idle, "\"cursor\"");
    let big = format!("\"{}\"", "x".repeat(1_000_000));
    for _ in 0..20 {
        server.publish_to("big", &big);
    }
    server.0.terminate().unwrap();
    let began = Instant::now();
    // A connection that the kernel had accepted before the listener closed is reset. To its client, that is a failure
    // of the network too.
    while TcpStream::connect(server.0.address()).err().map(|error| error.kind())
        != Some(ErrorKind::ConnectionRefused)
    {
        assert!(began.elapsed() < DEADLINE, "it still listens");
    }
    // A stream on a connection from before still gets a 200: any other answer would end an EventSource for good.
    write!(idle, "GET /v1/stream?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    idle.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("text/event-stream"), "{answer}");
    assert!(answer.contains("retry: "), "{answer}");
    // Another server can have the address already.
    let other = tempfile::tempdir().unwrap();
    let address = server.0.address().to_string();
    let next = Process::serve_on(FOURWAYS, &address, &["--data", other.path().to_str().unwrap()]);
    assert_eq!(next.unwrap().address(), address);
    drop(deaf);
    assert!(server.0.ended().unwrap().success());
}
