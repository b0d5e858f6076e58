//! The promises of every engine, wherever it keeps the log. Each crate with an engine includes this file in its tests and
//! calls `conformance!` once for each way to open one.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
};

use fourways_log::{
    engine::{Append, Draft, Engine, EngineError, Key, Retention, RetentionRule, Shard},
    subscription::{Batch, Subscription},
};
use fourways_shared::{
    After, Cursor, Data, Epoch, EventName, Filter, Offset, Policy, ResetReason, Technique,
};
use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};

/// An open log, and the folder in which it may be.
struct Log {
    engine: Arc<dyn Engine>,
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

/// A function that begins an empty log, in a folder if it needs one. `None` where the engine can't be tested.
pub(crate) type Open = fn(&tempfile::TempDir, Vec<RetentionRule>) -> Option<Arc<dyn Engine>>;

const TOPICS: [&str; 3] = ["a.x", "a.y", "b.x"];

impl Log {
    fn open(open: Open, rules: Vec<RetentionRule>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(&folder, rules)?;
        Some(Self {
            engine,
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            _folder: folder,
        })
    }

    fn append(&self, topic: &str, texts: &[&str], key: Option<&str>) -> Result<Vec<Cursor>, EngineError> {
        let drafts =
            texts.iter().map(|text| Draft { name: EventName::DEFAULT, data: Data::text(text) }).collect();
        let key = key.map(|id| Key { id: id.parse().unwrap(), by: None });
        let append = Append { topic: topic.parse().unwrap(), drafts, key };
        self.runtime.block_on(self.engine.append(append))
    }

    fn subscribe(&self, filters: &[&str], after: After, policy: Policy) -> Subscription {
        let filters: Vec<Filter> = filters.iter().map(|filter| filter.parse().unwrap()).collect();
        Subscription::new(&self.engine.tail(), &filters, after, policy, Technique::Sse, Shard::DIRECT)
    }

    /// Returns what exists now, in batches.
    fn read(&self, subscription: &mut Subscription) -> Vec<Batch> {
        self.runtime.block_on(async {
            let mut batches = Vec::new();
            while subscription.has_more() {
                batches.extend(subscription.now(3).await);
            }
            batches
        })
    }

    fn offsets(&self, filters: &[&str], after: After, policy: Policy) -> Vec<u64> {
        let batches = self.read(&mut self.subscribe(filters, after, policy));
        batches.iter().flat_map(|batch| &batch.events).map(|event| event.offset()).collect()
    }
}

fn endless() -> Vec<RetentionRule> {
    vec![RetentionRule::for_all(Retention::default())]
}

fn numbers(cursors: &[Cursor]) -> Vec<u64> {
    cursors.iter().map(|cursor| cursor.offset.0).collect()
}

/// An append is answered with the cursors of its events, in order and next to each other, and can be read at once.
pub(crate) fn what_is_acknowledged_can_be_read(open: Open) {
    let Some(log) = Log::open(open, endless()) else { return };
    let mut all = Vec::new();
    for (topic, count) in [("a.x", 1), ("b.x", 4), ("a.x", 2)] {
        let cursors = log.append(topic, &vec!["e"; count], None).unwrap();
        assert_eq!(cursors.len(), count);
        assert!(cursors.iter().all(|cursor| cursor.epoch == log.engine.tail().epoch()));
        assert!(numbers(&cursors).windows(2).all(|pair| pair[1] == pair[0] + 1));
        all.extend(numbers(&cursors));
        assert_eq!(log.offsets(&[">"], After::Earliest, Policy::All), all);
        assert_eq!(log.engine.tail().head().0, *all.last().unwrap());
    }
    assert!(all.windows(2).all(|pair| pair[1] > pair[0]));
    let resumed = After::Cursor(log.engine.tail().cursor(Offset(all[2])));
    assert_eq!(log.offsets(&["b.x"], resumed, Policy::All), all[3..5]);
    let last = |count| After::Last(NonZeroU32::new(count).unwrap());
    assert_eq!(log.offsets(&[">"], last(3), Policy::All), all[4..]);
    assert_eq!(log.offsets(&["a.*", "b.>"], After::Earliest, Policy::Latest), [all[4], all[6]]);
    assert_eq!(log.offsets(&[">"], After::Head, Policy::All), Vec::<u64>::new());
}

/// A key that is used again returns the first answer; for other events it is refused.
pub(crate) fn a_key_is_used_once(open: Open) {
    let Some(log) = Log::open(open, endless()) else { return };
    let first = log.append("a.x", &["one", "two"], Some("k")).unwrap();
    assert_eq!(log.append("a.x", &["one", "two"], Some("k")).unwrap(), first);
    assert_ne!(log.append("a.y", &["one", "two"], Some("k")).unwrap(), first, "a key is of its topic");
    assert!(matches!(log.append("a.x", &["other"], Some("k")), Err(EngineError::KeyReused)));
    assert_eq!(log.offsets(&[">"], After::Earliest, Policy::All).len(), 4);
}

/// A cursor of another log breaks off with a reset, and goes on with what is retained.
pub(crate) fn a_cursor_of_another_log_is_told(open: Open) {
    let Some(log) = Log::open(open, endless()) else { return };
    let own = log.append("a.x", &["one", "two", "three"], None).unwrap();
    let other = Epoch::from_bits(!own[0].epoch.bits());
    let stranger = Cursor { epoch: other, offset: Offset(1) };
    let batches = log.read(&mut log.subscribe(&["a.x"], After::Cursor(stranger), Policy::All));
    assert_eq!(batches[0].reset.as_ref().unwrap().reason, ResetReason::Epoch);
    assert_eq!(batches.iter().map(|batch| batch.events.len()).sum::<usize>(), 3);
}

/// Publishers at the same time are put into one order, each append in one piece, for every reader.
pub(crate) fn publishers_at_once_are_put_into_one_order(open: Open) {
    let Some(log) = Log::open(open, endless()) else { return };
    let engine = &log.engine;
    let mut live = log.subscribe(&[">"], After::Head, Policy::All);
    let appended: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let publisher = |topic: &'static str| {
            scope.spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                let append = || {
                    let draft = || Draft { name: EventName::DEFAULT, data: Data::text(topic) };
                    Append {
                        topic: topic.parse().unwrap(),
                        drafts: vec![draft(), draft(), draft()],
                        key: None,
                    }
                };
                (0..50).map(|_| numbers(&runtime.block_on(engine.append(append())).unwrap())).collect()
            })
        };
        let publishers = TOPICS.map(publisher);
        publishers.into_iter().flat_map(|one| -> Vec<Vec<u64>> { one.join().unwrap() }).collect()
    });
    assert!(appended.iter().all(|one| one[1] == one[0] + 1 && one[2] == one[0] + 2), "in one piece");
    let all: BTreeSet<u64> = appended.iter().flatten().copied().collect();
    assert_eq!(all.len(), 450, "no offset twice");
    let all: Vec<u64> = all.into_iter().collect();
    let live: Vec<u64> =
        log.read(&mut live).iter().flat_map(|batch| &batch.events).map(|event| event.offset()).collect();
    assert_eq!((&live, &log.offsets(&[">"], After::Earliest, Policy::All)), (&all, &all));
}

