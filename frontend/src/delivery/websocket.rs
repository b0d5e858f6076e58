//! WebSocket in the browser. Reconnecting with full jitter, resuming from the cursor, and noticing a connection that is
//! dead but not closed are all done here by hand.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use fourways_model::record::{Delivered, Link, Note, Record, RecordKind, Spans, head};
use fourways_shared::{
    Advice, Command, Data, EventId, EventName, Ref, Reply, Technique, Topic, heartbeat, lab::Part,
    session::Session, wire::cbor,
};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast as _, closure::Closure};
use wasm_bindgen_futures::spawn_local;
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

use super::{
    Received, Request, Sink, later,
    publish::{OnOutcome, PublishOutcome},
    refusal,
};
use crate::browser::{clock, page, timer, wake};

/// Interval of the checks for a dead connection, in milliseconds.
const LOOK_MS: f64 = 3000.0;

/// A socket that keeps reconnecting. Dropping the handle closes the connection.
pub(crate) struct Handle(Rc<RefCell<Stream>>);

impl Handle {
    /// Publishes JSON over the socket; see [`super::Handle::send`].
    pub(crate) fn send(&self, topic: &Topic, json: &str, id: Option<EventId>, on_outcome: OnOutcome) {
        let Ok(data) = serde_json::from_str(json).map(Data::Json) else {
            return on_outcome(PublishOutcome::Refused("what was to be said is no JSON".to_owned()));
        };
        let command = Command::Publish { topic: topic.clone(), data, name: EventName::DEFAULT, id };
        match send(&self.0, &command) {
            Some(reference) => drop(self.0.borrow_mut().unanswered.insert(reference, on_outcome)),
            None => on_outcome(PublishOutcome::Lost),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let unanswered = {
            let mut stream = self.0.borrow_mut();
            stream.is_wanted = false;
            stream.socket = None;
            std::mem::take(&mut stream.unanswered)
        };
        for on_outcome in unanswered.into_values() {
            on_outcome(PublishOutcome::Lost);
        }
    }
}

pub(super) fn open(request: Request, sink: Sink) -> Handle {
    let session = Session::new(request.after, page::random_seed());
    let stream = Stream {
        request,
        sink,
        session,
        socket: None,
        n: 0,
        references: 0,
        unanswered: HashMap::new(),
        heard_ms: 0.0,
        is_open: false,
        heartbeat: heartbeat::DEFAULT,
        is_wanted: true,
    };
    let stream = Rc::new(RefCell::new(stream));
    connect(&stream);
    watch(&stream);
    Handle(stream)
}

struct Stream {
    request: Request,
    sink: Sink,
    session: Session,
    socket: Option<Socket>,
    /// Number of the current request.
    n: u32,
    references: u64,
    /// Callbacks of publishes without an answer yet, by reference.
    unanswered: HashMap<u64, OnOutcome>,
    heard_ms: f64,
    /// True from the opening of the socket until its end.
    is_open: bool,
    /// Heartbeat interval, as the server last announced it.
    heartbeat: Duration,
    is_wanted: bool,
}

/// A `WebSocket` with the closures that it calls; they are freed together.
struct Socket {
    socket: WebSocket,
    address: String,
    asked_ms: f64,
    _on_open: Closure<dyn FnMut(web_sys::Event)>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // Closing a closed socket is no error, and without a close code none can be invalid.
        drop(self.socket.close());
    }
}

