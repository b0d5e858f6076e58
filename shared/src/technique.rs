//! The four techniques, always in this order.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One of the four ways to get fresh data to a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Technique {
    /// Ask again and again; the answer is what there is now.
    ShortPoll,
    /// Ask once; the answer is held until there is something to say.
    LongPoll,
    /// One HTTP response that never ends (HTML Standard 9.2).
    Sse,
    /// One connection, messages both ways (RFC 6455).
    Websocket,
}

impl Technique {
    /// All four, in the order in which every list shows them.
    pub const ALL: [Self; 4] = [Self::ShortPoll, Self::LongPoll, Self::Sse, Self::Websocket];

    /// Place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// It holds one response or socket open and sends what comes, rather than answering each request.
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Sse | Self::Websocket)
    }

    /// The name used in JSON, metrics, files and CSS: `short_poll`, `long_poll`, `sse`, `websocket`.
    pub const fn name(self) -> &'static str {
        ["short_poll", "long_poll", "sse", "websocket"][self.index()]
    }

    /// The name for people.
    pub const fn label(self) -> &'static str {
        ["Short polling", "Long polling", "SSE", "WebSocket"][self.index()]
    }

    /// The abbreviation where there is no room: `SP`, `LP`, `SSE`, `WS`.
    pub const fn code(self) -> &'static str {
        ["SP", "LP", "SSE", "WS"][self.index()]
    }

    /// The last part of the lab's address, and the word on the command line.
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

    /// Reads a name or a slug; `short-poll` and `long-poll` too, since people type them.
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
