//! Server-Sent Events in the browser: `EventSource`, and what it does not do by itself.
//!
//! `EventSource` reconnects after a broken connection and sends `Last-Event-ID`. After an HTTP error it gives up for
//! ever (HTML Standard 9.2.3, "fail the connection"): this module notices that, and opens a new one from the last
//! cursor. Nor does `EventSource` notice a connection that is dead but not closed, so the server is asked for
//! heartbeats that a page can see.

use std::{cell::RefCell, rc::Rc, time::Duration};

use fourways_model::record::{Delivered, Link, Note, Record, RecordKind, head};
use fourways_shared::{Advice, Cursor, Event, Reset, Technique, heartbeat, lab::Part, session::Session};
use serde::Deserialize;
use wasm_bindgen::{JsCast as _, closure::Closure};
use wasm_bindgen_futures::spawn_local;
use web_sys::{EventSource, MessageEvent};

use super::{Received, Request, Sink, later, refusal};
use crate::browser::{clock, page, timer, wake};

/// Interval of the checks for a dead connection, in milliseconds.
const LOOK_MS: f64 = 3000.0;

/// A stream that keeps reconnecting. Dropping the handle closes the connection.
pub(crate) struct Handle(Rc<RefCell<Stream>>);

impl Drop for Handle {
    fn drop(&mut self) {
        let mut stream = self.0.borrow_mut();
        stream.is_wanted = false;
        stream.source = None;
    }
}

pub(super) fn open(request: Request, sink: Sink) -> Handle {
    let session = Session::new(request.after, page::random_seed());
    let stream = Stream {
        request,
        sink,
        session,
        source: None,
        n: 0,
        heard_ms: 0.0,
        tries: 0,
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
    source: Option<Source>,
    /// Number of the current request.
    n: u32,
    heard_ms: f64,
    /// Number of attempts that the browser has made by itself since the stream was last open.
    tries: u32,
    /// Heartbeat interval, as the server last announced it.
    heartbeat: Duration,
    is_wanted: bool,
}

/// An `EventSource` with the closures that it calls; they are freed together.
struct Source {
    source: EventSource,
    address: String,
    asked_ms: f64,
    _on_event: Closure<dyn FnMut(MessageEvent)>,
    _on_change: Closure<dyn FnMut(web_sys::Event)>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.source.set_onopen(None);
        self.source.set_onerror(None);
        self.source.set_onmessage(None);
        self.source.close();
    }
}

fn connect(stream: &Rc<RefCell<Stream>>) {
    let (address, sink) = {
        let mut this = stream.borrow_mut();
        let (address, n) = this.request.address("/v1/stream", this.session.after());
        this.n = n;
        this.heard_ms = clock::now_ms();
        (address + "&heartbeat=event", Rc::clone(&this.sink))
    };
    sink(Note::Link(Link::Opening));
    let Ok(source) = EventSource::new(&address) else {
        return sink(Note::Link(Link::Stopped { why: "the browser has no EventSource".to_owned() }));
    };
    let weak = Rc::downgrade(stream);
    let on_event = Closure::new(move |event: MessageEvent| {
        let at_ms = clock::stamped_ms(event.time_stamp());
        if let Some(stream) = weak.upgrade() {
            let (sink, record) = {
                let mut this = stream.borrow_mut();
                this.heard_ms = at_ms;
                (Rc::clone(&this.sink), this.take(&event, at_ms))
            };
            sink(Note::Record(Box::new(record)));
        }
    });
    let weak = Rc::downgrade(stream);
    let on_change = Closure::new(move |event: web_sys::Event| {
        if let Some(stream) = weak.upgrade() {
            changed(&stream, clock::stamped_ms(event.time_stamp()));
        }
    });
    let on_message = on_event.as_ref().unchecked_ref();
    source.set_onmessage(Some(on_message));
    for name in ["heartbeat", "reset", "problem"] {
        // Adding a listener to a new source can't fail.
        drop(source.add_event_listener_with_callback(name, on_message));
    }
    source.set_onopen(Some(on_change.as_ref().unchecked_ref()));
    source.set_onerror(Some(on_change.as_ref().unchecked_ref()));
    stream.borrow_mut().source = Some(Source {
        source,
        address,
        asked_ms: clock::now_ms(),
        _on_event: on_event,
        _on_change: on_change,
    });
}

/// Handles an `open` or `error` event: the state of the source says what happened.
fn changed(stream: &Rc<RefCell<Stream>>, at_ms: f64) {
    let mut this = stream.borrow_mut();
    let Some(state) = this.source.as_ref().map(|source| source.source.ready_state()) else { return };
    let sink = Rc::clone(&this.sink);
    match state {
        EventSource::OPEN => {
            this.heard_ms = at_ms;
            this.tries = 0;
            let record = this.opened(at_ms);
            drop(this);
            wake::call();
            sink(Note::Link(Link::Held { since_ms: at_ms }));
            sink(Note::Record(Box::new(record)));
        }
        EventSource::CONNECTING => {
            if let Some(source) = &mut this.source {
                source.asked_ms = at_ms;
            }
            this.tries += 1;
            let (record, tries) =
                (this.failed("the connection ended; the browser reconnects", at_ms), this.tries);
            drop(this);
            sink(Note::Record(Box::new(record)));
            let why = "connection lost; the browser retries by itself".to_owned();
            // The server's `retry:` sets the time of the next attempt; a page can't read it.
            sink(Note::Link(Link::Waiting { until_ms: None, attempt: tries, why }));
            reconnect_early(stream, tries);
        }
        _ => {
            drop(this);
            open_again(stream, "refused; EventSource gave up", at_ms);
        }
    }
}

