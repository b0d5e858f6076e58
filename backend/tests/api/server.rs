//! One harness: the real server on a free port, and raw connections to it. A test that fails prints the wire.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use clap::Parser;
use fourways::config::Config;
use serde_json::Value;

/// Longest that anything may take; a test that waits so long has failed.
pub const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    config: Config,
}

/// A running server; it stops when this is dropped.
pub struct Server {
    pub address: SocketAddr,
    handle: actix_web::dev::ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With these flags of `fourways serve`.
    pub fn with(flags: &[&str]) -> Self {
        let address = "127.0.0.1:0";
        Self::on(address, flags)
    }

    /// On a port that is known, as after a restart.
    pub fn on(address: &str, flags: &[&str]) -> Self {
        let base = ["fourways", "--listen", address, "--source", "none", "--workers", "2", "--memory"];
        let config = Flags::parse_from(base.iter().chain(flags)).config;
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = fourways::server::Server::build(&config).expect("the server can be built");
                ready.send((server.addresses()[0], server.handle())).expect("the test waits");
                server.run().await.expect("the server runs");
            });
        });
        let (address, handle) = is_ready.recv_timeout(DEADLINE).expect("the server listens");
        Self { address, handle, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn connect(&self) -> Wire {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        stream.set_nodelay(true).unwrap();
        Wire::of(stream)
    }

    /// One request on a connection of its own.
    pub fn request(&self, head: &str, body: &[u8]) -> Answer {
        self.connect().request(head, body)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request(&format!("GET {path} HTTP/1.1"), b"")
    }

    /// Publishes JSON and returns its cursor.
    pub fn publish(&self, topic: &str, json: &str) -> String {
        let head = format!("POST /v1/topics/{topic}/events HTTP/1.1\r\nContent-Type: application/json");
        let answer = self.request(&head, json.as_bytes());
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["cursor"].as_str().expect("a cursor").to_owned()
    }

    pub fn subscribers(&self, topic: &str) -> Value {
        self.get(&format!("/v1/topics/{topic}")).json()["subscribers"].clone()
    }

    /// Waits until so many read the topic by the technique.
    #[track_caller]
    pub fn await_subscribers(&self, topic: &str, technique: &str, count: u64) {
        let began = Instant::now();
        loop {
            let now = self.subscribers(topic);
            if now[technique] == count {
                return;
            }
            assert!(began.elapsed() < DEADLINE, "{technique} should be {count}: {now}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            // A server that panicked has failed the test already, by what it no longer answered.
            drop(thread.join());
        }
    }
}

/// A raw connection that remembers what it has seen.
pub struct Wire {
    pub stream: TcpStream,
    seen: Vec<u8>,
    read: usize,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let prefix = format!("{name}: ").to_lowercase();
        let mut lines = self.head.lines();
        lines
            .find(|line| line.to_lowercase().starts_with(&prefix))
            .map(|line| line[prefix.len()..].to_owned())
    }

    /// Names in the order of the alphabet, without what the clock says.
    pub fn header_names(&self) -> Vec<String> {
        let names = self.head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0.to_lowercase()));
        let mut names: Vec<_> = names.filter(|name| name != "date").collect();
        names.sort();
        names
    }
}

impl Wire {
    pub fn of(stream: TcpStream) -> Self {
        Self { stream, seen: Vec::new(), read: 0 }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Everything up to and including the mark, from where the last call ended.
    #[track_caller]
    pub fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        let began = Instant::now();
        loop {
            let unread = &self.seen[self.read..];
            if let Some(at) = unread.windows(mark.len()).position(|window| window == mark) {
                let found = unread[..at + mark.len()].to_vec();
                self.read += found.len();
                return found;
            }
            assert!(self.fill(began), "no {:?} in {:?}", String::from_utf8_lossy(mark), self.shown());
        }
    }

    /// So many bytes.
    #[track_caller]
    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        let began = Instant::now();
        while self.seen.len() - self.read < count {
            assert!(self.fill(began), "not {count} bytes in {:?}", self.shown());
        }
        let found = self.seen[self.read..self.read + count].to_vec();
        self.read += count;
        found
    }

    /// The server closes, and says no more than this before.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let began = Instant::now();
        while self.fill(began) {}
        assert!(began.elapsed() < DEADLINE, "the server does not close");
        self.seen[self.read..].to_vec()
    }

    /// False at the end.
    fn fill(&mut self, began: Instant) -> bool {
        let left = DEADLINE.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).unwrap();
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(count) => {
                self.seen.extend_from_slice(&piece[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(_) => false,
        }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// One request and its whole answer.
    #[track_caller]
    pub fn request(&mut self, head: &str, body: &[u8]) -> Answer {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        self.send(format!("{head}\r\nHost: fourways.test\r\n{length}\r\n").as_bytes());
        self.send(body);
        self.answer()
    }

    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        let head = String::from_utf8(self.until(b"\r\n\r\n")).unwrap();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: Vec::new() };
        if let Some(length) = answer.header("content-length").and_then(|length| length.parse().ok()) {
            answer.body = self.exactly(length);
        }
        answer
    }

    /// The next chunk of a chunked body.
    #[track_caller]
    pub fn chunk(&mut self) -> String {
        String::from_utf8(self.raw_chunk()).unwrap()
    }

    /// As [`Self::chunk`], whatever bytes it has.
    #[track_caller]
    pub fn raw_chunk(&mut self) -> Vec<u8> {
        let size = String::from_utf8(self.until(b"\r\n")).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
        let chunk = self.exactly(size);
        assert_eq!(self.exactly(2), b"\r\n");
        chunk
    }
}
