//! The four techniques in the browser: the only room that opens connections. Same shape in each: `open(request, sink)`
//! gives a handle, and dropping the handle closes everything it holds. None of the four knows another.

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

use wasm_bindgen_futures::spawn_local;

use crate::{
    browser::wake,
    state::record::{Delivered, Note},
};

/// Takes what a stream tells, in order, in the callback in which it happened.
pub(crate) type Sink = Rc<dyn Fn(Note)>;

/// What to read, and how.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) topics: Vec<Topic>,
    pub(crate) after: After,
    /// Time between a short poll's answer and the next.
    pub(crate) poll_ms: f64,
    /// How long a long poll may be held.
    pub(crate) hold_s: f64,
    /// Every event, or the newest of each topic.
    pub(crate) policy: Policy,
    /// Over WebSocket in CBOR; the other three carry text.
    pub(crate) is_binary: bool,
    /// Whose requests they are, so that the server counts them and breaks them for this page alone.
    /// Without it they are neither counted nor broken.
    pub(crate) label: Option<Label>,
}

/// The page's id, and the count of what it asked for by one technique. Copies count on.
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
    /// `topic=a&topic=b`
    pub(crate) fn query(&self) -> String {
        self.topics.iter().map(|topic| format!("topic={topic}")).collect::<Vec<_>>().join("&")
    }

    /// Where to ask for what follows, and the number of the request.
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

/// Why the server does not open this stream, asked in the one way whose answer a page is told; `None` if that would open, or there
/// is no answer.
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

/// Connects again after a wait, if the stream is still there and wanted.
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

/// An open stream. Dropping it closes it.
pub(crate) enum Handle {
    ShortPoll { _handle: poll::Handle },
    LongPoll { _handle: poll::Handle, _held: Held },
    Sse { _handle: sse::Handle, _held: Held },
    Websocket { handle: websocket::Handle },
}

thread_local! {
    static HELD: Cell<u32> = const { Cell::new(0) };
}

/// One of the connections that a browser counts.
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

/// How many connections this page holds over HTTP/1.1 for its streams and held polls.
pub(crate) fn held() -> u32 {
    HELD.get()
}

impl Handle {
    /// Publishes JSON over the stream's own connection. What becomes of it is told once; where the stream has no way up, or
    /// is not open, at once.
    pub(crate) fn send(&self, topic: &Topic, json: &str, id: Option<EventId>, told: publish::Told) {
        match self {
            Self::Websocket { handle } => handle.send(topic, json, id, told),
            Self::ShortPoll { .. } | Self::LongPoll { .. } | Self::Sse { .. } => told(publish::Sent::Lost),
        }
    }
}

/// Opens a stream by a technique; it resumes by itself until its handle is dropped.
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

/// What an answer brought, checked against what was here before.
#[derive(Default)]
struct Taken {
    events: Vec<Delivered>,
    reset: Option<Reset>,
}
