//! Three servers and three NATS servers with publishers and readers, of which any may be killed, paused or cut off at any
//! moment: nothing that was acknowledged is lost, repeated or reordered, on any server, by any technique.
//!
//! `cargo xtask cluster faults` is a long run with many events, and prints its counts.

mod checker;
mod faults;
mod publishers;
mod readers;
mod rig;
mod servers;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fourways_testkit::{Nats, skipped};

use self::{
    checker::Facts,
    faults::Fault,
    publishers::{Load, Publishers},
    readers::Readers,
    rig::Rig,
};

/// Number of events that must be acknowledged between two faults, so that every fault meets a log that moves.
const BETWEEN: u64 = 60;
/// The load of a short run, and of one with many events.
const FEW: Load = Load { batch: 6, pause: Duration::from_millis(30) };
const MANY: Load = Load { batch: 200, pause: Duration::from_millis(60) };

#[test]
fn whatever_fails_nothing_acknowledged_is_lost_repeated_or_reordered() {
    let Some(binary) = Nats::binary() else {
        return skipped("there is no nats-server; `cargo xtask test` installs it");
    };
    let number =
        |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().expect("a number"));
    let count = usize::try_from(number("FOURWAYS_CLUSTER_FAULTS", 10)).unwrap();
    let events = number("FOURWAYS_CLUSTER_EVENTS", 0);
    let load = if events > 0 { MANY } else { FEW };
    // Another test of this process may have installed it before.
    drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut rig = Rig::start(&binary);
        rig.ready("at the start").await;
        let facts = Arc::new(Facts::default());
        let publishers = Publishers::start(&rig.bases(), &facts, load);
        let readers = Readers::start(&rig.bases(), &rig.balancer(), &facts);
        let mut table = faults::Table::default();
        for fault in Fault::sequence(count) {
            // The events are spread over the faults.
            publishers.acknowledges(BETWEEN.max(events / count as u64 / 2), "before a fault").await;
            let began = Instant::now();
            let what = fault.inject(&mut rig).await;
            rig.ready(&what).await;
            publishers.acknowledges(1, &what).await;
            table.add(fault, began.elapsed(), facts.publish_gap(began), facts.read_gap(began));
            println!("{:>6.1} s  {what}", began.elapsed().as_secs_f64());
        }
        let rest = events.saturating_sub(facts.acknowledged());
        publishers.acknowledges(BETWEEN.max(rest), "after the last fault").await;
        let refused = publishers.stop().await;
        let bases = rig.bases();
        readers.finish(&facts).await;
        facts.judge();
        facts.compare_servers(&bases).await;
        table.print(refused);
        println!("{}", facts.summary());
        assert_eq!(refused, 0, "no publish was refused: each fault lasts less than publishers are held");
    });
}

/// Time that a step may take, whatever the machine does beside it.
const PATIENCE: Duration = Duration::from_mins(3);
