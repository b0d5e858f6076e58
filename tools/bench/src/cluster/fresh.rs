//! The time until a server that has nothing is ready, and until one that was stopped for a while is.

use tokio::time::Duration;

use super::{
    Finding, Flags,
    rig::{Publisher, Rig},
};
use crate::{requests::payload, table::say};

/// Number of events in one publish, the most that an atomic batch has.
const LINES: usize = 1_000;
/// Size of an event's data, in bytes.
const BYTES: usize = 100;
/// Number of events that a server misses while it is stopped.
const MISSED: usize = 10_000;

pub(super) async fn measure(flags: &Flags) -> anyhow::Result<Vec<Finding>> {
    let mut rig = Rig::start(flags, 2).await?;
    fill(&rig, 0, flags.events).await?;
    rig.add()?;
    let fresh = rig.ready(2).await?;
    say(&format!("ready after {} ms", fresh.as_millis()));
    rig.stop(1).await?;
    fill(&rig, 0, MISSED).await?;
    rig.start_again(1)?;
    let back = rig.ready(1).await?;
    let finding = |what: String, took: Duration, goal, is_reached| Finding {
        what,
        value: format!("{:.1} s", took.as_secs_f64()),
        goal,
        is_reached,
    };
    Ok(vec![
        finding(
            format!("a fresh server is ready with {} events", flags.events),
            fresh,
            "≤ 15 s",
            fresh <= Duration::from_secs(15),
        ),
        finding(
            format!("a server that missed {MISSED} of them is ready again"),
            back,
            "less than a fresh one",
            back < fresh,
        ),
    ])
}

async fn fill(rig: &Rig, at: usize, events: usize) -> anyhow::Result<()> {
    let mut publisher = Publisher::open(rig.nodes[at].address).await?;
    let body = vec![payload(BYTES); LINES].join("\n");
    for _ in 0..events.div_ceil(LINES) {
        publisher.publish("bench.fresh", &body).await?;
    }
    Ok(())
}
