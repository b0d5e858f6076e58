//! The log on a disk that fails at the n-th operation, for every n: the log starts again, every acknowledged event is
//! there in order and once, and no event is there that was never published.
//!
//! A part of the failure points is tried in each run; `FOURWAYS_FAILURES=all` tries them all.

mod run;

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use fourways_log::engine::{Durability, Engine as _, EngineError};
use fourways_testkit::DEADLINE;

use self::run::{
    Act::{self, Publish, Restart, Sweep, Together},
    Run, Sent, open, read,
};
use super::sim::{Fault, Left, Sim};

/// One in this many failure points is tried by default. The number divides no count in the scripts.
const STRIDE: u64 = 11;

const PLAIN: &[Act] = &[
    Publish("a", 1, false),
    Publish("a", 3, true),
    Publish("b.1", 1, false),
    Together(&["a", "b.1", "a", "c.1", "b.2"]),
    Publish("a", 2, true),
];
const ROLLING: &[Act] = &[
    Publish("a", 2, false),
    Publish("b.1", 2, true),
    Publish("a", 2, true),
    Publish("a", 3, false),
    Together(&["a", "b.1", "b.2"]),
    Publish("b.1", 2, true),
    Publish("a", 4, false),
];
const RETAINING: &[Act] = &[
    Publish("a", 9, false),
    Publish("a", 9, false),
    Publish("b.1", 9, true),
    Sweep,
    Publish("a", 9, true),
    Publish("b.1", 9, false),
    Sweep,
    Publish("a", 1, false),
];
const RESTARTING: &[Act] = &[
    Publish("a", 2, true),
    Publish("c.1", 1, false),
    Restart,
    Publish("a", 1, false),
    Together(&["b.1", "a", "c.1"]),
    Restart,
    Publish("b.1", 2, true),
    Sweep,
];
const SCRIPTS: [&[Act]; 4] = [PLAIN, ROLLING, RETAINING, RESTARTING];

/// A sync interval so long that no sync is due while a test runs.
const LAZY: Durability = Durability::Interval(Duration::from_hours(1));

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Returns the number of operations of a script without faults.
fn length(script: &[Act], durability: Durability) -> u64 {
    runtime().block_on(async {
        let mut run = Run::new(durability, 1);
        run.play(script).await;
        assert!(run.sent.iter().all(|sent| sent.answer.is_some()), "{:?}", run.sent);
        run.engine = None;
        let operations = run.disk.operations();
        run.check(true).await;
        operations
    })
}

/// A fault, perhaps a second one N operations later, and the unsynced changes that a loss of power leaves.
type Trial = (Fault, Option<(u64, Fault)>, Left);

/// Plays every script with a fault at every point, or at a part of the points, and prints how many were tried.
fn every(durability: Durability, faults: &[Trial]) {
    let is_whole = std::env::var("FOURWAYS_FAILURES").is_ok_and(|which| which == "all");
    let (mut points, mut tried) = (0, 0);
    let runtime = runtime();
    for (number, script) in SCRIPTS.iter().enumerate() {
        let length = length(script, durability);
        for (kind, (fault, second, left)) in faults.iter().enumerate() {
            for at in 1..=length {
                points += 1;
                let is_turn = (points + kind as u64).is_multiple_of(STRIDE);
                if !is_whole && !is_turn {
                    continue;
                }
                tried += 1;
                let told =
                    format!("script {number}, {fault:?} at {at} of {length}, then {second:?}, {left:?} left");
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let faults = [Some((at, *fault)), second.map(|(later, fault)| (at + later, fault))];
                    runtime.block_on(fails(script, durability, faults, *left, points));
                }));
                if let Err(why) = outcome {
                    let why = why.downcast_ref::<String>().cloned();
                    let why = why.unwrap_or_else(|| "see above".to_owned());
                    panic!("{told}: {why}");
                }
            }
        }
    }
    assert!(tried > 100, "{tried}");
    #[expect(clippy::print_stdout, reason = "who asks for all of them wants to know how many there are")]
    {
        println!("{durability:?}: {tried} of {points} failure points tried");
    }
}

