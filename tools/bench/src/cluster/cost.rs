//! The processor time of a delivery on a server that follows, beside one with its log in memory; and that of following.

use std::net::SocketAddr;

use fourways_testkit::{Process, own_address};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, interval, sleep, timeout},
};

use super::{
    Finding, Flags, PAYLOAD,
    rig::{Publisher, Rig, cpu_us, serve, stream},
};
use crate::{amount::float, requests::payload, tally::Tally};

const READERS: usize = 1_000;
const EVENTS: u32 = 200;
const EVERY: Duration = Duration::from_millis(50);
const ROUNDS: usize = 5;
/// Number of events that are followed, and of those in one publish.
const FOLLOWED: usize = 30_000;
const LINES: usize = 10;

pub(super) async fn measure(flags: &Flags) -> anyhow::Result<Vec<Finding>> {
    let rig = Rig::start(flags, 2).await?;
    let alone = (own_address(), 8080).into();
    let mut command = serve(&flags.server, alone);
    command.args(["--memory", "--retain-events", "1000"]);
    let memory = Process::start(command)?;
    let (mut of_memory, mut of_node) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_memory.push(delivery(alone, alone, || cpu_us(memory.id())).await?);
        of_node.push(delivery(rig.nodes[0].address, rig.nodes[1].address, || rig.cpu_us(0)).await?);
    }
    let (alone_us, node_us) = (median(of_memory), median(of_node));
    let ratio = node_us / alone_us;
    let following = following(&rig).await?;
    Ok(vec![
        Finding {
            what: format!(
                "a delivery by SSE, one of {READERS}: {node_us:.2} µs, from memory {alone_us:.2} µs"
            ),
            value: format!("{ratio:.3} ×"),
            goal: "≤ 1.05 ×",
            is_reached: ratio <= 1.05,
        },
        Finding {
            what: format!("following an event of {PAYLOAD} bytes, without readers"),
            value: format!("{following:.1} µs"),
            goal: "≤ 15 µs",
            is_reached: following <= 15.0,
        },
    ])
}

/// Returns the time of one delivery in microseconds. The events are published at another server, if there is one.
async fn delivery(
    server: SocketAddr,
    publishing: SocketAddr,
    cpu_us: impl Fn() -> anyhow::Result<f64>,
) -> anyhow::Result<f64> {
    let tally = Tally::new(0);
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let mut wire = stream(server, "bench.cost", None, &tally).await?;
        readers.spawn(async move {
            let mut count = 0;
            while count < EVENTS {
                wire.lines(|line| count += u32::from(line.starts_with(b"data: {\"type\":\"event\""))).await?;
            }
            anyhow::Ok(())
        });
    }
    let mut publisher = Publisher::open(publishing).await?;
    let (body, before) = (payload(PAYLOAD), cpu_us()?);
    let mut ticks = interval(EVERY);
    for _ in 0..EVENTS {
        ticks.tick().await;
        publisher.publish("bench.cost", &body).await?;
    }
    while let Some(done) = timeout(Duration::from_mins(1), readers.join_next()).await? {
        done??;
    }
    Ok((cpu_us()? - before) / (f64::from(EVENTS) * float(READERS as u64)))
}

/// Returns the time in which a server without readers follows one event, in microseconds: what it takes more than while
/// nothing is published.
async fn following(rig: &Rig) -> anyhow::Result<f64> {
    let (before, began) = (rig.cpu_us(0)?, Instant::now());
    sleep(Duration::from_secs(4)).await;
    let idle = (rig.cpu_us(0)? - before) / began.elapsed().as_secs_f64();
    let body = vec![payload(PAYLOAD); LINES].join("\n");
    let (before, began) = (rig.cpu_us(0)?, Instant::now());
    let mut publishers = JoinSet::new();
    for _ in 0..4 {
        let (mut publisher, body) = (Publisher::open(rig.nodes[1].address).await?, body.clone());
        publishers.spawn(async move {
            for _ in 0..FOLLOWED / LINES / 4 {
                publisher.publish("bench.followed", &body).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = publishers.join_next().await {
        done??;
    }
    // What was published last is followed, too.
    sleep(Duration::from_secs(1)).await;
    let used = rig.cpu_us(0)? - before - idle * began.elapsed().as_secs_f64();
    Ok(used / float(FOLLOWED as u64))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
