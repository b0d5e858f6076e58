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
const INTERVALS_MS: [u64; 4] = [10_000, 2_000, 500, 200];
/// As many as a server has: what each connection keeps is not in the nearest cache any more when its turn comes.
const CLIENTS: usize = 2_000;

/// From one send of a client to its next, or from one opening to the next.
const INTERVAL: Duration = Duration::from_secs(5);

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

/// What a heartbeat takes of a busy server, and what a rest costs it as a multiple of what it costs a poll: from two rates
/// of them, t = busy + multiple · rest · share of the time at rest.
///
/// # Errors
/// If the server does not do what it should.
pub(crate) async fn beats(
    binary: &Path,
    rest: Rest,
    technique: Technique,
    window: Duration,
    own: &mut TechniqueConstants,
) -> anyhow::Result<()> {
    let often = beating(binary, rest, technique, BEATS_S[0], window).await?;
    let seldom = beating(binary, rest, technique, BEATS_S[1], window).await?;
    (own.cpu_us_per_beat, own.rest_per_beat) = through(often, seldom);
    Ok(())
}

/// The seconds between heartbeats: 10,000 a second of all clients, and 400.
const BEATS_S: [f64; 2] = [0.2, 5.0];

/// What rest costs a poll at this rate of heartbeats while the server is at rest as often as it was, and what each took;
/// both in microseconds.
async fn beating(
    binary: &Path,
    rest: Rest,
    technique: Technique,
    every_s: f64,
    window: Duration,
) -> anyhow::Result<(f64, f64)> {
    let plan = |quiet| Plan { spread: Duration::from_secs_f64(every_s), ..quiet };
    let (spent_us, _) = spent(binary, technique, &every_s.to_string(), plan, window).await?;
    let per_s = float(CLIENTS as u64) / every_s;
    let asleep = 1.0 - (spent_us / 1e6 / window.as_secs_f64()).min(0.99);
    Ok((rest.each_us(per_s) * asleep, spent_us / (per_s * window.as_secs_f64())))
}

/// Height at 0 and slope of the line through two points, neither below 0.
fn through(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    let slope = ((b.1 - a.1) / (b.0 - a.0).max(f64::MIN_POSITIVE)).max(0.0);
    ((a.1 - slope * a.0).max(0.0), slope)
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
    let (spent_us, counts) = spent(binary, technique, "3600", plan, window).await?;
    let asked = count(counts);
    let per_s = asked / window.as_secs_f64();
    // What found the server at work cost it no wake-up; see the model.
    let asleep = 1.0 - (per_s * spent_us / asked / 1e6).min(0.99);
    Ok((per_s, (spent_us / asked - busy_us).max(0.0) / asleep))
}

/// Microseconds of the server while the clients do by themselves what the plan says, and what they counted.
async fn spent(
    binary: &Path,
    technique: Technique,
    heartbeat: &str,
    plan: impl FnOnce(Plan) -> Plan,
    window: Duration,
) -> anyhow::Result<(f64, Counts)> {
    let server = Server::start(binary, &["--heartbeat", heartbeat])?;
    Publisher::open(server.address).await?.stock().await?;
    let mut meter = Meter::settle(&server).await?;
    let mut crowd = Crowd::open(plan(Plan::quiet(server.address, technique, CLIENTS))).await?;
    sleep(CALM).await;
    let before = crowd.counts();
    meter.begin()?;
    sleep(window).await;
    let spent_us = meter.spent_us()?;
    crowd.check()?;
    Ok((spent_us, crowd.counts() - before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_through_both_points() {
        assert_eq!(through((1.0, 12.0), (5.0, 20.0)), (10.0, 2.0));
        assert_eq!(through((1.0, 12.0), (5.0, 11.0)), (12.0, 0.0));
    }
}
