//! Checks Server-Sent Events over a path: a quiet stream, one with gzip and, if the check can publish, one with events
//! at the same time, then a resume.
//!
//! This module sends the requests; `head` and `judge` decide what the answers mean.

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

/// The addresses of the streams.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Address of a stream with events.
    pub(crate) live: Url,
    /// Address of a stream without events on Fourways; for others it is the same as `live`.
    pub(crate) quiet: Url,
    /// Publisher of events that `live` delivers.
    pub(crate) publisher: Option<Publisher>,
}

const HEARTBEATS: Rule =
    Rule::new("sse.heartbeats", "something comes at least every 30 s, so that no proxy takes it for dead");
const IDLE: Rule = Rule::new("sse.idle", "the path leaves a quiet stream open");

/// Runs all checks of one stream. They take `watch_ms`, and some seconds more for the resume.
pub(crate) async fn check(place: &Endpoint, clock: Clock, watch_ms: u64) -> Vec<Finding> {
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
        // There is no stream, and every other finding would only repeat that.
        return head::judge(recording);
    }
    let quiet = Quiet::of(recording, recording.body().is_complete);
    let shown = recording.shown();
    findings.push(quiet::heartbeats(HEARTBEATS, quiet.as_ref(), fix::IDLE).raw(&shown));
    findings.push(quiet::idle(IDLE, quiet.as_ref(), fix::IDLE).raw(shown));
    findings
}

/// Publishes marks and watches for them on a plain stream and on one with gzip.
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

/// Reconnects after the first event that was seen, and judges what follows.
async fn resume(url: &Url, before: &Recording, clock: Clock) -> Finding {
    let Some(from) = judge::resumable(before) else { return judge::not_resumable(before) };
    let request = request(url).field("Last-Event-ID", from.id.clone());
    let mut connection = Connection::open(clock, &request).await;
    let deadline_ms = clock.now_ms() + ANSWER_MS / 2;
    // Events that were missed come at once, so there is no need to wait for long.
    while !judge::has_all(&from, &connection.recording) {
        if connection.step(deadline_ms).await != Step::Arrived {
            break;
        }
    }
    judge::resume(&from, &connection.recording)
}

/// Creates the request that a browser makes (HTML Standard 9.2.2).
fn request(url: &Url) -> Request {
    Request::get(url).field("Accept", "text/event-stream").field("Cache-Control", "no-cache")
}
