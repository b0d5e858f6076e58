//! The four techniques in the browser: the only room that opens connections. Same shape in each: `open(request, sink)`
//! gives a handle, and dropping the handle closes everything it holds. None of the four knows another.

mod long_poll;
mod poll;
mod short_poll;
mod sse;
mod websocket;

pub(crate) mod channel;
pub(crate) mod lab;

use std::{cell::Cell, rc::Rc};

use fourways_shared::{
    After, Reset, Technique, Topic,
    lab::{LabId, Tag},
};

use crate::state::record::{Delivered, Note};

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
        let tag = self.label.as_ref().map(Label::next);
        let lab = tag.map_or(String::new(), |tag| format!("&lab={tag}"));
        (format!("{path}?{}{begin}{lab}", self.query()), tag.map_or(0, |tag| tag.n))
    }
}

/// An open stream. Dropping it closes it.
pub(crate) enum Handle {
    Poll { _handle: poll::Handle },
    Sse { _handle: sse::Handle },
    Websocket { handle: websocket::Handle },
}

impl Handle {
    /// Publishes over the stream's own connection; false if it has none that goes up, or it isn't open.
    pub(crate) fn publish(&self, topic: &Topic, text: &str) -> bool {
        match self {
            Self::Websocket { handle } => handle.publish(topic, text),
            Self::Poll { .. } | Self::Sse { .. } => false,
        }
    }
}

/// Opens a stream by a technique; it resumes by itself until its handle is dropped.
pub(crate) fn open(technique: Technique, request: Request, sink: Sink) -> Handle {
    match technique {
        Technique::ShortPoll => Handle::Poll { _handle: short_poll::open(request, sink) },
        Technique::LongPoll => Handle::Poll { _handle: long_poll::open(request, sink) },
        Technique::Sse => Handle::Sse { _handle: sse::open(request, sink) },
        Technique::Websocket => Handle::Websocket { handle: websocket::open(request, sink) },
    }
}

/// What an answer brought, checked against what was here before.
#[derive(Default)]
struct Taken {
    events: Vec<Delivered>,
    reset: Option<Reset>,
}
