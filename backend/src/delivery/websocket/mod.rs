//! WebSocket: one connection, commands in, events out (RFC 6455).
//!
//! The socket is one response body: polled by its connection, it reads what the client sent, then writes what is
//! pending. There is no task and no queue for each socket; a client that doesn't read is not read either.

mod commands;
mod incoming;
mod opening;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix_http::ws::{self, CloseCode};
use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, MessageBody},
    http::header,
    web,
};
use bytes::{Bytes, BytesMut};
use fourways_shared::{
    Code, Command, Problem, Ref, Reply, Technique, command::Refused, problem::RETRY_AFTER_MS, wire::cbor,
};

pub(crate) use self::incoming::{Incoming, Message};
use self::opening::{DEFLATE, Encoding, offers_deflate, refused};
use super::{Read, timer::Timer, too_many};
use crate::{
    access::{
        Gate, Grant,
        limits::{Client, Held, Place, Reading},
    },
    log::{
        encoding::{Encoded, Opcode, write_frame},
        engine::{Engine, EngineError, Tail},
        subscription::{Batch, Subscription},
    },
    net::backlog::Backlog,
    operate::{
        presence::{Here, Presence},
        roster::Seat,
    },
    problem::{self, Failure},
    worker::Worker,
};

/// Upgrades the connection.
///
/// # Errors
/// Only before the upgrade: 400 names the parameter or header, 426 if it was no upgrade.
pub async fn handle(
    request: HttpRequest,
    payload: web::Payload,
    grant: Grant,
    engine: web::Data<dyn Engine>,
    worker: web::Data<Worker>,
    gate: web::Data<Gate>,
    presence: web::Data<Presence>,
) -> Result<HttpResponse, Failure> {
    let mut response = ws::handshake(request.head()).map_err(refused)?;
    let limits = &worker.limits;
    let read = Read::parse(request.query_string(), limits)?;
    let (client, reading) = worker.admit(&request, &grant, &read.topics)?;
    let place = worker.usage.hold(client.clone(), Held::Stream)?;
    let encoding = Encoding::negotiate(&request, read.encoding.as_deref())?;
    let packs_from = limits.compress.filter(|_| offers_deflate(&request) && !read.is_watched);
    if packs_from.is_some() {
        response.insert_header((header::SEC_WEBSOCKET_EXTENSIONS, DEFLATE));
    }
    if let Some(protocol) = encoding.offered {
        response.insert_header((header::SEC_WEBSOCKET_PROTOCOL, protocol));
    }
    let heartbeat = limits.heartbeat;
    let mut socket = Socket {
        incoming: Incoming::new(payload, limits.max_body_bytes, packs_from.is_some()),
        engine: engine.into_inner(),
        gate: gate.into_inner(),
        backlog: Backlog::of(&request),
        expiry: grant.lasts().map(|lasts| Box::new(Timer::new(lasts))),
        client,
        _place: place,
        seat: worker.roster.enter(Technique::Websocket, &grant, &[]),
        grant: Box::new(grant),
        written: (0, 0),
        worker: worker.into_inner(),
        is_binary: encoding.is_binary,
        packs_from,
        subscriptions: Vec::new(),
        presence: presence.into_inner(),
        here: Vec::new(),
        reading: Vec::new(),
        outgoing: BytesMut::new(),
        publishing: None,
        is_alive: true,
        timer: Timer::new(heartbeat),
        reads_next: true,
        closing: None,
    };
    socket.open(&read, reading);
    Ok(response
        .message_body(socket)
        .map_err(|error| Failure::new(Code::Internal, error.to_string()))?
        .map_into_boxed_body()
        .into())
}

#[cfg(fuzzing)]
pub use self::incoming::fuzz;

/// How many events are framed in one go, and how many bytes may wait before the client's messages are left unread.
const BATCH_EVENTS: usize = 256;
const MAX_OUTGOING_BYTES: usize = 64 * 1024;
/// As HTTP's 401.
pub(crate) const TOKEN_EXPIRED: u16 = 4401;
/// How long a closed socket waits for the other side's close frame (RFC 6455 7.1.1).
const CLOSE_WAIT: Duration = Duration::from_secs(2);

