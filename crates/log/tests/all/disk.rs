//! The log on the disk: restarts, torn writes, damage, retention and volatile topics.

use std::{
    fs::{self, OpenOptions},
    io::ErrorKind,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use fourways_log::{
    engine::{
        Append, DiskEngine, Draft, Durability, Engine, Key, Retention, RetentionRule, Shard, TailCap,
        TopicPage,
    },
    subscription::{Batch, Subscription},
};
use fourways_shared::{After, Cursor, Data, EventName, Filter, Policy, ResetReason, Technique};
use fourways_testkit::DEADLINE;
use proptest::prelude::*;

pub(super) const ENDLESS: Retention =
    Retention { events: usize::MAX, bytes: u64::MAX, age: Duration::from_hours(1000) };
/// A tail so small that nearly every event is read from the disk.
pub(super) const SMALL: TailCap = TailCap { events: 4, bytes: 1 << 20 };

/// Returns the offsets in the file at which a segment's blocks begin, found by the mark of its first block.
pub(super) fn blocks(segment: &[u8]) -> Vec<usize> {
    let mark = &segment[32..36];
    (32..segment.len() - 4).filter(|at| segment[*at..].starts_with(mark)).collect()
}

pub(super) fn open_with(folder: &Path, rules: &[RetentionRule]) -> DiskEngine {
    open_durably(folder, rules, Durability::Always)
}

pub(super) fn open_durably(folder: &Path, rules: &[RetentionRule], durability: Durability) -> DiskEngine {
    open_in_memory(folder, rules, SMALL, durability)
}

/// Opens a log of which the tail holds as much as `cap`.
pub(super) fn open_in_memory(
    folder: &Path,
    rules: &[RetentionRule],
    cap: TailCap,
    durability: Durability,
) -> DiskEngine {
    let began = Instant::now();
    loop {
        match DiskEngine::open(folder, rules.to_vec(), cap, durability, 1) {
            // A test in parallel that starts a program holds copies of this process's locks until the program runs.
            Err(error) if error.kind() == ErrorKind::ResourceBusy && began.elapsed() < DEADLINE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened.unwrap(),
        }
    }
}

pub(super) fn open(folder: &Path) -> DiskEngine {
    open_with(folder, &[RetentionRule::for_all(ENDLESS)])
}

async fn publish_keyed(engine: &DiskEngine, topic: &str, texts: &[String], key: Option<&str>) -> Vec<Cursor> {
    let drafts = texts.iter().map(|text| Draft { name: EventName::DEFAULT, data: Data::text(text) });
    let append = Append {
        topic: topic.parse().unwrap(),
        drafts: drafts.collect(),
        key: key.map(|key| Key { id: key.parse().unwrap(), by: None }),
    };
    engine.append(append).await.unwrap()
}

pub(super) async fn publish(engine: &DiskEngine, topic: &str, text: &str) -> Cursor {
    publish_keyed(engine, topic, &[text.to_owned()], None).await[0]
}

pub(super) fn subscribe(engine: &DiskEngine, topics: &[&str], after: After, policy: Policy) -> Subscription {
    let topics: Vec<Filter> = topics.iter().map(|topic| topic.parse().unwrap()).collect();
    Subscription::new(&engine.tail(), &topics, after, policy, Technique::Sse, Shard::DIRECT)
}

/// Reads all events that exist now, and returns their texts and the reasons of the resets on the way.
pub(super) async fn read_all(
    subscription: &mut Subscription,
    limit: usize,
) -> (Vec<String>, Vec<ResetReason>) {
    let (mut texts, mut resets) = (Vec::new(), Vec::new());
    while let Some(Batch { reset, events }) = subscription.now(limit).await {
        assert!(events.len() <= limit, "{} events", events.len());
        resets.extend(reset.map(|reset| reset.reason));
        texts.extend(events.iter().map(|event| match &event.event().data {
            Data::Json(raw) | Data::Text(raw) => serde_json::from_str(raw.get()).unwrap(),
            Data::Bytes(bytes) => format!("{bytes:?}"),
        }));
    }
    (texts, resets)
}

pub(super) fn names(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|n| format!("e{n}")).collect()
}

