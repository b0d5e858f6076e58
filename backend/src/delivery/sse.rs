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
    http::{Method, Version, header},
    web,
};
use bytes::{Bytes, BytesMut};
use fourways_log::{
    encoding::{Encoded, SseForm, chunk, packed},
    engine::{LagRule, Standing},
    subscription::{Batch, Subscription},
};
use fourways_shared::{
    After, Code, Cursor, Epoch, Offset, Problem, Technique,
    time::millis,
    wire::sse::{COMMENT, Heartbeat, write_problem, write_reset},
};

use super::{
    ReadRequest,
    asked::asked,
    held::{Ending, HeldConnection, Sent},
    timer::Timer,
};
use crate::{
    access::{
        Grant,
        limits::{Held, PatternClaim},
    },
    net::fields::accepts,
    operate::presence::{Here, Presence},
    problem::Failure,
    worker::Worker,
};

/// Opens an event stream. `Last-Event-ID` takes precedence over `after`, because a browser reconnects with the URL that
/// it was first given.
///
/// # Errors
/// Only before the stream begins, as for a poll: 400 names the parameter, 406 is for an `Accept` that allows no event
/// stream.
pub async fn handle(
    request: HttpRequest,
    payload: web::Payload,
    grant: Grant,
    presence: web::Data<Presence>,
    worker: web::Data<Worker>,
) -> Result<HttpResponse, Failure> {
    accepts_event_stream(&request)?;
    let worker = worker.into_inner();
    let limits = &worker.limits;
    let read = ReadRequest::parse(&asked(&request, payload, &worker).await?, limits)?.required()?;
    let after = last_event_id(&request, worker.tail().epoch()).or(read.after).unwrap_or_default();
    if worker.drain.is_on() {
        return Ok(come_back(&worker));
    }
    if *request.method() == Method::HEAD {
        worker.admit(&request, &grant, &read.topics)?;
        let mut head = HttpResponse::Ok();
        head.insert_header((header::CONTENT_TYPE, "text/event-stream"))
            .insert_header((header::CACHE_CONTROL, "no-cache, no-transform"));
        return Ok(head.finish());
    }
    let (client, reading) = worker.admit(&request, &grant, &read.topics)?;
    let permit = worker.usage.hold(client, Held::Stream)?;
    let subscription =
        Subscription::new(&worker.tail(), &read.topics, after, read.policy, Technique::Sse, worker.shard);
    let lag = LagRule::of(&worker.lag, &read.topics);
    let subscription = subscription.with_lag_rule(lag);
    let packs_from = limits.compress.filter(|_| accepts_gzip(&request) && !read.is_watched);
    let form = SseForm { is_raw: read.is_raw, packs_from };
    let framing = Framing { is_chunked: request.version() == Version::HTTP_11, form };
    let told = subscription.cursor();
    let opening = heartbeat(&worker, Some(told), Some(limits.sse_retry));
    let held =
        HeldConnection::new(&request, Technique::Sse, &grant, &read.topics, Arc::clone(&worker), permit);
    let stream = EventStream {
        opening: Some(framing.open(&opening)),
        held,
        subscription,
        framing,
        heartbeat: Timer::new(limits.heartbeat),
        hears_heartbeats: read.hears_heartbeats,
        told,
        has_ended: false,
        _here: presence.into_inner().enter(&grant, &read.topics),
        _reading: reading,
    };
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        // A cache would replay the stream as a recording; a proxy that compressed it would delay its events.
        .insert_header((header::CACHE_CONTROL, "no-cache, no-transform"))
        // Without this header nginx buffers the answer.
        .insert_header(("X-Accel-Buffering", "no"));
    if let Some(lag) = lag {
        response.insert_header(("Fourways-Lag", format!("{}; events={}", lag.action.name(), lag.events)));
    }
    if limits.compress.is_some() {
        response.insert_header((header::VARY, "Accept-Encoding"));
    }
    if packs_from.is_some() {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    if framing.is_chunked {
        // The encoded events are chunks already, the same bytes for all subscribers: actix must not add its own.
        response.insert_header((header::TRANSFER_ENCODING, "chunked"));
    }
    let mut response = response.body(stream);
    response.head_mut().no_chunking(true);
    Ok(response)
}

/// Builds a stream that says when to reconnect, and ends: the answer of a stopping server to a request on an open
/// connection. Any status but 200 would end an `EventSource` for good (HTML Standard 9.2.3).
fn come_back(worker: &Worker) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .force_close();
    response.body(heartbeat(worker, None, Some(worker.drain.retry())))
}

