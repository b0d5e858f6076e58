//! Laws of the log, against a model that is too simple to be wrong: any interleaving of publishing, reading, letting go
//! and resuming loses nothing silently, repeats nothing, keeps order.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::Arc,
    time::{Duration, Instant},
};

use fourways::{
    engine::{Append, Draft, Engine, MemoryEngine, Retention, RetentionRule, Shard, Tail},
    subscription::{Batch, Subscription},
};
use fourways_shared::{After, Cursor, Data, Epoch, EventName, Offset, Policy, Technique, Topic};
use futures_util::FutureExt as _;
use proptest::prelude::*;

const RETAINED: usize = 8;

#[derive(Clone, Debug)]
enum Step {
    Publish { topic: usize, count: usize },
    Read { limit: usize },
    Resume,
    Leave { topic: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, 1..5_usize).prop_map(|(topic, count)| Step::Publish { topic, count }),
        4 => (1..6_usize).prop_map(|limit| Step::Read { limit }),
        2 => Just(Step::Resume),
        1 => (0..3_usize).prop_map(|topic| Step::Leave { topic }),
    ]
}

fn topic(index: usize) -> Topic {
    format!("t{index}").parse().unwrap()
}

/// What lies after the one offset and not after the other.
fn between(log: &BTreeMap<u64, usize>, after: u64, through: u64) -> impl Iterator<Item = (&u64, &usize)> {
    log.range((Bound::Excluded(after), Bound::Included(through)))
}

fn publish(engine: &MemoryEngine, index: usize, count: usize) -> Vec<Cursor> {
    let drafts = (0..count).map(|_| Draft { name: EventName::DEFAULT, data: Data::text("x") }).collect();
    let append = Append { topic: topic(index), drafts, key: None };
    engine.append(append).now_or_never().unwrap().unwrap()
}

fn engine(retention: Retention) -> MemoryEngine {
    MemoryEngine::new(Epoch::from_bits(1), vec![RetentionRule::for_all(retention)], 1)
}

/// What there is now: memory waits for nothing.
fn now(subscription: &mut Subscription, limit: usize) -> Option<Batch> {
    subscription.now(limit).now_or_never().unwrap()
}

