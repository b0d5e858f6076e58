//! The laws of the log, checked against a model that is too simple to be wrong: any interleaving of publishing,
//! reading, retention and resuming loses nothing silently, repeats nothing and keeps the order.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    ops::Bound,
    sync::Arc,
    time::{Duration, Instant},
};

use fourways_log::{
    engine::{Append, Draft, Engine, Key, MemoryEngine, Retention, RetentionRule, Shard, Tail},
    subscription::{Batch, Subscription},
};
use fourways_shared::{After, Cursor, Data, Epoch, EventName, Filter, Offset, Policy, Technique, Topic};
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

const TOPICS: [&str; 3] = ["a.x", "a.y", "b.x"];

fn topic(index: usize) -> Topic {
    TOPICS.get(index).map_or_else(|| format!("t{index}"), |name| (*name).to_owned()).parse().unwrap()
}

/// Topics by name, by pattern or by both; events that the reader does not select are other readers' traffic.
fn selection() -> impl Strategy<Value = Vec<Filter>> {
    let selections: [&[&str]; 6] =
        [&["a.x", "a.y"], &["a.*"], &["*.x"], &["a.x", "a.*"], &["b.>", "a.y"], &["a.*", "*.x", ">"]];
    prop::sample::select(selections.to_vec())
        .prop_map(|filters| filters.iter().map(|filter| filter.parse().unwrap()).collect())
}

/// Returns true if a filter matches the topic with this index.
fn matches(filters: &[Filter], index: usize) -> bool {
    filters.iter().any(|filter| filter.matches(TOPICS[index]))
}

/// The number of events that each rule retains, and a factor for the number published at once: mostly small, so that
/// every case happens often, sometimes more than a pattern's index holds and one scan covers.
fn scale() -> impl Strategy<Value = (usize, usize)> {
    prop_oneof![30 => Just((RETAINED, 1)), 1 => Just((9_000, 900))]
}

/// Returns the events after one offset and up to another.
fn between(log: &BTreeMap<u64, usize>, after: u64, through: u64) -> impl Iterator<Item = (&u64, &usize)> {
    log.range((Bound::Excluded(after), Bound::Included(through)))
}

/// Returns the offsets that retention has dropped: each of the two [`rules`] keeps `retained` events.
fn gone(log: &BTreeMap<u64, usize>, retained: usize) -> BTreeSet<u64> {
    let of =
        |is_first: bool| log.iter().rev().filter(move |(_, topic)| (**topic == 0) == is_first).skip(retained);
    of(true).chain(of(false)).map(|(offset, _)| *offset).collect()
}

fn publish(engine: &MemoryEngine, index: usize, count: usize) -> Vec<Cursor> {
    let drafts = (0..count).map(|_| Draft { name: EventName::DEFAULT, data: Data::text("x") }).collect();
    let append = Append { topic: topic(index), drafts, key: None };
    engine.append(append).now_or_never().unwrap().unwrap()
}

fn engine(retention: Retention) -> MemoryEngine {
    MemoryEngine::new(Epoch::from_bits(1), vec![RetentionRule::for_all(retention)], 1)
}

/// Returns a batch of the events that exist now. Reads of memory never wait, but a long scan yields between pieces.
fn now(subscription: &mut Subscription, limit: usize) -> Option<Batch> {
    let mut now = Box::pin(subscription.now(limit));
    std::iter::from_fn(|| Some((&mut now).now_or_never())).find_map(|told| told)?
}

fn subscribe(tail: &Arc<Tail>, filters: &[Filter], after: After, policy: Policy) -> Subscription {
    Subscription::new(tail, filters, after, policy, Technique::Websocket, Shard::DIRECT)
}

fn names() -> Vec<Filter> {
    vec![topic(0).into(), topic(1).into()]
}

fn offsets(batch: &Batch) -> Vec<u64> {
    batch.events.iter().map(|event| event.event().cursor.offset.0).collect()
}

