//! Feeds: publishers on demand. A page that measures needs events at a rate and of a size that it can set.
//!
//! A feed publishes to a topic under `lab.`, so its events can't be mistaken for real ones, and ends by itself when no
//! request has asked for it for [`LEASE`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::{HttpRequest, HttpResponse, http::header, rt, web};
use fourways_log::engine::{Append, Draft, Engine};
use fourways_shared::{Code, Data, EventName, Topic};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use crate::{access::Grant, net::body, problem::Failure, worker::Worker};

/// Time that a feed continues after the last request for it. A page asks every ten seconds, so that two may be lost.
pub const LEASE: Duration = Duration::from_secs(30);
const MAX_FEEDS: usize = 64;
const MAX_RATE: f64 = 500.0;
/// Lowest rate, in events per second: about one event every quarter of an hour, a gap that every timer can represent.
const LEAST_RATE: f64 = 0.001;
const MAX_BYTES: usize = 16 * 1024;

/// The running feeds. The server owns one value, which all workers and the tasks of the feeds share. The mutex is held
/// for a look-up only, never across an await. A feed's task ends with its lease, or with the worker that started it.
#[derive(Debug, Default)]
pub struct Feeds {
    running: Mutex<HashMap<Topic, watch::Sender<FeedRequest>>>,
}

/// A request of a page for a feed.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct FeedRequest {
    /// Mean rate in events per second: 0, which pauses the feed, or [`LEAST_RATE`] to [`MAX_RATE`].
    rate: f64,
    /// Size of each event's data, in bytes; at most [`MAX_BYTES`].
    #[serde(default = "default_bytes")]
    bytes: usize,
    /// Distribution of the events over time.
    #[serde(default)]
    arrivals: Arrivals,
}

/// The distributions of a feed's events over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Arrivals {
    /// Equal gaps between the events.
    #[default]
    Steady,
    /// Exponential gaps, as between the independent actions of many people.
    Poisson,
    /// Bursts of five events with a pause between them, as in a chat; the mean is still the rate.
    Burst,
}

impl Arrivals {
    /// Returns the gap before event `n`, counted from 0, at a rate of [`LEAST_RATE`] or more.
    fn gap(self, rate: f64, n: u64) -> Duration {
        let mean = 1.0 / rate;
        let seconds = match self {
            Self::Steady => mean,
            // Without randomness the gaps are equal.
            Self::Poisson => getrandom::u32()
                .map_or(mean, |bits| -(1.0 - f64::from(bits) / (f64::from(u32::MAX) + 1.0)).ln() * mean),
            Self::Burst if n.is_multiple_of(5) => mean * 4.8,
            Self::Burst => mean * 0.05,
        };
        Duration::from_secs_f64(seconds)
    }
}

const fn default_bytes() -> usize {
    96
}

#[derive(Serialize)]
struct Tick<'a> {
    n: u64,
    pad: &'a str,
}

/// Starts, changes or prolongs a feed: `PUT /v1/lab/feeds/{topic}` with `{"rate":4,"bytes":96,"arrivals":"steady"}`.
///
/// # Errors
/// 400 with the name of the bad field, 403 if the token may not publish to the topic, 503 if too many feeds run.
pub async fn put(
    path: web::Path<String>,
    (request, payload): (HttpRequest, web::Payload),
    worker: web::Data<Worker>,
    grant: Grant,
    feeds: web::Data<Feeds>,
    engine: web::Data<dyn Engine>,
) -> Result<HttpResponse, Failure> {
    let bad = |detail: String, field| Failure::new(Code::BadParameter, detail).field(field);
    let topic = Topic::parse(&path)
        .map_err(|error| Failure::new(Code::BadTopic, error.to_string()).field("topic"))?;
    if !topic.as_str().starts_with("lab.") {
        return Err(Failure::new(
            Code::BadTopic,
            format!("topic is {topic}; a feed's topic begins with lab."),
        )
        .field("topic"));
    }
    grant.may_publish(&topic)?;
    let body = body::whole(payload, &request, &worker).await?;
    let wish: FeedRequest = serde_json::from_slice(&body).map_err(|error| {
        Failure::new(Code::BadBody, format!("the body is not a feed: {error}")).field("body")
    })?;
    if wish.rate != 0.0 && !(LEAST_RATE..=MAX_RATE).contains(&wish.rate) {
        let detail = format!("rate is {}; allowed are 0, and {LEAST_RATE} to {MAX_RATE} a second", wish.rate);
        return Err(bad(detail, "rate"));
    }
    if wish.bytes > MAX_BYTES {
        return Err(bad(format!("bytes is {}; allowed are 0 to {MAX_BYTES}", wish.bytes), "bytes"));
    }
    feeds.into_inner().wish(topic, wish, engine.into_inner())?;
    Ok(HttpResponse::NoContent().insert_header((header::CACHE_CONTROL, "no-store")).finish())
}

