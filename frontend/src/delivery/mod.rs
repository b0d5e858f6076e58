//! The four techniques in the browser; the only module that opens connections. Each technique has the same shape:
//! `open(request, sink)` returns a handle, and dropping the handle closes everything it holds. None of the four knows
//! another.

mod long_poll;
mod poll;
mod short_poll;
mod sse;
mod websocket;

pub(crate) mod channel;
pub(crate) mod lab;
pub(crate) mod operate;
pub(crate) mod publish;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use fourways_shared::{
    Advice, After, EventId, Policy, Problem, Reset, Technique, Topic,
    lab::{LabId, Tag},
};

use fourways_model::record::{Delivered, Note};
use wasm_bindgen_futures::spawn_local;

use crate::browser::wake;

/// Receives the notes of a stream, in order, inside the browser callback in which each one happened.
pub(crate) type Sink = Rc<dyn Fn(Note)>;

/// Topics to read, and how to read them.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) topics: Vec<Topic>,
    pub(crate) after: After,
    /// Pause between the answer to a short poll and the next request, in milliseconds.
    pub(crate) poll_ms: f64,
    /// Longest time that the server may hold a long poll, in seconds.
    pub(crate) hold_s: f64,
    /// Every event, or only the newest of each topic.
    pub(crate) policy: Policy,
    /// True for CBOR over WebSocket; the other three techniques carry text.
    pub(crate) is_binary: bool,
    /// Label by which the server counts the requests, and breaks them, for this page alone. Unlabelled requests are
    /// neither counted nor broken.
    pub(crate) label: Option<Label>,
}

/// Id of the page, with a count of its requests by one technique. Clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    id: LabId,
    asked: Rc<Cell<u32>>,
}

impl Label {
    pub(crate) fn new(id: LabId) -> Self {
        Self { id, asked: Rc::default() }
    }

    fn next(&self) -> Tag {
        self.asked.set(self.asked.get() + 1);
        Tag { id: self.id, n: self.asked.get() }
    }
}

impl Request {
    /// Returns a request for every event of these topics, as JSON and without a label: short polls with a pause of 2 s,
    /// long polls that are held for 20 s.
    pub(crate) const fn of(topics: Vec<Topic>, after: After) -> Self {
        Self {
            topics,
            after,
            poll_ms: 2_000.0,
            hold_s: 20.0,
            policy: Policy::All,
            is_binary: false,
            label: None,
        }
    }

    /// Returns the topics as a query, as in `topic=a&topic=b`.
    pub(crate) fn query(&self) -> String {
        self.topics.iter().map(|topic| format!("topic={topic}")).collect::<Vec<_>>().join("&")
    }

    /// Returns the address that reads the events after `after`, and the number of the request (0 without a label).
    fn address(&self, path: &str, after: After) -> (String, u32) {
        let begin = match after {
            After::Head => String::new(),
            After::Earliest => "&after=earliest".to_owned(),
            After::Last(count) => format!("&last={count}"),
            After::Cursor(cursor) => format!("&after={cursor}"),
        };
        let policy = if self.policy == Policy::Latest { "&policy=latest" } else { "" };
        let tag = self.label.as_ref().map(Label::next);
        let lab = tag.map_or(String::new(), |tag| format!("&lab={tag}"));
        (format!("{path}?{}{begin}{policy}{lab}", self.query()), tag.map_or(0, |tag| tag.n))
    }
}

/// Returns the server's reason for refusing this stream, asked by a poll, because a page sees no answer to a failed
/// stream. `None` if the stream would open, if the refusal may pass, or if there is no answer.
async fn refusal(request: Request) -> Option<String> {
    let address = format!("/v1/events?{}&last=1", request.query());
    let response = gloo_net::http::Request::get(&address).send().await.ok()?;
    let status = response.status();
    if response.ok() || Advice::of_status(status, None) != Advice::Stop {
        return None;
    }
    let problem = response.json::<Problem>().await;
    Some(problem.map_or(status.to_string(), |problem| format!("{status} {}", problem.detail)))
}

/// Reconnects after a wait, if the stream is still there and wanted.
fn later<S: 'static>(
    stream: &Rc<RefCell<S>>,
    wait_ms: f64,
    is_wanted: fn(&S) -> bool,
    connect: fn(&Rc<RefCell<S>>),
) {
    let weak = Rc::downgrade(stream);
    spawn_local(async move {
        wake::sleep(wait_ms).await;
        if let Some(stream) = weak.upgrade().filter(|stream| is_wanted(&stream.borrow())) {
            connect(&stream);
        }
    });
}

/// An open stream. Dropping the handle closes the stream.
pub(crate) enum Handle {
    ShortPoll { _handle: poll::Handle },
    LongPoll { _handle: poll::Handle, _held: Held },
    Sse { _handle: sse::Handle, _held: Held },
    Websocket { handle: websocket::Handle },
}

thread_local! {
    static HELD: Cell<u32> = const { Cell::new(0) };
}

/// Counts one connection against the browser's limit for as long as this value lives.
pub(crate) struct Held(());

impl Held {
    fn one() -> Self {
        HELD.set(HELD.get() + 1);
        Self(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.set(HELD.get().saturating_sub(1));
    }
}

/// Returns the number of connections that this page holds over HTTP/1.1 for its streams and held polls.
pub(crate) fn held() -> u32 {
    HELD.get()
}

impl Handle {
    /// Publishes JSON over the stream's own connection. `on_outcome` gets the outcome once; at once where the technique
    /// cannot send, or the stream is not open.
    pub(crate) fn send(
        &self,
        topic: &Topic,
        json: &str,
        id: Option<EventId>,
        on_outcome: publish::OnOutcome,
    ) {
        match self {
            Self::Websocket { handle } => handle.send(topic, json, id, on_outcome),
            Self::ShortPoll { .. } | Self::LongPoll { .. } | Self::Sse { .. } => {
                on_outcome(publish::PublishOutcome::Lost);
            }
        }
    }
}

/// Opens a stream by a technique. The stream resumes by itself until its handle is dropped.
pub(crate) fn open(technique: Technique, request: Request, sink: Sink) -> Handle {
    match technique {
        Technique::ShortPoll => Handle::ShortPoll { _handle: short_poll::open(request, sink) },
        Technique::LongPoll => {
            Handle::LongPoll { _handle: long_poll::open(request, sink), _held: Held::one() }
        }
        Technique::Sse => Handle::Sse { _handle: sse::open(request, sink), _held: Held::one() },
        Technique::Websocket => Handle::Websocket { handle: websocket::open(request, sink) },
    }
}

/// Contents of an answer, with repeated events marked.
#[derive(Default)]
struct Received {
    events: Vec<Delivered>,
    reset: Option<Reset>,
    /// Name of the server, if the answer tells.
    node: Option<String>,
}
