//! Measures the processor time that a busy server takes for each request and each delivery.
//!
//! The server is busy because only then does the number of cores matter: clients send the next request as soon as the
//! last is answered, except where events are published with pauses in between. The extra cost of a request that wakes
//! an idle server is measured in `rest`.
//!
//! On loopback the kernel delivers a segment in the sender's own time. So of TCP's work, the server is charged with the
//! receiving of its answers, and not with the receiving of its requests.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use fourways_shared::{Technique, decide::TechniqueConstants};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    amount::float,
    clients::TEXT,
    crowd::Crowd,
    meter::{CALM, Meter},
    plan::Plan,
    publisher::{PAYLOAD, Publisher, Stock},
    raw::{Wire, masked, open_stream},
    requests::{self, SENT},
    server::Server,
    tally::Tally,
};

/// Number of connections that poll without a pause.
const POLLERS: usize = 200;
/// Number of readers of each event. They share the cost of the publish, which is less than a hundredth of the cost of
/// each.
const READERS: usize = 2_000;
/// Number of openings in all. Each closed connection waits a minute in the kernel (TIME-WAIT, RFC 9293 3.6.1), and
/// occupies one of some 28,000 ports.
const OPENINGS: usize = 8_000;
/// Number of openings at once.
const OPENERS: usize = 64;
/// Flags for a server that sends no heartbeat during a measurement, because the model has a separate constant for them.
const QUIET: [&str; 2] = ["--heartbeat", "3600"];
/// Flags that end an empty long poll after 0.05 seconds.
const SOON: [&str; 2] = ["--max-wait", "0.05"];

/// Measures the constants of a technique that are processor time, each for `window`, and stores them in `own`.
///
/// # Errors
/// If the server does not behave as expected.
pub(crate) async fn measure(
    binary: &Path,
    technique: Technique,
    window: Duration,
    own: &mut TechniqueConstants,
) -> anyhow::Result<()> {
    match technique {
        Technique::ShortPoll => {
            let server = Server::start(binary, &QUIET)?;
            let stock = Publisher::open(server.address).await?.stock().await?;
            let request = |after: &str| requests::poll(&format!("&after={after}"), Some(after));
            let one = hammer(&server, request(&stock.before_one), 200, window).await?;
            let many = hammer(&server, request(&stock.before_many), 200, window).await?;
            split(one, many, own);
            own.cpu_us_empty = hammer(&server, request(&stock.last), 304, window).await?;
            own.cpu_us_per_send = hammer(&server, post(), 201, window).await?;
        }
        Technique::LongPoll => {
            let one = deliver(binary, technique, 1, window).await?;
            let many = deliver(binary, technique, Stock::MANY, window).await?;
            split(one, many, own);
            let server = Server::start(binary, &SOON)?;
            let last = Publisher::open(server.address).await?.stock().await?.last;
            let request = requests::poll(&format!("&after={last}&wait=25"), None);
            own.cpu_us_empty = hammer(&server, request, 204, window).await?;
            own.cpu_us_cold = (rested(binary, technique, window).await? - one).max(0.0);
            own.cpu_us_per_send = hammer(&server, post(), 201, window).await?;
        }
        Technique::Sse | Technique::Websocket => {
            own.cpu_us_per_delivery = deliver(binary, technique, 1, window).await?;
            own.cpu_us_per_request = open_and_close(binary, technique).await?;
            let cold = rested(binary, technique, window).await? - own.cpu_us_per_delivery;
            own.cpu_us_cold = cold.max(0.0);
            own.cpu_us_per_send = if technique == Technique::Sse {
                hammer(&Server::start(binary, &QUIET)?, post(), 201, window).await?
            } else {
                send(binary, window).await?
            };
        }
    }
    Ok(())
}

/// Splits the cost of answers with one event and with many into the cost of an event and that of a request, by a line
/// through both.
fn split(one: f64, many: f64, own: &mut TechniqueConstants) {
    // If an event costs next to nothing, noise can make the difference negative.
    own.cpu_us_per_delivery = ((many - one) / (float(Stock::MANY as u64) - 1.0)).max(0.0);
    own.cpu_us_per_request = (one - own.cpu_us_per_delivery).max(0.0);
}

/// Repeats the same request on many connections, and returns the server's time for each, in microseconds.
async fn hammer(server: &Server, request: Vec<u8>, status: u16, window: Duration) -> anyhow::Result<f64> {
    let (tally, request) = (Tally::new(0), Arc::<[u8]>::from(request));
    let mut wires = Vec::with_capacity(POLLERS);
    for _ in 0..POLLERS {
        wires.push(Wire::open(server.address, Arc::clone(&tally)).await?);
    }
    let mut meter = Meter::settle(server).await?;
    meter.begin()?;
    let until = Instant::now() + window;
    let mut polls = JoinSet::new();
    for wire in wires {
        polls.spawn(poll_until(until, wire, Arc::clone(&request), status, Arc::clone(&tally)));
    }
    all(polls).await?;
    sleep(CALM).await;
    Ok(meter.spent_us()? / float(tally.counts().requests))
}

