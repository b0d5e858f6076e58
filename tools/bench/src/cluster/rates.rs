//! Publishes a second through three servers.

use tokio::{
    task::JoinSet,
    time::{Duration, Instant},
};

use super::{
    Finding, PAYLOAD,
    rig::{Publisher, Rig},
};
use crate::{amount::float, requests::payload, table::figure};

/// Numbers of publishers at once, with the goals. Each waits for its acknowledgement before it publishes again.
const CROWDS: [(usize, f64, &str); 2] = [(64, 5_000.0, "≥ 5,000"), (256, 12_000.0, "≥ 12,000")];
const WARM: Duration = Duration::from_secs(1);
const LASTS: Duration = Duration::from_secs(6);

pub(super) async fn measure(rig: &Rig) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (crowd, goal, text) in CROWDS {
        let (from, until) = (Instant::now() + WARM, Instant::now() + WARM + LASTS);
        let mut tasks = JoinSet::new();
        for n in 0..crowd {
            let mut publisher = Publisher::open(rig.nodes[n % rig.nodes.len()].address).await?;
            tasks.spawn(async move {
                let (body, mut count) = (payload(PAYLOAD), 0_u64);
                while Instant::now() < until {
                    publisher.publish("bench.rates", &body).await?;
                    count += u64::from(Instant::now() > from);
                }
                anyhow::Ok(count)
            });
        }
        let mut count = 0;
        while let Some(done) = tasks.join_next().await {
            count += done??;
        }
        let rate = float(count) / LASTS.as_secs_f64();
        findings.push(Finding {
            what: format!("publishes a second, {crowd} in flight, {PAYLOAD} bytes"),
            value: figure(rate),
            goal: text,
            is_reached: rate >= goal,
        });
    }
    Ok(findings)
}
