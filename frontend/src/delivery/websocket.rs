//! WebSocket in the browser. Everything that `EventSource` does by itself is done here by hand: reconnecting with full
//! jitter, resuming from the cursor, and noticing a connection that is dead but not closed.

use std::{cell::RefCell, rc::Rc, time::Duration};

use fourways_shared::{Advice, Command, Data, EventName, Reply, Technique, Topic, session::Session};
use wasm_bindgen::{JsCast as _, closure::Closure};
use wasm_bindgen_futures::spawn_local;
use web_sys::{CloseEvent, MessageEvent, WebSocket};

use super::{Request, Sink, Taken};
use crate::{
    browser::{clock, page, timer},
    state::record::{Bytes, Delivered, Direction, Link, Note, Outcome, Part, Raw, Record},
};

/// Asks for a sign of life after so much silence, and gives up after as much again. A browser shows no ping frames,
/// so the app asks with a command.
const SILENCE_MS: f64 = 15_000.0;

/// A socket that goes on. Dropping it closes the connection.
pub(crate) struct Handle(Rc<RefCell<Stream>>);

impl Handle {
    pub(crate) fn publish(&self, topic: &Topic, text: &str) -> bool {
        let command = Command::Publish {
            topic: topic.clone(),
            data: Data::text(text),
            name: EventName::DEFAULT,
            id: None,
        };
        send(&self.0, &command)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut stream = self.0.borrow_mut();
        stream.is_wanted = false;
        stream.socket = None;
    }
}

pub(super) fn open(request: Request, sink: Sink) -> Handle {
    let session = Session::new(request.after, page::random_seed());
    let stream =
        Stream { request, sink, session, socket: None, n: 0, references: 0, heard_ms: 0.0, is_wanted: true };
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
    n: u64,
    references: u64,
    heard_ms: f64,
    is_wanted: bool,
}

/// A `WebSocket` and the closures that it calls; they go together.
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
        // Closing what is closed is no error, and without a code none can be wrong.
        drop(self.socket.close());
    }
}