impl Feeds {
    fn wish(
        self: Arc<Self>,
        topic: Topic,
        wish: FeedRequest,
        engine: Arc<dyn Engine>,
    ) -> Result<(), Failure> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = running.get(&topic)
            && feed.send(wish).is_ok()
        {
            return Ok(());
        }
        if running.len() >= MAX_FEEDS {
            return Err(Failure::new(
                Code::Unavailable,
                format!("{MAX_FEEDS} feeds are running, which is the limit"),
            ));
        }
        let (sender, wishes) = watch::channel(wish);
        running.insert(topic.clone(), sender);
        drop(running);
        // The lease owns the task: it ends when no request came for its length.
        let place = FeedPermit(self);
        rt::spawn(async move {
            run(&topic, wishes, engine).await;
            drop(place);
        });
        Ok(())
    }
}

/// A feed's permit among [`MAX_FEEDS`], given back however the feed ends.
struct FeedPermit(Arc<Feeds>);

impl Drop for FeedPermit {
    fn drop(&mut self) {
        // Removes only feeds that have ended: a new feed may use the topic by now.
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, feed| !feed.is_closed());
    }
}

/// Runs a feed until no request came for the length of a lease.
async fn run(topic: &Topic, mut wishes: watch::Receiver<FeedRequest>, engine: Arc<dyn Engine>) {
    let mut n = 0;
    loop {
        let wish = *wishes.borrow_and_update();
        let is_over = if wish.rate > 0.0 {
            tokio::select! {
                is_over = another(&mut wishes, wish) => is_over,
                () = publish(topic, wish, &mut n, engine.as_ref()) => true,
            }
        } else {
            another(&mut wishes, wish).await
        };
        if is_over {
            return;
        }
    }
}

/// Waits for a request that differs from `wish`; an equal one only prolongs the lease. True if the lease expired.
async fn another(wishes: &mut watch::Receiver<FeedRequest>, wish: FeedRequest) -> bool {
    loop {
        match timeout(LEASE, wishes.changed()).await {
            Ok(Ok(())) if *wishes.borrow_and_update() == wish => {}
            Ok(Ok(())) => return false,
            Ok(Err(_)) | Err(_) => return true,
        }
    }
}

async fn publish(topic: &Topic, wish: FeedRequest, n: &mut u64, engine: &dyn Engine) {
    let mut due = Instant::now();
    let (bytes, pad) = (wish.bytes, "x".repeat(wish.bytes));
    loop {
        // The gap is counted from the due time of the event before, not from its publishing: a late event does not
        // delay the next, and the rate holds.
        due += wish.arrivals.gap(wish.rate, *n);
        sleep_until(due).await;
        *n += 1;
        // The rest of the object takes about 18 bytes, more with every digit of n.
        let frame = serde_json::json!({ "n": *n, "pad": "" }).to_string().len();
        let data = Data::json(&Tick { n: *n, pad: &pad[..bytes.saturating_sub(frame)] });
        let append = Append {
            topic: topic.clone(),
            drafts: vec![Draft { name: EventName::DEFAULT, data }],
            key: None,
        };
        if let Err(error) = engine.append(append).await {
            tracing::warn!(%error, %topic, "an event of a feed was not published");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_arriving_keeps_the_rate() {
        for arrivals in [Arrivals::Steady, Arrivals::Poisson, Arrivals::Burst] {
            let total: Duration = (0..10_000).map(|n| arrivals.gap(10.0, n)).sum();
            // The sum of 10,000 exponential gaps has a standard deviation of one percent.
            assert!((950.0..1050.0).contains(&total.as_secs_f64()), "{arrivals:?} {total:?}");
        }
        assert!(Arrivals::Burst.gap(10.0, 1) < Arrivals::Burst.gap(10.0, 5));
    }
}
