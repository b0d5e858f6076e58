//! The log with clocks that are ahead, behind, set, stepping or stopped: no wrong clock makes it drop an event, events
//! that are old by the time that has really passed are dropped, order and keys hold, and `published_at` is right again
//! as soon as the clock is.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use fourways_log::{
    engine::{
        Append, Clock, DiskEngine, Draft, Durability, Engine, Key, MemoryEngine, Retention, RetentionRule,
        Shard, TailCap,
    },
    subscription::{Batch, Subscription},
};
use fourways_shared::{After, Cursor, Data, Epoch, EventName, Filter, Policy, Technique};
use proptest::prelude::*;

use super::sim::Sim;

const AGE: Duration = Duration::from_hours(2);
const MINUTE: Duration = Duration::from_mins(1);
const YEAR_US: i64 = 365 * 86_400 * 1_000_000;
/// The wall clock's first reading: some day of 2026.
const BEGAN_US: i64 = 1_790_000_000_000_000;

/// The true time and the wall clock's error, both set by the test. One for the machine: all starts of the server share
/// it.
#[derive(Clone, Debug, Default)]
struct Hands(Arc<Mutex<(Duration, i64)>>);

impl Hands {
    /// Lets time pass, for the wall clock too.
    fn pass(&self, time: Duration) {
        self.0.lock().unwrap().0 += time;
    }

    /// Sets the wall clock wrong by this many microseconds.
    fn set(&self, wrong_us: i64) {
        self.0.lock().unwrap().1 = wrong_us;
    }

    fn wrong_us(&self) -> i64 {
        self.0.lock().unwrap().1
    }

    fn right_us(&self) -> u64 {
        BEGAN_US.cast_unsigned() + u64::try_from(self.0.lock().unwrap().0.as_micros()).unwrap()
    }

    /// Returns the clock of a process that starts now.
    fn start(&self) -> Arc<dyn Clock> {
        let began = self.0.lock().unwrap().0;
        Arc::new(Started { hands: self.clone(), began })
    }
}

#[derive(Debug)]
struct Started {
    hands: Hands,
    began: Duration,
}

impl Clock for Started {
    fn wall_us(&self) -> u64 {
        self.hands.right_us().saturating_add_signed(self.hands.wrong_us())
    }

    fn elapsed(&self) -> Duration {
        self.hands.0.lock().unwrap().0.saturating_sub(self.began)
    }
}

fn rules() -> Vec<RetentionRule> {
    vec![RetentionRule::for_all(Retention { events: usize::MAX, bytes: u64::MAX, age: AGE })]
}

/// A log on a simulated disk, which outlives its server, or one in memory, which a restart leaves as it is.
enum Log {
    Memory(MemoryEngine),
    Disk(Sim, Option<DiskEngine>),
}

impl Log {
    fn in_memory(hands: &Hands) -> Self {
        Self::Memory(MemoryEngine::with_clock(hands.start(), Epoch::from_bits(1), rules(), 1))
    }

    fn on_disk(hands: &Hands) -> Self {
        let mut log = Self::Disk(Sim::new(3), None);
        log.restart(hands);
        log
    }

    fn engine(&self) -> &dyn Engine {
        match self {
            Self::Memory(engine) => engine,
            Self::Disk(_, engine) => engine.as_ref().unwrap(),
        }
    }

    fn stop(&mut self) {
        if let Self::Disk(_, engine) = self {
            *engine = None;
        }
    }

    fn restart(&mut self, hands: &Hands) {
        self.stop();
        if let Self::Disk(disk, engine) = self {
            let cap = TailCap { events: 8, bytes: 1 << 20 };
            let files = Arc::new(disk.clone());
            let opened = DiskEngine::open_on(
                (files, hands.start()),
                Path::new("/log"),
                rules(),
                cap,
                Durability::Always,
                1,
            );
            *engine = Some(opened.unwrap());
        }
    }

    async fn publish(&self, text: &str, key: Option<&str>) -> Cursor {
        let drafts = vec![Draft { name: EventName::DEFAULT, data: Data::text(text) }];
        let key = key.map(|key| Key { id: key.parse().unwrap(), by: None });
        self.engine().append(Append { topic: "a".parse().unwrap(), drafts, key }).await.unwrap()[0]
    }

