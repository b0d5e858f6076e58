//! What happened on the wire, in one shape for all four techniques.

use fourways_shared::{Cursor, Event, Reset, Technique};

/// One request with its answer, one event, or one frame.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Counted from 1 for each stream.
    pub(crate) n: u64,
    pub(crate) technique: Technique,
    pub(crate) direction: Direction,
    /// `GET`, `message`, `text`: what the technique calls it.
    pub(crate) kind: String,
    /// `200`, `fin`: how it came out.
    pub(crate) status: String,
    pub(crate) outcome: Outcome,
    /// When it was asked for or sent, by the page's clock, in milliseconds since the Unix epoch.
    pub(crate) began_ms: f64,
    /// When it was here whole.
    pub(crate) ended_ms: f64,
    pub(crate) bytes: Bytes,
    /// Literally what was on the wire, as far as a page can see it.
    pub(crate) raw: Raw,
    pub(crate) events: Vec<Delivered>,
    pub(crate) reset: Option<Reset>,
    /// The place up to which everything has been seen.
    pub(crate) cursor: Option<Cursor>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
    Both,
}

impl Direction {
    pub(crate) const fn arrow(self) -> &'static str {
        match self {
            Self::Up => "↑",
            Self::Down => "↓",
            Self::Both => "⇅",
        }
    }

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Up => "to the server",
            Self::Down => "from the server",
            Self::Both => "request and answer",
        }
    }
}

/// What a record was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It brought events.
    Data,
    /// It asked for events and brought none.
    Empty,
    /// A stream was opened.
    Opened,
    /// It serves the protocol.
    Control,
    /// It failed, or the connection ended.
    Failed,
}

/// Bytes as far as a page can see them. What the browser adds to a request it doesn't tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    /// Request line and the headers that the page set; a frame's header and mask.
    pub(crate) up_head: u64,
    pub(crate) up_body: u64,
    /// Status line and headers; chunk size and SSE fields; a frame's header.
    pub(crate) down_head: u64,
    pub(crate) down_body: u64,
}

impl Bytes {
    pub(crate) const fn up(self) -> u64 {
        self.up_head + self.up_body
    }

    pub(crate) const fn down(self) -> u64 {
        self.down_head + self.down_body
    }
}

/// Text of the wire in parts, each with a caption.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Raw(pub(crate) Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) caption: String,
    /// The line that says what it is.
    pub(crate) start: String,
    /// Headers, fields, bits.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// An event of a record.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    pub(crate) event: Event,
    /// It was not here before.
    pub(crate) is_new: bool,
}

/// The state of a stream's connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Link {
    /// Nothing is open: between two short polls, or not begun.
    #[default]
    Idle,
    /// Asked, no answer yet.
    Opening,
    /// A request is held, or a stream is open, since then.
    Held { since_ms: f64 },
    /// Lost; the next try comes at that time.
    Waiting { until_ms: f64, attempt: u32, why: String },
    /// The server refused; trying again would not help.
    Stopped { why: String },
}

/// What a stream tells its page, in order.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    Link(Link),
    Record(Box<Record>),
}
