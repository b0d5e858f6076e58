//! WebSocket: one connection that takes commands and delivers events (RFC 6455).
//!
//! The socket is a response body: when its connection polls it, it reads the client's messages, then writes pending
//! replies and events. There is no task and no queue per socket; if a client does not read, the server does not read
//! its messages either.

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
use fourways_log::{
    encoding::{Encoded, Opcode, write_frame},
    engine::{Engine, EngineError, Tail},
    subscription::{Batch, Subscription},
};
use fourways_shared::{
    Code, Command, Problem, Ref, Reply, Technique, command::RefusedCommand, problem::RETRY_AFTER_MS,
    time::millis, wire::cbor,
};

pub(crate) use self::incoming::{Incoming, Message};
use self::opening::{DEFLATE, Encoding, offers_deflate, refused};
use super::{
    ReadRequest,
    held::{Ending, HeldConnection, Sent},
    timer::Timer,
    too_many,
};
use crate::{
    access::{
        Gate, Grant,
        limits::{Client, Held, PatternClaim},
    },
    operate::presence::{Here, Presence},
    problem::{self, Failure},
    worker::Worker,
};

/// Upgrades the connection to a WebSocket.
///
/// # Errors
/// Only before the upgrade: 400 names the parameter or header, 403 is for a topic that is not granted, 426 for a
/// request that is no upgrade, 429 for a limit that is reached, and 503 for a server that is stopping.
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
    let read = ReadRequest::parse(request.query_string(), limits)?;
    let (client, reading) = worker.admit(&request, &grant, &read.topics)?;
    let permit = worker.usage.hold(client.clone(), Held::Stream)?;
    let encoding = Encoding::negotiate(&request, read.encoding.as_deref())?;
    let packs_from = limits.compress.filter(|_| offers_deflate(&request) && !read.is_watched);
    if packs_from.is_some() {
        response.insert_header((header::SEC_WEBSOCKET_EXTENSIONS, DEFLATE));
    }
    if let Some(protocol) = encoding.offered {
        response.insert_header((header::SEC_WEBSOCKET_PROTOCOL, protocol));
    }
    let heartbeat = limits.heartbeat;
    let mut socket = Session {
        incoming: Incoming::new(payload, limits.max_body_bytes, packs_from.is_some()),
        engine: engine.into_inner(),
        gate: gate.into_inner(),
        held: HeldConnection::new(&request, Technique::Websocket, &grant, &[], worker.into_inner(), permit),
        client,
        grant: Box::new(grant),
        written: Sent::default(),
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

/// Most events of each subscription in one write.
const BATCH_EVENTS: usize = 256;
/// Bytes of unwritten replies from which the client's messages are left unread.
const MAX_OUTGOING_BYTES: usize = 64 * 1024;
/// The close code for an expired token: 4000 plus HTTP's 401.
pub(crate) const TOKEN_EXPIRED: u16 = 4401;
/// Longest wait for the client's close frame after our own (RFC 6455 7.1.1).
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// A WebSocket, as the body of its response.
///
/// Owned by its connection, which polls it on its worker's thread, and drops it at the end: that ends the subscriptions
/// and gives back the permits, the seat and the presence. Its `Arc`s point to state of the whole server; the socket
/// itself is not shared, so it needs no lock.
struct Session {
    incoming: Incoming,
    engine: Arc<dyn Engine>,
    held: HeldConnection,
    gate: Arc<Gate>,
    /// The rights of the current token; `authorize` replaces them.
    grant: Box<Grant>,
    client: Client,
    /// The events of the write under way.
    written: Sent,
    is_binary: bool,
    /// The size in bytes from which frames are compressed; `None` if permessage-deflate was not negotiated.
    packs_from: Option<usize>,
    /// The subscriptions, one for each `subscribe`; a topic is in at most one of them.
    subscriptions: Vec<Subscription>,
    presence: Arc<Presence>,
    /// The presence of the token's subject, one entry for each `subscribe`; empty if the token names none.
    here: Vec<Here>,
    /// The permits for patterns, one for each `subscribe` that has a pattern.
    reading: Vec<PatternClaim>,
    /// Frames that are not written yet.
    outgoing: BytesMut,
    /// The publish under way; until it is answered, no further command is read.
    publishing: Option<Publishing>,
    /// True if the client has sent anything since the last ping.
    is_alive: bool,
    /// The time of the next ping or, while closing, the end of the wait for the client's close frame.
    timer: Timer,
    /// True if the next poll reads the client's messages before it writes events. The two take turns, so that neither
    /// starves the other, and a poll that was woken by an event does not read in vain.
    reads_next: bool,
    closing: Option<Closing>,
}

type Publishing = Pin<Box<dyn Future<Output = (Option<Ref>, Result<fourways_shared::Cursor, EngineError>)>>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    /// Our close frame is queued or sent; the client's is awaited.
    Sent,
    /// Both sides have closed, or the wait for the client is over.
    Done,
}

