//! The step from replay to live, in every interleaving that the model checker chooses: no event is lost or repeated,
//! and no reader sleeps for ever. (Other servers got this race wrong by reading the history first and registering
//! afterwards, or by registering first without comparing offsets.)
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;

use fourways_race::{
    engine::{
        Append, Copy, Draft, Engine, Followed, FollowedLog, MemoryEngine, Retention, RetentionRule, Shard,
        Tail,
    },
    subscription::Subscription,
};
use fourways_shared::{After, Cursor, Data, Epoch, Event, EventName, Filter, Offset, Policy, Technique};
use shuttle::{future, thread};

const ITERATIONS: usize = 3000;

fn engine(retention: Retention) -> MemoryEngine {
    MemoryEngine::new(Epoch::from_bits(1), vec![RetentionRule::for_all(retention)], 1)
}

fn append(topic: &str) -> Append {
    let draft = Draft { name: EventName::DEFAULT, data: Data::text("x") };
    Append { topic: topic.parse().unwrap(), drafts: vec![draft], key: None }
}

fn topics(names: &[&str]) -> Vec<Filter> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Reads until `count` events have come, and checks that each comes once and in order.
async fn read(tail: &Arc<Tail>, names: &[&str], after: After, shard: Shard, count: usize) {
    let mut subscription = Subscription::new(tail, &topics(names), after, Policy::All, Technique::Sse, shard);
    let mut last = 0;
    let mut seen = 0;
    while seen < count {
        let batch = std::future::poll_fn(|cx| subscription.poll_next(cx, 2)).await;
        assert!(batch.reset.is_none(), "nothing was let go, so nothing can be missed");
        for event in &batch.events {
            let offset = event.event().cursor.offset.0;
            assert!(offset > last, "{offset} after {last}");
            last = offset;
            seen += 1;
        }
    }
    assert!(seen >= count);
}

/// Runs a publisher on each of two topics, a reader of both topics and a reader of one, all in parallel.
fn publish_and_read(shard: Shard) {
    let engine = Arc::new(engine(Retention::default()));
    let publishers: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|topic| {
            let engine = Arc::clone(&engine);
            thread::spawn(move || {
                for _ in 0..2 {
                    future::block_on(engine.append(append(topic))).unwrap();
                }
            })
        })
        .collect();
    let readers: Vec<_> = [(&["a", "b"][..], 4), (&["b"][..], 2)]
        .into_iter()
        .map(|(names, count)| {
            let tail = engine.tail();
            // A lost event or wake-up makes this thread wait for ever, which the checker reports as a deadlock.
            thread::spawn(move || future::block_on(read(&tail, names, After::Earliest, shard, count)))
        })
        .collect();
    for thread in publishers.into_iter().chain(readers) {
        thread.join().unwrap();
    }
}

#[test]
fn replay_to_live_loses_and_repeats_nothing_when_publishers_wake() {
    shuttle::check_pct(|| publish_and_read(Shard::DIRECT), ITERATIONS, 4);
    shuttle::check_random(|| publish_and_read(Shard::DIRECT), ITERATIONS);
}

#[test]
fn replay_to_live_loses_and_repeats_nothing_when_a_relay_wakes() {
    let with_relay = || {
        let engine = Arc::new(engine(Retention::default()));
        let shard = Shard::of_worker(0);
        let tail = engine.tail();
        // The relay and the reader share a thread, as in a worker; each publisher has its own.
        let worker = thread::spawn(move || {
            future::block_on(async move {
                let relay = future::spawn_local(Arc::clone(&tail).relay(shard));
                let reader = future::spawn_local({
                    let tail = Arc::clone(&tail);
                    async move { read(&tail, &["a", "b"], After::Earliest, shard, 3).await }
                });
                reader.await.unwrap();
                relay.abort();
            });
        });
        let publishers: Vec<_> = [("a", 2), ("b", 1)]
            .into_iter()
            .map(|(topic, count)| {
                let engine = Arc::clone(&engine);
                thread::spawn(move || {
                    for _ in 0..count {
                        future::block_on(engine.append(append(topic))).unwrap();
                    }
                })
            })
            .collect();
        worker.join().unwrap();
        for publisher in publishers {
            publisher.join().unwrap();
        }
    };
    shuttle::check_pct(with_relay, ITERATIONS, 4);
    shuttle::check_random(with_relay, ITERATIONS);
}

