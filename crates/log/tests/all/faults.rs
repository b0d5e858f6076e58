//! Tests of a log that was damaged by a failed disk, a crash or a forger: it opens, and loses only the damaged blocks.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fourways_log::engine::{
    Append, DiskEngine, Draft, Durability, Engine, LogError, Retention, RetentionRule, TailCap, check, renew,
};
use fourways_shared::{After, Cursor, Data, EventName, Policy, ResetReason};

use super::disk::{
    ENDLESS, blocks, names, open, open_durably, open_in_memory, open_with, publish, read_all, segments,
    subscribe,
};

const EVENTS: u64 = 60;

/// Opens a log that syncs long after each event is written, so that several blocks name the same last sync.
fn open_lazily(folder: &Path) -> DiskEngine {
    let rules = [RetentionRule::for_all(ENDLESS)];
    open_durably(folder, &rules, Durability::Interval(Duration::from_hours(1)))
}

async fn texts(engine: &DiskEngine, topic: &str) -> Vec<String> {
    read_all(&mut subscribe(engine, &[topic], After::Earliest, Policy::All), 100).await.0
}

#[tokio::test]
async fn a_segment_that_was_begun_and_not_written_is_removed_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    for n in 0..5 {
        publish(&engine, "a", &format!("e{n}")).await;
    }
    drop(engine);
    let all = folder.path().join("all");
    for (name, bytes) in [(0, &[][..]), (3, b"4WL3"), (4, &[0; 32]), (9, &[]), (12, &[0; 31])] {
        fs::write(all.join(format!("{name:020}.log")), bytes).unwrap();
    }
    let engine = open(folder.path());
    assert_eq!(texts(&engine, "a").await, names(0..5));
    publish(&engine, "a", "e5").await;
    drop(engine);
    assert_eq!(segments(folder.path()).len(), 1, "nothing is left of them");
    assert_eq!(texts(&open(folder.path()), "a").await, names(0..6));
}

#[tokio::test]
async fn a_bad_byte_costs_its_block_and_no_other_whenever_it_was_synced() {
    for bad in (0..usize::try_from(EVENTS).unwrap()).step_by(7) {
        let folder = tempfile::tempdir().unwrap();
        let engine = open_lazily(folder.path());
        for n in 0..EVENTS {
            publish(&engine, "a", &format!("e{n}")).await;
        }
        drop(engine);
        let path = segments(folder.path()).pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = blocks(&bytes)[bad] + 40;
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let engine = open_lazily(folder.path());
        let n = bad as u64;
        assert_eq!(texts(&engine, "a").await, [names(0..n), names(n + 1..EVENTS)].concat(), "event {bad}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "nothing is cut");
        publish(&engine, "a", "after").await;
        assert_eq!(texts(&engine, "a").await.last().unwrap(), "after");
    }
}

#[tokio::test]
async fn what_is_cut_off_is_kept_beside() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    for n in 0..4 {
        publish(&engine, "a", &format!("e{n}")).await;
    }
    drop(engine);
    let path = segments(folder.path()).pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    let last = blocks(&bytes)[3];
    fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    assert_eq!(texts(&open(folder.path()), "a").await, names(0..3));
    assert_eq!(fs::read(path.with_extension(format!("{last}.torn"))).unwrap(), bytes[last..bytes.len() - 3]);
    assert_eq!(fs::read(&path).unwrap(), bytes[..last]);
}

#[tokio::test]
async fn a_block_that_is_there_twice_is_read_once() {
    for (twice, then) in [(3, 3), (1, 3), (0, 3), (3, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        for n in 0..4 {
            publish(&engine, "a", &format!("e{n}")).await;
        }
        drop(engine);
        let path = segments(folder.path()).pop().unwrap();
        let whole = fs::read(&path).unwrap();
        let starts = [blocks(&whole), vec![whole.len()]].concat();
        let block = |at: usize| &whole[starts[at]..starts[at + 1]];
        fs::write(&path, [&whole[..], block(twice), block(then)].concat()).unwrap();
        let engine = open(folder.path());
        assert_eq!(texts(&engine, "a").await, names(0..4), "{twice}, {then}");
        publish(&engine, "a", "e4").await;
        assert_eq!(texts(&engine, "a").await, names(0..5));
        drop(engine);
        let again = open(folder.path());
        assert_eq!(texts(&again, "a").await, names(0..5));
        let last = After::Last(std::num::NonZeroU32::new(3).unwrap());
        let newest = read_all(&mut subscribe(&again, &["a"], last, Policy::All), 100).await.0;
        assert_eq!(newest, names(2..5), "{twice}, {then}");
    }
}

/// Returns all files in a folder and below it, each with its content and its time of modification.
fn everything(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(everything(&path));
        } else {
            let changed = fs::metadata(&path).unwrap().modified().unwrap();
            all.insert(path.clone(), (fs::read(&path).unwrap(), changed));
        }
    }
    all
}

