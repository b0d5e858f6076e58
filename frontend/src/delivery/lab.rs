//! What the lab asks the server beside the four streams: the time, and a feed to measure with.

use fourways_shared::{Cursor, Event, PollBody, Topic, decide::Past, measure::ClockSample};
use gloo_net::http::Request;
use serde::Deserialize;

use crate::{browser::clock, state::format::plain};

/// One question about the time.
pub(crate) async fn clock_sample() -> Option<ClockSample> {
    #[derive(Deserialize)]
    struct Now {
        now: u64,
    }
    let sent_ms = clock::now_ms();
    let response = Request::get("/v1/lab/clock").send().await.ok()?;
    let received_ms = clock::now_ms();
    let Now { now } = response.json().await.ok()?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds since 1970 have 51 bits until the year 2106"
    )]
    Some(ClockSample { sent_ms, server_ms: now as f64 / 1000.0, received_ms })
}

/// Whether the programs behind the use cases run on this server; `None` without an answer.
pub(crate) async fn has_use_cases() -> Option<bool> {
    #[derive(Deserialize)]
    struct About {
        use_cases: bool,
    }
    let about: About = Request::get("/v1/lab").send().await.ok()?.json().await.ok()?;
    Some(about.use_cases)
}

/// Starts, changes or prolongs this page's own feed.
///
/// # Errors
/// What the server said against it, or that there was no answer.
pub(crate) async fn wish(topic: &Topic, rate: f64, bytes: u32, arrivals: &str) -> Result<(), String> {
    let body = format!("{{\"rate\":{},\"bytes\":{bytes},\"arrivals\":\"{arrivals}\"}}", plain(rate));
    let request =
        Request::put(&format!("/v1/lab/feeds/{topic}")).body(body).map_err(|error| error.to_string())?;
    let response = request.send().await.map_err(|_| "the server did not answer".to_owned())?;
    if response.ok() { Ok(()) } else { Err(response.text().await.unwrap_or_default()) }
}

/// A topic's events after a place: offset, and when it was published by the server's clock in milliseconds.
pub(crate) async fn log(topic: &Topic, after: Cursor) -> Option<Vec<(u64, f64)>> {
    read_all(topic, after.to_string()).await
}

/// All of a topic that is retained.
pub(crate) async fn log_all(topic: &Topic) -> Option<Vec<(u64, f64)>> {
    read_all(topic, "earliest".to_owned()).await
}

/// The last thousand events of a topic: when, and how many bytes of JSON each has.
#[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 have 51 bits until the year 2106")]
pub(crate) async fn sizes(topic: &Topic) -> Option<Vec<Past>> {
    let address = format!("/v1/events?topic={topic}&last=1000");
    let text = Request::get(&address).send().await.ok()?.text().await.ok()?;
    let body: PollBody = serde_json::from_str(&text).ok()?;
    let whole = text.len() as f64 / body.events.len().max(1) as f64;
    // Events of one topic have about the same size: the mean of the answer stands for each.
    let past = |event: &Event| Past { at_s: event.published_at_us as f64 / 1e6, bytes: whole };
    Some(body.events.iter().map(past).collect())
}

/// The status of a poll that asks to be held for so long; `None` if no answer came.
pub(crate) async fn held(topic: &Topic, seconds: f64) -> Option<u16> {
    let address = format!("/v1/events?topic={topic}&wait={}", plain(seconds));
    let response = Request::get(&address).send().await.ok()?;
    // The body too: a proxy may pass the head on and hold that back.
    response.text().await.ok()?;
    Some(response.status())
}

/// More than the longest run at the highest rate publishes.
const MAX_LOG: usize = 400_000;

#[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 have 51 bits until the year 2106")]
async fn read_all(topic: &Topic, mut after: String) -> Option<Vec<(u64, f64)>> {
    let entry = |event: Event| (event.cursor.offset.0, event.published_at_us as f64 / 1000.0);
    let mut all = Vec::new();
    loop {
        let address = format!("/v1/events?topic={topic}&after={after}&limit=1000");
        let body: PollBody = Request::get(&address).send().await.ok()?.json().await.ok()?;
        all.extend(body.events.into_iter().map(entry));
        if !body.more || all.len() >= MAX_LOG {
            return Some(all);
        }
        after = body.cursor.to_string();
    }
}

/// The topics that there are, by name: so many as one asks for in a few pages.
pub(crate) async fn topics() -> Option<Vec<Topic>> {
    /// A page may be empty, where a token reads few of many.
    const PAGES: usize = 16;
    const ENOUGH: usize = 1000;
    #[derive(Deserialize)]
    struct Listing {
        topics: Vec<Item>,
        next: Option<Topic>,
    }
    #[derive(Deserialize)]
    struct Item {
        topic: Topic,
    }
    let (mut found, mut address) = (Vec::new(), "/v1/topics".to_owned());
    for _ in 0..PAGES {
        let listing: Listing = Request::get(&address).send().await.ok()?.json().await.ok()?;
        found.extend(listing.topics.into_iter().map(|item| item.topic));
        let Some(next) = listing.next.filter(|_| found.len() < ENOUGH) else { break };
        address = format!("/v1/topics?after={next}");
    }
    Some(found)
}