/// A step of a reader's and a publisher's life.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Publish { topic: usize, count: usize },
    Read,
    Reconnect,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..3_usize, 1..6_usize).prop_map(|(topic, count)| Step::Publish { topic, count }),
        2 => Just(Step::Read),
        1 => Just(Step::Reconnect),
    ];
    prop::collection::vec(step, 1..40)
}

/// Whatever retention drops: a reader gets each event once and in order, or a reset that covers it.
pub(crate) fn nothing_is_lost_silently(open: Open, steps: &[Step], filters: &[&str]) {
    let retention = Retention { events: 8, ..Retention::default() };
    let Some(log) = Log::open(open, vec![RetentionRule::for_all(retention)]) else { return };
    let is_read = |topic: &str| filters.iter().any(|filter| filter.parse::<Filter>().unwrap().matches(topic));
    let mut published: BTreeMap<u64, &str> = BTreeMap::new();
    let (mut got, mut through) = (BTreeSet::new(), 0);
    let mut subscription = log.subscribe(filters, After::Earliest, Policy::All);
    for step in steps.iter().chain([&Step::Read]) {
        match step {
            Step::Publish { topic, count } => {
                let cursors = log.append(TOPICS[*topic], &vec!["e"; *count], None).unwrap();
                published.extend(numbers(&cursors).into_iter().map(|offset| (offset, TOPICS[*topic])));
            }
            Step::Reconnect => {
                let cursor = subscription.cursor();
                subscription = log.subscribe(filters, After::Cursor(cursor), Policy::All);
            }
            Step::Read => {
                for batch in log.read(&mut subscription) {
                    if let Some(reset) = &batch.reset {
                        // Everything up to the reset's cursor is told to be missed.
                        through = through.max(reset.cursor.offset.0);
                    }
                    for event in &batch.events {
                        let offset = event.offset();
                        assert!(offset > through, "{offset} after {through}");
                        let skipped = published.range(through + 1..offset).find(|(_, topic)| is_read(topic));
                        assert_eq!(skipped, None, "skipped before {offset}");
                        assert!(got.insert(offset) && is_read(published[&offset]));
                        through = offset;
                    }
                }
            }
        }
    }
    let left = published.range(through + 1..).find(|(_, topic)| is_read(topic));
    assert_eq!(left, None, "everything was read");
}

macro_rules! conformance {
    ($name:ident, $open:expr, $cases:expr) => {
        mod $name {
            use proptest::prelude::*;

            use super::*;
            use crate::conformance::steps;

            #[test]
            fn what_is_acknowledged_can_be_read() {
                $crate::conformance::what_is_acknowledged_can_be_read($open);
            }

            #[test]
            fn a_key_is_used_once() {
                $crate::conformance::a_key_is_used_once($open);
            }

            #[test]
            fn a_cursor_of_another_log_is_told() {
                $crate::conformance::a_cursor_of_another_log_is_told($open);
            }

            #[test]
            fn publishers_at_once_are_put_into_one_order() {
                $crate::conformance::publishers_at_once_are_put_into_one_order($open);
            }

            proptest! {
                #![proptest_config(ProptestConfig { cases: $cases, ..ProptestConfig::default() })]

                #[test]
                fn nothing_is_lost_silently(
                    steps in steps(),
                    filters in prop::sample::select(vec![&["a.x"][..], &["a.*"], &["*.x", "a.y"], &[">"]]),
                ) {
                    $crate::conformance::nothing_is_lost_silently($open, &steps, filters);
                }
            }
        }
    };
}

pub(crate) use conformance;
