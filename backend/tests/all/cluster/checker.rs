//! Everything that publishers were told and readers received, and the verdict.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use fourways_shared::{Cursor, Reset};

use super::publishers::{PUBLISHERS, topic};

/// The facts, shared by all tasks. The lock is held for a few instructions.
#[derive(Default)]
pub(super) struct Facts(Mutex<All>);

#[derive(Default)]
struct All {
    /// The offset of each acknowledged event, by publisher and number.
    acknowledged: HashMap<(usize, u64), Cursor>,
    acknowledgements: Vec<Instant>,
    readers: Vec<Reader>,
}

#[derive(Default)]
struct Reader {
    name: String,
    /// Publisher, number and cursor of each event in the order of arrival.
    events: Vec<(usize, u64, Cursor)>,
    arrivals: Vec<Instant>,
    /// The latest cursor that the reader was told.
    position: Option<Cursor>,
    resets: Vec<String>,
}

impl Facts {
    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a reader, and returns its number.
    pub(super) fn reader(&self, name: String) -> usize {
        let mut all = self.lock();
        all.readers.push(Reader { name, ..Reader::default() });
        all.readers.len() - 1
    }

    pub(super) fn acknowledge(&self, publisher: usize, first: u64, cursors: &[Cursor]) {
        let mut all = self.lock();
        for (number, cursor) in (first..).zip(cursors) {
            assert!(all.acknowledged.insert((publisher, number), *cursor).is_none());
        }
        assert!(
            cursors.windows(2).all(|pair| pair[1].offset.0 == pair[0].offset.0 + 1),
            "a batch is in one piece: {cursors:?}"
        );
        all.acknowledgements.push(Instant::now());
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.lock().acknowledged.len() as u64
    }

    pub(super) fn arrive(&self, reader: usize, of: &str, number: u64, cursor: Cursor) {
        let publisher = (0..PUBLISHERS).find(|index| topic(*index).as_str() == of).unwrap();
        let mut all = self.lock();
        let reader = &mut all.readers[reader];
        reader.events.push((publisher, number, cursor));
        reader.arrivals.push(Instant::now());
        reader.see(cursor);
    }

    pub(super) fn position(&self, reader: usize, cursor: Cursor) {
        self.lock().readers[reader].see(cursor);
    }

    pub(super) fn reset(&self, reader: usize, reset: &Reset) {
        self.lock().readers[reader].resets.push(format!("{reset:?}"));
    }

    /// Says which reader lacks an acknowledged event.
    pub(super) fn missing(&self) -> Option<String> {
        let all = self.lock();
        let wanted = all.acknowledged.len();
        // Events that were kept without being acknowledged are acknowledged in the end, because their publisher repeats.
        let late = all.readers.iter().find(|reader| reader.events.len() < wanted)?;
        Some(format!("{} has {} of {wanted} events", late.name, late.events.len()))
    }

    /// Returns the longest time without an acknowledgement since a moment.
    pub(super) fn publish_gap(&self, since: Instant) -> Duration {
        longest(&self.lock().acknowledgements, since)
    }

    /// Returns the longest time since a moment for which any reader got nothing.
    pub(super) fn read_gap(&self, since: Instant) -> Duration {
        self.lock().readers.iter().map(|reader| longest(&reader.arrivals, since)).max().unwrap_or_default()
    }

    /// Fails if a reader got anything but each acknowledged event, once, where its publisher was told that it is, in order.
    pub(super) fn judge(&self) {
        let all = self.lock();
        for reader in &all.readers {
            let name = &reader.name;
            assert_eq!(
                reader.resets,
                [] as [&str; 0],
                "{name}: nothing was lost, so there is nothing to tell"
            );
            for pair in reader.events.windows(2) {
                assert!(pair[0].2.offset < pair[1].2.offset, "{name}: {:?} after {:?}", pair[1], pair[0]);
            }
            let mut next = [0; PUBLISHERS];
            for (publisher, number, cursor) in &reader.events {
                assert_eq!(*number, next[*publisher], "{name}: the events of publisher {publisher} in order");
                next[*publisher] += 1;
                assert_eq!(all.acknowledged.get(&(*publisher, *number)), Some(cursor), "{name}");
            }
            assert_eq!(reader.events.len(), all.acknowledged.len(), "{name}");
        }
    }