fn subscribe(tail: &Arc<Tail>, after: After, policy: Policy) -> Subscription {
    // Two of the three topics: the third is other people's traffic.
    Subscription::new(
        tail,
        &[topic(0).into(), topic(1).into()],
        after,
        policy,
        Technique::Websocket,
        Shard::DIRECT,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_loses_nothing_silently_repeats_nothing_and_keeps_order(steps in prop::collection::vec(step(), 1..60)) {
        let retention = Retention { events: RETAINED, ..Retention::default() };
        let engine = engine(retention);
        let tail = Arc::clone(engine.tail());
        // Offset to topic, of everything that was ever published.
        let mut log = BTreeMap::new();
        let mut subscription = subscribe(&tail, After::Earliest, Policy::All);
        let mut position = 0;
        for step in steps.into_iter().chain((0..40).map(|_| Step::Read { limit: 5 })) {
            match step {
                Step::Publish { topic, count } => {
                    for cursor in publish(&engine, topic, count) {
                        log.insert(cursor.offset.0, topic);
                    }
                }
                Step::Read { limit } => {
                    let Some(batch) = now(&mut subscription, limit) else { continue };
                    prop_assert!(batch.events.len() <= limit);
                    if let Some(reset) = &batch.reset {
                        let after = reset.cursor.offset.0;
                        prop_assert!(after >= position, "a reset never goes back within an epoch");
                        let gone = between(&log, position, after).filter(|(_, topic)| **topic < 2).count() as u64;
                        if let Some(missed) = reset.missed {
                            prop_assert_eq!(missed, gone, "what is said to be gone is what is gone");
                        }
                        position = after;
                    }
                    let expected: Vec<u64> = log
                        .range(position + 1..)
                        .filter(|(_, topic)| **topic < 2)
                        .map(|(offset, _)| *offset)
                        .take(batch.events.len())
                        .collect();
                    let found: Vec<u64> = batch.events.iter().map(|event| event.event().cursor.offset.0).collect();
                    prop_assert_eq!(&found, &expected, "exactly the next ones, in order");
                    position = subscription.cursor().offset.0;
                    let unseen = found.last().copied().unwrap_or(position);
                    prop_assert!(position >= unseen);
                    let skipped = between(&log, unseen, position).any(|(_, topic)| *topic < 2);
                    prop_assert!(!skipped, "the cursor never moves past an event that was not returned");
                }
                Step::Resume => subscription = subscribe(&tail, After::Cursor(subscription.cursor()), Policy::All),
                Step::Leave { topic: index } => {
                    // Another reader comes and goes: nobody else notices.
                    let other = Subscription::new(&tail, &[topic(index).into()], After::Head, Policy::All, Technique::Sse, Shard::DIRECT);
                    drop(other);
                }
            }
        }
        prop_assert_eq!(now(&mut subscription, 1).map(|batch| batch.events.len()), None, "all was read in the end");
    }

    #[test]
    fn latest_returns_the_newest_of_each_topic_and_nothing_older(steps in prop::collection::vec(step(), 1..60)) {
        let engine = engine(Retention::default());
        let tail = Arc::clone(engine.tail());
        let mut newest: [Option<u64>; 3] = [None; 3];
        let mut returned: [Option<u64>; 2] = [None; 2];
        let mut subscription = subscribe(&tail, After::Earliest, Policy::Latest);
        for step in steps {
            match step {
                Step::Publish { topic, count } => newest[topic] = publish(&engine, topic, count).last().map(|c| c.offset.0),
                Step::Read { .. } => {
                    let batch = now(&mut subscription, 100).unwrap_or_default();
                    for event in &batch.events {
                        let index = usize::from(event.event().topic.as_str() == "t1");
                        prop_assert_eq!(Some(event.event().cursor.offset.0), newest[index]);
                        prop_assert!(returned[index] < newest[index], "never twice");
                        returned[index] = newest[index];
                    }
                    prop_assert_eq!(&returned[..], &newest[..2]);
                }
                _ => subscription = subscribe(&tail, After::Cursor(subscription.cursor()), Policy::Latest),
            }
        }
    }
}

#[test]
fn a_cursor_of_another_life_gets_a_reset_and_all_that_is_retained() {
    let engine = engine(Retention::default());
    publish(&engine, 0, 3);
    for stranger in
        [Cursor { epoch: Epoch::from_bits(2), offset: Offset(1) }, engine.tail().cursor(Offset(99))]
    {
        let mut subscription = subscribe(engine.tail(), After::Cursor(stranger), Policy::All);
        let batch = now(&mut subscription, 10).unwrap();
        let reset = batch.reset.unwrap();
        assert_eq!(reset.reason, fourways_shared::ResetReason::Epoch);
        assert_eq!((reset.cursor.offset, reset.missed), (Offset(0), None));
        assert_eq!(batch.events.len(), 3);
    }
}

#[test]
fn a_key_said_again_returns_the_first_answer_and_appends_nothing() {
    let engine = engine(Retention::default());
    let append = |topic_index: usize| {
        let drafts = vec![Draft { name: EventName::DEFAULT, data: Data::text("x") }];
        let append = Append { topic: topic(topic_index), drafts, key: Some("k".parse().unwrap()) };
        engine.append(append).now_or_never().unwrap().unwrap()
    };
    let first = append(0);
    assert_eq!(append(0), first);
    assert_ne!(append(1), first, "a key is remembered for its topic");
    assert_eq!(engine.tail().head(), Offset(2));
}

#[test]
fn topics_that_came_and_went_cost_nothing_and_are_never_a_silent_gap() {
    let retention = Retention { events: 2, ..Retention::default() };
    let engine = engine(retention);
    let tail = engine.tail();
    let first = publish(&engine, 0, 1)[0];
    for index in 1..50 {
        publish(&engine, index, 1);
    }
    assert_eq!(tail.topic_states(100, |_| true).1, 2, "only what holds events is there");
    let before = Cursor { offset: Offset(first.offset.0 - 1), ..first };
    let mut subscription = subscribe(tail, After::Cursor(before), Policy::All);
    assert!(
        now(&mut subscription, 10).unwrap().reset.is_some(),
        "what it missed is forgotten, and it is told so"
    );
    drop(subscription);
    assert_eq!(tail.topic_states(100, |_| true).1, 2);
}

#[test]
fn subscribers_are_counted_while_they_are_there() {
    let engine = engine(Retention::default());
    let tail = engine.tail();
    let count = || tail.topic_state(&topic(0)).subscribers[Technique::Websocket.index()];
    let (one, two) = (subscribe(tail, After::Head, Policy::All), subscribe(tail, After::Head, Policy::All));
    assert_eq!(count(), 2);
    drop(one);
    assert_eq!(count(), 1);
    let mut two = two;
    assert!(two.remove(&topic(0).into()) && !two.remove(&topic(0).into()));
    assert_eq!(count(), 0);
}

#[test]
fn retention_lets_go_by_bytes() {
    let retention = Retention { bytes: 10_000, ..Retention::default() };
    let engine = engine(retention);
    for _ in 0..50 {
        let draft = Draft { name: EventName::DEFAULT, data: Data::text(&"x".repeat(1000)) };
        let append = Append { topic: topic(0), drafts: vec![draft], key: None };
        engine.append(append).now_or_never().unwrap().unwrap();
    }
    let state = engine.tail().topic_state(&topic(0));
    assert!((1..10).contains(&state.events), "{state:?}");
    assert_eq!(state.newest.unwrap().offset, Offset(50), "the newest stays");
    assert_eq!(engine.tail().earliest().0, 50 - state.events as u64);
}

#[test]
fn retention_lets_go_by_age_though_nothing_is_published() {
    let age = Duration::from_millis(50);
    let engine = engine(Retention { age, ..Retention::default() });
    let first = publish(&engine, 0, 3)[0];
    let mut connected =
        subscribe(engine.tail(), After::Cursor(Cursor { offset: Offset(0), ..first }), Policy::All);
    let began = Instant::now();
    while engine.tail().topic_state(&topic(0)).events > 0 {
        assert!(began.elapsed() < fourways_testkit::DEADLINE, "the sweep lets go what is too old");
        engine.tail().sweep();
        std::thread::yield_now();
    }
    let reset = now(&mut connected, 10).unwrap().reset.unwrap();
    assert_eq!((reset.reason, reset.missed), (fourways_shared::ResetReason::Lag, Some(3)));
}