/// Replaces an `EventSource` that still waits to reconnect after [`LOOK_MS`], or sooner on a [`wake::call`]: nothing
/// else ends the browser's own wait.
fn reconnect_early(stream: &Rc<RefCell<Stream>>, tries: u32) {
    let weak = Rc::downgrade(stream);
    spawn_local(async move {
        wake::sleep(LOOK_MS).await;
        let Some(stream) = weak.upgrade() else { return };
        let is_waiting = {
            let this = stream.borrow();
            let state = this.source.as_ref().map(|source| source.source.ready_state());
            this.is_wanted && this.tries == tries && state == Some(EventSource::CONNECTING)
        };
        if is_waiting {
            connect(&stream);
        }
    });
}

/// Opens a new `EventSource` from the last cursor, after a wait, unless the server refuses the stream for good.
fn open_again(stream: &Rc<RefCell<Stream>>, what: &str, at_ms: f64) {
    let (sink, record, wait, attempt) = {
        let mut this = stream.borrow_mut();
        let wait = this.session.failed(Advice::Retry(Duration::ZERO)).unwrap_or_default();
        this.source = None;
        (Rc::clone(&this.sink), this.failed(what, at_ms), wait, this.session.attempt())
    };
    sink(Note::Record(Box::new(record)));
    let wait_ms = wait.as_secs_f64() * 1000.0;
    let why = format!("{what}; opening a new one");
    sink(Note::Link(Link::Waiting { until_ms: Some(at_ms + wait_ms), attempt, why }));
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
            let is_dead = {
                let this = stream.borrow();
                let is_open =
                    this.source.as_ref().is_some_and(|s| s.source.ready_state() == EventSource::OPEN);
                let dead_ms = 1000.0 * heartbeat::dead_after(this.heartbeat).as_secs_f64();
                is_open && now_ms - this.heard_ms > dead_ms
            };
            if is_dead {
                open_again(&stream, "silence: the connection is dead", now_ms);
            }
        }
    });
}

#[derive(Deserialize)]
struct Heartbeat {
    cursor: Option<Cursor>,
    every_ms: u64,
    node: Option<String>,
}

impl Stream {
    fn record(&self, kind: RecordKind, at_ms: f64) -> Record {
        Record { cursor: self.session.cursor(), ..Record::new(Technique::Sse, self.n, kind, at_ms) }
    }

    fn opened(&mut self, at_ms: f64) -> Record {
        let (address, asked_ms) =
            self.source.as_ref().map(|source| (source.address.clone(), source.asked_ms)).unwrap_or_default();
        // `EventSource` shows no headers, sent or received.
        let request = format!("GET {address} HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n");
        Record {
            code: 200,
            began_ms: asked_ms,
            up: head(&request),
            down: head("HTTP/1.1 200 OK\r\n\r\n"),
            ..self.record(RecordKind::Opened, at_ms)
        }
    }

    fn failed(&mut self, why: &str, at_ms: f64) -> Record {
        Record { status: why.to_owned(), ..self.record(RecordKind::Failed, at_ms) }
    }

    fn take(&mut self, event: &MessageEvent, at_ms: f64) -> Record {
        let data = event.data().as_string().unwrap_or_default();
        let (name, id) = (event.type_(), event.last_event_id());
        let Received { events, reset, node } = self.receive(&name, &data);
        let kind = if events.is_empty() { RecordKind::Control } else { RecordKind::Data };
        let down = vec![
            (Part::Field, format!("id: {id}\nevent: {name}\ndata: ").into_bytes()),
            (Part::Payload, data.into_bytes()),
            (Part::Field, b"\n\n".to_vec()),
        ];
        Record { down, events, reset, node, ..self.record(kind, at_ms) }
    }

    fn receive(&mut self, name: &str, data: &str) -> Received {
        let mut taken = Received::default();
        if name == "heartbeat" {
            if let Ok(Heartbeat { cursor, every_ms, node }) = serde_json::from_str(data) {
                taken.node = node;
                self.heartbeat = Duration::from_millis(every_ms);
                if let Some(cursor) = cursor {
                    self.session.moved(cursor);
                }
            }
        } else if name == "reset" {
            taken.reset = serde_json::from_str::<Reset>(data).ok();
            if let Some(reset) = &taken.reset {
                self.session.reset(reset);
            }
        } else if let Ok(event) = serde_json::from_str::<Event>(data) {
            taken.events.push(Delivered { is_new: self.session.accept(event.cursor), event });
        }
        taken
    }
}
