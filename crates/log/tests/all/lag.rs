//! The lag rules: a stream that lags too far is cut, skips to the head or is conflated, and the numbers of its reset
//! are right.

use fourways_log::{
    engine::{Append, Draft, Engine, LagRule, MemoryEngine, Retention, RetentionRule, Shard},
    subscription::{Batch, Subscription},
};
use fourways_shared::{After, Data, Epoch, EventName, Filter, Policy, ResetReason, Technique};
use futures_util::FutureExt as _;

fn engine() -> MemoryEngine {
    MemoryEngine::new(Epoch::from_bits(1), vec![RetentionRule::for_all(Retention::default())], 1)
}

fn publish(engine: &MemoryEngine, topic: &str, count: usize) -> u64 {
    let drafts = (0..count).map(|_| Draft { name: EventName::DEFAULT, data: Data::text("x") }).collect();
    let append = Append { topic: topic.parse().unwrap(), drafts, key: None };
    engine.append(append).now_or_never().unwrap().unwrap().last().unwrap().offset.0
}

fn subscribe(engine: &MemoryEngine, topics: &[&str], rule: &str) -> Subscription {
    let topics: Vec<Filter> = topics.iter().map(|topic| topic.parse().unwrap()).collect();
    let rules: [LagRule; 1] = [rule.parse().unwrap()];
    Subscription::new(&engine.tail(), &topics, After::Earliest, Policy::All, Technique::Sse, Shard::DIRECT)
        .with_lag_rule(LagRule::of(&rules, &topics))
}

fn now(subscription: &mut Subscription, limit: usize) -> Option<Batch> {
    let mut now = Box::pin(subscription.now(limit));
    std::iter::from_fn(|| Some((&mut now).now_or_never())).find_map(|told| told)?
}

fn offsets(batch: &Batch) -> Vec<u64> {
    batch.events.iter().map(|event| event.event().cursor.offset.0).collect()
}

#[test]
fn who_is_within_the_limit_gets_everything() {
    for rule in [">=cut:20", ">=skip:20", ">=conflate:20"] {
        let engine = engine();
        let mut reader = subscribe(&engine, &["a"], rule);
        publish(&engine, "a", 20);
        publish(&engine, "noise", 1000);
        let mut got = Vec::new();
        while let Some(batch) = now(&mut reader, 3) {
            assert!(batch.reset.is_none(), "{rule}: other people's events are no lag");
            got.extend(offsets(&batch));
        }
        assert!(got.into_iter().eq(1..=20) && !reader.is_too_slow(), "{rule}");
    }
}

#[test]
fn one_that_skips_goes_on_at_the_head_and_knows_how_many_it_missed() {
    let engine = engine();
    let mut reader = subscribe(&engine, &["a"], "a=skip:10");
    publish(&engine, "a", 50);
    let first = now(&mut reader, 5).unwrap();
    assert_eq!(offsets(&first), [1, 2, 3, 4, 5]);
    let told = reader.cursor();
    assert_eq!(told.offset.0, 5, "cut off before it was told, it comes back with its own place");
    let reset = now(&mut reader, 5).unwrap().reset.unwrap();
    assert_eq!((reset.reason, reset.missed, reset.cursor.offset.0), (ResetReason::Lag, Some(45), 50));
    assert!(now(&mut reader, 5).is_none());
    let next = publish(&engine, "a", 1);
    assert_eq!(offsets(&now(&mut reader, 5).unwrap()), [next]);
}

#[test]
fn one_that_is_conflated_gets_the_newest_of_each_topic() {
    let engine = engine();
    let mut reader = subscribe(&engine, &["a", "b"], ">=conflate:10");
    publish(&engine, "a", 40);
    let b = publish(&engine, "b", 3);
    let a = publish(&engine, "a", 2);
    assert_eq!(now(&mut reader, 5).unwrap().events.len(), 5);
    let batch = now(&mut reader, 5).unwrap();
    // 45 published, 5 read, 2 delivered now.
    assert_eq!((batch.reset.as_ref().unwrap().missed, offsets(&batch)), (Some(38), vec![b, a]));
    // The reader has caught up, so it gets every event again.
    publish(&engine, "a", 4);
    assert_eq!(now(&mut reader, 10).unwrap().events.len(), 4);
}

#[test]
fn one_that_is_cut_keeps_its_place() {
    let engine = engine();
    let mut reader = subscribe(&engine, &["a"], "a=cut:10");
    publish(&engine, "a", 50);
    assert_eq!(now(&mut reader, 5).unwrap().events.len(), 5);
    assert!(reader.is_too_slow());
    let mut again = Subscription::new(
        &engine.tail(),
        &["a".parse().unwrap()],
        After::Cursor(reader.cursor()),
        Policy::All,
        Technique::Sse,
        Shard::DIRECT,
    );
    let mut rest = Vec::new();
    while let Some(batch) = now(&mut again, 100) {
        rest.extend(offsets(&batch));
    }
    assert!(rest.into_iter().eq(6..=50));
}

#[test]
fn who_comes_back_with_much_to_catch_up_is_not_behind_for_that() {
    let engine = engine();
    publish(&engine, "a", 5000);
    for topic in ["a", "*"] {
        let mut reader = subscribe(&engine, &[topic], ">=cut:100");
        let mut got = 0;
        while let Some(batch) = now(&mut reader, 50) {
            got += batch.events.len();
            // Other topics go on in the meantime. Their events count as lag of a pattern, and stay within the limit.
            if got % 500 == 0 {
                publish(&engine, "noise", 1);
            }
            assert!(!reader.is_too_slow(), "{topic}: after {got}");
            if got >= 5000 {
                break;
            }
        }
        assert!(got >= 5000, "{topic}: {got}");
        // Once the reader has caught up, the rule applies to it.
        while now(&mut reader, 50).is_some() {}
        publish(&engine, "a", 151);
        let _some = now(&mut reader, 50);
        assert!(reader.is_too_slow(), "{topic}");
    }
}