fn connect(stream: &Rc<RefCell<Stream>>) {
    let (path, sink) = {
        let mut this = stream.borrow_mut();
        let (path, n) = this.request.address("/v1/ws", this.session.after());
        this.n = n;
        let encoding = if this.request.is_binary { "&encoding=cbor" } else { "" };
        (path + encoding, Rc::clone(&this.sink))
    };
    sink(Note::Link(Link::Opening));
    let Ok(socket) = WebSocket::new(&format!("{}{path}", page::origin().replacen("http", "ws", 1))) else {
        return sink(Note::Link(Link::Stopped { why: "the browser has no WebSocket".to_owned() }));
    };
    socket.set_binary_type(BinaryType::Arraybuffer);
    let weak = Rc::downgrade(stream);
    let on_open = Closure::new(move |event: web_sys::Event| {
        let at_ms = clock::stamped_ms(event.time_stamp());
        let Some(stream) = weak.upgrade() else { return };
        let (sink, record) = {
            let mut this = stream.borrow_mut();
            this.heard_ms = at_ms;
            this.is_open = true;
            (Rc::clone(&this.sink), this.opened(at_ms))
        };
        wake::call();
        sink(Note::Link(Link::Held { since_ms: at_ms }));
        sink(Note::Record(Box::new(record)));
    });
    let weak = Rc::downgrade(stream);
    let on_message = Closure::new(move |event: MessageEvent| {
        let at_ms = clock::stamped_ms(event.time_stamp());
        let Some(stream) = weak.upgrade() else { return };
        let (sink, record, answered) = {
            let mut this = stream.borrow_mut();
            this.heard_ms = at_ms;
            let message = match event.data().as_string() {
                Some(text) => Message::Text(text),
                None => Message::Binary(Uint8Array::new(&event.data()).to_vec()),
            };
            let (record, answered) = this.take(message, at_ms);
            (Rc::clone(&this.sink), record, answered)
        };
        sink(Note::Record(Box::new(record)));
        if let Some((on_outcome, sent)) = answered {
            on_outcome(sent);
        }
    });
    let weak = Rc::downgrade(stream);
    let on_close = Closure::new(move |event: CloseEvent| {
        if let Some(stream) = weak.upgrade() {
            let why = match event.reason() {
                reason if reason.is_empty() => format!("closed with {}", event.code()),
                reason => format!("closed with {} {reason}", event.code()),
            };
            ended(
                &stream,
                Advice::of_close(event.code(), &event.reason()),
                &why,
                clock::stamped_ms(event.time_stamp()),
            );
        }
    });
    socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
    socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
    stream.borrow_mut().socket = Some(Socket {
        socket,
        address: path,
        asked_ms: clock::now_ms(),
        _on_open: on_open,
        _on_message: on_message,
        _on_close: on_close,
    });
}

fn ended(stream: &Rc<RefCell<Stream>>, advice: Advice, why: &str, at_ms: f64) {
    let (sink, record, wait, attempt, unanswered, was_open) = {
        let mut this = stream.borrow_mut();
        this.socket = None;
        let was_open = std::mem::take(&mut this.is_open);
        let wait = this.session.failed(advice);
        (
            Rc::clone(&this.sink),
            Record { status: why.to_owned(), ..this.record(RecordKind::Failed, at_ms) },
            wait,
            this.session.attempt(),
            std::mem::take(&mut this.unanswered),
            was_open,
        )
    };
    sink(Note::Record(Box::new(record)));
    for on_outcome in unanswered.into_values() {
        on_outcome(PublishOutcome::Lost);
    }
    let Some(wait) = wait else { return sink(Note::Link(Link::Stopped { why: why.to_owned() })) };
    let wait_ms = wait.as_secs_f64() * 1000.0;
    sink(Note::Link(Link::Waiting { until_ms: Some(at_ms + wait_ms), attempt, why: why.to_owned() }));
    if was_open {
        return later(stream, wait_ms, |stream| stream.is_wanted, connect);
    }
    // A page is not on_outcome why an upgrade failed, so the reason is asked for over plain HTTP.
    let (weak, request) = (Rc::downgrade(stream), stream.borrow().request.clone());
    spawn_local(async move {
        let why = refusal(request).await;
        let Some(stream) = weak.upgrade().filter(|stream| stream.borrow().is_wanted) else { return };
        match why {
            Some(why) => sink(Note::Link(Link::Stopped { why })),
            None => later(&stream, wait_ms, |stream| stream.is_wanted, connect),
        }
    });
}

/// Checks for a dead connection until the stream is dropped.
fn watch(stream: &Rc<RefCell<Stream>>) {
    let weak = Rc::downgrade(stream);
    spawn_local(async move {
        loop {
            timer::sleep(LOOK_MS).await;
            let Some(stream) = weak.upgrade().filter(|stream| stream.borrow().is_wanted) else { return };
            let now_ms = clock::now_ms();
            let (silence_ms, heartbeat) = {
                let this = stream.borrow();
                let is_open = this.socket.as_ref().is_some_and(|s| s.socket.ready_state() == WebSocket::OPEN);
                (if is_open { now_ms - this.heard_ms } else { 0.0 }, this.heartbeat)
            };
            // A browser does not show ping frames to the page, so the app sends a `ping` command.
            if silence_ms > 1000.0 * heartbeat::dead_after(heartbeat).as_secs_f64() {
                ended(&stream, Advice::Retry(Duration::ZERO), "silence: the connection is dead", now_ms);
            } else if silence_ms > 1000.0 * heartbeat.as_secs_f64() {
                send(&stream, &Command::Ping);
            }
        }
    });
}

