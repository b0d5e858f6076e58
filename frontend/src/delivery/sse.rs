//! Server-Sent Events in the browser: `EventSource`, and what it does not do by itself.
//!
//! It reconnects after a broken connection and sends `Last-Event-ID`. After an HTTP error it gives up for ever
//! (HTML Standard 9.2.3, "fail the connection"): that is noticed here, and it is opened again from the last cursor.

use std::{cell::RefCell, rc::Rc, time::Duration};

use fourways_shared::{Advice, Event, Reset, Technique, session::Session};
use wasm_bindgen::{JsCast as _, closure::Closure};
use wasm_bindgen_futures::spawn_local;
use web_sys::{EventSource, MessageEvent};

use super::{Request, Sink, Taken};
use crate::{
    browser::{clock, page, timer},
    state::record::{Bytes, Delivered, Direction, Link, Note, Outcome, Part, Raw, Record},
};

/// A stream that goes on. Dropping it closes the connection.
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
    let stream =
        Rc::new(RefCell::new(Stream { request, sink, session, source: None, n: 0, is_wanted: true }));
    connect(&stream);
    Handle(stream)
}

struct Stream {
    request: Request,
    sink: Sink,
    session: Session,
    source: Option<Source>,
    n: u64,
    is_wanted: bool,
}

/// An `EventSource` and the closures that it calls; they go together.
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
        let this = stream.borrow();
        (this.request.address("/v1/stream", this.session.after()), Rc::clone(&this.sink))
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
    for name in ["reset", "problem"] {
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

/// `open` or `error`: what happened is told by the state that the source is in now.
fn changed(stream: &Rc<RefCell<Stream>>, at_ms: f64) {
    let mut this = stream.borrow_mut();
    let Some(state) = this.source.as_ref().map(|source| source.source.ready_state()) else { return };
    let sink = Rc::clone(&this.sink);
    match state {
        EventSource::OPEN => {
            let record = this.opened(at_ms);
            drop(this);
            sink(Note::Link(Link::Held { since_ms: at_ms }));
            sink(Note::Record(Box::new(record)));
        }
        EventSource::CONNECTING => {
            if let Some(source) = &mut this.source {
                source.asked_ms = at_ms;
            }
            let record = this.failed("the connection ended; the browser reconnects", at_ms);
            drop(this);
            sink(Note::Record(Box::new(record)));
            let why = "the browser reconnects by itself".to_owned();
            // The server's `retry:` says when; a page can't read it.
            sink(Note::Link(Link::Waiting { until_ms: at_ms, attempt: 1, why }));
        }
        _ => {
            let wait = this.session.failed(Advice::Retry(Duration::ZERO)).unwrap_or_default();
            let attempt = this.session.attempt();
            let record = this.failed("refused; EventSource gave up", at_ms);
            this.source = None;
            drop(this);
            sink(Note::Record(Box::new(record)));
            let wait_ms = wait.as_secs_f64() * 1000.0;
            let why = "the server refused, so EventSource gave up; opening a new one".to_owned();
            sink(Note::Link(Link::Waiting { until_ms: at_ms + wait_ms, attempt, why }));
            let weak = Rc::downgrade(stream);
            spawn_local(async move {
                timer::sleep(wait_ms).await;
                if let Some(stream) = weak.upgrade().filter(|stream| stream.borrow().is_wanted) {
                    connect(&stream);
                }
            });
        }
    }
}

impl Stream {
    fn record(&mut self, kind: &str, status: &str, outcome: Outcome, ended_ms: f64) -> Record {
        self.n += 1;
        Record {
            n: self.n,
            technique: Technique::Sse,
            direction: Direction::Down,
            kind: kind.to_owned(),
            status: status.to_owned(),
            outcome,
            began_ms: ended_ms,
            ended_ms,
            bytes: Bytes::default(),
            raw: Raw::default(),
            events: Vec::new(),
            reset: None,
            cursor: self.session.cursor(),
        }
    }

    fn opened(&mut self, at_ms: f64) -> Record {
        let (address, asked_ms) =
            self.source.as_ref().map(|source| (source.address.clone(), source.asked_ms)).unwrap_or_default();
        let head = format!("GET {address} HTTP/1.1");
        let mut record = self.record("GET", "200", Outcome::Opened, at_ms);
        record.direction = Direction::Both;
        record.began_ms = asked_ms;
        record.bytes.up_head = head.len() as u64 + 2;
        let fields =
            "Accept: text/event-stream\nLast-Event-ID: sent by the browser when it reconnects".to_owned();
        record.raw.0.push(Part {
            caption: "Request; EventSource shows no header, sent or received".to_owned(),
            start: head,
            head: fields,
            body: String::new(),
        });
        record
    }

    fn failed(&mut self, why: &str, at_ms: f64) -> Record {
        self.record("error", why, Outcome::Failed, at_ms)
    }

    fn take(&mut self, event: &MessageEvent, at_ms: f64) -> Record {
        let data = event.data().as_string().unwrap_or_default();
        let (name, id) = (event.type_(), event.last_event_id());
        let Taken { events, reset } = self.receive(&name, &data);
        let outcome = if events.is_empty() { Outcome::Control } else { Outcome::Data };
        let mut record = self.record(&name, "event", outcome, at_ms);
        // The block as the server framed it: the fields are all known, each line of data has its own `data: `.
        let lines = data.split('\n').count() as u64;
        let block = 5 + id.len() as u64 + 8 + name.len() as u64 + lines * 7 + data.len() as u64 + 1;
        let chunk = format!("{block:x}").len() as u64 + 4;
        record.bytes = Bytes {
            down_head: block - data.len() as u64 + chunk,
            down_body: data.len() as u64,
            ..Bytes::default()
        };
        record.raw.0.push(Part {
            caption: format!(
                "Event block, {} B fields and chunk + {} B data",
                record.bytes.down_head,
                data.len()
            ),
            start: String::new(),
            head: format!("id: {id}\nevent: {name}"),
            body: data.split('\n').map(|line| format!("data: {line}")).collect::<Vec<_>>().join("\n"),
        });
        (record.events, record.reset) = (events, reset);
        record
    }

    fn receive(&mut self, name: &str, data: &str) -> Taken {
        let mut taken = Taken::default();
        if name == "reset" {
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
