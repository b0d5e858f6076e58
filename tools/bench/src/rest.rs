//! Measures the cost of waking an idle server: polls at rates at which the server sleeps in between, less the cost of
//! the same polls at a busy server. The idle time between two requests is called rest, as in the cost model.

use std::{path::Path, time::Duration};

use fourways_shared::{
    Technique,
    decide::{Rest, TechniqueConstants},
};
use tokio::time::sleep;

use crate::{
    amount::float,
    crowd::Crowd,
    meter::{CALM, Meter},
    plan::Plan,
    publisher::Publisher,
    server::Server,
    tally::Counts,
};

/// Intervals between the polls of a client; with [`CLIENTS`], 200 to 10,000 polls a second.
const INTERVALS_MS: [u64; 4] = [10_000, 2_000, 500, 200];
/// Number of clients; as many as a real server has, so that the data of a connection is no longer in the nearest cache
/// when its turn comes.
const CLIENTS: usize = 2_000;

/// Interval between the sends of a client, or between its openings.
const INTERVAL: Duration = Duration::from_secs(5);

/// Measures the cost of a wake-up by polls that return nothing, each of which takes `busy_us` microseconds of a busy
/// server.
///
/// # Errors
/// If the server does not behave as expected.
pub(crate) async fn measure(binary: &Path, busy_us: f64, window: Duration) -> anyhow::Result<Rest> {
    let mut measured = Vec::with_capacity(INTERVALS_MS.len());
    for interval in INTERVALS_MS {
        let plan = |quiet| Plan { poll: Duration::from_millis(interval), ..quiet };
        let requests = |counts: Counts| float(counts.requests);
        measured.push(rested(binary, Technique::ShortPoll, plan, requests, busy_us, window).await?);
    }
    Ok(Rest::fit(&measured))
}

/// Measures the cost of a wake-up for a technique's sends and openings, as multiples of the cost for a poll.
///
/// # Errors
/// If the server does not behave as expected.
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

/// Measures the cost of a heartbeat at a busy server, and the cost of a wake-up for a heartbeat as a multiple of the
/// cost for a poll. Two rates of heartbeats give both: t = busy + multiple · rest · share of the time at rest.
///
/// # Errors
/// If the server does not behave as expected.
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

/// Intervals between the heartbeats of a client, in seconds; with [`CLIENTS`], 10,000 and 400 heartbeats a second.
const BEATS_S: [f64; 2] = [0.2, 5.0];

/// Measures heartbeats at one rate. Returns the cost of a wake-up for a poll at the same rate, times the share of the
/// time that the server was at rest, and the processor time of each heartbeat, both in microseconds.
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

/// Returns the height at 0 and the slope of the line through two points, neither below 0.
fn through(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    let slope = ((b.1 - a.1) / (b.0 - a.0).max(f64::MIN_POSITIVE)).max(0.0);
    ((a.1 - slope * a.0).max(0.0), slope)
}

/// Measures the requests that the plan makes clients send by themselves. Returns their number per second, and the extra
/// processor time over `busy_us` of each that finds the server at rest, in microseconds.
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
    // A request that found the server at work cost no wake-up; see the model (`shared/src/decide/processor.rs`).
    let asleep = 1.0 - (per_s * spent_us / asked / 1e6).min(0.99);
    Ok((per_s, (spent_us / asked - busy_us).max(0.0) / asleep))
}

/// Runs the plan's clients for `window`. Returns the server's processor time, in microseconds, and the clients' counts.
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