struct Socket {
    incoming: Incoming,
    engine: Arc<dyn Engine>,
    worker: Arc<Worker>,
    gate: Arc<Gate>,
    /// What its holder may do now; a socket can be given another token.
    grant: Box<Grant>,
    /// When that ends.
    expiry: Option<Box<Timer>>,
    client: Client,
    backlog: Backlog,
    _place: Place,
    seat: Seat,
    /// Events of the write under way, and how late the newest of them is.
    written: (usize, u64),
    is_binary: bool,
    /// permessage-deflate was agreed on, and events of so many bytes are compressed.
    packs_from: Option<usize>,
    /// One for each `subscribe`; a topic is in at most one.
    subscriptions: Vec<Subscription>,
    presence: Arc<Presence>,
    /// Where its holder is known to be, one for each `subscribe`.
    here: Vec<Here>,
    /// The patterns that it reads, one for each `subscribe` with some.
    reading: Vec<Reading>,
    /// Replies that are not written yet.
    outgoing: BytesMut,
    publishing: Option<Publishing>,
    /// Something was heard since the last ping.
    is_alive: bool,
    /// The next ping; once closing, the end of waiting.
    timer: Timer,
    /// Whether the client's messages come before our events in the next poll: they take turns, so that neither side
    /// starves the other, and a poll that has an event to write does not read in vain.
    reads_next: bool,
    closing: Option<Closing>,
}

type Publishing = Pin<Box<dyn Future<Output = (Option<Ref>, Result<fourways_shared::Cursor, EngineError>)>>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    /// Our close frame is out; theirs is awaited.
    Sent,
    /// Both are out, or waiting is over.
    Done,
}

impl Socket {
    fn tail(&self) -> &Arc<Tail> {
        self.engine.tail()
    }

    fn open(&mut self, read: &Read, reading: Reading) {
        let cursor = self.tail().cursor(self.tail().head());
        let heartbeat_ms = u64::try_from(self.worker.limits.heartbeat.as_millis()).unwrap_or(u64::MAX);
        self.reply(&Reply::Welcome { cursor, heartbeat_ms });
        if !read.topics.is_empty() {
            let after = read.after.unwrap_or_default();
            self.subscribe(read.topics.clone(), (after, read.policy), reading, None);
        }
    }

    fn reply(&mut self, reply: &Reply) {
        if self.is_binary {
            write_frame(&mut self.outgoing, Opcode::Binary, &cbor::write_reply(reply));
        } else {
            write_frame(&mut self.outgoing, Opcode::Text, &serde_json::to_vec(reply).unwrap_or_default());
        }
    }

    fn refuse(&mut self, reference: Option<Ref>, problem: Problem) {
        self.reply(&Reply::Error(Refused { reference, problem }.into()));
    }

    /// Says goodbye; what the client still sends is read and dropped until it has answered.
    fn close(&mut self, code: CloseCode, reason: &str) {
        if self.closing.is_some() {
            return;
        }
        let mut payload = u16::from(code).to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        write_frame(&mut self.outgoing, Opcode::Close, &payload);
        self.finish(Closing::Sent);
    }

    fn finish(&mut self, closing: Closing) {
        self.closing = Some(closing);
        self.subscriptions.clear();
        self.here.clear();
        self.reading.clear();
        self.publishing = None;
        self.timer.set(CLOSE_WAIT);
    }

    fn receive(&mut self, message: Message) {
        self.is_alive = true;
        match message {
            Message::Text(text) if !self.is_binary => self.command(Command::from_json(&text)),
            Message::Binary(bytes) if self.is_binary => self.command(Command::from_cbor(&bytes)),
            Message::Text(_) => {
                self.close(CloseCode::Unsupported, "this socket speaks CBOR in binary messages");
            }
            Message::Binary(_) => {
                self.close(CloseCode::Unsupported, "this socket speaks JSON in text messages");
            }
            Message::Ping(payload) => write_frame(&mut self.outgoing, Opcode::Pong, &payload),
            Message::Pong => {}
            Message::Close(code) => {
                // Answers with the code it got (RFC 6455 5.5.1).
                let payload = code.map(u16::to_be_bytes);
                write_frame(&mut self.outgoing, Opcode::Close, payload.as_ref().map_or(&[], |code| code));
                self.finish(Closing::Done);
            }
            Message::Gone => self.finish(Closing::Done),
            Message::Violation(code, reason) => self.close(code, reason),
        }
    }