    /// Fails if the servers differ in what they have.
    pub(super) async fn compare_servers(&self, bases: &[String]) {
        let through = self.lock().acknowledged.values().max_by_key(|cursor| cursor.offset).copied().unwrap();
        let http = reqwest::Client::new();
        let mut logs = Vec::new();
        for base in bases {
            let (mut after, mut log) = ("earliest".to_owned(), String::new());
            loop {
                let url =
                    format!("{base}/v1/events?topic=cluster.*&after={after}&until={through}&limit=1000");
                let page = http.get(url).send().await.unwrap().text().await.unwrap();
                let page: serde_json::Value = serde_json::from_str(&page).unwrap();
                let events = page["events"].as_array().unwrap();
                for event in events {
                    log.push_str(&event.to_string());
                }
                page["cursor"].as_str().unwrap().clone_into(&mut after);
                if events.is_empty() {
                    break;
                }
            }
            logs.push(log);
        }
        assert!(
            logs.windows(2).all(|pair| pair[0] == pair[1]),
            "all servers have the same log, byte for byte"
        );
    }

    pub(super) fn summary(&self) -> String {
        let all = self.lock();
        format!(
            "{} events acknowledged, {} readers: 0 lost, 0 repeated, 0 reordered",
            all.acknowledged.len(),
            all.readers.len()
        )
    }
}

impl Reader {
    fn see(&mut self, cursor: Cursor) {
        if let Some(before) = self.position {
            assert!(
                cursor.epoch == before.epoch && cursor.offset >= before.offset,
                "{}: {cursor} after {before}",
                self.name
            );
        }
        self.position = Some(cursor);
    }
}

fn longest(moments: &[Instant], since: Instant) -> Duration {
    let now = Instant::now();
    let moments = moments.iter().copied().filter(|moment| *moment >= since).chain([now]);
    let mut before = since;
    moments
        .map(|moment| moment.saturating_duration_since(std::mem::replace(&mut before, moment)))
        .max()
        .unwrap_or_default()
}

/// An event that a reader got: publisher, number and offset.
type Got = (usize, u64, u64);

#[test]
fn the_checker_convicts_whoever_loses_repeats_moves_or_reorders() {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use fourways_shared::{Epoch, Offset};

    let cursor = |offset| Cursor { epoch: Epoch::from_bits(1), offset: Offset(offset) };
    let is_acquitted = |got: &[Got]| {
        let facts = Facts::default();
        let reader = facts.reader("the accused".to_owned());
        facts.acknowledge(0, 0, &[cursor(1), cursor(2)]);
        facts.acknowledge(1, 0, &[cursor(3)]);
        let judged = catch_unwind(AssertUnwindSafe(|| {
            for (publisher, number, offset) in got {
                facts.arrive(reader, topic(*publisher).as_str(), *number, cursor(*offset));
            }
            facts.judge();
        }));
        judged.is_ok()
    };
    assert!(is_acquitted(&[(0, 0, 1), (0, 1, 2), (1, 0, 3)]));
    for guilty in [
        &[(0, 0, 1), (1, 0, 3)][..],
        &[(0, 0, 1), (0, 1, 2)],
        &[(0, 0, 1), (0, 1, 2), (0, 1, 2), (1, 0, 3)],
        &[(0, 0, 1), (0, 1, 2), (0, 1, 4), (1, 0, 5)],
        &[(0, 0, 1), (1, 0, 3), (0, 1, 2)],
        &[(0, 1, 2), (0, 0, 1), (1, 0, 3)],
        &[(0, 0, 1), (0, 1, 2), (1, 0, 4)],
        &[(0, 0, 1), (0, 1, 2), (1, 0, 3), (1, 1, 4)],
    ] {
        assert!(!is_acquitted(guilty), "{guilty:?}");
    }
}
