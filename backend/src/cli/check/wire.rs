//! Sends one request on a connection of its own, and records every read with its time.
//!
//! HTTP is written and read here without a library, over TLS or in the clear, so that the recording has exactly the
//! bytes that the path sent. Every wait has a deadline. Nothing is judged here.

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
/// Length of the longest head that is read; common servers allow 8 to 64 KiB.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Number of bytes of a body after which reading stops: a judge needs the beginning of a stream, not all of it.
const MAX_BODY_BYTES: usize = 4 << 20;

/// The clock of a check, in milliseconds since it began, together with the header fields of every request. All
/// connections of a check have a copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
    /// Header fields from the command line. They are leaked, since the process makes only one check.
    shown: &'static HeaderMap,
}

impl Clock {
    pub(crate) fn start(shown: HeaderMap) -> Self {
        Self { began: Instant::now(), shown: Box::leak(Box::new(shown)) }
    }

    pub(crate) fn now_ms(self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns the time left until a deadline; zero if it has passed.
    pub(crate) fn left(self, deadline_ms: u64) -> Duration {
        Duration::from_millis(deadline_ms.saturating_sub(self.now_ms()))
    }
}

/// A byte stream in both directions, TCP or TLS.
trait Socket: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Socket for T {}

enum Source {
    Socket(Box<dyn Socket>),
    Nothing,
}

impl Source {
    /// Reads some bytes; none at the end. This function is cancel safe.
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

/// The outcome of waiting for the next read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Bytes arrived and are in the recording.
    Arrived,
    /// The deadline passed first.
    Deadline,
    /// The connection has ended.
    Ended,
}

/// One exchange that is under way. Dropping a connection closes it.
pub(crate) struct Connection {
    clock: Clock,
    source: Source,
    /// The bytes of a head that is not complete yet.
    held: Vec<u8>,
    kept_bytes: usize,
    pub(crate) recording: Recording,
}

impl Connection {
    /// Connects and sends the request, within [`ANSWER_MS`]. A failure becomes the end of the recording.
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
        // A failure costs only time.
        drop(stream.set_nodelay(true));
        let mut socket: Box<dyn Socket> =
            if request.is_secure() { Box::new(tls::wrap(host, stream).await?) } else { Box::new(stream) };
        self.recording.sent_ms = self.clock.now_ms();
        socket.write_all(&request.bytes()).await.map_err(|error| error.to_string())?;
        socket.flush().await.map_err(|error| error.to_string())?;
        self.source = Source::Socket(socket);
        Ok(())
    }

    /// Waits for the next read, until the deadline at most. This function is cancel safe.
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

    /// Records everything that arrives until the deadline, or until the connection ends.
    pub(crate) async fn watch(&mut self, deadline_ms: u64) {
        while self.step(deadline_ms).await == Step::Arrived {}
    }

    /// Writes a few bytes, and gives up after a second. A failure is ignored: reading shows whether the other side is
    /// still there.
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
                None => self.recording.end = End::Failed("the answer is not HTTP/1".to_owned()),
                // An interim answer: the final one follows (RFC 9110 15.2).
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

/// Sends one request and records its whole answer, or as much as arrives by the deadline.
pub(crate) async fn answer(clock: Clock, request: &Request, deadline_ms: u64) -> Recording {
    let mut connection = Connection::open(clock, request).await;
    // A head alone can be the whole answer, as with 204 and 304.
    while !connection.recording.body().is_complete && connection.step(deadline_ms).await == Step::Arrived {}
    connection.recording
}

/// Does some work, and records meanwhile what arrives on the connections, until the deadline at most. The work is
/// always finished.
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

/// Formats an error with its causes, since the first alone often says little.
fn chain(error: &dyn std::error::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
