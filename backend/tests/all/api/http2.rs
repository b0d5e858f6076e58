//! HTTP/2: many streams on one connection, each at its own pace, and each freed as soon as its client resets it.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use h2::{RecvStream, client::SendRequest};
use http::{Request, Response};
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use super::tls::Secure;
use crate::server::DEADLINE;

/// The client's side of a connection. Dropping a client closes the connection.
struct Client {
    send: SendRequest<Bytes>,
    /// Number of concurrent streams at most, as the server has announced it.
    most_streams: Arc<AtomicUsize>,
    _connection: JoinSet<()>,
}

impl Client {
    async fn connect(secure: &Secure) -> Self {
        let socket = TcpStream::connect(secure.server.address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let io = TlsConnector::from(secure.trust(&["h2"])).connect(name, socket).await.unwrap();
        let (send, mut connection) = h2::client::handshake(io).await.unwrap();
        let most_streams = Arc::new(AtomicUsize::new(usize::MAX));
        let announced = Arc::clone(&most_streams);
        let mut task = JoinSet::new();
        task.spawn(poll_fn(move |cx| {
            let polled = Pin::new(&mut connection).poll(cx);
            announced.store(connection.max_concurrent_send_streams(), Ordering::Relaxed);
            polled.map(drop)
        }));
        Self { send, most_streams, _connection: task }
    }

    /// Sends a request, and returns once the head of the answer has arrived.
    async fn ask(&mut self, method: &str, path: &str, body: &str) -> Response<RecvStream> {
        let answer = self.begin(method, path, body).await;
        timeout(DEADLINE, answer).await.expect("an answer in time").unwrap()
    }

    async fn begin(&mut self, method: &str, path: &str, body: &str) -> h2::client::ResponseFuture {
        let uri = format!("https://127.0.0.1{path}");
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        self.send = timeout(DEADLINE, self.send.clone().ready()).await.expect("room in time").unwrap();
        let (answer, mut stream) = self.send.send_request(request, body.is_empty()).unwrap();
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
        }
        answer
    }

    async fn json(&mut self, path: &str) -> Value {
        let answer = self.ask("GET", path, "").await;
        assert_eq!(answer.status(), 200, "{path}");
        serde_json::from_slice(&whole(answer.into_body()).await).unwrap()
    }

    async fn publish(&mut self, topic: &str, body: &str) {
        assert_eq!(self.ask("POST", &format!("/v1/topics/{topic}/events"), body).await.status(), 201);
    }

    /// Waits until `count` subscribers read the topic by the technique.
    async fn await_readers(&mut self, topic: &str, technique: &str, count: u64) {
        let began = Instant::now();
        loop {
            let state = self.json(&format!("/v1/topics/{topic}")).await;
            if state["subscribers"][technique] == count {
                return;
            }
            assert!(began.elapsed() < DEADLINE, "{count} by {technique}: {state}");
            tokio::task::yield_now().await;
        }
    }
}

async fn whole(mut body: RecvStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(data) = timeout(DEADLINE, body.data()).await.expect("data in time") {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        all.extend_from_slice(&data);
    }
    all
}

/// Reads a stream until it has brought `count` events.
async fn events(mut body: RecvStream, count: usize) {
    let mut text = String::new();
    while text.matches("\ndata: ").count() < count {
        let data = timeout(DEADLINE, body.data()).await;
        let data = data.unwrap_or_else(|_| panic!("{} of {count}", text.matches("\ndata: ").count()));
        let data = data.expect("it goes on").unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        text.push_str(&String::from_utf8_lossy(&data));
    }
}

fn run<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// Starts a server without heartbeats during the test: it learns only from the client's reset that a stream is gone.
fn quiet() -> Secure {
    Secure::with(&["--heartbeat", "600", "--max-held-per-address", "40"])
}

#[test]
fn every_stream_of_a_connection_gets_everything() {
    run(async {
        let secure = quiet();
        let mut client = Client::connect(&secure).await;
        let event = format!("\"{}\"", "x".repeat(900));
        let body = vec![event; 500].join("\n");
        let lines = Request::post("https://127.0.0.1/v1/topics/a/events")
            .header("content-type", "application/x-ndjson");
        let (answer, mut stream) = client.send.send_request(lines.body(()).unwrap(), false).unwrap();
        // The body goes in pieces that fit the window, which the server opens again as it reads.
        for piece in body.as_bytes().chunks(8_000) {
            stream.reserve_capacity(piece.len());
            while stream.capacity() < piece.len() {
                let room = timeout(DEADLINE, poll_fn(|cx| stream.poll_capacity(cx))).await;
                room.expect("room in time").unwrap().unwrap();
            }
            stream.send_data(Bytes::copy_from_slice(piece), false).unwrap();
        }
        stream.send_data(Bytes::new(), true).unwrap();
        assert_eq!(timeout(DEADLINE, answer).await.unwrap().unwrap().status(), 201);
        let mut readers = JoinSet::new();
        for topic in ["a", "a", "*", "a", "%3E"] {
            let stream = client.ask("GET", &format!("/v1/stream?topic={topic}&after=earliest"), "").await;
            readers.spawn(events(stream.into_body(), 500));
        }
        while let Some(read) = readers.join_next().await {
            read.unwrap();
        }
    });
}

#[test]
fn whoever_resets_a_stream_frees_its_place_at_once() {
    run(async {
        let secure = quiet();
        let mut client = Client::connect(&secure).await;
        for (path, technique) in [("/v1/stream?topic=a", "sse"), ("/v1/events?topic=a&wait=20", "long_poll")]
        {
            let held: Vec<_> = {
                let mut held = Vec::new();
                for _ in 0..20 {
                    held.push(client.begin("GET", path, "").await);
                }
                held
            };
            client.await_readers("a", technique, 20).await;
            // Dropping a request before its answer has ended resets the stream (RFC 9113 5.4.2).
            drop(held);
            client.await_readers("a", technique, 0).await;
        }
        assert_eq!(client.json("/v1/limits").await["held_polls"], 0);
        assert_eq!(client.json("/v1/connections").await["total"], 0, "nor does one sit in the list");
    });
}

#[test]
fn whoever_ends_the_connection_frees_all_of_its_places() {
    run(async {
        let secure = quiet();
        let (mut client, mut other) = (Client::connect(&secure).await, Client::connect(&secure).await);
        let mut held = Vec::new();
        for path in ["/v1/stream?topic=a", "/v1/events?topic=a&wait=20"] {
            for _ in 0..10 {
                held.push(client.begin("GET", path, "").await);
            }
        }
        other.await_readers("a", "sse", 10).await;
        other.await_readers("a", "long_poll", 10).await;
        drop(client);
        other.await_readers("a", "sse", 0).await;
        other.await_readers("a", "long_poll", 0).await;
    });
}

#[test]
fn who_opens_and_leaves_all_the_time_takes_no_more_than_who_leaves_once() {
    run(async {
        let secure = quiet();
        let mut client = Client::connect(&secure).await;
        // If a stream kept its permit, the 41st would be refused.
        for turn in 0..300 {
            let stream = client.ask("GET", "/v1/stream?topic=a", "").await;
            assert_eq!(stream.status(), 200, "{turn}");
        }
        client.await_readers("a", "sse", 0).await;
    });
}

#[test]
fn streams_have_a_limit_that_is_announced() {
    run(async {
        let secure = quiet();
        let mut client = Client::connect(&secure).await;
        // The server's settings have arrived once it has answered a request.
        client.publish("a", "1").await;
        assert_eq!(client.most_streams.load(Ordering::Relaxed), 128);
    });
}
