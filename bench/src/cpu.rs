//! What a server that is busy takes of the processor for each request and each delivery.
//!
//! Busy, because that is when it matters how many cores there are. A server that sleeps between two requests is woken
//! for each, which costs as much again or twice as much; a busy one takes many at a wake-up. Everything here asks again
//! as soon as it is answered.
//!
//! On loopback the kernel hands a segment over in the sender's own time, so of TCP's work the server pays what
//! receiving its answers takes, and not what receiving its requests takes.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use fourways_shared::{Technique, decide::TechniqueConstants};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    amount::float,
    crowd::{Crowd, Plan},
    meter::{CALM, Meter},
    publisher::{PAYLOAD, Publisher, Stock},
    raw::{Wire, open_stream},
    requests,
    server::Server,
    tally::Tally,
};

/// Connections that poll without a pause.
const POLLERS: usize = 200;
/// Readers that one event goes to. What the publish itself takes is shared by them: less than a hundredth of each.
const READERS: usize = 2_000;
/// Openings in all, and how many at once. All closed connections wait a minute in the kernel (TIME-WAIT, RFC 9293
/// 3.6.1), each with a port of the about 28,000 that there are.
const OPENINGS: usize = 8_000;
const OPENERS: usize = 64;
/// Without heartbeats: the model leaves them out.
const QUIET: [&str; 2] = ["--heartbeat", "3600"];
/// A long poll for which nothing comes is answered after this many seconds.
const SOON: [&str; 2] = ["--max-wait", "0.05"];

/// Everything of this technique that is processor time, each measured for `window`.
///
/// # Errors
/// If the server does not do what it should.
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
        }
        Technique::LongPoll => {
            let one = deliver(binary, technique, 1, window).await?;
            let many = deliver(binary, technique, Stock::MANY, window).await?;
            split(one, many, own);
            let server = Server::start(binary, &SOON)?;
            let last = Publisher::open(server.address).await?.stock().await?.last;
            let request = requests::poll(&format!("&after={last}&wait=25"), None);
            own.cpu_us_empty = hammer(&server, request, 204, window).await?;
        }
        Technique::Sse | Technique::Websocket => {
            own.cpu_us_per_delivery = deliver(binary, technique, 1, window).await?;
            own.cpu_us_per_request = open_and_close(binary, technique).await?;
        }
    }
    Ok(())
}

/// A line through answers of one event and of many: what grows with the events, and what doesn't.
fn split(one: f64, many: f64, own: &mut TechniqueConstants) {
    // Where an event takes next to nothing, noise can make it less than that.
    own.cpu_us_per_delivery = ((many - one) / (float(Stock::MANY as u64) - 1.0)).max(0.0);
    own.cpu_us_per_request = (one - own.cpu_us_per_delivery).max(0.0);
}

/// The same poll again and again from many connections; microseconds for each.
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

/// Publishes to many readers, and again once all have it; microseconds for each answer or event. `count` events are
/// published together.
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

/// Opens streams or sockets and closes them as soon as they are open; microseconds for each. Every opening is closed
/// some day, so the closing is in it.
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
