//! Copies that differ where no start compares them: servers notice by each other's hashes.

use std::time::Duration;

use fourways_cluster::{Beat, OrderSettings};
use fourways_log::engine::{Copy, Followed, FollowedLog, TailCap};
use fourways_shared::{After, Data, Offset};

use crate::kit::{Node, fresh_name, one_server, settings, until};

/// Number of events in the log: more than one block.
const EVENTS: usize = 600;

fn publish(node: &Node) {
    for _ in 0..EVENTS / 100 {
        node.publish("a", &["same"; 100], None).unwrap();
    }
}

#[test]
fn a_copy_with_another_event_in_its_middle_is_found_out() {
    let Some(nats) = one_server() else { return };
    let (log, folder) = (fresh_name(), tempfile::tempdir().unwrap());
    let one = Node::open(&settings(&nats, &log));
    one.ready();
    publish(&one);
    let before = one.engine.tail().epoch();
    // A copy of the same log on a disk, with one event changed: its newest event is as the order has it.
    let cap = TailCap { events: 10_000, bytes: 1 << 20 };
    let copy = Copy::Disk { folder: folder.path().join("copy"), cap };
    let settings = OrderSettings { copy: copy.clone(), node: "other".to_owned(), ..settings(&nats, &log) };
    let changed = FollowedLog::begin(copy, settings.rules.clone(), 1, (before, Offset(0))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut reading = one.subscribe(After::Earliest);
    let mut taken = 0;
    while taken < EVENTS {
        let batch = runtime.block_on(reading.now(EVENTS)).unwrap();
        let appends = batch.events.iter().map(|event| {
            let mut event = event.event().clone();
            if event.cursor.offset == Offset(100) {
                event.data = Data::text("changed");
            }
            Followed { events: vec![event], by: None }
        });
        taken += batch.events.len();
        runtime.block_on(changed.put(appends.collect(), true));
    }
    changed.close();
    drop(changed);
    let other = Node::open(&settings);
    other.ready();
    assert_eq!(other.engine.tail().epoch(), before, "its start finds nothing wrong");
    until("both begin another life", || {
        [&one, &other].iter().all(|node| node.engine.tail().epoch() != before)
    });
    let diverged = |node: &Node| node.engine.order().unwrap().diverged;
    assert_eq!([diverged(&one), diverged(&other)], [0, 1], "the one that is wrong says so");
    let (_, events) = other.read(&mut other.subscribe(After::Earliest), EVENTS);
    assert!(events.iter().all(|(_, data)| data == "\"same\""), "it has what the order has");
}

#[test]
fn a_peer_that_is_wrong_itself_changes_nothing() {
    let Some(nats) = one_server() else { return };
    let log = fresh_name();
    let node = Node::open(&settings(&nats, &log));
    node.ready();
    publish(&node);
    let before = node.engine.tail().epoch();
    let beat = Beat {
        id: "liar".to_owned(),
        name: "liar".to_owned(),
        epoch: before.to_string(),
        audit: vec![(0, 1), (1, 2)],
        ..Beat::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = runtime.block_on(async_nats::connect(nats.urls())).unwrap();
    let audited = || node.engine.order().unwrap().audited;
    until("the node asks the order about both blocks", || {
        let beat = serde_json::to_vec(&beat).unwrap();
        runtime.block_on(client.publish(format!("{log}.n.beat"), beat.into())).unwrap();
        runtime.block_on(client.flush()).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        audited() >= 2
    });
    assert_eq!(node.engine.order().unwrap().diverged, 0);
    assert_eq!(node.engine.tail().epoch(), before);
    assert_eq!(node.publish("a", &["more"], None).unwrap(), [EVENTS as u64 + 1]);
}
