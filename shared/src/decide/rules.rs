//! The rules that need no measurement: they come from standards, and from problems that people met in the field.
//!
//! The weights are judgement, on a scale where 2 decides and 0.5 tips the balance. Whatever can be measured is in
//! `score` instead.

use super::{
    Answers, Binary, Freshness, Http2, Proxies, Sends,
    source::{self, Source},
};
use crate::Technique::{self, LongPoll, ShortPoll, Sse, Websocket};

/// A rule: the answers that it applies to, and its effect on techniques as weight, sentence and source.
pub(super) struct Rule {
    pub(super) applies: fn(&Answers) -> bool,
    pub(super) effects: &'static [(Technique, f64, &'static str, Source)],
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        applies: |_| true,
        effects: &[
            (Sse, 0.8, "The browser reconnects and resumes by itself", source::LAST_EVENT_ID),
            (
                Websocket,
                -0.6,
                "Reconnecting, resuming and heartbeats are yours to write",
                source::WEBSOCKET_API,
            ),
            (ShortPoll, 0.2, "Each answer stands alone; nothing new costs a 304", source::NOT_MODIFIED),
            (LongPoll, -0.3, "The loop that asks again, and backs off, is yours to write", source::LONG_POLL),
        ],
    },
    Rule {
        applies: |answers| answers.sends == Sends::Never,
        effects: &[
            (Sse, 2.0, "Events go one way, which is what it is made for", source::SSE_INTRODUCTION),
            (Websocket, -1.0, "Half of the socket would go unused", source::TWO_WAYS),
            (LongPoll, 0.5, "One way is enough", Source::Answers),
            (ShortPoll, 0.5, "One way is enough", Source::Answers),
        ],
    },
    Rule {
        applies: |answers| answers.sends == Sends::AllTheTime,
        effects: &[(Websocket, 1.0, "Made for two ways: one connection carries both", source::TWO_WAYS)],
    },
    Rule {
        applies: |answers| answers.freshness == Freshness::Ms100,
        effects: &[
            (Sse, 2.0, "An event leaves when it is published", source::SSE_PUSHES),
            (Websocket, 2.0, "An event leaves when it is published", source::TWO_WAYS),
            (
                LongPoll,
                -0.5,
                "The second of two events waits for up to three transits",
                source::LONG_POLL_ISSUES,
            ),
        ],
    },
    Rule {
        applies: |answers| answers.freshness == Freshness::S1,
        effects: &[
            (Sse, 1.0, "Well inside 1 s: an event leaves when it is published", source::SSE_PUSHES),
            (Websocket, 1.0, "Well inside 1 s: an event leaves when it is published", source::TWO_WAYS),
            (
                LongPoll,
                1.0,
                "Inside 1 s: at worst an event waits for three transits",
                source::LONG_POLL_ISSUES,
            ),
        ],
    },
    Rule {
        applies: |answers| answers.freshness == Freshness::S10,
        effects: &[
            (ShortPoll, 1.0, "A poll every 10 s is fresh enough", Source::Answers),
            (LongPoll, 0.8, "Fresher than 10 s without trying", source::LONG_POLL),
            (Sse, 0.8, "Fresher than 10 s without trying", source::SSE_PUSHES),
            (Websocket, 0.5, "Fresher than 10 s, which nobody asked for", source::TWO_WAYS),
        ],
    },
    Rule {
        applies: |answers| answers.freshness == Freshness::Minutes,
        effects: &[
            (ShortPoll, 4.0, "A slow poll is fresh enough, and any cache can answer it", source::CACHES),
            (LongPoll, -1.0, "Holds a request for data that are needed once in minutes", Source::Answers),
            (Sse, -0.5, "Holds a stream for data that are needed once in minutes", Source::Answers),
            (Websocket, -1.5, "Holds a socket for data that are needed once in minutes", Source::Answers),
        ],
    },
    Rule {
        applies: |answers| answers.http2 == Http2::Yes,
        effects: &[
            (Sse, 0.8, "A hundred streams share one HTTP/2 connection", source::HUNDRED_STREAMS),
            (LongPoll, 0.4, "Held requests share one HTTP/2 connection", source::HUNDRED_STREAMS),
        ],
    },
    Rule {
        applies: |answers| answers.http2 == Http2::No,
        effects: &[
            (
                Sse,
                -1.2,
                "HTTP/1.1: six streams in all tabs together, the seventh hangs",
                source::SIX_CONNECTIONS,
            ),
            (LongPoll, -0.6, "HTTP/1.1: each tab holds one of six connections", source::SIX_CONNECTIONS),
        ],
    },
    Rule {
        applies: |answers| answers.http2 == Http2::Unknown,
        effects: &[
            (Sse, -0.6, "If it is HTTP/1.1, the seventh tab hangs: test it", source::SIX_CONNECTIONS),
            (
                LongPoll,
                -0.3,
                "If it is HTTP/1.1, each tab holds one of six connections",
                source::SIX_CONNECTIONS,
            ),
        ],
    },
    Rule {
        applies: |answers| answers.proxies == Proxies::Some,
        effects: &[
            (
                Websocket,
                -0.6,
                "Some networks block sockets: use wss and have a fallback",
                source::UPGRADE_BLOCKED,
            ),
            (Sse, -0.2, "A proxy may buffer: send X-Accel-Buffering: no, and test", source::STREAM_BUFFERED),
        ],
    },
    Rule {
        applies: |answers| answers.proxies == Proxies::Many,
        effects: &[
            (
                Websocket,
                -2.5,
                "Filters let the upgrade pass, then cut the socket at once",
                source::UPGRADE_CUT,
            ),
            (Sse, -2.0, "Filters and antivirus hold the stream back until it ends", source::STREAM_HELD),
            (LongPoll, 1.6, "What clients fall back to where sockets are cut", source::UPGRADE_CUT),
            (ShortPoll, 1.6, "Plain requests pass where pages pass", source::INTERMEDIARIES),
        ],
    },
    Rule {
        applies: |answers| answers.binary == Binary::Yes,
        effects: &[
            (Websocket, 1.5, "Binary messages, nothing to encode", source::BINARY_FRAMES),
            (Sse, -1.5, "Text only: base64 makes bytes a third longer", source::SSE_IS_UTF8),
            (LongPoll, -0.3, "Bytes travel as base64 in JSON, a third longer", source::BASE64),
            (ShortPoll, -0.3, "Bytes travel as base64 in JSON, a third longer", source::BASE64),
        ],
    },
];