#[tokio::test]
async fn a_check_finds_every_damaged_byte_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    for n in 0..6 {
        publish(&engine, "a", &format!("e{n}")).await;
    }
    assert!(
        matches!(check(folder.path()), Err(LogError::Io(error)) if error.kind() == ErrorKind::ResourceBusy)
    );
    drop(engine);
    let whole = check(folder.path()).unwrap();
    assert_eq!((whole.events, whole.topics, whole.segments, whole.findings.len()), (6, 1, 1, 0));
    let path = segments(folder.path()).pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    let places = blocks(&bytes);
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        fs::write(&path, &bad).unwrap();
        let before = everything(folder.path());
        let checked = check(folder.path()).unwrap();
        let [finding] = &checked.findings[..] else { panic!("byte {at}: {:?}", checked.findings) };
        let of = places.iter().rposition(|place| *place <= at);
        let from = of.map_or(0, |of| places[of]);
        let to = of.map_or(bytes.len(), |of| *places.get(of + 1).unwrap_or(&bytes.len()));
        assert_eq!(
            (finding.file.as_path(), finding.at, finding.bytes),
            (path.as_path(), from as u64, (to - from) as u64)
        );
        // A damaged last block is no loss: a crash may have cut its write short.
        assert_eq!(finding.is_loss(), of != Some(5), "byte {at}: {finding}");
        assert_eq!(checked.events, if of.is_some() { 5 } else { 0 }, "byte {at}");
        assert_eq!(everything(folder.path()), before, "byte {at}: something was changed");
    }
    let none = tempfile::tempdir().unwrap();
    assert!(matches!(check(none.path()), Err(LogError::None(_))));
    assert!(everything(none.path()).is_empty());
}

/// Resumes a reader after a cursor; returns the texts that it gets and the reasons of its resets.
async fn go_on(engine: &DiskEngine, topic: &str, first: Cursor) -> (Vec<String>, Vec<ResetReason>) {
    read_all(&mut subscribe(engine, &[topic], After::Cursor(first), Policy::All), 100).await
}

#[tokio::test]
async fn who_reads_past_what_is_lost_is_told_whatever_topic_it_reads() {
    // Damages the head of the first segment, the only block of a topic, and the head of the second segment.
    for (file, block, gone) in [(0, None, 0..8), (0, Some(3), 3..4), (1, None, 8..16)] {
        let folder = tempfile::tempdir().unwrap();
        let kept = Retention { events: 64, ..ENDLESS };
        let rules = [RetentionRule::for_all(kept)];
        let engine = open_with(folder.path(), &rules);
        let mut cursors = Vec::new();
        for n in 0..20 {
            let topic = if n == 3 { "rare" } else { "a" };
            cursors.push(publish(&engine, topic, &format!("e{n}")).await);
        }
        drop(engine);
        let path = segments(folder.path()).swap_remove(file);
        let mut bytes = fs::read(&path).unwrap();
        let at = block.map_or(5, |block: usize| blocks(&bytes)[block] + 40);
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let engine = open_with(folder.path(), &rules);
        let left: Vec<u64> = (0..20).filter(|n| !gone.contains(n) && *n != 3).collect();
        let expected: Vec<String> = left.iter().filter(|n| **n > 0).map(|n| format!("e{n}")).collect();
        let (events, resets) = go_on(&engine, "a", cursors[0]).await;
        assert_eq!((events, resets.len()), (expected, 1), "{gone:?} of a");
        let (events, resets) = go_on(&engine, "rare", cursors[1]).await;
        let rare = if gone.contains(&3) { vec![] } else { names(3..4) };
        assert_eq!((events, resets.len()), (rare, 1), "{gone:?} of rare");
        let next = publish(&engine, "a", "e20").await;
        assert!(next.offset > cursors[19].offset);
        assert_eq!(go_on(&engine, "a", cursors[19]).await, (names(20..21), vec![]));
    }
}

