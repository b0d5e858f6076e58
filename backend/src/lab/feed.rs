//! Events on demand: a page that measures needs a publisher whose rate and size it can set.
//!
//! A feed publishes to a topic under `lab.`, so it can't be mistaken for a real one, and ends by itself when nobody
//! has asked for it for [`LEASE`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::{HttpResponse, http::header, rt, web};
use fourways_shared::{Code, Data, EventName, Topic};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use crate::{
    engine::{Append, Draft, Engine},
    problem::Failure,
};

/// How long a feed goes on after it was last asked for. A page asks every ten seconds, so that two may get lost.
pub const LEASE: Duration = Duration::from_secs(30);
const MAX_FEEDS: usize = 64;
const MAX_RATE: f64 = 500.0;
const MAX_BYTES: usize = 16 * 1024;

/// The feeds that run now. One for the whole server; each feed's task ends when its lease does.
#[derive(Debug, Default)]
pub struct Feeds {
    running: Mutex<HashMap<Topic, watch::Sender<Wish>>>,
}

/// What a page wants published.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Wish {
    /// Events a second, evenly spaced; 0 to [`MAX_RATE`].
    rate: f64,
    /// Bytes of each event's data.
    #[serde(default = "default_bytes")]
    bytes: usize,
}

const fn default_bytes() -> usize {
    96
}

#[derive(Serialize)]
struct Tick<'a> {
    n: u64,
    pad: &'a str,
}

/// `PUT /v1/lab/feeds/{topic}` with `{"rate":4,"bytes":96}`: starts, changes or prolongs the feed.
///
/// # Errors
/// 400 names the member; 503 if too many feeds run.
pub async fn put(
    path: web::Path<String>,
    body: web::Bytes,
    feeds: web::Data<Feeds>,
    engine: web::Data<dyn Engine>,
) -> Result<HttpResponse, Failure> {
    let bad = |detail: String, field| Failure::new(Code::BadParameter, detail).field(field);
    let topic = Topic::parse(&path)
        .map_err(|error| Failure::new(Code::BadTopic, error.to_string()).field("topic"))?;
    if !topic.as_str().starts_with("lab.") {
        return Err(Failure::new(Code::BadTopic, format!("topic is {topic}; a feed's begins with lab."))
            .field("topic"));
    }
    let wish: Wish = serde_json::from_slice(&body).map_err(|error| {
        Failure::new(Code::BadBody, format!("the body is no feed: {error}")).field("body")
    })?;
    if !(0.0..=MAX_RATE).contains(&wish.rate) {
        return Err(bad(format!("rate is {}; allowed are 0 to {MAX_RATE} a second", wish.rate), "rate"));
    }
    if wish.bytes > MAX_BYTES {
        return Err(bad(format!("bytes is {}; allowed are 0 to {MAX_BYTES}", wish.bytes), "bytes"));
    }
    feeds.into_inner().wish(topic, wish, engine.into_inner())?;
    Ok(HttpResponse::NoContent().insert_header((header::CACHE_CONTROL, "no-store")).finish())
}

impl Feeds {
    fn wish(self: Arc<Self>, topic: Topic, wish: Wish, engine: Arc<dyn Engine>) -> Result<(), Failure> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = running.get(&topic)
            && feed.send(wish).is_ok()
        {
            return Ok(());
        }
        if running.len() >= MAX_FEEDS {
            return Err(Failure::new(
                Code::Unavailable,
                format!("{MAX_FEEDS} feeds run, which is the limit"),
            ));
        }
        let (sender, wishes) = watch::channel(wish);
        running.insert(topic.clone(), sender);
        drop(running);
        // Owned by its lease: it ends when no wish came for so long.
        rt::spawn(async move {
            run(&topic, wishes, engine).await;
            // Only what has ended: a new feed may have the topic by now.
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.retain(|_, feed| !feed.is_closed());
        });
        Ok(())
    }
}

/// Runs until no wish came for the time of a lease.
async fn run(topic: &Topic, mut wishes: watch::Receiver<Wish>, engine: Arc<dyn Engine>) {
    let mut n = 0;
    loop {
        let wish = *wishes.borrow_and_update();
        let is_over = if wish.rate > 0.0 {
            let period = Duration::from_secs_f64(1.0 / wish.rate);
            tokio::select! {
                is_over = another(&mut wishes, wish) => is_over,
                () = publish(topic, wish.bytes, period, &mut n, engine.as_ref()) => true,
            }
        } else {
            another(&mut wishes, wish).await
        };
        if is_over {
            return;
        }
    }
}

/// Waits for a wish that differs; the same one again only prolongs. True: none came any more.
async fn another(wishes: &mut watch::Receiver<Wish>, wish: Wish) -> bool {
    loop {
        match timeout(LEASE, wishes.changed()).await {
            Ok(Ok(())) if *wishes.borrow_and_update() == wish => {}
            Ok(Ok(())) => return false,
            Ok(Err(_)) | Err(_) => return true,
        }
    }
}

async fn publish(topic: &Topic, bytes: usize, period: Duration, n: &mut u64, engine: &dyn Engine) {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let pad = "x".repeat(bytes);
    loop {
        ticks.tick().await;
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
            tracing::warn!(%error, %topic, "a feed's event was not published");
        }
    }
}