    /// Makes retention drop old events, and waits until it has.
    async fn sweep(&self) {
        self.engine().tail().sweep();
        if let Self::Disk(_, Some(engine)) = self {
            engine.sweep();
            // A publish to the same shelf is carried out after the sweep, so its answer means that the sweep is over.
            self.publish("swept", Some("swept")).await;
        }
    }

    /// Returns the texts in the log, each with its time of publishing.
    async fn read(&self) -> Vec<(String, u64)> {
        let filters: Vec<Filter> = vec!["a".parse().unwrap()];
        let tail = self.engine().tail();
        let mut all = Vec::new();
        let mut subscription =
            Subscription::new(&tail, &filters, After::Earliest, Policy::All, Technique::Sse, Shard::DIRECT);
        while let Some(Batch { events, .. }) = subscription.now(100).await {
            for event in &events {
                let event = event.event();
                let Data::Json(raw) = &event.data else { panic!("{event:?}") };
                all.push((serde_json::from_str(raw.get()).unwrap(), event.published_at_us));
            }
        }
        all.retain(|(text, _): &(String, u64)| text != "swept");
        all
    }

    async fn texts(&self) -> Vec<String> {
        self.read().await.into_iter().map(|(text, _)| text).collect()
    }
}

/// Errors of a wall clock, in microseconds.
const WRONG: [i64; 7] =
    [YEAR_US, -YEAR_US, 10 * YEAR_US, -BEGAN_US, 3_600_000_000, -3_600_000_000, 2_000_000_000];

#[tokio::test]
async fn a_clock_that_is_wrong_for_a_moment_lets_nothing_go_and_changes_no_age() {
    for wrong_us in WRONG {
        let hands = Hands::default();
        for mut log in [Log::in_memory(&hands), Log::on_disk(&hands)] {
            log.publish("before", None).await;
            hands.pass(MINUTE);
            hands.set(wrong_us);
            log.publish("wrong", None).await;
            log.sweep().await;
            hands.pass(Duration::from_secs(1));
            hands.set(0);
            log.publish("after", None).await;
            log.sweep().await;
            assert_eq!(log.texts().await, ["before", "wrong", "after"], "{wrong_us}");
            let said: Vec<u64> = log.read().await.into_iter().map(|(_, at_us)| at_us).collect();
            assert_eq!(said[2], hands.right_us(), "{wrong_us}: the time is right again");
            log.restart(&hands);
            log.sweep().await;
            assert_eq!(log.texts().await, ["before", "wrong", "after"], "{wrong_us}, after a restart");
            hands.pass(AGE + MINUTE);
            log.publish("last", None).await;
            log.sweep().await;
            assert_eq!(log.texts().await, ["last"], "{wrong_us}: what is old goes");
        }
    }
}

#[tokio::test]
async fn a_start_by_a_wrong_clock_lets_nothing_go_until_the_clock_has_stood_for_an_hour() {
    for wrong_us in WRONG {
        let hands = Hands::default();
        let mut log = Log::on_disk(&hands);
        log.publish("before", Some("key")).await;
        hands.set(wrong_us);
        log.restart(&hands);
        let known = log.publish("before", Some("key")).await;
        assert_eq!(log.publish("before", Some("key")).await, known, "{wrong_us}: the key is known");
        log.sweep().await;
        hands.pass(MINUTE * 30);
        log.sweep().await;
        assert_eq!(log.texts().await, ["before"], "{wrong_us}");
        // The clock is corrected, so the time for which the server seemed to be off never passed.
        hands.set(0);
        hands.pass(MINUTE * 45);
        log.sweep().await;
        assert_eq!(log.texts().await, ["before"], "{wrong_us}");
        hands.pass(AGE);
        log.publish("last", None).await;
        log.sweep().await;
        assert_eq!(log.texts().await, ["last"], "{wrong_us}");
    }
}

#[tokio::test]
async fn the_time_that_a_server_was_off_counts_once_its_clock_has_stood_for_an_hour() {
    let hands = Hands::default();
    let mut log = Log::on_disk(&hands);
    log.publish("before", None).await;
    log.stop();
    hands.pass(AGE * 3);
    log.restart(&hands);
    log.publish("after", None).await;
    log.sweep().await;
    assert_eq!(log.texts().await, ["before", "after"]);
    hands.pass(MINUTE * 61);
    log.publish("later", None).await;
    log.sweep().await;
    let left = log.texts().await;
    assert!(!left.contains(&"before".to_owned()) && left.contains(&"later".to_owned()), "{left:?}");
}

