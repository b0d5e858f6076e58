//! What resting costs: the same polls at rates at which the server sleeps in between, over what they cost a busy one.

use std::{path::Path, time::Duration};

use fourways_shared::{Technique, decide::Rest};
use tokio::time::sleep;

use crate::{
    amount::float,
    crowd::{Crowd, Plan},
    meter::{CALM, Meter},
    publisher::Publisher,
    server::Server,
};

/// From one poll of a client to its next; with [`POLLERS`], 200 to 10,000 polls a second.
const INTERVALS_MS: [u64; 4] = [2_000, 400, 100, 40];
const POLLERS: usize = 400;

/// Polls that bring nothing, each taking `busy_us` of a busy server.
///
/// # Errors
/// If the server does not do what it should.
pub(crate) async fn measure(binary: &Path, busy_us: f64, window: Duration) -> anyhow::Result<Rest> {
    let mut measured = Vec::with_capacity(INTERVALS_MS.len());
    for interval in INTERVALS_MS {
        let server = Server::start(binary, &["--heartbeat", "3600"])?;
        Publisher::open(server.address).await?.stock().await?;
        let mut meter = Meter::settle(&server).await?;
        let plan = Plan {
            poll: Duration::from_millis(interval),
            ..Plan::quiet(server.address, Technique::ShortPoll, POLLERS)
        };
        let mut crowd = Crowd::open(plan).await?;
        sleep(CALM).await;
        let before = crowd.counts();
        meter.begin()?;
        sleep(window).await;
        let spent_us = meter.spent_us()?;
        crowd.check()?;
        let polls = float((crowd.counts() - before).requests);
        let per_s = polls / window.as_secs_f64();
        // What found the server at work cost it no wake-up; see the model.
        let asleep = 1.0 - (per_s * spent_us / polls / 1e6).min(0.99);
        measured.push((per_s, (spent_us / polls - busy_us).max(0.0) / asleep));
    }
    Ok(Rest::fit(&measured))
}
