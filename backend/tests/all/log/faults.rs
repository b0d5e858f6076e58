//! Tests of a log that a failed disk, a crash or a forger has damaged: it opens, and loses only what is damaged.

use std::{fs, os::unix::fs::FileExt as _, path::Path, time::Duration};

use fourways::engine::{Append, DiskEngine, Draft, Durability, Engine, RetentionRule};
use fourways_shared::{After, Data, EventName, Policy};

use super::disk::{ENDLESS, names, open, open_durably, publish, read_all, segments, subscribe};

const EVENTS: u64 = 60;

/// Synced long after each event was written: several blocks know of the same sync.
fn open_lazily(folder: &Path) -> DiskEngine {
    let rules = [RetentionRule::for_all(ENDLESS)];
    open_durably(folder, &rules, Durability::Interval(Duration::from_hours(1)))
}

async fn texts(engine: &DiskEngine, topic: &str) -> Vec<String> {
    read_all(&mut subscribe(engine, &[topic], After::Earliest, Policy::All), 100).await.0
}

/// Where blocks begin.
fn blocks(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"4WB1")).collect()
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
    for (name, bytes) in [(0, &[][..]), (3, b"4WL2"), (4, &[0; 32]), (9, &[]), (12, &[0; 31])] {
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

/// Bytes that somebody publishes look like a block of other topics; the write that holds them is torn.
#[tokio::test]
async fn published_bytes_are_never_taken_for_a_block() {
    let folder = tempfile::tempdir().unwrap();
    // A log of one's own, to have a block that is right in itself.
    let own = tempfile::tempdir().unwrap();
    let forger = open(own.path());
    publish(&forger, "admin.commands", "forged").await;
    drop(forger);
    let made = fs::read(segments(own.path()).pop().unwrap()).unwrap();
    let mut block = made[blocks(&made)[0]..].to_vec();
    // It says that all before it was on the disk, and a checksum without a salt.
    block[16..24].copy_from_slice(&(1_u64 << 62).to_le_bytes());
    block[32..40].copy_from_slice(&5_000_000_000_u64.to_le_bytes());
    let checksum = crc32fast::hash(&block[8..]);
    block[4..8].copy_from_slice(&checksum.to_le_bytes());
    let engine = open(folder.path());
    publish(&engine, "chat.1", "e0").await;
    let draft = Draft { name: EventName::DEFAULT, data: Data::Bytes(block.into()) };
    let append = Append { topic: "chat.1".parse().unwrap(), drafts: vec![draft], key: None };
    let head = engine.append(append).await.unwrap()[0];
    drop(engine);
    let path = segments(folder.path()).pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    // The outer block's head is lost.
    let outer = blocks(&bytes)[1];
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&[0; 8], outer as u64).unwrap();
    let engine = open(folder.path());
    assert_eq!(texts(&engine, ">").await, names(0..1));
    let next = publish(&engine, "chat.1", "e1").await;
    assert!(next.offset > head.offset && next.offset.0 < 1_000_000, "{next}");
}