pub(super) fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder.join("all"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn offsets_epoch_and_events_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut last, mut epochs) = (None, Vec::new());
    for round in 0..3_u64 {
        let engine = open(folder.path());
        epochs.push(engine.tail().epoch());
        for n in round * 10..round * 10 + 10 {
            let cursor = publish(&engine, "a", &format!("e{n}")).await;
            assert!(
                last.is_none_or(|last: Cursor| last.offset < cursor.offset && last.epoch == cursor.epoch)
            );
            last = Some(cursor);
        }
        for limit in [1, 7, 1000] {
            let mut all = subscribe(&engine, &["a"], After::Earliest, Policy::All);
            assert_eq!(read_all(&mut all, limit).await, (names(0..round * 10 + 10), vec![]));
        }
        let ten = std::num::NonZeroU32::new(10).unwrap();
        let mut newest = subscribe(&engine, &["a"], After::Last(ten), Policy::All);
        assert_eq!(read_all(&mut newest, 3).await.0, names(round * 10..round * 10 + 10));
    }
    assert!(epochs.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn topics_that_are_on_the_disk_alone_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = None;
    {
        let engine = open(folder.path());
        for n in 0..10 {
            for topic in ["b", "a", "c"] {
                let cursor = publish(&engine, topic, &format!("e{n}")).await;
                first.get_or_insert(cursor);
            }
        }
    }
    let engine = open(folder.path());
    let newest = publish(&engine, "b", "e10").await;
    let page = |after: Option<&str>, limit| {
        let after = after.map(|name| name.parse().unwrap());
        let TopicPage { states, next } =
            engine.tail().topic_states(after.as_ref(), limit, |topic| topic.as_str() != "c");
        let seen: Vec<_> =
            states.iter().map(|state| (state.topic.as_str().to_owned(), state.events)).collect();
        (seen, next.map(|next| next.as_str().to_owned()))
    };
    let (a, b) = (("a".to_owned(), 10), ("b".to_owned(), 11));
    assert_eq!(page(None, 2), (vec![a.clone(), b.clone()], None));
    assert_eq!(page(None, 1), (vec![a], Some("a".to_owned())));
    assert_eq!(page(Some("a"), 1), (vec![b], None));
    assert_eq!(page(Some("b"), 1), (vec![], None));
    let states = engine.tail().topic_states(None, 2, |_| true).states;
    assert_eq!((states[1].earliest, states[1].newest), (first, Some(newest)));
    assert_eq!(engine.tail().topic_state(&"c".parse().unwrap()).events, 10);
    assert_eq!(engine.tail().topic_state(&"d".parse().unwrap()).newest, None);
}

#[tokio::test]
async fn a_reader_goes_on_where_it_was_before_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    for n in 0..20 {
        publish(&engine, if n % 2 == 0 { "a" } else { "b" }, &format!("e{n}")).await;
    }
    let mut reader = subscribe(&engine, &["a"], After::Earliest, Policy::All);
    let first = reader.now(3).await.unwrap();
    let place = reader.cursor();
    drop(reader);
    drop(engine);
    let engine = open(folder.path());
    let mut reader = subscribe(&engine, &["a"], After::Cursor(place), Policy::All);
    let (rest, resets) = read_all(&mut reader, 2).await;
    assert_eq!((first.events.len(), rest.len(), resets.len()), (3, 7, 0));
    assert_eq!(rest[0], "e6");
    // Live from here on, without a gap between the disk and the tail.
    publish(&engine, "a", "live").await;
    assert_eq!(read_all(&mut reader, 2).await.0, ["live"]);
}

#[tokio::test]
async fn a_key_is_remembered_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let texts = names(0..3);
    let first = publish_keyed(&engine, "a", &texts, Some("k")).await;
    publish(&engine, "a", "between").await;
    drop(engine);
    let engine = open(folder.path());
    assert_eq!(publish_keyed(&engine, "a", &texts, Some("k")).await, first);
    assert_ne!(publish_keyed(&engine, "b", &texts, Some("k")).await, first, "a key is a topic's");
}

