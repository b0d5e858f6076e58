//! The way out: one request on a connection of its own, every read kept with its time.
//!
//! HTTP is spoken here by hand, inside TLS or not, so that what arrives is what the path sent. Every wait has a
//! deadline. Nothing is judged here.

use std::{
    io::{self, ErrorKind},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, join_all, select};
use reqwest::header::HeaderMap;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    recording::{Arrival, End, Head, Recording},
    request::Request,
    tls,
};

/// Longest time for a connection and for a short answer, in milliseconds.
pub(crate) const ANSWER_MS: u64 = 10_000;
/// Longest head; common servers stop at 8 to 64 KiB.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// More of one body is not kept: a judge needs the beginning of a stream, not all of it.
const MAX_BODY_BYTES: usize = 4 << 20;

/// Counts milliseconds since the check began, and knows what is shown with every request; all of one check share it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
    /// Header fields of every request. They live until the process ends, which makes one check.
    shown: &'static HeaderMap,
}

impl Clock {
    pub(crate) fn start(shown: HeaderMap) -> Self {
        Self { began: Instant::now(), shown: Box::leak(Box::new(shown)) }
    }

    pub(crate) fn now_ms(self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long until then; nothing if it is past.
    pub(crate) fn left(self, deadline_ms: u64) -> Duration {
        Duration::from_millis(deadline_ms.saturating_sub(self.now_ms()))
    }
}

/// Both ways of a socket, whatever is under it.
trait Socket: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Socket for T {}

enum Source {
    Socket(Box<dyn Socket>),
    Nothing,
}

impl Source {
    /// Empty at the end. Nothing is lost if this is dropped half-way.
    async fn read(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Socket(socket) => {
                let mut piece = BytesMut::with_capacity(16 * 1024);
                socket.read_buf(&mut piece).await?;
                Ok(piece.freeze())
            }
            Self::Nothing => Ok(Bytes::new()),
        }
    }
}

/// What waiting for the next read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something is new in the recording.
    Arrived,
    /// The time is over.
    Deadline,
    /// The connection is.
    Ended,
}

/// One exchange under way. Dropping it closes it.
pub(crate) struct Connection {
    clock: Clock,
    source: Source,
    /// A head that is not whole yet.
    held: Vec<u8>,
    kept_bytes: usize,
    pub(crate) recording: Recording,
}

impl Connection {
    /// Connects and asks, within [`ANSWER_MS`]. What goes wrong is in the recording, as its end.
    pub(crate) async fn open(clock: Clock, request: &Request) -> Self {
        let request = &request.clone().showing(clock.shown);
        let recording = Recording { request: request.head(), ..Recording::default() };
        let mut connection =
            Self { clock, source: Source::Nothing, held: Vec::new(), kept_bytes: 0, recording };
        connection.recording.sent_ms = clock.now_ms();
        let outcome = timeout(Duration::from_millis(ANSWER_MS), connection.ask(request)).await;
        let now_ms = clock.now_ms();
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => connection.recording.end = End::Failed(error),
            Err(_) => connection.recording.end = End::Failed("no connection in time".to_owned()),
        }
        connection.recording.ended_ms = now_ms;
        connection
    }

    async fn ask(&mut self, request: &Request) -> Result<(), String> {
        let (host, port) = request.address();
        let connecting = TcpStream::connect((host, port));
        let stream = connecting.await.map_err(|error| format!("no connection to {host}:{port}: {error}"))?;
        // Costs only time if it fails.
        drop(stream.set_nodelay(true));
        let mut socket: Box<dyn Socket> =
            if request.is_secure() { Box::new(tls::wrap(host, stream).await?) } else { Box::new(stream) };
        self.recording.sent_ms = self.clock.now_ms();
        socket.write_all(&request.bytes()).await.map_err(|error| error.to_string())?;
        socket.flush().await.map_err(|error| error.to_string())?;
        self.source = Source::Socket(socket);
        Ok(())
    }

    /// Waits for the next read. It may be dropped while it waits.
    pub(crate) async fn step(&mut self, deadline_ms: u64) -> Step {
        if self.recording.end != End::Open {
            return Step::Ended;
        }
        let read = timeout(self.clock.left(deadline_ms), self.source.read()).await;
        let now_ms = self.clock.now_ms();
        self.recording.ended_ms = now_ms;
        match read {
            Err(_) => return Step::Deadline,
            Ok(Ok(bytes)) if bytes.is_empty() => self.recording.end = End::Closed,
            Ok(Ok(bytes)) => self.take(now_ms, &bytes),
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset => self.recording.end = End::Reset,
            Ok(Err(error)) => self.recording.end = End::Failed(chain(&error)),
        }
        if self.recording.end == End::Open { Step::Arrived } else { Step::Ended }
    }

    /// Watches until then, or until the end.
    pub(crate) async fn watch(&mut self, deadline_ms: u64) {
        while self.step(deadline_ms).await == Step::Arrived {}
    }

    /// Writes, and gives up where it would wait: what is sent here is small. Whether the other side still listens
    /// is seen by reading.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        if let Source::Socket(socket) = &mut self.source {
            drop(timeout(Duration::from_secs(1), socket.write_all(bytes)).await);
        }
    }

    fn take(&mut self, now_ms: u64, bytes: &[u8]) {
        if self.recording.head.is_some() {
            return self.keep(now_ms, bytes.to_vec());
        }
        self.held.extend_from_slice(bytes);
        while let Some(end) = self.held.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = self.held.split_off(end + 4);
            let head = Head::parse(&std::mem::replace(&mut self.held, rest));
            match head {
                None => self.recording.end = End::Failed("the answer is no HTTP/1".to_owned()),
                // An interim answer; the one that counts follows (RFC 9110 15.2).
                Some(head) if (100..200).contains(&head.status) && head.status != 101 => continue,
                Some(head) => {
                    self.recording.head = Some(head);
                    self.recording.head_ms = now_ms;
                    let rest = std::mem::take(&mut self.held);
                    if !rest.is_empty() {
                        self.keep(now_ms, rest);
                    }
                }
            }
            return;
        }
        if self.held.len() > MAX_HEAD_BYTES {
            self.recording.end = End::Failed("the answer's head does not end".to_owned());
        }
    }

    fn keep(&mut self, ms: u64, bytes: Vec<u8>) {
        self.kept_bytes += bytes.len();
        self.recording.arrivals.push(Arrival { ms, bytes });
        if self.kept_bytes > MAX_BODY_BYTES {
            self.recording.end = End::Enough;
        }
    }
}

/// One request and its whole answer, or what there is of it by the deadline.
pub(crate) async fn answer(clock: Clock, request: &Request, deadline_ms: u64) -> Recording {
    let mut connection = Connection::open(clock, request).await;
    // The client hands over the head at once; a head may be the whole answer.
    while !connection.recording.body().is_complete && connection.step(deadline_ms).await == Step::Arrived {}
    connection.recording
}

/// Does the work, and keeps what arrives on the connections meanwhile, until the deadline at most.
pub(crate) async fn while_watching<const N: usize, T>(
    connections: [&mut Connection; N],
    deadline_ms: u64,
    work: impl Future<Output = T>,
) -> T {
    let watching = std::pin::pin!(join_all(connections.map(|connection| connection.watch(deadline_ms))));
    match select(std::pin::pin!(work), watching).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right((_, work)) => work.await,
    }
}

/// An error with its causes: the first alone is often only "error sending request".
fn chain(error: &dyn std::error::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