/// Returns a heartbeat of this server as a block.
fn heartbeat(worker: &Worker, cursor: Option<Cursor>, retry: Option<Duration>) -> Vec<u8> {
    let behind_s = match worker.engine.standing() {
        Standing::Ready => None,
        Standing::Behind { since, .. } => Some(since.as_secs()),
    };
    let (every_ms, retry_ms) = (millis(worker.limits.heartbeat), retry.map(millis));
    Heartbeat { cursor, every_ms, retry_ms, node: worker.nodes.name(), behind_s }.block()
}

/// Most events of one write: a long backlog is read in pieces, as the client takes it.
const BATCH_EVENTS: usize = 256;

/// The framing of a stream's blocks: chunks, compression and the form of events.
#[derive(Clone, Copy)]
struct Framing {
    /// True on HTTP/1.1 (RFC 9112 7.1). An HTTP/1.0 body ends with its connection, and HTTP/2 has its own frames.
    is_chunked: bool,
    form: SseForm,
}

impl Framing {
    fn open(self, block: &[u8]) -> Bytes {
        if self.form.packs_from.is_none() {
            return self.wrap(block);
        }
        self.chunk([&packed::GZIP_HEAD, &packed::stored(block)[..]].concat())
    }

    fn wrap(self, block: &[u8]) -> Bytes {
        if self.form.packs_from.is_none() {
            self.chunk(block.to_vec())
        } else {
            self.chunk(packed::stored(block).into())
        }
    }

    fn chunk(self, bytes: Vec<u8>) -> Bytes {
        if self.is_chunked { chunk(&bytes) } else { bytes.into() }
    }

    fn event(self, event: &Encoded) -> &Bytes {
        let bytes = event.sse(self.form);
        if self.is_chunked { &bytes.chunk } else { &bytes.block }
    }
}

/// The body of one SSE response.
///
/// Owned by its connection, which polls it on its worker's thread when the socket can take more, and drops it at the
/// end: that ends the subscription and gives back the permits, the seat and the presence.
struct EventStream {
    /// The first block, until it is written.
    opening: Option<Bytes>,
    subscription: Subscription,
    held: HeldConnection,
    framing: Framing,
    heartbeat: Timer,
    /// True if every heartbeat is an event; otherwise one without a newer cursor is a comment.
    hears_heartbeats: bool,
    /// The last cursor that was written to the client.
    told: Cursor,
    /// True once the last bytes were returned.
    has_ended: bool,
    _here: Option<Here>,
    _reading: PatternClaim,
}

impl EventStream {
    /// Frames the last block of the stream: the reason why it ends, or when to reconnect.
    fn ending(&mut self, block: &[u8]) -> Bytes {
        self.has_ended = true;
        let mut out = BytesMut::from(&self.framing.wrap(block)[..]);
        if self.framing.is_chunked {
            // RFC 9112 7.1: an empty chunk ends the body.
            out.extend_from_slice(b"0\r\n\r\n");
        }
        out.freeze()
    }