impl Session {
    fn tail(&self) -> Arc<Tail> {
        self.engine.tail()
    }

    fn open(&mut self, read: &ReadRequest, reading: PatternClaim) {
        let cursor = self.tail().cursor(self.tail().head());
        let heartbeat_ms = millis(self.held.worker.limits.heartbeat);
        let node = self.held.worker.nodes.name().map(|name| name.to_owned().into());
        self.reply(&Reply::Welcome { cursor, heartbeat_ms, node });
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
        self.reply(&Reply::Error(RefusedCommand { reference, problem }.into()));
    }

    /// Queues a close frame. The client's messages are read and ignored until its own close frame arrives.
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
                // The answer repeats the client's code (RFC 6455 5.5.1).
                let payload = code.map(u16::to_be_bytes);
                write_frame(&mut self.outgoing, Opcode::Close, payload.as_ref().map_or(&[], |code| code));
                self.finish(Closing::Done);
            }
            Message::Gone => self.finish(Closing::Done),
            Message::Violation(code, reason) => self.close(code, reason),
        }
    }

    /// Closes the connection if it must end, and otherwise pings when the timer is due. A client from which nothing
    /// came since the last ping, one interval ago, is given up.
    fn beat(&mut self, cx: &mut Context<'_>) {
        if self.subscriptions.is_empty() {
            self.held.seat.wait_idle(cx.waker());
        }
        if self.closing.is_none() {
            let is_too_slow = self.subscriptions.iter().any(Subscription::is_too_slow);
            match self.held.ending(cx, is_too_slow) {
                None => {}
                // The IANA registry of RFC 6455 11.7 defines 1012 as a restart of the service.
                Some(Ending::Restart(wait)) => {
                    self.close(CloseCode::Restart, &format!("{RETRY_AFTER_MS}{}", millis(wait)));
                }
                Some(ending @ Ending::Expired) => {
                    self.close(CloseCode::Other(TOKEN_EXPIRED), ending.detail());
                }
                Some(ending @ Ending::TooSlow) => self.close(CloseCode::Again, ending.detail()),
            }
        }
        if !self.timer.poll(cx) {
            return;
        }
        if self.closing.is_some() || !std::mem::take(&mut self.is_alive) {
            return self.finish(Closing::Done);
        }
        write_frame(&mut self.outgoing, Opcode::Ping, &[]);
        self.timer.restart();
        // Registers the waker for the next interval at once: nothing else may cause a poll until then.
        let _is_due = self.timer.poll(cx);
    }

    /// Reads and carries out the client's commands, one after the other: none is read while a publish is under way or
    /// too many bytes are unwritten.
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

    /// Takes the pending replies and events of all subscriptions for one write. A single event, the common case, is not
    /// copied.
    fn write(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        for at in 0..self.subscriptions.len() {
            let Poll::Ready(batch) = self.subscriptions[at].poll_next(cx, BATCH_EVENTS) else { continue };
            self.written = Sent {
                events: self.written.events + batch.events.len(),
                lag_us: self.subscriptions[at].lag_us(),
            };
            let is_alone = self.subscriptions.len() == 1 && self.outgoing.is_empty() && batch.reset.is_none();
            if let (true, [event]) = (is_alone, &*batch.events) {
                return Some(self.frame_of(event).clone());
            }
            self.frame(batch);
        }
        (!self.outgoing.is_empty()).then(|| self.outgoing.split().freeze())
    }

    fn gave(&mut self, bytes: &Bytes) {
        self.held.sent(bytes.len(), std::mem::take(&mut self.written));
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

impl MessageBody for Session {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        // The cases of a poll, in order of precedence; the first that applies decides.
        // 1. The client does not take what was written, and the socket is not closing: wait for it, and read nothing.
        //    If the connection must end (drain, operator, expired token), the body ends without a close frame.
        // 2. The last poll had nothing to write, and now the log has a reset or events: write them before reading.
        // 3. Otherwise do these three in order, and write the frames that they produce, replies before events.
        //    a. Close by a drain or the operator (code 1012), by the lag rule (1013) or for an expired token (4401). If
        //       the timer is due, ping a client that was heard since the last ping, and give up any other.
        //    b. Answer the publish under way, then read messages until there are no more, one is a publish that must
        //       wait, or too many bytes of replies are unwritten.
        //    c. Take the pending resets and events of all subscriptions.
        // 4. No frame is left and closing is done: the body is over.
        // 5. Otherwise wait for the log, the client, the publish, the timer or the expiry; the next poll writes first.
        if self.closing.is_none() && self.held.is_full(cx) {
            // The close frame could not be written to a client that does not read.
            return if self.held.must_end(cx) { Poll::Ready(None) } else { Poll::Pending };
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
