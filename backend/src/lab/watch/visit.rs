//! A connection while it carries a visitor's requests: it counts their bytes, and holds back those that a fault delays.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use bytes::Bytes;
use fourways_shared::{
    Code, Problem, Technique,
    lab::{Fault, FaultKind, Tag},
};
use tokio::{
    io::ReadBuf,
    time::{Sleep, sleep_until},
};

use super::{dissect::Exchange, meter::Meter, pipe::Pipe};
use crate::{
    lab::visitors::{Running, Visitor, Visitors},
    net::tap::Socket,
};

/// The decision about bytes that were read.
pub(super) enum ReadAction {
    PassOn,
    /// The bytes are held back; the server gets them when they are due.
    Later,
    /// The request is answered here, in place of the server.
    Refused,
    Cut,
}

/// The state of a connection with a visitor's requests. Owned by the connection's watch, and dropped when a request
/// that is not the visitor's follows, or with the connection.
pub(super) struct Visit {
    visitor: Arc<Visitor>,
    connection: u32,
    technique: Technique,
    exchange: Exchange,
    meter: Meter,
    /// Fault of the technique when the visitor's faults had the number `generation`.
    fault: Option<Running>,
    generation: u64,
    /// Number of cuts of the technique when the request began.
    cuts: u64,
    is_cut: bool,
    up: Pipe,
    down: Pipe,
    /// Parser of the bytes that a buffering fault holds back; it finds out when the answer is whole.
    ahead: Option<Exchange>,
    sleep: Option<Pin<Box<Sleep>>>,
    waker: Option<Waker>,
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.visitor.gone(self.connection);
    }
}

impl Visit {
    /// Decides about bytes that were read from the client. The address of a request begins or ends a visit.
    pub(super) fn hear(visit: &mut Option<Box<Self>>, visitors: &Visitors, read: &[u8]) -> ReadAction {
        if let Some(visit) = visit
            && !visit.exchange.is_over()
        {
            return visit.take(read);
        }
        // The visitor's last answer is over. A request that is not a visitor's ends the visit and is not counted.
        let Some((visitor, technique, n)) = visit_of(visitors, read) else {
            *visit = None;
            return ReadAction::PassOn;
        };
        let is_same = visit.as_ref().is_some_and(|visit| Arc::ptr_eq(&visit.visitor, &visitor));
        if !is_same {
            *visit = Some(Box::new(Self::new(visitor, visitors.number(), technique)));
        }
        let Some(visit) = visit else { return ReadAction::PassOn };
        visit.begin(technique, n, !is_same);
        match visit.fault.map(|running| running.fault.kind) {
            Some(FaultKind::Restart) => {
                visit.meter.cut();
                ReadAction::Cut
            }
            Some(FaultKind::Refuse) => {
                visit.exchange.up(read, &mut visit.meter.up());
                ReadAction::Refused
            }
            _ => visit.take(read),
        }
    }

    fn new(visitor: Arc<Visitor>, connection: u32, technique: Technique) -> Self {
        Self {
            meter: Meter::new(Arc::clone(&visitor), connection),
            cuts: visitor.cuts(technique),
            generation: u64::MAX,
            visitor,
            connection,
            technique,
            exchange: Exchange::new(),
            fault: None,
            is_cut: false,
            up: Pipe::default(),
            down: Pipe::default(),
            ahead: None,
            sleep: None,
            waker: None,
        }
    }

    fn begin(&mut self, technique: Technique, n: u32, is_new_connection: bool) {
        self.technique = technique;
        self.exchange = Exchange::new();
        self.cuts = self.visitor.cuts(technique);
        self.meter.begin(technique, n, is_new_connection);
        self.look();
    }

    /// Reads the visitor's fault again, and releases all held bytes if it has changed.
    fn look(&mut self) {
        self.generation = self.visitor.generation();
        let before = self.fault.map(|running| running.fault);
        self.fault = self.visitor.fault(self.technique);
        if !self.is_cut && self.visitor.cuts(self.technique) > self.cuts {
            self.is_cut = true;
            self.meter.cut();
        }
        if before != self.fault.map(|running| running.fault) {
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        let now = Instant::now();
        self.ahead = None;
        self.up.let_go(now);
        self.down.let_go(now);
    }

    /// Reads the fault again if it has changed or ended, and registers the waker for further changes.
    pub(super) fn register_waker(&mut self, cx: &Context<'_>) {
        if self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            self.visitor.register_waker(self.connection, cx.waker());
        }
        let is_over = self.fault.is_some_and(|running| Instant::now() >= running.until);
        if is_over || self.generation != self.visitor.generation() {
            self.look();
        }
    }

    /// True if a fault cuts the connection.
    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn kind(&self) -> Option<FaultKind> {
        let kind = self.fault.map(|running| running.fault.kind);
        // A proxy that buffers answers does not buffer an upgraded connection.
        kind.filter(|kind| *kind != FaultKind::Buffer || self.technique != Technique::Websocket)
    }

