//! Checks `WebSocket` over a path: one connection with pings and events, a quiet one, and on Fourways a resume.
//!
//! This module sends the requests; `judge` decides what the answers mean.

mod frame;
mod judge;

use std::cell::Cell;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::Url;

use self::frame::{Frame, Frames, PING, PONG};
use super::{
    fix,
    marks::{self, SPACING_MS},
    quiet::{self, Quiet},
    recording::Recording,
    request::Request,
    target::Publisher,
    verdict::{Finding, Rule},
    wire::{ANSWER_MS, Clock, Connection, Step},
};

/// The addresses of the sockets.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Address of a socket with events.
    pub(crate) live: Url,
    /// Address of a socket without events on Fourways; for others it is the same as `live`.
    pub(crate) quiet: Url,
    /// Publisher of events that `live` delivers.
    pub(crate) publisher: Option<Publisher>,
    /// True if the server speaks Fourways' own protocol.
    pub(crate) is_fourways: bool,
}

const HEARTBEATS: Rule = Rule::new(
    "websocket.heartbeats",
    "something comes at least every 30 s, so that no proxy takes it for dead",
);
const IDLE: Rule = Rule::new("websocket.idle", "the path leaves a quiet socket open");
/// Subprotocol that is offered to a Fourways server.
const PROTOCOL: &str = "fourways.v1.json";
/// Time for which the connection with pings is kept, in milliseconds: a path that cuts frames that it does not
/// understand does so by then.
const TALK_MS: u64 = 5000;

/// Everything that was sent and received on one socket.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    pub(crate) recording: Recording,
    /// Value of `Sec-WebSocket-Key` in the request.
    pub(crate) key: String,
    /// Value of `Sec-WebSocket-Protocol` in the request, if one was offered.
    pub(crate) protocol: Option<&'static str>,
    pub(crate) frames: Vec<Frame>,
    /// Times at which pings were sent, in milliseconds since the check began. The payload of a ping is its index here.
    pub(crate) pings_ms: Vec<u64>,
}

/// Runs all checks of one address. They take `watch_ms`, and some seconds more for the resume.
pub(crate) async fn check(place: &Endpoint, clock: Clock, watch_ms: u64) -> Vec<Finding> {
    let protocol = place.is_fourways.then_some(PROTOCOL);
    let is_published = Cell::new(false);
    let talking = async {
        let socket = Socket::open(clock, &place.live, protocol, false).await;
        let publishing = async {
            let marks = match &place.publisher {
                Some(publisher) => publisher.publish_spaced().await,
                None => Vec::new(),
            };
            is_published.set(true);
            marks
        };
        tokio::join!(socket.ping(&is_published), publishing)
    };
    let being_quiet = async {
        let socket = Socket::open(clock, &place.quiet, protocol, true).await;
        socket.keep_quiet(clock.now_ms() + watch_ms).await
    };
    let ((talk, marks), quiet) = tokio::join!(talking, being_quiet);

    let mut findings = judge::opening(&talk, &quiet);
    if !judge::is_open(&talk) {
        return findings;
    }
    findings.push(judge::early_cut(&talk, TALK_MS));
    findings.push(judge::pings(&talk));
    if place.publisher.is_some() {
        let body = talk.recording.body();
        let arrived: Vec<_> = marks.iter().map(|mark| body.arrived_ms(&mark.text)).collect();
        let delivery = marks::judge(judge::DELIVERY, &marks, &arrived, fix::EARLY_CUT);
        findings.push(delivery.raw(talk.recording.shown()));
    }
    findings.push(if place.is_fourways {
        resume(clock, &place.live, &talk).await
    } else {
        judge::resume_of_another()
    });
    let (recording, said_goodbye) = (&quiet.recording, judge::close_code(&quiet.frames).is_some());
    let is_quiet = judge::is_open(&quiet).then(|| Quiet::of(recording, said_goodbye)).flatten();
    let shown = recording.shown();
    findings.push(quiet::heartbeats(HEARTBEATS, is_quiet.as_ref(), fix::IDLE_WEBSOCKET).raw(&shown));
    findings.push(quiet::idle(IDLE, is_quiet.as_ref(), fix::IDLE_WEBSOCKET).raw(shown));
    findings
}