async fn poll_until(
    until: Instant,
    mut wire: Wire,
    request: Arc<[u8]>,
    status: u16,
    tally: Arc<Tally>,
) -> anyhow::Result<()> {
    while Instant::now() < until {
        tally.asked();
        wire.send(&request).await?;
        let answer = wire.answer().await?;
        ensure!(answer.status == status, "answered with {} instead of {status}", answer.status);
    }
    Ok(())
}

/// Returns the request of a client's send as a POST.
fn post() -> Vec<u8> {
    requests::post(SENT, "application/json", &requests::payload(PAYLOAD))
}

/// Publishes on many sockets again and again, and returns the server's time for each message and its answer, in
/// microseconds.
async fn send(binary: &Path, window: Duration) -> anyhow::Result<f64> {
    let server = Server::start(binary, &QUIET)?;
    let message = format!(r#"{{"type":"publish","topic":"{SENT}","data":{}}}"#, requests::payload(PAYLOAD));
    let message = Arc::<[u8]>::from(masked(TEXT, message.as_bytes()));
    let tally = Tally::new(0);
    let mut wires = Vec::with_capacity(POLLERS);
    for _ in 0..POLLERS {
        wires.push(open_stream(server.address, Technique::Websocket, "", None, &tally).await?.0);
    }
    let mut meter = Meter::settle(&server).await?;
    meter.begin()?;
    let until = Instant::now() + window;
    let mut senders = JoinSet::new();
    let sent = Arc::new(AtomicU64::new(0));
    for mut wire in wires {
        let (message, sent) = (Arc::clone(&message), Arc::clone(&sent));
        senders.spawn(async move {
            while Instant::now() < until {
                wire.send(&message).await?;
                let answer = wire.frame().await?;
                let text = String::from_utf8_lossy(&answer.payload);
                ensure!(text.contains("published"), "a send was answered with {text}");
                sent.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    all(senders).await?;
    sleep(CALM).await;
    Ok(meter.spent_us()? / float(sent.load(Ordering::Relaxed)))
}

/// Publishes to many readers, with pauses in between, and returns the server's time for each answer or event, in
/// microseconds.
async fn rested(binary: &Path, technique: Technique, window: Duration) -> anyhow::Result<f64> {
    const REST: Duration = Duration::from_millis(150);
    let server = Server::start(binary, &QUIET)?;
    let mut publisher = Publisher::open(server.address).await?;
    publisher.stock().await?;
    let mut crowd = Crowd::open(Plan::quiet(server.address, technique, READERS)).await?;
    let mut meter = Meter::settle(&server).await?;
    let (mut rounds, began) = (0_usize, Instant::now());
    meter.begin()?;
    while began.elapsed() < window {
        publisher.publish(1, PAYLOAD).await?;
        rounds += 1;
        crowd.await_events((rounds * READERS) as u64).await?;
        sleep(REST).await;
    }
    Ok(meter.spent_us()? / float((rounds * READERS) as u64))
}

/// Publishes `count` events together to many readers, again and again once all have arrived. Returns the server's time
/// for each reader of a publish, in microseconds.
async fn deliver(binary: &Path, technique: Technique, count: usize, window: Duration) -> anyhow::Result<f64> {
    let server = Server::start(binary, &QUIET)?;
    let mut publisher = Publisher::open(server.address).await?;
    publisher.stock().await?;
    let mut crowd = Crowd::open(Plan::quiet(server.address, technique, READERS)).await?;
    let mut meter = Meter::settle(&server).await?;
    let (mut rounds, began) = (0_usize, Instant::now());
    meter.begin()?;
    while began.elapsed() < window {
        publisher.publish(count, PAYLOAD).await?;
        rounds += 1;
        crowd.await_events((rounds * count * READERS) as u64).await?;
    }
    sleep(CALM).await;
    Ok(meter.spent_us()? / float((rounds * READERS) as u64))
}

/// Opens streams or sockets, closes each as soon as it is open, and returns the server's time for each, in
/// microseconds. The time includes the closing, because every connection is closed some day.
async fn open_and_close(binary: &Path, technique: Technique) -> anyhow::Result<f64> {
    let server = Server::start(binary, &QUIET)?;
    Publisher::open(server.address).await?.stock().await?;
    let mut meter = Meter::settle(&server).await?;
    meter.begin()?;
    let mut openers = JoinSet::new();
    for _ in 0..OPENERS {
        let (address, tally) = (server.address, Tally::new(0));
        openers.spawn(async move {
            for _ in 0..OPENINGS / OPENERS {
                open_stream(address, technique, "", None, &tally).await?;
            }
            anyhow::Ok(())
        });
    }
    all(openers).await?;
    sleep(CALM).await;
    Ok(meter.spent_us()? / float((OPENINGS / OPENERS * OPENERS) as u64))
}

async fn all(mut tasks: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended.context("a client panicked")??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_with_the_events_is_told_from_what_does_not() {
        for (one, many, request_us, event_us) in [(20.5, 28.0, 20.0, 0.5), (20.0, 19.0, 20.0, 0.0)] {
            let mut own = TechniqueConstants::default();
            split(one, many, &mut own);
            assert!((own.cpu_us_per_request - request_us).abs() < 1e-9, "{own:?}");
            assert!((own.cpu_us_per_delivery - event_us).abs() < 1e-9, "{own:?}");
        }
    }
}
