//! The log on a disk that fails at the n-th operation, for every n: it starts again, what was acknowledged is there in
//! order and once, and nothing is there that nobody published.
//!
//! A part of the points is tried each time; `FOURWAYS_FAILURES=all` tries them all.

mod run;

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use fourways::log::engine::{Durability, Engine as _, EngineError};
use fourways_testkit::DEADLINE;

use self::run::{
    Act::{self, Publish, Restart, Sweep, Together},
    Run, Sent, open, read,
};
use super::sim::{Fault, Left, Sim};

/// Of the points, each so-manieth is tried by default: no divisor of anything in the scripts.
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

/// How often a server syncs that never does by itself while a test runs.
const LAZY: Durability = Durability::Interval(Duration::from_hours(1));

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// How many operations a script takes when nothing goes wrong.
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

/// A fault, another so many operations later, and what a loss of power leaves.
type Trial = (Fault, Option<(u64, Fault)>, Left);

/// Plays every script with a fault at every point (or a part of them), and says how many those were.
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
        // The process ends, and what it had said to the system is there, but for what a sync has failed to keep.
        run.disk.mend();
        run.check(true).await;
    }
    // Whatever the start made of it is as certain as the rest, as soon as somebody has seen it.
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
    // What was taken back is certain to be gone before anything else is taken, or nothing is.
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

/// Under an interval: of two shelves the first can't be synced. The other is, and nothing more is taken: the next sync would
/// say that all is well.
#[tokio::test]
async fn a_sync_that_fails_keeps_no_other_from_the_disk_and_ends_the_taking_of_events() {
    let disk = Sim::new(7);
    let durability = Durability::Interval(Duration::from_millis(200));
    let send =
        |topic, text: &str| Sent { topic, texts: vec![text.to_owned()], key: None, answer: None }.append();
    let engine = open(&disk, durability).unwrap();
    // The first of each is on the disk, so that what follows is blocks alone.
    engine.append(send("a", "a0")).await.unwrap();
    engine.append(send("b.1", "b0")).await.unwrap();
    drop(engine);
    let engine = open(&disk, durability).unwrap();
    // With it numbers are said to be given out, which is a file of its own.
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
