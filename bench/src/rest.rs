//! What resting costs: the same polls at rates at which the server sleeps in between, over what they cost a busy one.

use std::{path::Path, time::Duration};

use fourways_shared::{
    Technique,
    decide::{Rest, TechniqueConstants},
};
use tokio::time::sleep;

use crate::{
    amount::float,
    crowd::{Crowd, Plan},
    meter::{CALM, Meter},
    publisher::Publisher,
    server::Server,
    tally::Counts,
};

/// From one poll of a client to its next; with [`CLIENTS`], 200 to 10,000 polls a second.
const INTERVALS_MS: [u64; 4] = [2_000, 400, 100, 40];
const CLIENTS: usize = 400;

/// From one send of a client to its next, or from one opening to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// Polls that bring nothing, each taking `busy_us` of a busy server.
///
/// # Errors
/// If the server does not do what it should.
pub(crate) async fn measure(binary: &Path, busy_us: f64, window: Duration) -> anyhow::Result<Rest> {
    let mut measured = Vec::with_capacity(INTERVALS_MS.len());
    for interval in INTERVALS_MS {
        let plan = |quiet| Plan { poll: Duration::from_millis(interval), ..quiet };
        let requests = |counts: Counts| float(counts.requests);
        measured.push(rested(binary, Technique::ShortPoll, plan, requests, busy_us, window).await?);
    }
    Ok(Rest::fit(&measured))
}

/// What a rest costs this technique's sends and openings, as multiples of what it costs a poll.
///
/// # Errors
/// If the server does not do what it should.
pub(crate) async fn compare(
    binary: &Path,
    rest: Rest,
    technique: Technique,
    window: Duration,
    own: &mut TechniqueConstants,
) -> anyhow::Result<()> {
    let plan = |quiet| Plan { send: INTERVAL, ..quiet };
    let sends = |_| float(CLIENTS as u64) * window.as_secs_f64() / INTERVAL.as_secs_f64();
    let (per_s, more_us) = rested(binary, technique, plan, sends, own.cpu_us_per_send, window).await?;
    own.rest_per_send = more_us / rest.each_us(per_s).max(f64::MIN_POSITIVE);
    if technique.is_stream() {
        let plan = |quiet| Plan { lifetime: INTERVAL, ..quiet };
        let busy_us = own.cpu_us_per_request;
        let openings = sends;
        let (per_s, more_us) = rested(binary, technique, plan, openings, busy_us, window).await?;
        own.rest_per_opening = more_us / rest.each_us(per_s).max(f64::MIN_POSITIVE);
    }
    Ok(())
}

/// How many there were a second of what the clients do by themselves, and what rest made each cost over `busy_us`.
async fn rested(
    binary: &Path,
    technique: Technique,
    plan: impl FnOnce(Plan) -> Plan,
    count: impl FnOnce(Counts) -> f64,
    busy_us: f64,
    window: Duration,
) -> anyhow::Result<(f64, f64)> {
    let server = Server::start(binary, &["--heartbeat", "3600"])?;
    Publisher::open(server.address).await?.stock().await?;
    let mut meter = Meter::settle(&server).await?;
    let mut crowd = Crowd::open(plan(Plan::quiet(server.address, technique, CLIENTS))).await?;
    sleep(CALM).await;
    let before = crowd.counts();
    meter.begin()?;
    sleep(window).await;
    let spent_us = meter.spent_us()?;
    crowd.check()?;
    let asked = count(crowd.counts() - before);
    let per_s = asked / window.as_secs_f64();
    // What found the server at work cost it no wake-up; see the model.
    let asleep = 1.0 - (per_s * spent_us / asked / 1e6).min(0.99);
    Ok((per_s, (spent_us / asked - busy_us).max(0.0) / asleep))
}
