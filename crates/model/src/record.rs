//! Activity on the wire, in one shape for all four techniques.

use fourways_shared::{
    Cursor, Event, Reset, Technique,
    lab::{Part, Split},
};

/// One request with its answer, one event of a stream, or one frame of a WebSocket, as the page saw it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Number of the technique's request that the record belongs to, counted by the page.
    pub n: u32,
    pub technique: Technique,
    /// HTTP status of the answer; 0 if the record is no answer.
    pub code: u16,
    /// Result in words, such as the status or the reason of a failure.
    pub status: String,
    pub kind: RecordKind,
    /// Time at which the request was made or the frame was sent, by the page's clock, in milliseconds since the Unix
    /// epoch.
    pub began_ms: f64,
    /// Time at which the record was complete, by the page's clock, in milliseconds since the Unix epoch.
    pub ended_ms: f64,
    /// Bytes sent, as far as a page can see them: header fields that the browser adds are hidden from it.
    pub up: Spans,
    /// Bytes received, as far as a page can see them.
    pub down: Spans,
    pub events: Vec<Delivered>,
    /// Break in continuity that the record reported.
    pub reset: Option<Reset>,
    /// Cursor up to which the stream has seen everything; `None` if the record does not tell.
    pub cursor: Option<Cursor>,
    /// Name of the server that answered, if several share the log and the record tells.
    pub node: Option<String>,
}

/// Bytes of the wire in order, each run with the part that it is.
pub type Spans = Vec<(Part, Vec<u8>)>;

impl Record {
    /// Creates an empty record that begins and ends at `at_ms`.
    pub const fn new(technique: Technique, n: u32, kind: RecordKind, at_ms: f64) -> Self {
        Self {
            n,
            technique,
            code: 0,
            status: String::new(),
            kind,
            began_ms: at_ms,
            ended_ms: at_ms,
            up: Vec::new(),
            down: Vec::new(),
            events: Vec::new(),
            reset: None,
            cursor: None,
            node: None,
        }
    }
}

/// Returns the number of bytes of each class.
pub fn split(spans: &Spans) -> Split {
    let mut split = Split::default();
    for (part, bytes) in spans {
        split.add(part.class(), bytes.len() as u64);
    }
    split
}

/// Splits an HTTP head into its parts: the first line, and the rest.
pub fn head(text: &str) -> Spans {
    let end = text.find('\n').map_or(text.len(), |at| at + 1);
    vec![(Part::StartLine, text.as_bytes()[..end].to_vec()), (Part::Headers, text.as_bytes()[end..].to_vec())]
}

/// Kind of result of a [`Record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// The record brought events.
    Data,
    /// The record answered a request for events and brought none.
    Empty,
    /// The record opened a stream.
    Opened,
    /// The record serves the protocol: a command, a reply, a heartbeat.
    Control,
    /// The request failed, or the connection ended.
    Failed,
}

/// An event that a record brought.
#[derive(Clone, Debug)]
pub struct Delivered {
    pub event: Event,
    /// True if the event was not delivered before.
    pub is_new: bool,
}

/// State of a stream's connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Link {
    /// The page has no stream, or has closed it.
    #[default]
    Closed,
    /// No request is open, between two short polls.
    Idle,
    /// The page has made a request and has no answer yet.
    Opening,
    /// A request is held, or a stream is open, since `since_ms` by the page's clock.
    Held { since_ms: f64 },
    /// The connection was lost, and the next attempt is scheduled.
    Waiting {
        /// Time of the next attempt, by the page's clock, in milliseconds since the Unix epoch; `None` if the browser
        /// decides, which it does not tell.
        until_ms: Option<f64>,
        /// Number of the attempt, counted from 1.
        attempt: u32,
        /// Reason of the loss, in words.
        why: String,
    },
    /// The server refused, and trying again would not help.
    Stopped { why: String },
}

impl Link {
    /// Returns the state in a few words.
    pub fn words(&self) -> String {
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

/// Returns the server's refusal for people, who need less detail than programs. `why` is a reason as in
/// [`Link::Stopped`]: one that begins with 401 or 403 is replaced, any other is quoted.
pub fn refusal(why: &str) -> String {
    match why.split(' ').next() {
        Some("401") => "not signed in".to_owned(),
        Some("403") => "not allowed for whoever is signed in".to_owned(),
        _ => format!("refused: {why}"),
    }
}

/// A message from a stream to its page. Notes come in order.
#[derive(Clone, Debug)]
pub enum Note {
    Link(Link),
    Record(Box<Record>),
}