    /// Pings, and gives up on a client from which nothing came for a whole interval after the last ping.
    fn beat(&mut self, cx: &mut Context<'_>) {
        if self.closing.is_none() && (self.worker.drain.is_on() || self.seat.is_cut()) {
            let wait = self.worker.drain.retry().as_millis();
            // RFC 6455 7.4.1 with the IANA registry: 1012 is a restart.
            self.close(CloseCode::Restart, &format!("{RETRY_AFTER_MS}{wait}"));
        }
        if self.closing.is_none() && self.subscriptions.iter().any(Subscription::is_too_slow) {
            self.close(CloseCode::Again, "too many events were pending; the cursor still holds");
        }
        if self.closing.is_none() && self.has_expired(cx) {
            self.close(CloseCode::Other(TOKEN_EXPIRED), "the token has expired");
        }
        if !self.timer.poll(cx) {
            return;
        }
        if self.closing.is_some() || !std::mem::take(&mut self.is_alive) {
            return self.finish(Closing::Done);
        }
        write_frame(&mut self.outgoing, Opcode::Ping, &[]);
        self.timer.restart();
        // Asks for the next one at once: it may be long until the next poll.
        let _is_due = self.timer.poll(cx);
    }

    fn has_expired(&mut self, cx: &mut Context<'_>) -> bool {
        self.expiry.as_mut().is_some_and(|expiry| expiry.poll(cx))
    }

    /// Commands are carried out one after the other: while one is under way, or replies pile up, none is read.
    fn read(&mut self, cx: &mut Context<'_>) {
        loop {
            if let Some(publishing) = &mut self.publishing {
                let Poll::Ready((reference, appended)) = publishing.as_mut().poll(cx) else { return };
                self.publishing = None;
                match appended {
                    Ok(cursor) => self.reply(&Reply::Published { cursor, reference }),
                    Err(error) => self.refuse(reference, problem::of_engine(&error, "id")),
                }
            }
            if self.outgoing.len() >= MAX_OUTGOING_BYTES || self.closing == Some(Closing::Done) {
                return;
            }
            let Poll::Ready(message) = self.incoming.poll_message(cx) else { return };
            match (&self.closing, message) {
                (None, message) => self.receive(message),
                (Some(_), Message::Close(_) | Message::Gone) => return self.finish(Closing::Done),
                // Nothing after our close frame is answered (RFC 6455 5.5.1).
                (Some(_), _) => {}
            }
        }
    }

    /// What is pending of all subscriptions; the one pending event of the common case as it is, without a copy.
    fn write(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        for at in 0..self.subscriptions.len() {
            let Poll::Ready(batch) = self.subscriptions[at].poll_next(cx, BATCH_EVENTS) else { continue };
            self.written = (self.written.0 + batch.events.len(), self.subscriptions[at].lag_us());
            let is_alone = self.subscriptions.len() == 1 && self.outgoing.is_empty() && batch.reset.is_none();
            if let (true, [event]) = (is_alone, &*batch.events) {
                return Some(self.frame_of(event).clone());
            }
            self.frame(batch);
        }
        (!self.outgoing.is_empty()).then(|| self.outgoing.split().freeze())
    }

    fn gave(&mut self, bytes: &Bytes) {
        self.backlog.gave(bytes.len());
        self.worker.meter(Technique::Websocket).sent(bytes.len());
        let (events, lag_us) = std::mem::take(&mut self.written);
        self.seat.gave(events, bytes.len(), lag_us);
    }

    fn frame(&mut self, batch: Batch) {
        if let Some(reset) = batch.reset {
            self.reply(&Reply::Reset(*reset));
        }
        for event in &batch.events {
            self.outgoing.extend_from_slice(self.frame_of(event));
        }
    }

    fn frame_of<'e>(&self, event: &'e Encoded) -> &'e Bytes {
        match (self.is_binary, self.packs_from) {
            (true, _) => event.websocket_binary(),
            (false, None) => event.websocket_text(),
            (false, Some(from)) => event.packed_websocket_text(from),
        }
    }
}

impl MessageBody for Socket {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        if self.closing.is_none() && self.backlog.is_full(cx) {
            // A client that does not read is not read either. Nothing can be said to it: it is cut where it must end.
            let must_end = self.worker.drain.is_on() || self.seat.is_cut() || self.has_expired(cx);
            return if must_end { Poll::Ready(None) } else { Poll::Pending };
        }
        if !std::mem::replace(&mut self.reads_next, true)
            && let Some(bytes) = self.write(cx)
        {
            self.gave(&bytes);
            return Poll::Ready(Some(Ok(bytes)));
        }
        self.beat(cx);
        self.read(cx);
        match self.write(cx) {
            Some(bytes) => {
                self.gave(&bytes);
                Poll::Ready(Some(Ok(bytes)))
            }
            None if self.closing == Some(Closing::Done) => Poll::Ready(None),
            None => {
                self.reads_next = false;
                Poll::Pending
            }
        }
    }
}