#[tokio::test]
async fn a_torn_write_is_cut_off_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    for n in 0..5 {
        publish(&engine, "a", &format!("e{n}")).await;
    }
    drop(engine);
    let path = segments(folder.path()).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    let lengths: Vec<usize> = {
        let starts = blocks(&whole);
        assert_eq!(starts.len(), 5, "a block for each");
        (starts[4]..whole.len()).collect()
    };
    // Wherever the last block is cut, the other four stay, and the log goes on.
    for length in lengths {
        fs::write(&path, &whole[..length]).unwrap();
        let engine = open(folder.path());
        let mut reader = subscribe(&engine, &["a"], After::Earliest, Policy::All);
        assert_eq!(read_all(&mut reader, 10).await, (names(0..4), vec![]), "cut at {length}");
        publish(&engine, "a", "e4").await;
        assert_eq!(read_all(&mut reader, 10).await.0, ["e4"]);
        drop((reader, engine));
        let again = open(folder.path());
        let mut reader = subscribe(&again, &["a"], After::Earliest, Policy::All);
        assert_eq!(read_all(&mut reader, 10).await.0, names(0..5));
    }
}

#[tokio::test]
async fn damage_is_told_and_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    for n in 0..9 {
        publish(&engine, "a", &format!("e{n}")).await;
    }
    drop(engine);
    let path = segments(folder.path()).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    let starts = blocks(&whole);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    // Flips a bit of the third event, long after it was written.
    let at = starts[2] + 60;
    file.write_all_at(&[whole[at] ^ 1], at as u64).unwrap();
    let engine = open(folder.path());
    let mut reader = subscribe(&engine, &["a"], After::Earliest, Policy::All);
    let (texts, resets) = read_all(&mut reader, 10).await;
    assert_eq!(texts, [names(0..2), names(3..9)].concat());
    assert_eq!(resets, [ResetReason::Retention], "the break is told");
    // Does the same while the server runs.
    let at = starts[1] + 60;
    file.write_all_at(&[whole[at] ^ 1], at as u64).unwrap();
    let mut reader = subscribe(&engine, &["a"], After::Earliest, Policy::All);
    let (texts, resets) = read_all(&mut reader, 10).await;
    assert_eq!((texts, resets.len()), ([names(0..1), names(3..9)].concat(), 1));
}