/// Sends a command and returns the reference that its answer will name; `None` if the connection is not open.
fn send(stream: &Rc<RefCell<Stream>>, command: &Command) -> Option<u64> {
    let (sink, record, reference) = {
        let mut this = stream.borrow_mut();
        this.references += 1;
        let reference = this.references;
        let text = command.to_json(Some(&reference.to_string()));
        let socket = &this.socket.as_ref().filter(|s| s.socket.ready_state() == WebSocket::OPEN)?.socket;
        let message = if this.request.is_binary {
            let bytes = cbor::write_command(&text);
            socket.send_with_u8_array(&bytes).ok()?;
            Message::Binary(bytes)
        } else {
            socket.send_with_str(&text).ok()?;
            Message::Text(text)
        };
        let record = Record {
            up: frame(message, matches!(command, Command::Publish { .. })),
            ..this.record(RecordKind::Control, clock::now_ms())
        };
        (Rc::clone(&this.sink), record, reference)
    };
    sink(Note::Record(Box::new(record)));
    Some(reference)
}

/// A message sent or received on the socket.
enum Message {
    Text(String),
    Binary(Vec<u8>),
}

impl Message {
    fn reply(&self) -> Option<Reply> {
        match self {
            Self::Text(text) => Reply::from_json(text),
            Self::Binary(bytes) => cbor::read_reply(bytes),
        }
    }
}

impl Stream {
    fn record(&self, kind: RecordKind, at_ms: f64) -> Record {
        Record { cursor: self.session.cursor(), ..Record::new(Technique::Websocket, self.n, kind, at_ms) }
    }

    fn opened(&mut self, at_ms: f64) -> Record {
        let (address, asked_ms) =
            self.socket.as_ref().map(|socket| (socket.address.clone(), socket.asked_ms)).unwrap_or_default();
        // A page sees no headers of an upgrade, sent or received.
        let request = format!("GET {address} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        Record {
            code: 101,
            began_ms: asked_ms,
            up: head(&request),
            down: head("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
            ..self.record(RecordKind::Opened, at_ms)
        }
    }

    /// Returns a record of the message, and the callback to call if the message answers a publish.
    fn take(&mut self, message: Message, at_ms: f64) -> (Record, Option<(OnOutcome, PublishOutcome)>) {
        let reply = message.reply();
        let mut answered = None;
        let mut whose = |reference: Option<Ref>| {
            let reference: u64 = reference?.parse().ok()?;
            self.unanswered.remove(&reference)
        };
        let mut taken = Received::default();
        let mut status = String::new();
        match reply {
            Some(Reply::Event(event)) => {
                taken.events.push(Delivered { is_new: self.session.accept(event.cursor), event });
            }
            Some(Reply::Reset(reset)) => {
                self.session.reset(&reset);
                taken.reset = Some(reset);
            }
            Some(Reply::Subscribed { cursor, .. }) => self.session.moved(cursor),
            Some(Reply::Welcome { heartbeat_ms, node, .. }) => {
                self.heartbeat = Duration::from_millis(heartbeat_ms);
                taken.node = node.map(Into::into);
            }
            Some(Reply::Published { reference, .. }) => {
                answered = whose(reference).map(|on_outcome| (on_outcome, PublishOutcome::Kept));
            }
            Some(Reply::Error(error)) => {
                status = format!("{} {}", error.code.name(), error.detail);
                let is_final = Advice::of_status(error.status, None) == Advice::Stop;
                let sent =
                    if is_final { PublishOutcome::Refused(error.detail) } else { PublishOutcome::Lost };
                answered = whose(error.reference).map(|on_outcome| (on_outcome, sent));
            }
            _ => {}
        }
        let kind = if taken.events.is_empty() { RecordKind::Control } else { RecordKind::Data };
        let down = frame(message, kind == RecordKind::Data);
        let Received { events, reset, node } = taken;
        let record = Record { status, down, events, reset, node, ..self.record(kind, at_ms) };
        (record, answered)
    }
}

/// Rebuilds a frame as the server writes it (RFC 6455 5.2); a frame from the browser also has a mask, which the page
/// cannot see.
fn frame(message: Message, is_event: bool) -> Spans {
    let (first, bytes) = match message {
        Message::Text(text) => (0x81, text.into_bytes()),
        Message::Binary(bytes) => (0x82, bytes),
    };
    let length = bytes.len() as u64;
    let mut head = vec![first];
    match length {
        0..126 => head.push(bytes.len().to_le_bytes()[0]),
        126..65_536 => {
            head.push(126);
            head.extend_from_slice(&length.to_be_bytes()[6..]);
        }
        _ => {
            head.push(127);
            head.extend_from_slice(&length.to_be_bytes());
        }
    }
    let part = if is_event { Part::Payload } else { Part::Control };
    vec![(Part::FrameHead, head), (part, bytes)]
}
