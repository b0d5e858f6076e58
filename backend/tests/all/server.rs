//! The test harness: the real server inside the test process, on a free port.

use std::{
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use clap::Parser;
use fourways::config::Config;
pub use fourways_testkit::{Answer, DEADLINE, UPGRADE, Wire};
use serde_json::Value;

use crate::front::{self, Certificate, Front, Way};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    config: Config,
}

/// A running server. Dropping the value stops the server.
pub struct Server {
    /// Address at which this test reaches the server: its own, or that of the front before it.
    pub address: SocketAddr,
    _front: Option<Front>,
    handle: actix_web::dev::ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with these flags of `fourways serve`.
    pub fn with(flags: &[&str]) -> Self {
        let address = "127.0.0.1:0";
        Self::on(address, flags)
    }

    /// Starts a server at a known address, as after a restart.
    pub fn on(address: &str, flags: &[&str]) -> Self {
        Self::on_disk(address, &[&["--memory"], flags].concat())
    }

    /// Starts a server at a known address, with its log in the folder that a flag names.
    pub fn on_disk(address: &str, flags: &[&str]) -> Self {
        let own = ["--source", "none", "--workers", "2", "--host", "fourways.test"];
        let way = front::way();
        let certificate = (way != Way::Plain).then(Certificate::make);
        let tls = certificate.as_ref().map(Certificate::flags);
        let tls = tls.iter().flatten().map(String::as_str);
        let base: Vec<&str> = ["fourways", "--listen", address].into_iter().chain(own).chain(tls).collect();
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
        let front = certificate.map(|certificate| Front::of(address, &certificate, way));
        let address = front.as_ref().map_or(address, |front| front.address);
        Self { address, _front: front, handle, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn connect(&self) -> Wire {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        stream.set_nodelay(true).unwrap();
        Wire::of(stream)
    }

    /// Sends one request on a connection of its own.
    pub fn request(&self, head: &str, body: &[u8]) -> Answer {
        self.connect().request(head, body)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request(&format!("GET {path} HTTP/1.1"), b"")
    }

    /// Publishes JSON and returns the event's cursor.
    pub fn publish(&self, topic: &str, json: &str) -> String {
        let head = format!("POST /v1/topics/{topic}/events HTTP/1.1\r\nContent-Type: application/json");
        let answer = self.request(&head, json.as_bytes());
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["cursor"].as_str().expect("a cursor").to_owned()
    }

    pub fn subscribers(&self, topic: &str) -> Value {
        self.get(&format!("/v1/topics/{topic}")).json()["subscribers"].clone()
    }

    /// Waits until `count` subscribers read the topic by the technique.
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
            // A server that panicked has failed the test already, by not answering.
            drop(thread.join());
        }
    }
}