/// Opens another socket after the first event that was seen, and judges what follows.
async fn resume(clock: Clock, url: &Url, before: &Talk) -> Finding {
    let Some((first, follow)) = judge::resumable(before) else { return judge::not_resumable(before) };
    let mut url = url.clone();
    url.query_pairs_mut().append_pair("after", &first);
    let socket = Socket::open(clock, &url, before.protocol, false).await;
    // Events that were missed come at once.
    let again = socket.keep_quiet(clock.now_ms() + 2 * SPACING_MS).await;
    judge::resume(&follow, &again)
}

/// The client's side of a socket, which reads and writes frames once the connection is upgraded.
struct Socket {
    clock: Clock,
    connection: Connection,
    frames: Frames,
    read: usize,
    talk: Talk,
}

impl Socket {
    /// Connects and requests the upgrade (RFC 6455 4.1). `offers_deflate` adds `permessage-deflate` (RFC 7692).
    async fn open(clock: Clock, url: &Url, protocol: Option<&'static str>, offers_deflate: bool) -> Self {
        let key = BASE64_STANDARD.encode(((u128::from(random()) << 64) | u128::from(random())).to_be_bytes());
        let mut request = Request::get(url)
            .field("Connection", "Upgrade")
            .field("Upgrade", "websocket")
            .field("Sec-WebSocket-Version", "13")
            .field("Sec-WebSocket-Key", key.as_str());
        if let Some(protocol) = protocol {
            request = request.field("Sec-WebSocket-Protocol", protocol);
        }
        if offers_deflate {
            request = request.field("Sec-WebSocket-Extensions", "permessage-deflate");
        }
        let talk = Talk { key, protocol, ..Talk::default() };
        let connection = Connection::open(clock, &request).await;
        Self { clock, connection, frames: Frames::default(), read: 0, talk }
    }

    /// Sends a ping every second, for at least [`TALK_MS`] and until all marks are published, but at most for three
    /// times [`ANSWER_MS`].
    async fn ping(mut self, is_published: &Cell<bool>) -> Talk {
        let began_ms = self.clock.now_ms();
        let mut due_ms = began_ms + SPACING_MS / 2;
        while self.step(due_ms).await != Step::Ended {
            let now_ms = self.clock.now_ms();
            let is_over = now_ms >= began_ms + TALK_MS && is_published.get();
            if is_over || now_ms >= began_ms + 3 * ANSWER_MS {
                break;
            }
            if now_ms < due_ms {
                continue;
            }
            due_ms = now_ms + SPACING_MS;
            if self.connection.recording.status() == Some(101) {
                let number = self.talk.pings_ms.len().to_string();
                self.talk.pings_ms.push(now_ms);
                self.send(PING, number.as_bytes()).await;
            }
        }
        self.done().await
    }

    /// Only answers pings, as every browser does, until the deadline.
    async fn keep_quiet(mut self, until_ms: u64) -> Talk {
        while self.step(until_ms).await == Step::Arrived {}
        self.done().await
    }

    /// Waits for the next read, and answers its pings (RFC 6455 5.5.2).
    async fn step(&mut self, deadline_ms: u64) -> Step {
        let step = self.connection.step(deadline_ms).await;
        if self.connection.recording.status() != Some(101) {
            return step;
        }
        let arrivals = self.connection.recording.arrivals.get(self.read..).unwrap_or_default();
        let frames: Vec<_> =
            arrivals.iter().flat_map(|arrival| self.frames.push(arrival.ms, &arrival.bytes)).collect();
        self.read = self.connection.recording.arrivals.len();
        for frame in frames {
            if frame.opcode == PING {
                self.send(PONG, &frame.payload).await;
            }
            self.talk.frames.push(frame);
        }
        step
    }

    async fn send(&mut self, opcode: u8, payload: &[u8]) {
        let mask = u32::try_from(random() >> 32).unwrap_or(1);
        self.connection.send(&frame::write(opcode, payload, mask)).await;
    }

    /// Sends a close frame with the code 1000, if the socket is still open (RFC 6455 7.1.2), and returns the talk.
    async fn done(mut self) -> Talk {
        if self.connection.recording.status() == Some(101) && self.connection.recording.end.is_open() {
            self.send(frame::CLOSE, &1000_u16.to_be_bytes()).await;
        }
        Talk { recording: self.connection.recording, ..self.talk }
    }
}

/// Returns random bits for keys and masks. Those only protect caches from being fooled (RFC 6455 10.3), so a constant
/// does if the system provides no random numbers.
fn random() -> u64 {
    getrandom::u64().unwrap_or(0x5EED_0F0F_1234_5678)
}