/// Two retention rules, so that the order of the log is merged from two lines.
fn rules(events: usize) -> Vec<RetentionRule> {
    let retention = Retention { events, ..Retention::default() };
    let some = RetentionRule { filter: "a.x".parse().unwrap(), ..RetentionRule::for_all(retention) };
    vec![some, RetentionRule::for_all(retention)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_loses_nothing_silently_repeats_nothing_and_keeps_order(
        steps in prop::collection::vec(step(), 1..60),
        filters in selection(),
        (retained, times) in scale(),
    ) {
        let engine = MemoryEngine::new(Epoch::from_bits(1), rules(retained), 1);
        let tail = engine.tail();
        // Topics by offset: of every event ever published, and of those that no reset has reported as dropped.
        let (mut all, mut log) = (BTreeMap::new(), BTreeMap::new());
        let mut subscription = subscribe(&tail, &filters, After::Earliest, Policy::All);
        let mut position = 0;
        let mut steps = steps.into_iter();
        loop {
            // After the last step, everything is read.
            let step = steps.next().unwrap_or(Step::Read { limit: 5 * times });
            match step {
                Step::Publish { topic, count } => {
                    for cursor in publish(&engine, topic, count * times) {
                        log.insert(cursor.offset.0, topic);
                        all.insert(cursor.offset.0, topic);
                    }
                }
                Step::Read { limit } => {
                    let Some(batch) = now(&mut subscription, limit) else {
                        if steps.len() == 0 && !subscription.has_more() {
                            break;
                        }
                        let after = subscription.cursor().offset.0;
                        let skipped = between(&log, position, after).any(|(_, topic)| matches(&filters, *topic));
                        prop_assert!(!skipped, "the cursor never moves past an event that was not returned");
                        position = after;
                        continue;
                    };
                    prop_assert!(batch.events.len() <= limit);
                    if let Some(reset) = &batch.reset {
                        let after = reset.cursor.offset.0;
                        prop_assert!(after >= position, "a reset never goes back within an epoch");
                        let before = between(&log, position, u64::MAX).filter(|(_, topic)| matches(&filters, **topic)).count();
                        let gone = gone(&all, retained);
                        log.retain(|offset, _| *offset <= position || !gone.contains(offset));
                        let left = between(&log, position, u64::MAX).filter(|(_, topic)| matches(&filters, **topic)).count();
                        if let Some(missed) = reset.missed {
                            prop_assert_eq!(missed, (before - left) as u64, "what is said to be gone is what is gone");
                        }
                        let skipped = between(&log, position, after).any(|(_, topic)| matches(&filters, *topic));
                        prop_assert!(!skipped, "nothing that is there is passed over");
                        position = after;
                    }
                    let expected: Vec<u64> = log
                        .range(position + 1..)
                        .filter(|(_, topic)| matches(&filters, **topic))
                        .map(|(offset, _)| *offset)
                        .take(batch.events.len())
                        .collect();
                    let found = offsets(&batch);
                    prop_assert_eq!(&found, &expected, "exactly the next ones, in order");
                    position = subscription.cursor().offset.0;
                    let unseen = found.last().copied().unwrap_or(position);
                    prop_assert!(position >= unseen);
                    let skipped = between(&log, unseen, position).any(|(_, topic)| matches(&filters, *topic));
                    prop_assert!(!skipped, "the cursor never moves past an event that was not returned");
                }
                Step::Resume => subscription = subscribe(&tail, &filters, After::Cursor(subscription.cursor()), Policy::All),
                Step::Leave { topic: index } => {
                    // Another reader comes and goes, also of the same pattern; this one must not notice.
                    for filter in [topic(index).into(), filters[0].clone()] {
                        drop(subscribe(&tail, &[filter], After::Head, Policy::All));
                    }
                }
            }
        }
        let left = between(&log, position, u64::MAX).any(|(_, topic)| matches(&filters, *topic));
        prop_assert!(!left, "all was read in the end");
    }

    #[test]
    fn latest_returns_the_newest_of_each_topic_in_pieces_of_any_size(
        steps in prop::collection::vec(step(), 1..60),
        filters in selection(),
        (_, times) in scale(),
    ) {
        let engine = MemoryEngine::new(Epoch::from_bits(1), rules(1_000_000), 1);
        let tail = engine.tail();
        let mut newest: [Option<u64>; 3] = [None; 3];
        let mut returned: [Option<u64>; 3] = [None; 3];
        let mut subscription = subscribe(&tail, &filters, After::Earliest, Policy::Latest);
        for step in steps.into_iter().chain([Step::Read { limit: 1 }]) {
            match step {
                Step::Publish { topic, count } => newest[topic] = publish(&engine, topic, count * times).last().map(|c| c.offset.0),
                Step::Read { limit } => {
                    let mut last = 0;
                    while subscription.has_more() {
                        let batch = now(&mut subscription, limit).unwrap_or_default();
                        prop_assert!(batch.reset.is_none() && batch.events.len() <= limit);
                        for event in &batch.events {
                            let offset = event.event().cursor.offset.0;
                            let index = TOPICS.iter().position(|topic| *topic == event.event().topic.as_str()).unwrap();
                            prop_assert_eq!(Some(offset), newest[index]);
                            prop_assert!(returned[index] < newest[index] && offset > last, "never twice, and in order");
                            (returned[index], last) = (newest[index], offset);
                        }
                    }
                    for index in (0..3).filter(|index| matches(&filters, *index)) {
                        prop_assert_eq!(returned[index], newest[index]);
                    }
                }
                _ => subscription = subscribe(&tail, &filters, After::Cursor(subscription.cursor()), Policy::Latest),
            }
        }
    }

    #[test]
    fn the_last_ones_are_as_many_as_were_asked_for(
        published in prop::collection::vec((0..3_usize, 1..4_usize), 0..30),
        filters in selection(),
        (_, times) in scale(),
        count in 1..40_u32,
    ) {
        let engine = MemoryEngine::new(Epoch::from_bits(1), rules(1_000_000), 1);
        let mut wanted = Vec::new();
        for (topic, each) in published {
            let cursors = publish(&engine, topic, each * times);
            wanted.extend(cursors.iter().filter(|_| matches(&filters, topic)).map(|cursor| cursor.offset.0));
        }
        let expected = wanted.split_off(wanted.len().saturating_sub(count as usize));
        let after = After::Last(NonZeroU32::new(count).unwrap());
        let mut subscription = subscribe(&engine.tail(), &filters, after, Policy::All);
        let mut found = Vec::new();
        while subscription.has_more() {
            found.extend(now(&mut subscription, 7).iter().flat_map(offsets));
        }
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_cursor_of_another_life_gets_a_reset_and_all_that_is_retained() {
    let engine = engine(Retention::default());
    publish(&engine, 0, 3);
    for stranger in
        [Cursor { epoch: Epoch::from_bits(2), offset: Offset(1) }, engine.tail().cursor(Offset(99))]
    {
        let mut subscription = subscribe(&engine.tail(), &names(), After::Cursor(stranger), Policy::All);
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
        let append = Append {
            topic: topic(topic_index),
            drafts,
            key: Some(Key { id: "k".parse().unwrap(), by: None }),
        };
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
    assert_eq!(tail.topic_states(None, 100, |_| true).states.len(), 2, "only what holds events is there");
    let before = Cursor { offset: Offset(first.offset.0 - 1), ..first };
    let mut subscription = subscribe(&tail, &names(), After::Cursor(before), Policy::All);
    assert!(
        now(&mut subscription, 10).unwrap().reset.is_some(),
        "what it missed is forgotten, and it is told so"
    );
    drop(subscription);
    assert_eq!(tail.topic_states(None, 100, |_| true).states.len(), 2);
}

#[test]
fn subscribers_are_counted_while_they_are_there() {
    let engine = engine(Retention::default());
    let tail = engine.tail();
    let count = || tail.topic_state(&topic(0)).subscribers[Technique::Websocket.index()];
    let (one, two) = (
        subscribe(&tail, &names(), After::Head, Policy::All),
        subscribe(&tail, &names(), After::Head, Policy::All),
    );
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
    let mut connected = subscribe(
        &engine.tail(),
        &names(),
        After::Cursor(Cursor { offset: Offset(0), ..first }),
        Policy::All,
    );
    let began = Instant::now();
    while engine.tail().topic_state(&topic(0)).events > 0 {
        assert!(began.elapsed() < fourways_testkit::DEADLINE, "the sweep lets go what is too old");
        engine.tail().sweep();
        std::thread::yield_now();
    }
    let reset = now(&mut connected, 10).unwrap().reset.unwrap();
    assert_eq!((reset.reason, reset.missed), (fourways_shared::ResetReason::Lag, Some(3)));
}
