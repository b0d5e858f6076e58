//! What happened on the wire, in one shape for all four techniques.

use fourways_shared::{
    Cursor, Event, Reset, Technique,
    lab::{Part, Split},
};

/// One request with its answer, one event, or one frame.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Which of the technique's requests it belongs to.
    pub(crate) n: u32,
    pub(crate) technique: Technique,
    /// The answer's status; 0 for what is no answer.
    pub(crate) code: u16,
    /// How it came out, in words.
    pub(crate) status: String,
    pub(crate) outcome: Outcome,
    /// When it was asked for or sent, by the page's clock, in milliseconds since the Unix epoch.
    pub(crate) began_ms: f64,
    /// When it was here whole.
    pub(crate) ended_ms: f64,
    /// What went up and what came down, as far as a page can see it: what the browser adds it doesn't tell.
    pub(crate) up: Spans,
    pub(crate) down: Spans,
    pub(crate) events: Vec<Delivered>,
    pub(crate) reset: Option<Reset>,
    /// The place up to which everything has been seen.
    pub(crate) cursor: Option<Cursor>,
}

/// Bytes of the wire, and what they are.
pub(crate) type Spans = Vec<(Part, Vec<u8>)>;

impl Record {
    /// An empty record of this time.
    pub(crate) const fn new(technique: Technique, n: u32, outcome: Outcome, at_ms: f64) -> Self {
        Self {
            n,
            technique,
            code: 0,
            status: String::new(),
            outcome,
            began_ms: at_ms,
            ended_ms: at_ms,
            up: Vec::new(),
            down: Vec::new(),
            events: Vec::new(),
            reset: None,
            cursor: None,
        }
    }
}

/// So many bytes of each class.
pub(crate) fn split(spans: &Spans) -> Split {
    let mut split = Split::default();
    for (part, bytes) in spans {
        split.add(part.class(), bytes.len() as u64);
    }
    split
}

/// A head in its parts: the first line, and the rest.
pub(crate) fn head(text: &str) -> Spans {
    let end = text.find('\n').map_or(text.len(), |at| at + 1);
    vec![(Part::StartLine, text.as_bytes()[..end].to_vec()), (Part::Headers, text.as_bytes()[end..].to_vec())]
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
    /// The page has no stream, or has closed it.
    #[default]
    Closed,
    /// Nothing is open between two short polls.
    Idle,
    /// Asked, no answer yet.
    Opening,
    /// A request is held, or a stream is open, since then.
    Held { since_ms: f64 },
    /// Lost; the next try comes at that time.
    Waiting {
        /// `None`: the browser decides, and does not tell.
        until_ms: Option<f64>,
        attempt: u32,
        why: String,
    },
    /// The server refused; trying again would not help.
    Stopped { why: String },
}

impl Link {
    /// How it stands, in a few words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Closed => "closed".to_owned(),
            Self::Idle => "between polls".to_owned(),
            Self::Opening => "connecting".to_owned(),
            Self::Held { .. } => "open".to_owned(),
            Self::Waiting { attempt, .. } => format!("reconnecting, attempt {attempt}"),
            Self::Stopped { why } => refusal(why),
        }
    }
}

/// What the server refused, for people: programs are told more.
pub(crate) fn refusal(why: &str) -> String {
    match why.split(' ').next() {
        Some("401") => "not signed in".to_owned(),
        Some("403") => "not allowed for whoever is signed in".to_owned(),
        _ => format!("refused: {why}"),
    }
}

/// What a stream tells its page, in order.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    Link(Link),
    Record(Box<Record>),
}
