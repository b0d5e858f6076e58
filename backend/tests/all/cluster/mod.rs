//! Three servers and three NATS servers with publishers and readers, of which any may be killed, paused or cut off at any
//! moment: nothing that was acknowledged is lost, repeated or reordered, on any server, by any technique.
//!
//! `FOURWAYS_CLUSTER_FAULTS=100 cargo test -p fourways --test all cluster -- --nocapture` prints the counts of a long run.

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

use self::{checker::Facts, faults::Fault, publishers::Publishers, readers::Readers, rig::Rig};

/// Number of events that must be acknowledged between two faults, so that every fault meets a log that moves.
const BETWEEN: u64 = 60;

#[test]
fn whatever_fails_nothing_acknowledged_is_lost_repeated_or_reordered() {
    let Some(binary) = Nats::binary() else {
        return skipped("there is no nats-server; `cargo xtask test` installs it");
    };
    let count = std::env::var("FOURWAYS_CLUSTER_FAULTS").map_or(10, |text| text.parse().expect("a number"));
    // Another test of this process may have installed it before.
    drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut rig = Rig::start(&binary);
        rig.ready("at the start").await;
        let facts = Arc::new(Facts::default());
        let publishers = Publishers::start(&rig.bases(), &facts);
        let readers = Readers::start(&rig.bases(), &facts);
        let mut table = faults::Table::default();
        for fault in Fault::sequence(count) {
            publishers.acknowledges(BETWEEN, "before a fault").await;
            let began = Instant::now();
            let what = fault.inject(&mut rig).await;
            rig.ready(&what).await;
            publishers.acknowledges(1, &what).await;
            table.add(fault, began.elapsed(), facts.publish_gap(began), facts.read_gap(began));
            println!("{:>6.1} s  {what}", began.elapsed().as_secs_f64());
        }
        publishers.acknowledges(BETWEEN, "after the last fault").await;
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