fn connect(stream: &Rc<RefCell<Stream>>) {
    let (path, sink) = {
        let this = stream.borrow();
        (this.request.address("/v1/ws", this.session.after()), Rc::clone(&this.sink))
    };
    sink(Note::Link(Link::Opening));
    let Ok(socket) = WebSocket::new(&format!("{}{path}", page::origin().replacen("http", "ws", 1))) else {
        return sink(Note::Link(Link::Stopped { why: "the browser has no WebSocket".to_owned() }));
    };
    let weak = Rc::downgrade(stream);
    let on_open = Closure::new(move |event: web_sys::Event| {
        let at_ms = clock::stamped_ms(event.time_stamp());
        let Some(stream) = weak.upgrade() else { return };
        let (sink, record) = {
            let mut this = stream.borrow_mut();
            this.heard_ms = at_ms;
            (Rc::clone(&this.sink), this.opened(at_ms))
        };
        sink(Note::Link(Link::Held { since_ms: at_ms }));
        sink(Note::Record(Box::new(record)));
    });
    let weak = Rc::downgrade(stream);
    let on_message = Closure::new(move |event: MessageEvent| {
        let at_ms = clock::stamped_ms(event.time_stamp());
        let Some(stream) = weak.upgrade() else { return };
        let (sink, record) = {
            let mut this = stream.borrow_mut();
            this.heard_ms = at_ms;
            let text = event.data().as_string().unwrap_or_default();
            (Rc::clone(&this.sink), this.take(&text, at_ms))
        };
        sink(Note::Record(Box::new(record)));
    });
    let weak = Rc::downgrade(stream);
    let on_close = Closure::new(move |event: CloseEvent| {
        if let Some(stream) = weak.upgrade() {
            let why = match event.reason() {
                reason if reason.is_empty() => format!("closed with {}", event.code()),
                reason => format!("closed with {} {reason}", event.code()),
            };
            ended(&stream, Advice::of_close_code(event.code()), &why, clock::stamped_ms(event.time_stamp()));
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
    let (sink, record, wait, attempt) = {
        let mut this = stream.borrow_mut();
        this.socket = None;
        let wait = this.session.failed(advice);
        (
            Rc::clone(&this.sink),
            this.record(Direction::Down, "close", why, Outcome::Failed, at_ms),
            wait,
            this.session.attempt(),
        )
    };
    sink(Note::Record(Box::new(record)));
    let Some(wait) = wait else { return sink(Note::Link(Link::Stopped { why: why.to_owned() })) };
    let wait_ms = wait.as_secs_f64() * 1000.0;
    sink(Note::Link(Link::Waiting { until_ms: at_ms + wait_ms, attempt, why: why.to_owned() }));
    let weak = Rc::downgrade(stream);
    spawn_local(async move {
        timer::sleep(wait_ms).await;
        if let Some(stream) = weak.upgrade().filter(|stream| stream.borrow().is_wanted) {
            connect(&stream);
        }
    });
}

/// Looks for life until the stream is dropped.
fn watch(stream: &Rc<RefCell<Stream>>) {
    let weak = Rc::downgrade(stream);
    spawn_local(async move {
        loop {
            timer::sleep(SILENCE_MS / 3.0).await;
            let Some(stream) = weak.upgrade().filter(|stream| stream.borrow().is_wanted) else { return };
            let now_ms = clock::now_ms();
            let silence_ms = {
                let this = stream.borrow();
                let is_open = this.socket.as_ref().is_some_and(|s| s.socket.ready_state() == WebSocket::OPEN);
                if is_open { now_ms - this.heard_ms } else { 0.0 }
            };
            if silence_ms > 2.0 * SILENCE_MS {
                ended(&stream, Advice::Retry(Duration::ZERO), "silence: the connection is dead", now_ms);
            } else if silence_ms > SILENCE_MS {
                send(&stream, &Command::Ping);
            }
        }
    });
}

fn send(stream: &Rc<RefCell<Stream>>, command: &Command) -> bool {
    let (sink, record) = {
        let mut this = stream.borrow_mut();
        this.references += 1;
        let text = command.to_json(Some(&this.references.to_string()));
        let is_sent = this.socket.as_ref().is_some_and(|socket| {
            socket.socket.ready_state() == WebSocket::OPEN && socket.socket.send_with_str(&text).is_ok()
        });
        if !is_sent {
            return false;
        }
        let mut record = this.record(Direction::Up, "text", "fin", Outcome::Control, clock::now_ms());
        // A client's frame has a mask of four bytes (RFC 6455 5.3).
        let head = frame_head(text.len()) + 4;
        record.bytes = Bytes { up_head: head, up_body: text.len() as u64, ..Bytes::default() };
        record.raw.0.push(frame_part(head, text, true));
        (Rc::clone(&this.sink), record)
    };
    sink(Note::Record(Box::new(record)));
    true
}

impl Stream {
    fn record(
        &mut self,
        direction: Direction,
        kind: &str,
        status: &str,
        outcome: Outcome,
        at_ms: f64,
    ) -> Record {
        self.n += 1;
        Record {
            n: self.n,
            technique: Technique::Websocket,
            direction,
            kind: kind.to_owned(),
            status: status.to_owned(),
            outcome,
            began_ms: at_ms,
            ended_ms: at_ms,
            bytes: Bytes::default(),
            raw: Raw::default(),
            events: Vec::new(),
            reset: None,
            cursor: self.session.cursor(),
        }
    }

    fn opened(&mut self, at_ms: f64) -> Record {
        let (address, asked_ms) =
            self.socket.as_ref().map(|socket| (socket.address.clone(), socket.asked_ms)).unwrap_or_default();
        let head = format!("GET {address} HTTP/1.1");
        let mut record = self.record(Direction::Both, "GET", "101", Outcome::Opened, at_ms);
        record.began_ms = asked_ms;
        record.bytes.up_head = head.len() as u64 + 2;
        record.raw.0.push(Part {
            caption: "Upgrade; a page sees no header of it, sent or received".to_owned(),
            start: head,
            head: "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: made by the browser"
                .to_owned(),
            body: String::new(),
        });
        record
    }

    fn take(&mut self, text: &str, at_ms: f64) -> Record {
        let reply = Reply::from_json(text);
        let mut taken = Taken::default();
        let mut status = "fin".to_owned();
        match reply {
            Some(Reply::Event(event)) => {
                taken.events.push(Delivered { is_new: self.session.accept(event.cursor), event });
            }
            Some(Reply::Reset(reset)) => {
                self.session.reset(&reset);
                taken.reset = Some(reset);
            }
            Some(Reply::Subscribed { cursor, .. }) => self.session.moved(cursor),
            Some(Reply::Error(error)) => status = format!("{} {}", error.code.name(), error.detail),
            _ => {}
        }
        let outcome = if taken.events.is_empty() { Outcome::Control } else { Outcome::Data };
        let mut record = self.record(Direction::Down, "text", &status, outcome, at_ms);
        let head = frame_head(text.len());
        record.bytes = Bytes { down_head: head, down_body: text.len() as u64, ..Bytes::default() };
        record.raw.0.push(frame_part(head, text.to_owned(), false));
        (record.events, record.reset) = (taken.events, taken.reset);
        record
    }
}

/// RFC 6455 5.2: two bytes, and two or eight more for a longer payload.
const fn frame_head(payload: usize) -> u64 {
    match payload {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    }
}

fn frame_part(head: u64, body: String, is_masked: bool) -> Part {
    let mask = u8::from(is_masked);
    Part {
        caption: format!("Frame, {head} B framing + {} B payload", body.len()),
        start: String::new(),
        head: format!("FIN 1   opcode 0x1 text\nMASK {mask}  length {}", body.len()),
        body,
    }
}
