//! The cost of reads, counted in operations of the disk. A read costs no more because there are many other topics, and
//! returns no more at once than was asked for.

use std::{num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use fourways_log::{
    engine::{
        Append, DiskEngine, Draft, Durability, Engine, Files as _, OpenMode, Retention, RetentionRule, Shard,
        SystemClock, TailCap,
    },
    subscription::{Batch, Subscription},
};
use fourways_shared::{After, Data, EventName, Filter, Policy, Technique};

use super::{disk::blocks, sim::Sim};

const MANY: usize = 3000;

fn open(disk: &Sim) -> DiskEngine {
    let retention = Retention { events: usize::MAX, bytes: u64::MAX, age: Duration::from_hours(1000) };
    let rules = vec![RetentionRule::for_all(retention)];
    let cap = TailCap { events: 1, bytes: 1 << 20 };
    let (files, clock) = (Arc::new(disk.clone()), Arc::new(SystemClock::default()));
    let durability = Durability::Interval(Duration::from_hours(1));
    DiskEngine::open_on((files, clock), Path::new("/log"), rules, cap, durability, 1).unwrap()
}

/// Creates a log with one event of each of many topics, between two events of the topic `rare`.
async fn log(topics: usize, bytes: usize) -> (Sim, DiskEngine) {
    let disk = Sim::new(1);
    let engine = open(&disk);
    let publish = async |topic: &str, bytes: usize| {
        let drafts = vec![Draft { name: EventName::DEFAULT, data: Data::text(&"x".repeat(bytes)) }];
        engine.append(Append { topic: topic.parse().unwrap(), drafts, key: None }).await.unwrap();
    };
    publish("rare", 1).await;
    for n in 0..topics {
        publish(&format!("t.{n}"), bytes).await;
    }
    publish("rare", 1).await;
    publish("end", 1).await;
    // The tail holds one event: all but `end` must be read from the disk.
    (disk, engine)
}

/// Reads a subscription to its end, and returns each batch with the number of operations that it took.
async fn costs(
    (disk, engine): &(Sim, DiskEngine),
    topic: &str,
    (after, policy): (After, Policy),
    limit: usize,
) -> Vec<(Batch, u64)> {
    let filters: Vec<Filter> = vec![topic.parse().unwrap()];
    let mut subscription =
        Subscription::new(&engine.tail(), &filters, after, policy, Technique::ShortPoll, Shard::DIRECT);
    let mut batches = Vec::new();
    let mut before = disk.operations();
    while subscription.has_more() {
        if let Some(batch) = subscription.now(limit).await {
            batches.push((batch, disk.operations() - before));
            before = disk.operations();
        }
    }
    batches
}

fn operations(batches: &[(Batch, u64)]) -> u64 {
    batches.iter().map(|(_, operations)| operations).sum()
}

#[tokio::test]
async fn a_question_about_one_topic_costs_no_more_because_there_are_many() {
    let (few, many) = (log(30, 10).await, log(MANY, 10).await);
    let last = After::Last(NonZeroU32::new(1).unwrap());
    for (after, policy) in
        [(After::Earliest, Policy::Latest), (last, Policy::All), (After::Earliest, Policy::All)]
    {
        let (a, b) =
            (costs(&few, "rare", (after, policy), 10).await, costs(&many, "rare", (after, policy), 10).await);
        let events =
            |batches: &[(Batch, u64)]| batches.iter().map(|(batch, _)| batch.events.len()).sum::<usize>();
        assert_eq!(events(&a), events(&b), "{after:?}, {policy:?}");
        // One read of the disk takes 128 KiB, and the log has some 250 KiB.
        assert!(
            operations(&b) <= operations(&a) + 8,
            "{after:?}, {policy:?}: {} and {}",
            operations(&a),
            operations(&b)
        );
    }
    for engine in [&few.1, &many.1] {
        let before = (few.0.operations(), many.0.operations());
        assert_eq!(engine.tail().topic_state(&"rare".parse().unwrap()).events, 2);
        assert_eq!(engine.tail().topic_states(None, 10, |_| true).states.len(), 10);
        assert_eq!(engine.tail().earliest().0, 0);
        assert_eq!((few.0.operations(), many.0.operations()), before, "the disk is not asked");
    }
}

/// The log has some 40 MB of other topics' events between the two of a rare topic.
#[tokio::test]
async fn what_others_have_written_is_passed_over() {
    let log = log(4000, 10_000).await;
    let last = After::Last(NonZeroU32::new(100).unwrap());
    {
        let topic = "rare";
        for (after, policy) in
            [(After::Earliest, Policy::All), (last, Policy::All), (After::Earliest, Policy::Latest)]
        {
            let batches = costs(&log, topic, (after, policy), 100).await;
            let events: usize = batches.iter().map(|(batch, _)| batch.events.len()).sum();
            assert_eq!(events, if policy == Policy::Latest { 1 } else { 2 }, "{after:?}, {policy:?}");
            assert!(operations(&batches) < 120, "{after:?}, {policy:?}: {}", operations(&batches));
        }
    }
    let (disk, engine) = &log;
    let before = disk.operations();
    assert!(costs(&log, "nothing.*", (After::Earliest, Policy::All), 100).await.is_empty());
    assert_eq!(disk.operations(), before, "nothing can be there");
    assert_eq!(engine.tail().topic_state(&"rare".parse().unwrap()).events, 2);
}

#[tokio::test]
async fn the_newest_of_many_topics_come_in_pieces_of_the_size_that_was_asked_for() {
    let log = log(400, 3000).await;
    for limit in [1, 7, 1000] {
        let batches = costs(&log, ">", (After::Earliest, Policy::Latest), limit).await;
        let events: usize = batches.iter().map(|(batch, _)| batch.events.len()).sum();
        assert_eq!(events, 402, "limit {limit}");
        for (batch, operations) in &batches {
            let bytes: usize = batch.events.iter().map(|event| event.event().data.len()).sum();
            assert!(
                batch.events.len() <= limit && bytes <= (256 << 10) + 3002,
                "limit {limit}: {bytes} bytes"
            );
            let most = 3 * batch.events.len() as u64 + 4;
            assert!(*operations <= most, "limit {limit}: {operations} operations for {}", batch.events.len());
        }
    }
}

/// After damage the log searches for the next block, even within published data that looks like blocks.
#[tokio::test]
async fn what_looks_like_blocks_is_passed_as_quickly_as_what_does_not() {
    let mut head = [0; 32];
    head[..4].copy_from_slice(b"4WB1");
    head[8..12].copy_from_slice(&100_000_u32.to_le_bytes());
    head[12] = 1;
    let costs = async |piece: [u8; 32]| {
        let disk = Sim::new(1);
        let engine = open(&disk);
        for data in [Data::text("first"), Data::Bytes(piece.repeat(30_000).into()), Data::text("last")] {
            let drafts = vec![Draft { name: EventName::DEFAULT, data }];
            engine.append(Append { topic: "a".parse().unwrap(), drafts, key: None }).await.unwrap();
        }
        drop(engine);
        // Destroys the head of the second block.
        let file = disk.open(Path::new("/log/all/00000000000000000001.log"), OpenMode::Existing).unwrap();
        let mut bytes = vec![0; 200];
        file.read_exact_at(&mut bytes, 0).unwrap();
        file.write_all_at(&[0; 8], blocks(&bytes)[1] as u64).unwrap();
        let before = disk.operations();
        let engine = open(&disk);
        let cost = disk.operations() - before;
        let batches = self::costs(&(disk, engine), "a", (After::Earliest, Policy::All), 10).await;
        assert_eq!(batches.iter().map(|(batch, _)| batch.events.len()).sum::<usize>(), 2);
        cost + operations(&batches)
    };
    let (plain, looks) = (costs([7; 32]).await, costs(head).await);
    assert!(looks <= plain + 2, "{looks} and {plain}");
}