/// A step of the property test.
#[derive(Clone, Copy, Debug)]
enum Move {
    Publish,
    Repeat,
    Pass(u64),
    Set(i64),
    Sweep,
    /// The server is off for this many seconds, and its clock may be set in the meantime.
    Restart(u64, Option<i64>),
}

fn wrong() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), -BEGAN_US..20 * YEAR_US, -7_200_000_000..7_200_000_000_i64]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => Just(Move::Publish),
        1 => Just(Move::Repeat),
        2 => (0_u64..40 * 60).prop_map(Move::Pass),
        2 => wrong().prop_map(Move::Set),
        2 => Just(Move::Sweep),
        1 => (prop_oneof![Just(0), 0_u64..3 * 3600], prop::option::of(wrong()))
            .prop_map(|(seconds, wrong_us)| Move::Restart(seconds, wrong_us)),
    ];
    prop::collection::vec(one, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever the clock does: an event younger than the retention age is there, in order and once; an event older
    /// than that age and an hour is dropped; keys are remembered for as long as is promised.
    #[test]
    fn by_any_clock_what_is_young_is_kept_and_what_is_old_goes(moves in moves(), is_disk: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let hands = Hands::default();
            let mut log = if is_disk { Log::on_disk(&hands) } else { Log::in_memory(&hands) };
            // Each event with the true time of its publishing.
            let mut sent: Vec<(String, u64, Cursor)> = Vec::new();
            let (mut wrong_at_stop, mut wrong_at_start) = (0, 0);
            for (at, one) in moves.into_iter().enumerate() {
                let now_us = hands.right_us();
                match one {
                    Move::Publish => {
                        let text = format!("e{at}");
                        let cursor = log.publish(&text, Some(&text)).await;
                        assert!(sent.last().is_none_or(|(_, _, last)| last.offset < cursor.offset));
                        sent.push((text, now_us, cursor));
                    }
                    Move::Repeat => {
                        if let Some((text, arrived_us, cursor)) = sent.last()
                            && now_us - arrived_us < 4 * 60 * 1_000_000
                        {
                            assert_eq!(log.publish(text, Some(text)).await, *cursor, "{text} is known");
                        }
                    }
                    Move::Pass(seconds) => {
                        hands.pass(Duration::from_secs(seconds));
                        // A clock that was wrong at the start must not run undisturbed for an hour.
                        if hands.wrong_us() == wrong_at_start && wrong_at_start != wrong_at_stop {
                            hands.set(hands.wrong_us() + 300_000_000);
                        }
                    }
                    Move::Set(wrong_us) => hands.set(wrong_us),
                    Move::Sweep => log.sweep().await,
                    Move::Restart(seconds, wrong_us) if is_disk => {
                        wrong_at_stop = hands.wrong_us();
                        log.stop();
                        hands.pass(Duration::from_secs(seconds));
                        hands.set(wrong_us.unwrap_or_else(|| hands.wrong_us()));
                        wrong_at_start = hands.wrong_us();
                        log.restart(&hands);
                    }
                    Move::Restart(..) => {}
                }
            }
            log.sweep().await;
            let age_us = u64::try_from(AGE.as_micros()).unwrap();
            let young = |now_us: u64, arrived_us: u64| now_us - arrived_us <= age_us;
            let there = log.texts().await;
            let kept: Vec<&String> = sent.iter().map(|(text, ..)| text).filter(|text| there.contains(text)).collect();
            assert_eq!(kept, there.iter().collect::<Vec<_>>(), "in order, and once");
            for (text, arrived_us, _) in &sent {
                assert!(there.contains(text) || !young(hands.right_us(), *arrived_us), "{text} is young");
            }
            // The clock is right again: from here on every event is dropped once it is old.
            hands.set(0);
            log.restart(&hands);
            hands.pass(AGE + MINUTE * 61);
            log.publish("last", None).await;
            log.sweep().await;
            assert_eq!(log.texts().await, ["last"]);
        });
    }
}