    /// Returns the last bytes of the stream if it must end now.
    fn end(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        let ending = self.held.ending(cx, self.subscription.is_too_slow())?;
        let code = match ending {
            Ending::Restart(retry) => {
                let block = heartbeat(&self.held.worker, Some(self.subscription.cursor()), Some(retry));
                return Some(self.ending(&block));
            }
            Ending::Expired => Code::TokenExpired,
            Ending::TooSlow => Code::TooSlow,
        };
        let problem = Problem::new(code, ending.detail());
        let mut block = Vec::new();
        write_problem(&mut block, &serde_json::to_string(&problem).unwrap_or_default());
        Some(self.ending(&block))
    }

    /// Returns a heartbeat: an event if it has a newer cursor or the client wants every heartbeat, else a comment.
    fn beat(&mut self) -> Bytes {
        let cursor = self.subscription.cursor();
        if cursor == self.told && !self.hears_heartbeats {
            return self.framing.wrap(COMMENT);
        }
        self.told = cursor;
        self.framing.wrap(&heartbeat(&self.held.worker, Some(cursor), None))
    }

    /// Frames a batch for one write. A single event is passed on without a copy.
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
        // The cases of a poll, in order of precedence; the first that applies decides.
        // 1. The opening is not written yet: write it.
        // 2. The ending is written: the body is over.
        // 3. The stream must end, even if its client takes nothing: write the ending. The causes, again in order, are a
        //    drain or the operator (reconnect later), an expired token, and a lag that the topics' rule does not allow.
        // 4. The socket has not taken what was written: wait for it, and write nothing else, not even a heartbeat. The
        //    events stay in the log.
        // 5. The log has a reset or events for the subscription: write them.
        // 6. The heartbeat is due, with no event to write: write it.
        // 7. Otherwise wait for the log, the heartbeat or the expiry, each of which holds this task's waker by now.
        if let Some(opening) = self.opening.take() {
            return Poll::Ready(Some(Ok(opening)));
        }
        if self.has_ended {
            return Poll::Ready(None);
        }
        if let Some(ending) = self.end(cx) {
            return Poll::Ready(Some(Ok(ending)));
        }
        if self.held.is_full(cx) {
            return Poll::Pending;
        }
        let mut events = 0;
        let bytes = if let Poll::Ready(batch) = self.subscription.poll_next(cx, BATCH_EVENTS) {
            events = batch.events.len();
            if let Some(last) = batch.events.last() {
                self.told = last.event().cursor;
            }
            self.frame(&batch)
        } else if self.heartbeat.poll(cx) {
            self.heartbeat.restart();
            // Registers the waker for the next interval at once: nothing else may cause a poll until then.
            let _is_due = self.heartbeat.poll(cx);
            self.beat()
        } else {
            return Poll::Pending;
        };
        let lag_us = self.subscription.lag_us();
        self.held.sent(bytes.len(), Sent { events, lag_us });
        Poll::Ready(Some(Ok(bytes)))
    }
}

/// Returns the cursor of a reconnecting browser. An id that this server did not give out (empty, malformed, another
/// server's) counts as a cursor of another epoch, which gets a reset: a 400 would end its `EventSource` for good.
fn last_event_id(request: &HttpRequest, ours: Epoch) -> Option<After> {
    let value = request.headers().get("Last-Event-ID")?;
    let known = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    Some(After::Cursor(known.unwrap_or(Cursor { epoch: ours.another(), offset: Offset(0) })))
}

/// Returns true if the client accepts gzip (RFC 9110 12.5.3).
fn accepts_gzip(request: &HttpRequest) -> bool {
    accepts(request, header::ACCEPT_ENCODING, &["gzip"]).unwrap_or(false)
}

fn accepts_event_stream(request: &HttpRequest) -> Result<(), Failure> {
    let names = ["text/event-stream", "text/*", "*/*"];
    let accepts = accepts(request, header::ACCEPT, &names).unwrap_or(true);
    if accepts {
        return Ok(());
    }
    Err(Failure::new(
        Code::NotAcceptable,
        "this address answers with text/event-stream; poll /v1/events for JSON",
    )
    .field("Accept"))
}