#[tokio::test]
async fn retention_is_by_pattern_and_a_reader_behind_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let short = Retention { events: 16, ..ENDLESS };
    let rules = || {
        let rule = |filter: &str, retention| RetentionRule {
            filter: filter.parse().unwrap(),
            retention,
            is_volatile: false,
        };
        vec![rule("short.>", short), rule(">", ENDLESS)]
    };
    let engine = open_with(folder.path(), &rules());
    let before = engine.tail().cursor(engine.tail().head());
    for n in 0..60 {
        publish(&engine, "short.a", &format!("e{n}")).await;
        publish(&engine, "long", &format!("e{n}")).await;
    }
    let began = Instant::now();
    loop {
        let mut reader = subscribe(&engine, &["short.a"], After::Earliest, Policy::All);
        let (kept, _) = read_all(&mut reader, 100).await;
        assert!(kept.len() >= 16 && kept.last().unwrap() == "e59", "never less than was promised: {kept:?}");
        // A segment has two events, so nothing more will be dropped.
        if kept.len() < 18 {
            break;
        }
        assert!(began.elapsed() < DEADLINE, "{} are still there", kept.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut behind = subscribe(&engine, &["short.a"], After::Cursor(before), Policy::All);
    let (kept, resets) = read_all(&mut behind, 100).await;
    assert!((16..18).contains(&kept.len()) && resets == [ResetReason::Retention], "{kept:?} {resets:?}");
    for topics in [&["long"][..], &["lon.>", "long"]] {
        let mut other = subscribe(&engine, topics, After::Cursor(before), Policy::All);
        assert_eq!(read_all(&mut other, 100).await, (names(0..60), vec![]), "others keep theirs");
    }
    drop((behind, engine));
    // Dropped events stay dropped after a restart, and a reset still reports them.
    let engine = open_with(folder.path(), &rules());
    let mut behind = subscribe(&engine, &["short.a"], After::Cursor(before), Policy::All);
    assert_eq!(read_all(&mut behind, 100).await.1, [ResetReason::Retention]);
    drop((behind, engine));
    // The events of a retention rule that was removed stay readable.
    let engine = open(folder.path());
    let mut all = subscribe(&engine, &[">"], After::Earliest, Policy::All);
    assert!(read_all(&mut all, 100).await.0.len() >= 16);
}

#[test]
fn a_reader_that_retention_overtakes_while_it_reads_is_told() {
    // One thread for blocking work, so that the test can hold up a read.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let rules = [RetentionRule::for_all(Retention { events: 8, ..ENDLESS })];
        let engine = open_with(folder.path(), &rules);
        for n in 0..8 {
            publish(&engine, "a", &format!("e{n}")).await;
        }
        let (release, held) = std::sync::mpsc::channel::<()>();
        let holder = tokio::task::spawn_blocking(move || held.recv());
        let mut reader = subscribe(&engine, &["a"], After::Earliest, Policy::All);
        let begun = tokio::time::timeout(Duration::ZERO, reader.now(100)).await;
        assert!(begun.is_err(), "it waits for the disk");
        for n in 8..40 {
            publish(&engine, "a", &format!("e{n}")).await;
        }
        let began = Instant::now();
        while segments(folder.path()).len() > 9 {
            assert!(began.elapsed() < DEADLINE, "nothing was let go");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        release.send(()).unwrap();
        holder.await.unwrap().unwrap();
        let (texts, resets) = read_all(&mut reader, 100).await;
        // Retention may drop more during the read; the reader then gets another reset.
        assert_eq!(texts.last().map(String::as_str), Some("e39"));
        assert!(
            !resets.is_empty() && resets.iter().all(|reason| *reason == ResetReason::Retention),
            "{resets:?}"
        );
    });
}

#[tokio::test]
async fn volatile_topics_never_touch_the_disk_and_their_loss_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let rules = || {
        vec![
            RetentionRule { filter: "typing.*".parse().unwrap(), retention: ENDLESS, is_volatile: true },
            RetentionRule::for_all(ENDLESS),
        ]
    };
    let engine = open_with(folder.path(), &rules());
    publish(&engine, "kept", "e0").await;
    let seen = publish(&engine, "typing.1", "secret").await;
    publish(&engine, "typing.1", "secret").await;
    drop(engine);
    let written: Vec<u8> = segments(folder.path()).iter().flat_map(|path| fs::read(path).unwrap()).collect();
    assert!(!written.windows(6).any(|window| window == b"secret") && written.windows(2).any(|w| w == b"e0"));
    let engine = open_with(folder.path(), &rules());
    assert!(engine.tail().head() > seen.offset, "its number is not given to another");
    let mut reader = subscribe(&engine, &["typing.1"], After::Cursor(seen), Policy::All);
    assert_eq!(read_all(&mut reader, 10).await, (vec![], vec![ResetReason::Retention]));
    let mut other = subscribe(&engine, &["kept"], After::Cursor(seen), Policy::All);
    publish(&engine, "kept", "e1").await;
    assert_eq!(read_all(&mut other, 10).await, (vec!["e1".to_owned()], vec![]));
}

