//! The four techniques, in the order that is used everywhere.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One of the four ways to get fresh data to a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Technique {
    /// The client asks again and again; each answer holds what is new by then.
    ShortPoll,
    /// The client asks once; the server holds the answer until there is an event or the wait is over.
    LongPoll,
    /// One HTTP response that never ends (HTML Standard 9.2).
    Sse,
    /// One connection that carries messages both ways (RFC 6455).
    Websocket,
}

impl Technique {
    /// All four techniques, in the order in which every list shows them.
    pub const ALL: [Self; 4] = [Self::ShortPoll, Self::LongPoll, Self::Sse, Self::Websocket];

    /// Returns the technique's index in [`Self::ALL`], which also indexes every array of four.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// True if the technique holds one response or socket open and sends events as they come, instead of answering
    /// requests.
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Sse | Self::Websocket)
    }

    /// Returns the name used in JSON, metrics, files and CSS: `short_poll`, `long_poll`, `sse`, `websocket`.
    pub const fn name(self) -> &'static str {
        ["short_poll", "long_poll", "sse", "websocket"][self.index()]
    }

    /// Returns the name that people read: `Short polling`, `Long polling`, `SSE`, `WebSocket`.
    pub const fn label(self) -> &'static str {
        ["Short polling", "Long polling", "SSE", "WebSocket"][self.index()]
    }

    /// Returns the abbreviation for narrow places: `SP`, `LP`, `SSE`, `WS`.
    pub const fn code(self) -> &'static str {
        ["SP", "LP", "SSE", "WS"][self.index()]
    }

    /// Returns the path of the technique's page in the lab, without its slash; the command line accepts it too.
    pub const fn slug(self) -> &'static str {
        ["short-polling", "long-polling", "sse", "websocket"][self.index()]
    }
}

impl fmt::Display for Technique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Technique {
    type Err = String;

    /// Parses a name or a slug, and also `short-poll` and `long-poll`, since people type them.
    fn from_str(text: &str) -> Result<Self, String> {
        let same = |technique: &Self| {
            text == technique.name() || text == technique.slug() || text.replace('-', "_") == technique.name()
        };
        Self::ALL
            .into_iter()
            .find(same)
            .ok_or_else(|| "allowed are short-poll, long-poll, sse, websocket".to_owned())
    }
}
