//! The engines of this crate hold to the promises of every engine.
#![expect(clippy::unnecessary_wraps, reason = "other crates have engines that can't always be tested")]

use std::sync::Arc;

use fourways_log::{
    engine::{Durability, Engine, Retention, RetentionRule, Shard, Storage, TailCap},
    subscription::Subscription,
};
use fourways_shared::{After, Offset, Policy, Technique};

use crate::conformance::conformance;

fn in_memory(_: &tempfile::TempDir, rules: Vec<RetentionRule>) -> Option<Arc<dyn Engine>> {
    Some(Storage::Memory.open(rules, 1).unwrap())
}

fn on_disk(folder: &tempfile::TempDir, rules: Vec<RetentionRule>) -> Option<Arc<dyn Engine>> {
    let durability = Durability::Interval(std::time::Duration::from_millis(50));
    // A tail so small that most events are read from the disk.
    let cap = TailCap { events: 4, bytes: 1 << 20 };
    Some(Storage::Disk { folder: folder.path().to_owned(), durability, cap }.open(rules, 1).unwrap())
}

conformance!(memory, in_memory, 60);
conformance!(disk, on_disk, 60);

#[test]
fn a_cursor_after_the_end_of_a_log_is_of_another() {
    let engine =
        in_memory(&tempfile::tempdir().unwrap(), vec![RetentionRule::for_all(Retention::default())]).unwrap();
    let ahead = After::Cursor(engine.tail().cursor(Offset(99)));
    let topics = ["a".parse().unwrap()];
    let reader =
        Subscription::new(&engine.tail(), &topics, ahead, Policy::All, Technique::Sse, Shard::DIRECT);
    assert!(reader.has_more() && !reader.is_ahead(), "a reset is due");
}
