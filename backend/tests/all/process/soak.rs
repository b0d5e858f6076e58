//! Readers of every technique come and go, by topics and by patterns, over HTTP/1.1 and HTTP/2, while events are
//! published all the time: each reader gets every event once and in order, wherever it was interrupted.
//!
//! `FOURWAYS_SOAK_EVENTS=1000000 cargo test -p fourways --test all process::soak -- --nocapture` prints the counts of a
//! long run.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fourways_client::{Arrival, Publisher, Subscriber, Target};
use fourways_shared::{After, Cursor, Data, Filter, Technique, Topic};
use fourways_testkit::{DEADLINE, Process};

use crate::{
    FOURWAYS,
    front::{Certificate, Front, Way},
};

/// Number of topics, each with a publisher.
const TOPICS: usize = 6;
/// Number of events in one publish.
const BATCH: u64 = 50;

/// The technique, the way to the server and the filter of one reader.
#[derive(Clone, Copy, Debug)]
struct Reading {
    technique: Technique,
    way: Way,
    filter: &'static str,
}

/// The counts of one reader. `next` has the number that is expected next, by topic.
#[derive(Debug, Default)]
struct Told {
    next: BTreeMap<String, u64>,
    events: u64,
    lost: u64,
    repeated: u64,
    resets: u64,
    last: Option<Cursor>,
}

impl Told {
    fn take(&mut self, topic: &Topic, number: u64) {
        let next = self.next.entry(topic.to_string()).or_default();
        match number.cmp(next) {
            std::cmp::Ordering::Equal => {}
            // An event that is out of order counts as lost first, and as repeated later.
            std::cmp::Ordering::Greater => self.lost += number - *next,
            std::cmp::Ordering::Less => self.repeated += 1,
        }
        *next = (*next).max(number + 1);
        self.events += 1;
    }
}

fn topic(index: usize) -> Topic {
    let place = if index.is_multiple_of(2) { "even" } else { "odd" };
    format!("soak.{place}.{index}").parse().unwrap()
}