/// A log that begins anew while a reader waits: the reader is woken, told, and gets what follows.
fn begin_anew(shard: Shard) {
    let [old, new] = [1, 2].map(Epoch::from_bits);
    let rules = vec![RetentionRule::for_all(Retention::default())];
    let log = Arc::new(FollowedLog::begin(Copy::Memory, rules, 1, (old, Offset(0))).unwrap());
    let followed = |epoch, offset| Followed {
        events: vec![Event {
            topic: "a".parse().unwrap(),
            cursor: Cursor { epoch, offset: Offset(offset) },
            name: EventName::DEFAULT,
            id: None,
            published_at_us: 1,
            data: Data::text("x"),
        }],
        by: None,
    };
    let reader = thread::spawn({
        let log = Arc::clone(&log);
        move || {
            future::block_on(async move {
                let relay = (shard != Shard::DIRECT).then(|| {
                    let log = Arc::clone(&log);
                    future::spawn_local(async move {
                        loop {
                            log.tail().relay(shard).await;
                        }
                    })
                });
                let after = After::Cursor(Cursor { epoch: old, offset: Offset(2) });
                let mut subscription = Subscription::new(
                    &log.tail(),
                    &topics(&["a"]),
                    after,
                    Policy::All,
                    Technique::Sse,
                    shard,
                );
                let (mut is_told, mut last) = (false, 0);
                while last < 2 {
                    let batch = std::future::poll_fn(|cx| subscription.poll_next(cx, 2)).await;
                    is_told |= batch.reset.is_some();
                    for event in &batch.events {
                        let cursor = event.event().cursor;
                        assert!(is_told && cursor.epoch == new && cursor.offset.0 > last, "{cursor}");
                        last = cursor.offset.0;
                    }
                }
                if let Some(relay) = relay {
                    relay.abort();
                }
            });
        }
    });
    let follower = thread::spawn(move || {
        future::block_on(log.put(vec![followed(old, 1)], true));
        log.begin_anew(new, Offset(0)).unwrap();
        for offset in 1..=2 {
            future::block_on(log.put(vec![followed(new, offset)], true));
        }
    });
    reader.join().unwrap();
    follower.join().unwrap();
}

#[test]
fn a_reader_does_not_sleep_through_a_beginning() {
    for shard in [Shard::DIRECT, Shard::of_worker(0)] {
        shuttle::check_pct(move || begin_anew(shard), ITERATIONS / 3, 4);
        shuttle::check_random(move || begin_anew(shard), ITERATIONS / 3);
    }
}

/// Publishes one event, then lets three clients poll for a pattern twice each, in parallel: every poll finds the event.
fn poll_a_pattern() {
    let engine = Arc::new(engine(Retention::default()));
    future::block_on(engine.append(append("a"))).unwrap();
    let pollers: Vec<_> = (0..3)
        .map(|_| {
            let tail = engine.tail();
            thread::spawn(move || {
                for _ in 0..2 {
                    let topics = topics(&["*"]);
                    let (after, technique) = (After::Earliest, Technique::ShortPoll);
                    let mut poll =
                        Subscription::new(&tail, &topics, after, Policy::All, technique, Shard::DIRECT);
                    let batch = future::block_on(poll.now(10)).expect("it is there");
                    assert_eq!(batch.events.len(), 1);
                }
            })
        })
        .collect();
    for poller in pollers {
        poller.join().unwrap();
    }
    assert_eq!(engine.tail().patterns(), 0, "and nothing is left of them");
}

#[test]
fn a_poll_of_a_pattern_finds_what_is_there_whoever_leaves_meanwhile() {
    shuttle::check_pct(poll_a_pattern, ITERATIONS / 3, 4);
    shuttle::check_random(poll_a_pattern, ITERATIONS / 3);
}

#[test]
fn a_stream_of_a_pattern_hears_everything_whoever_leaves_meanwhile() {
    let streams = || {
        let engine = Arc::new(engine(Retention::default()));
        let publisher = {
            let engine = Arc::clone(&engine);
            thread::spawn(move || {
                for topic in ["a", "b", "a"] {
                    future::block_on(engine.append(append(topic))).unwrap();
                }
            })
        };
        let readers: Vec<_> = [1, 3, 2]
            .into_iter()
            .map(|count| {
                let tail = engine.tail();
                thread::spawn(move || {
                    future::block_on(read(&tail, &["*"], After::Earliest, Shard::DIRECT, count));
                })
            })
            .collect();
        for thread in readers.into_iter().chain([publisher]) {
            thread.join().unwrap();
        }
    };
    shuttle::check_pct(streams, ITERATIONS / 3, 4);
    shuttle::check_random(streams, ITERATIONS / 3);
}

#[test]
fn a_cursor_that_retention_overtakes_is_told_never_skipped() {
    let lagging = || {
        let retention = Retention { events: 2, ..Retention::default() };
        let engine = Arc::new(engine(retention));
        let tail = engine.tail();
        let mut subscription = Subscription::new(
            &tail,
            &topics(&["a"]),
            After::Earliest,
            Policy::All,
            Technique::Sse,
            Shard::DIRECT,
        );
        let publisher = {
            let engine = Arc::clone(&engine);
            thread::spawn(move || {
                for _ in 0..5 {
                    future::block_on(engine.append(append("a"))).unwrap();
                }
            })
        };
        let reader = thread::spawn(move || {
            future::block_on(async move {
                let (mut seen, mut missed, mut last) = (0, 0, 0);
                while seen + missed < 5 {
                    let batch = std::future::poll_fn(|cx| subscription.poll_next(cx, 2)).await;
                    missed += batch.reset.map_or(0, |reset| reset.missed.expect("a connected reader knows"));
                    for event in &batch.events {
                        let offset = event.event().cursor.offset.0;
                        assert!(offset > last);
                        last = offset;
                        seen += 1;
                    }
                    assert!(
                        last <= seen + missed,
                        "offset {last} after {seen} seen and {missed} missed: a silent gap"
                    );
                }
                assert_eq!(last, 5);
            });
        });
        publisher.join().unwrap();
        reader.join().unwrap();
    };
    shuttle::check_random(lagging, ITERATIONS);
}
