//! Polled HTTP over a path: the same address asked again, with an event between, and with what is known already.
//! On Fourways also the long poll: that it is held, and that an event ends it.
//!
//! This file asks; what the answers mean is in `judge`.

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

/// An address that is polled.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) url: Url,
    /// Where `If-None-Match` is asked; for others than Fourways the same. There it names no place of its own, since
    /// the tag does: events of other topics would change the answer to an older place.
    pub(crate) known: Url,
    /// Publishes to it.
    pub(crate) publisher: Option<Publisher>,
}

/// All checks of one address; a few seconds.
pub(crate) async fn check(place: &Place, clock: Clock) -> Vec<Finding> {
    let first = ask(clock, &place.url, None).await;
    let mark = publish(place.publisher.as_ref()).await;
    // Past one second, so that a Date made anew is another.
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

/// Where a Fourways server is long polled.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// A topic on which nothing happens.
    pub(crate) quiet: Url,
    /// A topic that `publisher` publishes to.
    pub(crate) live: Url,
    pub(crate) publisher: Publisher,
}

/// Longest hold that is tried, in milliseconds: what `fourways serve` allows by default.
const MAX_HOLD_MS: u64 = 25_000;

/// The long poll's own checks.
pub(crate) async fn check_held(held: &Held, clock: Clock, watch_ms: u64) -> Vec<Finding> {
    let hold_ms = watch_ms.min(MAX_HOLD_MS);
    let asking = |url: &Url, hold_ms: u64| {
        let mut url = url.clone();
        url.query_pairs_mut().append_pair("wait", &format!("{}.{:03}", hold_ms / 1000, hold_ms % 1000));
        let deadline_ms = clock.now_ms() + hold_ms + ANSWER_MS;
        async move { wire::answer(clock, &request(&url), deadline_ms).await }
    };
    let publishing = async {
        // Until the server holds the poll.
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

/// As `fetch` asks in a page. No `Cache-Control` here: a cache on the way shall answer if it would answer a page.
fn request(url: &Url) -> Request {
    Request::get(url).field("Accept", "*/*").field("Connection", "close")
}