#[tokio::test]
async fn what_volatile_topics_lose_takes_nothing_from_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let rules = || {
        vec![
            RetentionRule { filter: "typing.*".parse().unwrap(), retention: ENDLESS, is_volatile: true },
            RetentionRule::for_all(ENDLESS),
        ]
    };
    let both = ["chat", "typing.1"];
    let engine = open_with(folder.path(), &rules());
    let mut published = Vec::new();
    for n in 0..30 {
        let topic = if n % 3 == 0 { "typing.1" } else { "chat" };
        published.push(publish(&engine, topic, &format!("e{n}")).await);
    }
    let chat = |from: u64| (from..30).filter(|n| n % 3 != 0).map(|n| format!("e{n}")).collect::<Vec<_>>();
    // Older events come from the disk, with the volatile ones that are still in memory in their places: only the last
    // is.
    let mut expected = chat(0);
    expected.insert(expected.len() - 2, "e27".to_owned());
    for limit in [1, 4, 100] {
        let mut all = subscribe(&engine, &both, After::Earliest, Policy::All);
        assert_eq!(read_all(&mut all, limit).await, (expected.clone(), vec![]), "by {limit}");
    }
    drop(engine);
    let engine = open_with(folder.path(), &rules());
    let mut all = subscribe(&engine, &both, After::Earliest, Policy::All);
    assert_eq!(read_all(&mut all, 4).await, (chat(0), vec![]));
    // A reader from before the restart gets a reset for the lost volatile events, and still gets the others.
    let mut back = subscribe(&engine, &both, After::Cursor(published[9]), Policy::All);
    assert_eq!(read_all(&mut back, 4).await, (chat(10), vec![ResetReason::Retention]));
    publish(&engine, "typing.1", "e30").await;
    publish(&engine, "chat", "e31").await;
    assert_eq!(read_all(&mut back, 4).await, (names(30..32), vec![]));
}

#[tokio::test]
async fn conflation_finds_the_newest_of_each_topic_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    for n in 0..30_u64 {
        publish(&engine, &format!("p.{}", n.min(12) % 5), &format!("e{n}")).await;
    }
    let mut reader = subscribe(&engine, &["p.*"], After::Earliest, Policy::Latest);
    let (mut texts, resets) = read_all(&mut reader, 100).await;
    texts.sort();
    let mut expected: Vec<String> = ["e10", "e11", "e29", "e8", "e9"].iter().map(|&e| e.to_owned()).collect();
    expected.sort();
    assert_eq!((texts, resets), (expected, vec![]));
}

#[test]
fn a_log_is_open_in_one_server_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let rules = vec![RetentionRule::for_all(ENDLESS)];
    let second = DiskEngine::open(folder.path(), rules, SMALL, Durability::Always, 1);
    assert!(second.unwrap_err().to_string().contains("another server"));
    drop(engine);
    drop(open(folder.path()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any mix of publishing to four topics, reading with any limit, resuming and restarting: the reader gets every
    /// event of its topics, in order and once.
    #[test]
    fn any_interleaving_with_restarts_loses_and_repeats_nothing(
        steps in prop::collection::vec((0..8_u8, 1..6_usize), 1..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut engine = open(folder.path());
            let mut expected = Vec::new();
            let mut got = Vec::new();
            let filters = ["t.0", "t.*", "other"];
            let mut after = After::Earliest;
            let mut reader = subscribe(&engine, &filters[1..], after, Policy::All);
            for (n, (kind, count)) in steps.into_iter().enumerate() {
                match kind {
                    0..=3 => {
                        let texts: Vec<String> = (0..count).map(|at| format!("{n}.{at}")).collect();
                        let topic = ["t.0", "t.1", "other", "elsewhere"][usize::from(kind)];
                        publish_keyed(&engine, topic, &texts, None).await;
                        if kind < 3 {
                            expected.extend(texts);
                        }
                    }
                    4 | 5 => {
                        if let Some(batch) = reader.now(count).await {
                            assert!(batch.reset.is_none(), "nothing was let go");
                            got.extend(batch.events.iter().map(|event| event.event().data.clone()));
                        }
                    }
                    6 => {
                        after = After::Cursor(reader.cursor());
                        drop(reader);
                        reader = subscribe(&engine, &filters[1..], after, Policy::All);
                    }
                    _ => {
                        after = After::Cursor(reader.cursor());
                        drop(reader);
                        drop(engine);
                        engine = open(folder.path());
                        reader = subscribe(&engine, &filters[1..], after, Policy::All);
                    }
                }
            }
            while let Some(batch) = reader.now(3).await {
                assert!(batch.reset.is_none(), "nothing was let go");
                got.extend(batch.events.iter().map(|event| event.event().data.clone()));
            }
            let expected: Vec<Data> = expected.iter().map(|text| Data::text(text)).collect();
            assert_eq!(got, expected);
        });
    }
}
