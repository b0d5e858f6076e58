//! Kills the server at random moments and starts it again, many times, while publishers write and readers of all four
//! techniques read: every acknowledged event reaches every reader once, in order, and nothing breaks continuity.
//!
//! `FOURWAYS_KILL_ROUNDS=200 cargo test -p fourways --test all process::kill -- --nocapture` prints the counts of a
//! long run.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fourways_client::{Arrival, Publisher, RequestError, Subscriber, Target};
use fourways_shared::{
    After, Cursor, Data, Offset, Policy, Technique, Topic,
    account::{Account, Report},
};
use fourways_testkit::{DEADLINE, Process, own_address};

use crate::FOURWAYS;

/// Number of publishers at the same time, each with a topic of its own.
const PUBLISHERS: usize = 3;
/// Number of events in one publish.
const EVENTS: u64 = 5;

fn start(address: &str, data: &Path) -> Process {
    let flags =
        ["--source", "none", "--publish-rate", "0", "--workers", "2", "--data", data.to_str().unwrap()];
    Process::serve_on(FOURWAYS, address, &flags).unwrap()
}

fn topic(index: usize) -> Topic {
    format!("kill.{index}").parse().unwrap()
}

/// Everything that one reader has received. The numbers, by topic, are those that the publishers put into the events.
#[derive(Default)]
struct Told {
    numbers: HashMap<String, Vec<u64>>,
    /// Cursors of the events in the order of their arrival.
    cursors: Vec<Cursor>,
    resets: u64,
    cuts: u64,
}

/// Publishes numbers in order until `stops` is set. A publish that got no answer is repeated with the same idempotency
/// key.
async fn publish(
    base: String,
    index: usize,
    stops: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
) -> (u64, u64) {
    let publisher = Publisher::new(Target::new(&base, vec![]).unwrap(), topic(index));
    let (mut next, mut repeats) = (0, 0);
    while !stops.load(Ordering::SeqCst) {
        let lines: Vec<String> = (next..next + EVENTS).map(|number| number.to_string()).collect();
        let lines = lines.join("\n");
        let began = Instant::now();
        loop {
            match publisher.publish_lines(lines.clone(), &format!("key-{next}")).await {
                Ok(cursors) => {
                    assert_eq!(cursors.len() as u64, EVENTS);
                    break;
                }
                Err(RequestError::Refused(problem)) if problem.status < 500 => panic!("{problem:?}"),
                Err(_) => repeats += 1,
            }
            assert!(began.elapsed() < DEADLINE, "the server comes back");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        next += EVENTS;
        acknowledged.fetch_add(EVENTS, Ordering::SeqCst);
    }
    (next, repeats)
}

fn read(base: &str, technique: Technique, told: &Arc<Mutex<Told>>) -> tokio::task::JoinHandle<()> {
    let topics = (0..PUBLISHERS).map(topic).collect();
    let mut target = Target::new(base, topics).unwrap();
    target.poll_interval = Duration::from_millis(20);
    let told = Arc::clone(told);
    tokio::spawn(async move {
        let mut subscriber = Subscriber::new(target, After::Earliest);
        let sink = |arrival| {
            let mut told = told.lock().unwrap();
            match arrival {
                Arrival::Event(event) => {
                    let Data::Json(raw) = &event.data else { panic!("{event:?}") };
                    let number = raw.get().parse().unwrap();
                    told.cursors.push(event.cursor);
                    told.numbers.entry(event.topic.to_string()).or_default().push(number);
                }
                Arrival::Reset(_) => told.resets += 1,
                Arrival::Lost { wait: None, detail } => panic!("{technique} gives up: {detail}"),
                Arrival::Lost { .. } => told.cuts += 1,
                Arrival::Opened | Arrival::Position(_) => {}
            }
            ControlFlow::Continue(())
        };
        subscriber.run(technique, sink).await;
    })
}

/// Has the server compare the events that arrived with its own log, and returns its account.
async fn report(base: &str, technique: Technique, cursors: &[Cursor]) -> Account {
    let target = Target::new(base, vec![]).unwrap();
    let mut after = Cursor { offset: Offset(0), ..cursors[0] };
    let mut account = Account::default();
    for cursors in cursors.chunks(5000) {
        let report = Report {
            reader: format!("kill-test-{technique}").parse().unwrap(),
            technique,
            topics: (0..PUBLISHERS).map(|index| (&topic(index)).into()).collect(),
            policy: Policy::All,
            after,
            through: *cursors.iter().max_by_key(|cursor| cursor.offset).unwrap(),
            held: cursors.iter().map(|cursor| cursor.offset.0).collect(),
        };
        account = target.report(&report).await.unwrap();
        after = report.through;
    }
    account
}

#[test]
fn nothing_acknowledged_is_lost_or_repeated_by_being_killed() {
    let rounds = std::env::var("FOURWAYS_KILL_ROUNDS").map_or(8, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = start(&format!("{}:0", own_address()), folder.path());
        let (address, base) = (server.address().to_owned(), server.url());
        let (stops, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let readers = Technique::ALL.map(|technique| (technique, Arc::new(Mutex::new(Told::default()))));
        let reading: Vec<_> = readers.iter().map(|(technique, told)| read(&base, *technique, told)).collect();
        let publishers = (0..PUBLISHERS).map(|index| {
            tokio::spawn(publish(base.clone(), index, Arc::clone(&stops), Arc::clone(&acknowledged)))
        });
        let publishers: Vec<_> = publishers.collect();
        let mut server = Some(server);
        for round in 0..rounds {
            // The next kill comes after a random number of further acknowledged events: at a random moment, but never
            // before publishing works again.
            let more = 1 + getrandom::u64().unwrap() % 120;
            let until = acknowledged.load(Ordering::SeqCst) + more;
            let began = Instant::now();
            while acknowledged.load(Ordering::SeqCst) < until {
                assert!(began.elapsed() < DEADLINE, "round {round}: publishing goes on");
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            drop(server.take());
            server = Some(start(&address, folder.path()));
        }
        stops.store(true, Ordering::SeqCst);
        let (mut published, mut repeats) = (Vec::new(), 0);
        for publisher in publishers {
            let (count, again) = publisher.await.unwrap();
            published.push(count);
            repeats += again;
        }
        let total: u64 = published.iter().sum();
        println!("{rounds} kills, {total} events acknowledged, {repeats} publishes repeated with their key");
        for (technique, told) in &readers {
            let began = Instant::now();
            loop {
                let held: u64 =
                    told.lock().unwrap().numbers.values().map(|numbers| numbers.len() as u64).sum();
                if held >= total {
                    break;
                }
                assert!(began.elapsed() < DEADLINE, "{technique} has {held} of {total}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let told = std::mem::take(&mut *told.lock().unwrap());
            for (index, count) in published.iter().enumerate() {
                let numbers = &told.numbers[topic(index).as_str()];
                assert!(numbers.iter().copied().eq(0..*count), "{technique}, {index}: {numbers:?}");
            }
            assert_eq!(told.resets, 0, "{technique}: continuity never broke");
            let account = report(&base, *technique, &told.cursors).await;
            assert!(account.is_clean() && account.held == total && account.breaks == 0, "{technique}: {account:?}");
            let Account { held, lost, repeated, reordered, .. } = account;
            println!(
                "{technique}: the server's ledger says {held} held, lost {lost}, repeated {repeated}, reordered \
                 {reordered}; over {} cuts",
                told.cuts
            );
        }
        for reader in reading {
            reader.abort();
        }
        drop(server);
    });
}