    fn shape(&self) -> Option<(Fault, Instant)> {
        self.kind().and(self.fault).map(|running| (running.fault, running.until))
    }

    /// True if nothing more is read from the client for now, so that its bytes wait in the network.
    pub(super) fn is_upload_full(&self) -> bool {
        self.up.is_full()
    }

    fn take(&mut self, read: &[u8]) -> ReadAction {
        self.exchange.up(read, &mut self.meter.up());
        let slows = matches!(self.kind(), Some(FaultKind::Stall | FaultKind::Delay | FaultKind::Bandwidth));
        if (!slows && self.up.is_empty()) || read.is_empty() {
            return ReadAction::PassOn;
        }
        self.up.push(Bytes::copy_from_slice(read), Instant::now(), self.shape(), random_unit());
        ReadAction::Later
    }

    /// Gives the server the bytes that are due. True if there were any.
    pub(super) fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let now = Instant::now();
        let Some(bytes) = self.up.due(now) else { return false };
        let count = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..count]);
        self.up.advance(count);
        count > 0
    }

    /// True if bytes go straight to the client when they are written.
    pub(super) fn is_straight(&self) -> bool {
        let holds = matches!(
            self.kind(),
            Some(FaultKind::Stall | FaultKind::Delay | FaultKind::Bandwidth | FaultKind::Buffer)
        );
        !holds && self.down.is_empty()
    }

    pub(super) const fn is_full(&self) -> bool {
        self.down.is_full()
    }

    /// Counts bytes that were written to the client.
    pub(super) fn wrote(&mut self, bytes: &[u8]) {
        self.exchange.down(bytes, &mut self.meter.down());
        if self.exchange.is_over() {
            self.meter.is_over();
        }
    }

    /// Holds back bytes from the server to the client.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        self.down.push(Bytes::copy_from_slice(bytes), now, self.shape(), random_unit());
        if let (Some(FaultKind::Buffer), Some(running)) = (self.kind(), self.fault) {
            let ahead = self.ahead.get_or_insert_with(|| self.exchange.clone());
            ahead.down(bytes, &mut ());
            if ahead.is_over() || self.down.len() >= running.fault.buffer_bytes as usize {
                self.let_go();
            }
        }
    }

    /// Answers the request with `503`, in place of the server.
    pub(super) fn refuse(&mut self) {
        let problem = Problem::new(Code::Unavailable, "the lab's fault refuses this page's requests");
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-type: application/problem+json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.down.push(Bytes::from(answer), Instant::now(), None, 0.0);
    }

    /// Writes the bytes that are due. Ready when none are held any more.
    pub(super) fn drain(&mut self, cx: &mut Context<'_>, io: &mut dyn Socket) -> Poll<io::Result<()>> {
        while let Some(bytes) = self.down.due(Instant::now()).cloned() {
            let count = ready!(Pin::new(&mut *io).poll_write(cx, &bytes))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.down.advance(count);
            self.wrote(&bytes[..count]);
        }
        if self.down.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.wait(cx);
        Poll::Pending
    }

    /// Sets a timer that wakes the connection's task when bytes are due or the fault ends.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>) {
        let until = self.fault.map(|running| running.until);
        let Some(next) = [self.up.next(), self.down.next(), until].into_iter().flatten().min() else {
            self.sleep = None;
            return;
        };
        let deadline = next.max(Instant::now()).into();
        let sleep = match &mut self.sleep {
            Some(sleep) => {
                sleep.as_mut().reset(deadline);
                sleep
            }
            None => self.sleep.insert(Box::pin(sleep_until(deadline))),
        };
        if sleep.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

/// Returns the visitor of a request, its technique and its number; `None` without a lab id. Browsers send the first
/// line of a request in one piece; a request whose first line arrives in two is served but not counted.
fn visit_of(visitors: &Visitors, read: &[u8]) -> Option<(Arc<Visitor>, Technique, u32)> {
    if !read.starts_with(b"GET /v1/") {
        return None;
    }
    let line = &read[..read.iter().position(|byte| *byte == b'\r')?];
    visitor_of(visitors, std::str::from_utf8(line).ok()?.split(' ').nth(1)?)
}

/// Returns the visitor, the technique and the number of a request by its target alone; see [`Tag`].
pub(super) fn visitor_of(visitors: &Visitors, target: &str) -> Option<(Arc<Visitor>, Technique, u32)> {
    let (path, query) = target.split_once('?')?;
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let tag: Tag = value("lab")?.parse().ok()?;
    let technique = match path {
        "/v1/events" if value("wait").is_some() => Technique::LongPoll,
        "/v1/events" => Technique::ShortPoll,
        "/v1/stream" => Technique::Sse,
        "/v1/ws" => Technique::Websocket,
        _ => return None,
    };
    Some((visitors.find(tag.id)?, technique, tag.n))
}

fn random_unit() -> f64 {
    // Without randomness there is no jitter, which does no harm.
    getrandom::u32().map_or(0.0, |bits| f64::from(bits) / f64::from(u32::MAX))
}
