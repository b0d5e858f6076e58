//! One server and one NATS server: the promises of every engine, and those of this one.

use std::sync::{Arc, LazyLock};

use fourways_cluster::JetStreamEngine;
use fourways_log::engine::{Copy, Engine, RetentionRule, TailCap};
use fourways_shared::After;
use fourways_testkit::Nats;

use crate::{
    conformance::conformance,
    kit::{Node, fresh_name, one_server, settings},
};

/// The NATS server that the tests of this file share; each has its own log. The reaper ends it with the test process.
static NATS: LazyLock<Option<Nats>> = LazyLock::new(one_server);

fn in_memory(_: &tempfile::TempDir, rules: Vec<RetentionRule>) -> Option<Arc<dyn Engine>> {
    let nats = NATS.as_ref()?;
    let settings = fourways_cluster::OrderSettings { rules, ..settings(nats, &fresh_name()) };
    Some(Arc::new(JetStreamEngine::open(&settings).unwrap()))
}

fn on_disk(folder: &tempfile::TempDir, rules: Vec<RetentionRule>) -> Option<Arc<dyn Engine>> {
    let nats = NATS.as_ref()?;
    let copy = Copy::Disk { folder: folder.path().join("log"), cap: TailCap { events: 4, bytes: 1 << 20 } };
    let settings = fourways_cluster::OrderSettings { rules, copy, ..settings(nats, &fresh_name()) };
    Some(Arc::new(JetStreamEngine::open(&settings).unwrap()))
}

conformance!(memory, in_memory, 5);
conformance!(disk, on_disk, 5);

#[test]
fn two_servers_have_one_log() {
    let Some(nats) = NATS.as_ref() else { return };
    let log = fresh_name();
    let (a, b) = (Node::open(&settings(nats, &log)), Node::open(&settings(nats, &log)));
    a.ready();
    b.ready();
    assert_eq!(a.engine.tail().epoch(), b.engine.tail().epoch());
    let mut offsets = Vec::new();
    for round in 0..10 {
        offsets.extend(a.publish("a.x", &[&format!("a{round}")], None).unwrap());
        offsets.extend(
            b.publish("b.x", &[&format!("b{round}"), "and another"], Some(&format!("k{round}"))).unwrap(),
        );
        // The other server knows the key.
        let again =
            a.publish("b.x", &[&format!("b{round}"), "and another"], Some(&format!("k{round}"))).unwrap();
        assert_eq!(again, offsets[offsets.len() - 2..]);
    }
    let [(_, of_a), (_, of_b)] = [&a, &b].map(|node| node.read(&mut node.subscribe(After::Earliest), 30));
    assert_eq!(of_a, of_b);
    assert_eq!(of_a.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), offsets);
    // A cursor of one server is good on the other, before that has the events.
    let cursor = a.engine.tail().cursor(a.engine.tail().head());
    let mut reader = b.subscribe(After::Cursor(cursor));
    let next = a.publish("a.x", &["next"], None).unwrap();
    assert_eq!(b.read(&mut reader, 1), (vec![], vec![(next[0], "\"next\"".to_owned())]));
}