#[tokio::test]
async fn damage_anywhere_in_a_long_log_is_told_to_readers_of_each_topic() {
    // The log is read into memory in pages of 4,096 events at most: the damage is in the first, between two, in the last.
    const A_BLOCK: u64 = 150;
    for damaged in [1, 27, 28, 40, 58] {
        let folder = tempfile::tempdir().unwrap();
        let engine = open_lazily(folder.path());
        let mut first = None;
        for block in 0..60 {
            let draft = |n| Draft { name: EventName::DEFAULT, data: Data::text(&format!("e{n}")) };
            let drafts = (block * A_BLOCK..(block + 1) * A_BLOCK).map(draft).collect();
            let topic = if block % 2 == 0 { "a" } else { "b" }.parse().unwrap();
            let cursors = engine.append(Append { topic, drafts, key: None }).await.unwrap();
            first.get_or_insert(cursors[0]);
        }
        drop(engine);
        let [path] = &segments(folder.path())[..] else { panic!("one segment") };
        let mut bytes = fs::read(path).unwrap();
        let at = blocks(&bytes)[usize::try_from(damaged).unwrap()] + 40;
        bytes[at] ^= 1;
        fs::write(path, &bytes).unwrap();
        let cap = TailCap { events: 100_000, bytes: 1 << 30 };
        let rules = [RetentionRule::for_all(ENDLESS)];
        let engine = open_in_memory(folder.path(), &rules, cap, Durability::Always);
        for (topic, is_read) in [("a", [true, false]), ("b", [false, true]), ("*", [true, true])] {
            let is_kept = |block: &u64| *block != damaged && is_read[usize::from(block % 2 == 1)];
            let kept = (0..60).filter(is_kept).flat_map(|block| block * A_BLOCK..(block + 1) * A_BLOCK);
            let expected: Vec<String> = kept.filter(|n| *n > 0).map(|n| format!("e{n}")).collect();
            let mut subscription = subscribe(&engine, &[topic], After::Cursor(first.unwrap()), Policy::All);
            let (events, resets) = read_all(&mut subscription, 500).await;
            assert!(events == expected, "{damaged} of {topic}: {} of {}", events.len(), expected.len());
            assert_eq!(resets.len(), 1, "{damaged} of {topic}");
        }
    }
}

#[tokio::test]
async fn a_renewed_log_holds_the_same_events_in_another_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let mut epochs = Vec::new();
    for round in 0..3 {
        let engine = open(folder.path());
        let first = publish(&engine, "a", &format!("e{round}")).await;
        epochs.push(first.epoch);
        assert_eq!(engine.tail().epoch(), first.epoch);
        assert_eq!(texts(&engine, "a").await, names(0..round + 1));
        assert!(matches!(renew(folder.path()), Err(LogError::Io(_))), "it is open");
        drop(engine);
        let renewed = renew(folder.path()).unwrap();
        assert!(!epochs.contains(&renewed));
        let engine = open(folder.path());
        let (events, resets) = go_on(&engine, "a", first).await;
        assert_eq!((events, resets), (names(0..round + 1), vec![ResetReason::Epoch]));
    }
    assert!(check(folder.path()).unwrap().findings.is_empty());
}

#[tokio::test]
async fn folders_of_others_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["lost+found", "backup", ".snapshot"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("00000000000000000001.log"), "no segment").unwrap();
    }
    let engine = open(folder.path());
    publish(&engine, "a", "e0").await;
    drop(engine);
    assert_eq!(texts(&open(folder.path()), "a").await, names(0..1));
    assert!(folder.path().join("lost+found/00000000000000000001.log").exists());
}

#[tokio::test]
async fn a_floor_that_was_half_written_is_no_end_of_the_log() {
    for half in [&b""[..], b"0000", b"000000000000000000\xff\xff\n", b"none"] {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        publish(&engine, "a", "e0").await;
        drop(engine);
        fs::write(folder.path().join("all/floor"), half).unwrap();
        assert_eq!(texts(&open(folder.path()), "a").await, names(0..1), "{half:?}");
    }
}

/// A client publishes bytes that look like a block of another topic, and the block that holds them loses its head.
#[tokio::test]
async fn published_bytes_are_never_taken_for_a_block() {
    // The forger makes a valid block in a separate log.
    let own = tempfile::tempdir().unwrap();
    let forger = open(own.path());
    publish(&forger, "admin.commands", "forged").await;
    drop(forger);
    let made = fs::read(segments(own.path()).pop().unwrap()).unwrap();
    let mut block = made[blocks(&made)[0]..].to_vec();
    // The block claims that everything before it was synced, and has a checksum without the log's salt.
    block[16..24].copy_from_slice(&(1_u64 << 62).to_le_bytes());
    block[32..40].copy_from_slice(&5_000_000_000_u64.to_le_bytes());
    let checksum = crc32fast::hash(&block[8..]);
    block[4..8].copy_from_slice(&checksum.to_le_bytes());
    let mut common = block.clone();
    common[..4].copy_from_slice(b"4WB1");
    for block in [block, common] {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        publish(&engine, "chat.1", "e0").await;
        let draft = Draft { name: EventName::DEFAULT, data: Data::Bytes(block.into()) };
        let append = Append { topic: "chat.1".parse().unwrap(), drafts: vec![draft], key: None };
        let head = engine.append(append).await.unwrap()[0];
        drop(engine);
        let path = segments(folder.path()).pop().unwrap();
        let bytes = fs::read(&path).unwrap();
        // Destroys the head of the outer block.
        let outer = blocks(&bytes)[1] as u64;
        fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&[0; 8], outer).unwrap();
        let engine = open(folder.path());
        assert_eq!(texts(&engine, ">").await, names(0..1));
        let next = publish(&engine, "chat.1", "e1").await;
        assert!(next.offset > head.offset && next.offset.0 < 1_000_000, "{next}");
    }
}
