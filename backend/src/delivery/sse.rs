//! Server-Sent Events: one response that never ends (HTML Standard 9.2).

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, MessageBody},
    http::{Version, header},
    web,
};
use bytes::{Bytes, BytesMut};
use fourways_shared::{
    After, Code, Problem, Technique,
    wire::sse::{position, write_problem, write_reset},
};

use super::{Read, Room, timer::Timer};
use crate::{
    access::{
        Grant,
        limits::{Held, Place},
    },
    backlog::Backlog,
    drain::Drain,
    encoding::{Encoded, chunk},
    engine::LagRule,
    presence::{Here, Presence},
    problem::Failure,
    subscription::{Batch, Subscription},
};

/// Opens the stream. `Last-Event-ID` wins over `after`: the browser knows better than the address it was given once.
///
/// # Errors
/// Only before the stream: 400 names the parameter or header, 406 if `Accept` names no event stream.
pub async fn handle(
    request: HttpRequest,
    grant: Grant,
    presence: web::Data<Presence>,
    room: web::Data<Room>,
) -> Result<HttpResponse, Failure> {
    accepts_event_stream(&request)?;
    let limits = &room.limits;
    let read = Read::parse(request.query_string(), limits)?.required()?;
    let after = last_event_id(&request)?.or(read.after).unwrap_or_default();
    let client = room.admit(&request, &grant, &read.topics)?;
    let place = room.usage.hold(client, Held::Stream)?;
    let subscription =
        Subscription::new(&room.tail, &read.topics, after, read.policy, Technique::Sse, room.shard);
    let lag = LagRule::of(&room.lag, &read.topics);
    let subscription = subscription.hold_to(lag);
    let framing = if request.version() == Version::HTTP_11 { Framing::Chunked } else { Framing::Plain };
    let stream = EventStream {
        opening: Some(framing.wrap(&position(subscription.cursor(), Some(millis(limits.sse_retry))))),
        subscription,
        framing,
        heartbeat: Timer::new(limits.heartbeat),
        backlog: Backlog::of(&request),
        expiry: grant.lasts().map(|lasts| Box::new(Timer::new(lasts))),
        drain: Arc::clone(&room.drain),
        has_ended: false,
        _here: presence.into_inner().enter(&grant, &read.topics),
        _place: place,
    };
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        // A cache that kept the stream would replay it like a recording; a proxy that compressed it would hold it back.
        .insert_header((header::CACHE_CONTROL, "no-cache, no-transform"))
        // nginx buffers answers unless told otherwise.
        .insert_header(("X-Accel-Buffering", "no"));
    if let Some(lag) = lag {
        response.insert_header(("Fourways-Lag", format!("{}; events={}", lag.action.name(), lag.events)));
    }
    if framing == Framing::Chunked {
        // The chunks come from the encoded events, the same bytes for all: actix must not wrap them again.
        response.insert_header((header::TRANSFER_ENCODING, "chunked"));
    }
    let mut response = response.body(stream);
    response.head_mut().no_chunking(true);
    Ok(response)
}

/// A long backlog is read in pieces, as the client takes it.
const BATCH_EVENTS: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// HTTP/1.1 (RFC 9112 7.1).
    Chunked,
    /// HTTP/1.0 ends with the connection, HTTP/2 has frames of its own.
    Plain,
}

impl Framing {
    fn wrap(self, block: &[u8]) -> Bytes {
        match self {
            Self::Chunked => chunk(block),
            Self::Plain => Bytes::copy_from_slice(block),
        }
    }

    fn event(self, event: &Encoded) -> &Bytes {
        match self {
            Self::Chunked => event.sse_chunk(),
            Self::Plain => event.sse_block(),
        }
    }
}

struct EventStream {
    opening: Option<Bytes>,
    subscription: Subscription,
    framing: Framing,
    heartbeat: Timer,
    backlog: Backlog,
    /// When its token ends.
    expiry: Option<Box<Timer>>,
    drain: Arc<Drain>,
    has_ended: bool,
    _here: Option<Here>,
    _place: Place,
}

