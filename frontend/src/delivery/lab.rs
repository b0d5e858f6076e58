//! Requests of the lab beside the four streams: the server's time, a feed to measure with, logs and topics.

use fourways_model::format::plain;
use fourways_shared::{
    Cursor, Event, PollBody, Problem, Topic,
    decide::Past,
    measure::ClockSample,
    time::{ms_of_us, s_of_us},
};
use gloo_net::http::Request;
use serde::Deserialize;

use crate::browser::clock;

/// Asks the server for its time once; `None` without an answer.
pub(crate) async fn clock_sample() -> Option<ClockSample> {
    #[derive(Deserialize)]
    struct Now {
        now: u64,
    }
    let sent_ms = clock::now_ms();
    let response = Request::get("/v1/lab/clock").send().await.ok()?;
    let received_ms = clock::now_ms();
    let Now { now } = response.json().await.ok()?;
    Some(ClockSample { sent_ms, server_ms: ms_of_us(now), received_ms })
}

/// The parts of the lab that a server has.
#[derive(Deserialize)]
struct About {
    use_cases: bool,
    #[serde(default)]
    kill: bool,
}

async fn about() -> Option<About> {
    Request::get("/v1/lab").send().await.ok()?.json().await.ok()
}

/// Returns true if the server's part of the use cases runs; `None` without an answer.
pub(crate) async fn has_use_cases() -> Option<bool> {
    about().await.map(|about| about.use_cases)
}

/// Returns true if visitors may kill the server; `None` without an answer.
pub(crate) async fn can_kill() -> Option<bool> {
    about().await.map(|about| about.kill)
}

/// Starts, changes or prolongs the page's own feed. `rate` is in events per second.
///
/// # Errors
/// The reason of the server's refusal, or that there was no answer.
pub(crate) async fn set_feed(topic: &Topic, rate: f64, bytes: u32, arrivals: &str) -> Result<(), String> {
    let body = format!("{{\"rate\":{},\"bytes\":{bytes},\"arrivals\":\"{arrivals}\"}}", plain(rate));
    let request =
        Request::put(&format!("/v1/lab/feeds/{topic}")).body(body).map_err(|error| error.to_string())?;
    let response = request.send().await.map_err(|_| "the server did not answer".to_owned())?;
    if response.ok() {
        return Ok(());
    }
    let problem = response.json::<Problem>().await;
    Err(problem
        .map_or_else(|_| format!("the server answered {}", response.status()), |problem| problem.detail))
}

/// Returns the events of a topic after a cursor: offset, and publishing time by the server's clock in milliseconds.
pub(crate) async fn log(topic: &Topic, after: Cursor) -> Option<Vec<(u64, f64)>> {
    read_all(topic, after.to_string()).await
}

/// Returns all retained events of a topic, in the form of [`log()`].
pub(crate) async fn log_all(topic: &Topic) -> Option<Vec<(u64, f64)>> {
    read_all(topic, "earliest".to_owned()).await
}

/// Returns the last thousand events of a topic: publishing time, and bytes of JSON each.
#[expect(clippy::cast_precision_loss, reason = "an answer has far fewer than 2^52 bytes")]
pub(crate) async fn sizes(topic: &Topic) -> Option<Vec<Past>> {
    let address = format!("/v1/events?topic={topic}&last=1000");
    let text = Request::get(&address).send().await.ok()?.text().await.ok()?;
    let body: PollBody = serde_json::from_str(&text).ok()?;
    let whole = text.len() as f64 / body.events.len().max(1) as f64;
    // Events of one topic have about the same size: the mean of the answer stands for each.
    let past = |event: &Event| Past { at_s: s_of_us(event.published_at_us), bytes: whole };
    Some(body.events.iter().map(past).collect())
}

/// Makes a poll that asks to be held for `seconds`, and returns the status of the answer; `None` if no answer came.
pub(crate) async fn held(topic: &Topic, seconds: f64) -> Option<u16> {
    let address = format!("/v1/events?topic={topic}&wait={}", plain(seconds));
    let response = Request::get(&address).send().await.ok()?;
    // The body is awaited too: a proxy may pass the head on and hold the body back.
    response.text().await.ok()?;
    Some(response.status())
}

/// Number of events read from a log at most: more than the longest run publishes at the highest rate.
const MAX_LOG: usize = 400_000;

async fn read_all(topic: &Topic, mut after: String) -> Option<Vec<(u64, f64)>> {
    let entry = |event: Event| (event.cursor.offset.0, ms_of_us(event.published_at_us));
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

/// Returns the topics of the server by name: about a thousand at most, and as many as a few pages of the listing hold.
pub(crate) async fn topics() -> Option<Vec<Topic>> {
    /// Number of pages read at most; a page may be empty where a token may read few of many topics.
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
