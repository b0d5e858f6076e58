//! Server-Sent Events over a path: three streams at once (quiet, with events, with gzip), then a resume.
//!
//! This file asks; what the answers mean is in `head` and `judge`.

mod head;
mod judge;

use reqwest::Url;

use super::{
    fix, marks,
    quiet::{self, Quiet},
    recording::Recording,
    request::Request,
    target::Publisher,
    verdict::{Finding, Rule},
    wire::{ANSWER_MS, Clock, Connection, Step, while_watching},
};

/// Where the streams are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// A stream that carries events.
    pub(crate) live: Url,
    /// A stream that is as quiet as can be had; for others than Fourways the same.
    pub(crate) quiet: Url,
    /// Publishes to `live`.
    pub(crate) publisher: Option<Publisher>,
}

const HEARTBEATS: Rule =
    Rule::new("sse.heartbeats", "something comes at least every 30 s, so that no proxy takes it for dead");
const IDLE: Rule = Rule::new("sse.idle", "the path leaves a quiet stream open");

/// All checks of one stream. Takes `watch_ms`, and some seconds more for the resume.
pub(crate) async fn check(place: &Place, clock: Clock, watch_ms: u64) -> Vec<Finding> {
    let with_gzip = request(&place.live).field("Accept-Encoding", "gzip");
    let without = request(&place.quiet);
    let (mut quiet, mut packed) =
        tokio::join!(Connection::open(clock, &without), Connection::open(clock, &with_gzip));
    let until_ms = clock.now_ms() + watch_ms;
    let mut findings = match &place.publisher {
        Some(publisher) => {
            let watching = watch_marks(&place.live, publisher, packed, clock);
            let (findings, ()) = tokio::join!(watching, quiet.watch(until_ms));
            findings
        }
        None => {
            tokio::join!(quiet.watch(until_ms), packed.watch(until_ms));
            let recording = &quiet.recording;
            let mut findings = head::judge(recording);
            findings.push(judge::buffering(recording));
            findings.push(judge::gzip(recording, &packed.recording));
            findings.push(resume(&place.live, recording, clock).await);
            findings
        }
    };
    let recording = &quiet.recording;
    if recording.status().is_some_and(|status| status != 200) {
        // No stream: the rest would only say so again.
        return head::judge(recording);
    }
    let quiet = Quiet::of(recording, recording.body().is_complete);
    let shown = recording.shown();
    findings.push(quiet::heartbeats(HEARTBEATS, quiet.as_ref(), fix::IDLE).raw(&shown));
    findings.push(quiet::idle(IDLE, quiet.as_ref(), fix::IDLE).raw(shown));
    findings
}

/// With events of its own, on one stream plain and on one with gzip.
async fn watch_marks(url: &Url, publisher: &Publisher, mut packed: Connection, clock: Clock) -> Vec<Finding> {
    let mut live = Connection::open(clock, &request(url)).await;
    let deadline_ms = clock.now_ms() + 3 * ANSWER_MS;
    let marks = while_watching([&mut live, &mut packed], deadline_ms, publisher.publish_spaced()).await;
    let (live, packed) = (live.recording, packed.recording);
    let arrived = |recording: &Recording| {
        let body = recording.body();
        marks.iter().map(|mark| body.arrived_ms(&mark.text)).collect::<Vec<_>>()
    };
    let buffering = marks::judge(judge::BUFFERING, &marks, &arrived(&live), fix::BUFFERING).raw(live.shown());
    let with_gzip = marks::judge(judge::GZIP, &marks, &arrived(&packed), fix::GZIP).raw(packed.shown());
    let gzip = judge::gzip_with_marks(&buffering, with_gzip, packed.head.as_ref());
    let mut findings = head::judge(&live);
    findings.extend([buffering, gzip]);
    findings.push(resume(url, &live, clock).await);
    findings
}

/// Asks again from the first event that was seen.
async fn resume(url: &Url, before: &Recording, clock: Clock) -> Finding {
    let Some(from) = judge::resumable(before) else { return judge::not_resumable(before) };
    let request = request(url).field("Last-Event-ID", from.id.clone());
    let mut connection = Connection::open(clock, &request).await;
    let deadline_ms = clock.now_ms() + ANSWER_MS / 2;
    // What was missed comes at once; there is no need to wait for more.
    while !judge::has_all(&from, &connection.recording) {
        if connection.step(deadline_ms).await != Step::Arrived {
            break;
        }
    }
    judge::resume(&from, &connection.recording)
}

/// As a browser asks (HTML Standard 9.2.2).
fn request(url: &Url) -> Request {
    Request::get(url).field("Accept", "text/event-stream").field("Cache-Control", "no-cache")
}
