//! The time from a publish at one server to its arrival at the readers of others, at 1,000 events a second.

use std::sync::{Arc, Mutex, PoisonError};

use hdrhistogram::Histogram;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, interval, timeout},
};

use super::{
    Finding,
    rig::{Publisher, Rig, stream},
};
use crate::tally::Tally;

const PUBLISHERS: u32 = 20;
const RATE: u32 = 1_000;
const WARM: Duration = Duration::from_secs(2);
const LASTS: Duration = Duration::from_secs(12);

pub(super) async fn measure(rig: &Rig) -> anyhow::Result<Vec<Finding>> {
    let began = Instant::now();
    let seen = Arc::new(Mutex::new(Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?));
    let mut readers = JoinSet::new();
    for node in &rig.nodes[1..] {
        let (mut wire, seen) =
            (stream(node.address, "bench.delay", None, &Tally::new(0)).await?, Arc::clone(&seen));
        readers.spawn(async move {
            loop {
                let mut times = Vec::new();
                wire.lines(|line| times.extend(sent_us(line))).await?;
                let now_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                for sent_us in times.into_iter().filter(|sent| Duration::from_micros(*sent) > WARM) {
                    seen.saturating_record(now_us.saturating_sub(sent_us));
                }
            }
            #[expect(unreachable_code, reason = "gives the task its type")]
            anyhow::Ok(())
        });
    }
    let mut publishers = JoinSet::new();
    for _ in 0..PUBLISHERS {
        let mut publisher = Publisher::open(rig.nodes[0].address).await?;
        publishers.spawn(async move {
            let mut ticks = interval(Duration::from_secs(1) * PUBLISHERS / RATE);
            while began.elapsed() < WARM + LASTS {
                ticks.tick().await;
                let body = format!("{{\"sent_us\":{}}}", began.elapsed().as_micros());
                publisher.publish("bench.delay", &body).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = publishers.join_next().await {
        done??;
    }
    // The last events arrive.
    drop(timeout(Duration::from_secs(1), readers.join_next()).await);
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let finding = |what: &str, at: f64, goal_ms: u64, goal| {
        let us = seen.value_at_quantile(at);
        Finding {
            what: format!("publish to reader, {RATE} a second, {what} of {}", seen.len()),
            value: format!("{}.{} ms", us / 1000, us % 1000 / 100),
            goal,
            is_reached: us <= goal_ms * 1000,
        }
    };
    Ok(vec![finding("p50", 0.5, 5, "≤ 5 ms"), finding("p99", 0.99, 20, "≤ 20 ms")])
}

fn sent_us(line: &[u8]) -> Option<u64> {
    const MARK: &str = "\"sent_us\":";
    let text = std::str::from_utf8(line).ok()?;
    let rest = &text[text.find(MARK)? + MARK.len()..];
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