async fn fails(
    script: &[Act],
    durability: Durability,
    faults: [Option<(u64, Fault)>; 2],
    left: Left,
    seed: u64,
) {
    let mut run = Run::new(durability, seed);
    for (at, fault) in faults.into_iter().flatten() {
        run.disk.fault(at, fault);
    }
    run.play(script).await;
    run.engine = None;
    let is_durable = durability == Durability::Always;
    if faults.iter().flatten().any(|(_, fault)| *fault == Fault::Dark) {
        run.disk.lose_power(left);
        run.check(is_durable).await;
    } else {
        // Only the process ends: its writes are in the system's cache, except for those that a failed sync lost.
        run.disk.mend();
        run.check(true).await;
    }
    // Once a reader has seen what the start recovered, a loss of power must not take it back.
    run.engine = None;
    run.disk.lose_power(left);
    run.check(is_durable).await;
}

const FAILING: [Trial; 12] = [
    (Fault::Fails(ErrorKind::Other), None, Left::Nothing),
    (Fault::Fails(ErrorKind::StorageFull), None, Left::Part),
    (Fault::Tears(ErrorKind::Other), None, Left::Part),
    (Fault::Tears(ErrorKind::StorageFull), None, Left::Everything),
    (Fault::FailsOn, None, Left::Part),
    (Fault::Full, None, Left::Part),
    // A write that was undone must be durably gone before another append is taken, or no append may be.
    (Fault::Fails(ErrorKind::Other), Some((2, Fault::Dark)), Left::Nothing),
    (Fault::Fails(ErrorKind::Other), Some((5, Fault::Dark)), Left::Part),
    (Fault::Tears(ErrorKind::Other), Some((3, Fault::Dark)), Left::Everything),
    (Fault::Tears(ErrorKind::StorageFull), Some((8, Fault::Dark)), Left::Part),
    (Fault::Fails(ErrorKind::Other), Some((1, Fault::Fails(ErrorKind::Other))), Left::Part),
    (Fault::Tears(ErrorKind::Other), Some((2, Fault::Tears(ErrorKind::Other))), Left::Part),
];
const ENDING: [Trial; 6] = [
    (Fault::Dark, None, Left::Nothing),
    (Fault::Dark, None, Left::Everything),
    (Fault::Dark, None, Left::Part),
    (Fault::Killed, None, Left::Nothing),
    (Fault::Killed, None, Left::Part),
    (Fault::Killed, None, Left::Everything),
];

/// With a sync interval, the sync of the first of two shelves fails. The other shelf is still synced, and no further
/// append is taken, because the next sync would report success.
#[tokio::test]
async fn a_sync_that_fails_keeps_no_other_from_the_disk_and_ends_the_taking_of_events() {
    let disk = Sim::new(7);
    let durability = Durability::Interval(Duration::from_millis(200));
    let send =
        |topic, text: &str| Sent { topic, texts: vec![text.to_owned()], key: None, answer: None }.append();
    let engine = open(&disk, durability).unwrap();
    // The first event of each shelf creates its file, so that the following ones only write blocks.
    engine.append(send("a", "a0")).await.unwrap();
    engine.append(send("b.1", "b0")).await.unwrap();
    drop(engine);
    let engine = open(&disk, durability).unwrap();
    // This append reserves offsets, which are recorded in a separate file.
    engine.append(send("c.1", "c")).await.unwrap();
    disk.fail_next_sync();
    let (first, second) = tokio::join!(engine.append(send("a", "a1")), engine.append(send("b.1", "b1")));
    first.unwrap();
    second.unwrap();
    let began = Instant::now();
    while engine.append(send("c.1", "c")).await.is_ok() {
        assert!(began.elapsed() < DEADLINE, "events are taken though a sync has failed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(engine.append(send("a", "a2")).await, Err(EngineError::Unavailable(_))));
    drop(engine);
    disk.lose_power(Left::Nothing);
    let there = read(&open(&disk, durability).unwrap()).await;
    let texts: Vec<&str> = there.values().map(|(_, text)| text.as_str()).collect();
    assert!(texts.contains(&"a0") && texts.contains(&"b0"), "{texts:?}");
    assert!(texts.contains(&"a1") || texts.contains(&"b1"), "one of two could be synced: {texts:?}");
}

#[test]
fn a_disk_that_fails_anywhere_loses_nothing_that_was_acknowledged() {
    every(Durability::Always, &FAILING);
}

#[test]
fn an_end_anywhere_loses_nothing_that_was_acknowledged() {
    every(Durability::Always, &ENDING);
}

#[test]
fn a_disk_that_fails_anywhere_under_an_interval_mixes_nothing_up() {
    every(LAZY, &FAILING);
}

#[test]
fn an_end_anywhere_under_an_interval_mixes_nothing_up() {
    every(LAZY, &ENDING);
}