impl EventStream {
    /// The last bytes of the stream: why it ends, or when to come back.
    fn ending(&mut self, block: &[u8]) -> Bytes {
        self.has_ended = true;
        let mut out = BytesMut::from(&self.framing.wrap(block)[..]);
        if self.framing == Framing::Chunked {
            // RFC 9112 7.1: the chunk that says that there are no more.
            out.extend_from_slice(b"0\r\n\r\n");
        }
        out.freeze()
    }

    /// What ends it, if something does.
    fn end(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        if self.drain.is_on() {
            let retry = millis(self.drain.retry());
            return Some(self.ending(&position(self.subscription.cursor(), Some(retry))));
        }
        if self.expiry.as_mut().is_some_and(|expiry| expiry.poll(cx)) {
            let problem = Problem::new(Code::TokenExpired, "the token of this stream has expired");
            let mut block = Vec::new();
            write_problem(&mut block, &serde_json::to_string(&problem).unwrap_or_default());
            return Some(self.ending(&block));
        }
        if self.subscription.is_too_slow() {
            let problem = Problem::new(Code::TooSlow, "too many events were pending; the cursor still holds");
            let mut block = Vec::new();
            write_problem(&mut block, &serde_json::to_string(&problem).unwrap_or_default());
            return Some(self.ending(&block));
        }
        None
    }

    /// A block that names the place tells a client that has seen nothing for long where it stands.
    fn position(&self) -> Bytes {
        self.framing.wrap(&position(self.subscription.cursor(), None))
    }

    /// One event is passed on as it is; what is pending together is written together.
    fn frame(&self, batch: &Batch) -> Bytes {
        if let (None, [event]) = (&batch.reset, &*batch.events) {
            return self.framing.event(event).clone();
        }
        let mut out = BytesMut::new();
        if let Some(reset) = &batch.reset {
            let mut block = Vec::new();
            write_reset(&mut block, reset.cursor, &serde_json::to_string(reset).unwrap_or_default());
            out.extend_from_slice(&self.framing.wrap(&block));
        }
        for event in &batch.events {
            out.extend_from_slice(self.framing.event(event));
        }
        out.freeze()
    }
}

impl MessageBody for EventStream {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        if let Some(opening) = self.opening.take() {
            return Poll::Ready(Some(Ok(opening)));
        }
        if self.has_ended {
            return Poll::Ready(None);
        }
        if let Some(ending) = self.end(cx) {
            return Poll::Ready(Some(Ok(ending)));
        }
        if self.backlog.is_full(cx) {
            return Poll::Pending;
        }
        let bytes = if let Poll::Ready(batch) = self.subscription.poll_next(cx, BATCH_EVENTS) {
            self.frame(&batch)
        } else if self.heartbeat.poll(cx) {
            self.heartbeat.restart();
            // Asks for the next one at once: it may be long until the next poll.
            let _is_due = self.heartbeat.poll(cx);
            self.position()
        } else {
            return Poll::Pending;
        };
        self.backlog.gave(bytes.len());
        Poll::Ready(Some(Ok(bytes)))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn last_event_id(request: &HttpRequest) -> Result<Option<After>, Failure> {
    let Some(value) = request.headers().get("Last-Event-ID") else { return Ok(None) };
    let bad = |detail: String| Failure::new(Code::BadCursor, detail).field("Last-Event-ID");
    let text = value.to_str().map_err(|_| bad("Last-Event-ID is not ASCII".to_owned()))?;
    text.parse()
        .map(|cursor| Some(After::Cursor(cursor)))
        .map_err(|error: fourways_shared::cursor::CursorError| bad(error.to_string()))
}

fn accepts_event_stream(request: &HttpRequest) -> Result<(), Failure> {
    let mut ranges =
        request.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok()).peekable();
    let accepts = ranges.peek().is_none()
        || ranges.flat_map(|value| value.split(',')).any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim();
            ["text/event-stream", "text/*", "*/*"].iter().any(|known| range.eq_ignore_ascii_case(known))
        });
    if accepts {
        return Ok(());
    }
    Err(Failure::new(
        Code::NotAcceptable,
        "this address answers with text/event-stream; poll /v1/events for JSON",
    )
    .field("Accept"))
}
