//! Checks polling over a path: polls the same address again after an event, and with the `ETag` that is known already.
//! For Fourways also the long poll: whether it is held, and whether an event ends it.
//!
//! This module sends the requests; `judge` decides what the answers mean.

mod judge;

use std::time::Duration;

use reqwest::Url;

use super::{
    marks::{Mark, SPACING_MS},
    recording::Recording,
    request::Request,
    target::Publisher,
    verdict::Finding,
    wire::{self, ANSWER_MS, Clock},
};

/// The address of a polled resource.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) url: Url,
    /// Address for the request with `If-None-Match`. For Fourways it has no cursor, because the tag stands for one:
    /// with an older cursor, events of other topics would change the answer. For others it is the same as `url`.
    pub(crate) known: Url,
    /// Publisher of events that `url` delivers.
    pub(crate) publisher: Option<Publisher>,
}

/// Runs all checks of one address, which take a few seconds.
pub(crate) async fn check(place: &Endpoint, clock: Clock) -> Vec<Finding> {
    let first = ask(clock, &place.url, None).await;
    let mark = publish(place.publisher.as_ref()).await;
    // More than a second later, so that a new answer has a new Date.
    tokio::time::sleep(Duration::from_millis(SPACING_MS + 100)).await;
    let second = ask(clock, &place.url, None).await;
    let mut findings = vec![judge::status(&first)];
    if !judge::is_answer(&first) {
        return findings;
    }
    findings.push(judge::cache_control(&first));
    findings.push(judge::cached(&first, &second, mark.as_ref()));
    let third = match judge::etag(&second) {
        Some(tag) => Some(ask(clock, &place.known, Some(tag)).await),
        None => None,
    };
    findings.push(judge::revalidation(&second, third.as_ref()));
    findings
}

/// The addresses for long polls of a Fourways server.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Address of a topic without events.
    pub(crate) quiet: Url,
    /// Address of the topic that `publisher` publishes to.
    pub(crate) live: Url,
    pub(crate) publisher: Publisher,
}

/// Longest hold that is tried, in milliseconds: the longest that `fourways serve` allows by default.
const MAX_HOLD_MS: u64 = 25_000;

/// Runs the checks of the long poll.
pub(crate) async fn check_held(held: &Held, clock: Clock, watch_ms: u64) -> Vec<Finding> {
    let hold_ms = watch_ms.min(MAX_HOLD_MS);
    let asking = |url: &Url, hold_ms: u64| {
        let mut url = url.clone();
        url.query_pairs_mut().append_pair("wait", &format!("{}.{:03}", hold_ms / 1000, hold_ms % 1000));
        let deadline_ms = clock.now_ms() + hold_ms + ANSWER_MS;
        async move { wire::answer(clock, &request(&url), deadline_ms).await }
    };
    let publishing = async {
        // Gives the server time to receive and hold the poll.
        tokio::time::sleep(Duration::from_millis(SPACING_MS)).await;
        held.publisher.publish(1).await
    };
    let (quiet, woken, mark) =
        tokio::join!(asking(&held.quiet, hold_ms), asking(&held.live, ANSWER_MS), publishing);
    vec![judge::held(&quiet, hold_ms), judge::woken(&woken, &mark)]
}

async fn publish(publisher: Option<&Publisher>) -> Option<Mark> {
    match publisher {
        Some(publisher) => Some(publisher.publish(1).await),
        None => None,
    }
}

async fn ask(clock: Clock, url: &Url, tag: Option<String>) -> Recording {
    let mut request = request(url);
    if let Some(tag) = tag {
        request = request.field("If-None-Match", tag);
    }
    wire::answer(clock, &request, clock.now_ms() + ANSWER_MS).await
}

/// Creates the request that `fetch` makes in a page. It has no `Cache-Control`, so that a cache on the path answers it
/// if it would answer the page.
fn request(url: &Url) -> Request {
    Request::get(url).field("Accept", "*/*").field("Connection", "close")
}