async fn publish(base: String, index: usize, count: u64, published: Arc<AtomicU64>) {
    let publisher = Publisher::new(Target::new(&base, vec![]).unwrap(), topic(index));
    let began = Instant::now();
    for begin in (0..count).step_by(usize::try_from(BATCH).unwrap()) {
        let lines: Vec<String> =
            (begin..(begin + BATCH).min(count)).map(|number| number.to_string()).collect();
        // The server can close an idle connection at the moment when it is used again.
        while publisher.publish_lines(lines.join("\n"), &format!("soak-{begin}")).await.is_err() {
            assert!(began.elapsed() < 10 * DEADLINE, "the server answers");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        published.fetch_add(lines.len() as u64, Ordering::SeqCst);
    }
}

/// Reads for a while, leaves, and resumes from the last cursor, until it has all events. Returns the number of visits.
async fn read(
    base: String,
    reading: Reading,
    told: Arc<Mutex<Told>>,
    total: u64,
    stops: Arc<AtomicBool>,
) -> u64 {
    let filters: Vec<Filter> = vec![reading.filter.parse().unwrap()];
    let (mut visits, mut patience) = (0, 1);
    while told.lock().unwrap().events < total && !stops.load(Ordering::SeqCst) {
        visits += 1;
        let mut target = Target::new(&base, vec![]).unwrap().with_filters(filters.clone());
        target.poll_interval = Duration::from_millis(50);
        let after = told.lock().unwrap().last.map_or(After::Earliest, After::Cursor);
        let mut subscriber = Subscriber::new(target, after);
        // A visit ends after a random number of events, so it can end in the middle of anything.
        let mut left = 1 + getrandom::u64().unwrap() % (total / 3).max(1);
        let before = told.lock().unwrap().events;
        let sink = |arrival| {
            let mut told = told.lock().unwrap();
            match arrival {
                Arrival::Event(event) => {
                    let Data::Json(raw) = &event.data else { panic!("{event:?}") };
                    told.take(&event.topic, raw.get().parse().unwrap());
                    told.last = Some(event.cursor);
                    left -= 1;
                }
                Arrival::Reset(_) => told.resets += 1,
                Arrival::Lost { wait: None, detail } => panic!("{reading:?} gives up: {detail}"),
                Arrival::Lost { .. } | Arrival::Opened | Arrival::Position(_) => {}
            }
            if left == 0 || told.events >= total { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        // A visit that brought nothing is followed by a longer one: on a busy machine a handshake alone may take as long as
        // a visit.
        let stay = Duration::from_millis(500 + getrandom::u64().unwrap() % 2000) * patience;
        drop(tokio::time::timeout(stay, subscriber.run(reading.technique, sink)).await);
        patience = if told.lock().unwrap().events == before { (patience * 2).min(32) } else { 1 };
    }
    visits
}

#[test]
fn readers_come_and_go_and_get_everything_once_in_order() {
    let total: u64 =
        std::env::var("FOURWAYS_SOAK_EVENTS").map_or(6_000, |text| text.parse().expect("a number"));
    let each = total / TOPICS as u64;
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::make();
    let tls = certificate.flags();
    let data = folder.path().to_str().unwrap();
    let flags = [
        &["--source", "none", "--publish-rate", "0", "--workers", "2", "--data", data][..],
        &["--durability", "interval:50ms", "--retain-events", "10000000", "--retain-bytes", "4GiB"],
        &tls.iter().map(String::as_str).collect::<Vec<_>>(),
    ];
    let server = Process::serve(FOURWAYS, &flags.concat()).unwrap();
    let fronts = [Way::Tls, Way::Http2]
        .map(|way| (way, Front::of(server.address().parse().unwrap(), &certificate, way)));
    let base_of = |way: Way| {
        let front = fronts.iter().find(|(of, _)| *of == way).unwrap();
        format!("http://{}", front.1.address)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (published, stops) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut readers = Vec::new();
        for technique in Technique::ALL {
            for way in [Way::Tls, Way::Http2] {
                // Only HTTP/1.1 has upgrades.
                if way == Way::Http2 && technique == Technique::Websocket {
                    continue;
                }
                for (filter, topics) in [("soak.even.0", 1), ("soak.odd.*", 3), ("soak.>", TOPICS as u64)] {
                    let reading = Reading { technique, way, filter };
                    let told = Arc::new(Mutex::new(Told::default()));
                    let all = each * topics;
                    let task =
                        tokio::spawn(read(base_of(way), reading, Arc::clone(&told), all, Arc::clone(&stops)));
                    readers.push((reading, told, all, task));
                }
            }
        }
        let publishers: Vec<_> = (0..TOPICS)
            .map(|index| tokio::spawn(publish(base_of(Way::Tls), index, each, Arc::clone(&published))))
            .collect();
        for publisher in publishers {
            publisher.await.unwrap();
        }
        println!("{} events published on {TOPICS} topics", published.load(Ordering::SeqCst));
        let mut failed = Vec::new();
        for (reading, told, all, task) in readers {
            // A reader fails only if nothing comes any more, however slow it is.
            let (mut before, mut since) = (0, Instant::now());
            while !task.is_finished() {
                let now = told.lock().unwrap().events;
                if now != before {
                    (before, since) = (now, Instant::now());
                }
                if since.elapsed() > DEADLINE {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let visits = if task.is_finished() { task.await.unwrap() } else { 0 };
            let Told { events, lost, repeated, resets, .. } = *told.lock().unwrap();
            let line = format!(
                "{} of {} over {:?}: {events} of {all} in {visits} visits, {lost} lost or out of order, {repeated} repeated, {resets} resets",
                reading.technique, reading.filter, reading.way
            );
            println!("{line}");
            if (events, lost, repeated, resets) != (all, 0, 0, 0) {
                failed.push(line);
            }
        }
        stops.store(true, Ordering::SeqCst);
        assert!(failed.is_empty(), "{failed:#?}");
    });
    drop(server);
}
