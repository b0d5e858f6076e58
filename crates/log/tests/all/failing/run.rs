//! One run of a script on a disk that fails, and the checks after it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use fourways_log::{
    engine::{
        Append, DiskEngine, Draft, Durability, Engine, Key, LogError, Retention, RetentionRule, Shard,
        SystemClock, TailCap, check_on,
    },
    subscription::{Batch, Subscription},
};
use fourways_shared::{After, Cursor, Data, Epoch, EventName, Filter, Offset, Policy, Technique};

use super::super::sim::Sim;

const FOLDER: &str = "/srv/log";
/// Number of events that each retention rule keeps: so few that a segment has two events.
const KEPT: usize = 16;

/// A step of a script.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// One append with this many events, with or without a key.
    Publish(&'static str, usize, bool),
    /// Several appends at the same time, one for each topic.
    Together(&'static [&'static str]),
    Sweep,
    Restart,
}

pub(super) fn rules() -> Vec<RetentionRule> {
    let keep = |events| Retention { events, bytes: u64::MAX, age: Duration::from_hours(1000) };
    let rule = |filter: &str, events, is_volatile| {
        let filter = filter.parse().unwrap();
        RetentionRule { filter, retention: keep(events), is_volatile }
    };
    vec![rule("b.>", KEPT, false), rule("c.>", KEPT, true), rule(">", KEPT, false)]
}

/// Returns the shelf of a topic; `None` if the topic is volatile.
pub(super) fn shelf(topic: &str) -> Option<u8> {
    match topic.as_bytes()[0] {
        b'b' => Some(0),
        b'c' => None,
        _ => Some(1),
    }
}

/// An append and its answer.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) topic: &'static str,
    pub(super) texts: Vec<String>,
    pub(super) key: Option<String>,
    /// The cursors of its events; `None` if the append was refused or never answered.
    pub(super) answer: Option<Vec<Cursor>>,
}

impl Sent {
    pub(super) fn append(&self) -> Append {
        let draft = |text: &String| Draft { name: EventName::DEFAULT, data: Data::text(text) };
        Append {
            topic: self.topic.parse().unwrap(),
            drafts: self.texts.iter().map(draft).collect(),
            key: self.key.as_ref().map(|key| Key { id: key.parse().unwrap(), by: None }),
        }
    }
}

pub(super) fn open(disk: &Sim, durability: Durability) -> std::io::Result<DiskEngine> {
    let cap = TailCap { events: 4, bytes: 1 << 20 };
    let clock = Arc::new(SystemClock::default());
    DiskEngine::open_on((Arc::new(disk.clone()), clock), Path::new(FOLDER), rules(), cap, durability, 1)
}

/// One run of a script.
pub(super) struct Run {
    pub(super) disk: Sim,
    durability: Durability,
    pub(super) engine: Option<DiskEngine>,
    pub(super) sent: Vec<Sent>,
    epochs: HashSet<Epoch>,
    /// The events that readers saw after the last check, and that may not be lost any more.
    shown: BTreeMap<u64, (String, String)>,
}

impl Run {
    pub(super) fn new(durability: Durability, seed: u64) -> Self {
        let disk = Sim::new(seed);
        Self {
            disk,
            durability,
            engine: None,
            sent: Vec::new(),
            epochs: HashSet::new(),
            shown: BTreeMap::new(),
        }
    }

    pub(super) async fn play(&mut self, script: &[Act]) {
        for act in script {
            if self.engine.is_none() {
                // A failing disk may keep a server from starting; the next step tries again.
                self.engine = open(&self.disk, self.durability).ok();
            }
            match *act {
                Act::Publish(topic, count, has_key) => {
                    let sent = self.next(topic, count, has_key);
                    self.send(vec![sent]).await;
                }
                Act::Together(topics) => {
                    let all = topics.iter().map(|topic| self.next(topic, 1, false)).collect::<Vec<_>>();
                    self.send(all).await;
                }
                Act::Sweep => {
                    if let Some(engine) = &self.engine {
                        engine.sweep();
                    }
                }
                Act::Restart => self.engine = None,
            }
        }
        // Once this append is answered, a sweep that was requested is over.
        let last = self.next("a", 1, false);
        self.send(vec![last]).await;
    }

    pub(super) fn next(&self, topic: &'static str, count: usize, has_key: bool) -> Sent {
        let at = self.sent.len() + usize::from(!self.sent.is_empty()) * 100;
        let texts = (0..count).map(|n| format!("{topic}-{at}-{n}")).collect();
        Sent { topic, texts, key: has_key.then(|| format!("key-{at}")), answer: None }
    }

    async fn send(&mut self, mut all: Vec<Sent>) {
        for (n, sent) in all.iter_mut().enumerate() {
            for text in &mut sent.texts {
                *text = format!("{text}-{n}");
            }
        }
        if let Some(engine) = &self.engine {
            let answers = futures_util::future::join_all(all.iter().map(|sent| engine.append(sent.append())));
            for (sent, answer) in all.iter_mut().zip(answers.await) {
                sent.answer = answer.ok();
                self.epochs.extend(sent.answer.iter().flatten().map(|cursor| cursor.epoch));
            }
        }
        self.sent.extend(all);
    }

    /// Starts the server again on a disk that works, and checks it. `is_kept`: no acknowledged event may be lost.
    pub(super) async fn check(&mut self, is_kept: bool) {
        self.engine = None;
        self.is_checked(is_kept);
        let engine = open(&self.disk, self.durability).unwrap_or_else(|error| panic!("no start: {error}"));
        self.epochs.insert(engine.tail().epoch());
        assert_eq!(self.epochs.len(), 1, "it is another log");
        let there = read(&engine).await;
        self.is_published(&there);
        if is_kept {
            self.is_kept(&there);
            self.is_resumed(&engine, &there).await;
        }
        self.goes_on(&engine, &there).await;
        self.shown = read(&engine).await;
        self.engine = Some(engine);
    }

    /// Checks that the log's own check changes nothing and, with `is_kept`, reports no loss.
    fn is_checked(&self, is_kept: bool) {
        let before = self.disk.changes();
        match check_on(Arc::new(self.disk.clone()), Path::new(FOLDER)) {
            Ok(checked) => {
                let lost: Vec<_> = checked.findings.iter().filter(|finding| finding.is_loss()).collect();
                assert!(!is_kept || lost.is_empty(), "{lost:?}");
            }
            Err(LogError::None(_)) => {}
            Err(error) => panic!("it can't be checked: {error}"),
        }
        assert_eq!(self.disk.changes(), before, "a check has changed something");
    }

    /// Checks that every event that is there was published, that appends are there as a whole and once, and that
    /// offsets are those of the answers.
    fn is_published(&self, there: &BTreeMap<u64, (String, String)>) {
        let mut places: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (offset, (_, text)) in there {
            places.entry(text).or_default().push(*offset);
        }
        for sent in &self.sent {
            let found: Vec<_> = sent.texts.iter().map(|text| places.remove(text.as_str())).collect();
            let count = found.iter().flatten().count();
            assert!(count == 0 || count == found.len(), "a part of {sent:?} is there: {found:?}");
            let found: Vec<u64> = found.into_iter().flatten().flatten().collect();
            assert!(found.len() <= sent.texts.len(), "{sent:?} is there more than once: {found:?}");
            assert!(found.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{sent:?} is at {found:?}");
            assert!(found.iter().all(|offset| there[offset].0 == sent.topic), "{sent:?} is at {found:?}");
            if let (Some(answer), false) = (&sent.answer, found.is_empty()) {
                let answer: Vec<u64> = answer.iter().map(|cursor| cursor.offset.0).collect();
                assert_eq!(answer, found, "{sent:?}");
            }
        }
        assert!(places.is_empty(), "nobody published {places:?}");
        let mut given = BTreeSet::new();
        for cursor in self.sent.iter().flat_map(|sent| sent.answer.iter().flatten()) {
            assert!(given.insert(cursor.offset), "{cursor} was given out twice");
        }
    }

    /// Checks that the newest acknowledged events are there, as many as retention keeps.
    fn is_kept(&self, there: &BTreeMap<u64, (String, String)>) {
        for of in 0..2 {
            let mut all: Vec<(u64, &str)> = Vec::new();
            for sent in self.sent.iter().filter(|sent| shelf(sent.topic) == Some(of)) {
                let offsets = sent.answer.iter().flatten().map(|cursor| cursor.offset.0);
                all.extend(offsets.zip(sent.texts.iter().map(String::as_str)));
            }
            // Events of a refused append may be there all the same, and count for retention.
            let ours = there.values().filter(|(topic, _)| shelf(topic) == Some(of)).count();
            let refused = ours.saturating_sub(all.len());
            all.extend(
                self.shown
                    .iter()
                    .filter(|(_, (topic, _))| shelf(topic) == Some(of))
                    .map(|(offset, (_, text))| (*offset, text.as_str())),
            );
            all.sort_unstable();
            all.dedup();
            for (offset, text) in all.iter().rev().take(KEPT - refused.min(KEPT)) {
                let found = there.get(offset).map(|(_, text)| text.as_str());
                assert_eq!(found, Some(*text), "{offset} was acknowledged; there is {there:?}");
            }
        }
    }

    /// Checks that a reader that resumes after an event gets every later one, or a reset.
    async fn is_resumed(&self, engine: &DiskEngine, there: &BTreeMap<u64, (String, String)>) {
        let acknowledged: BTreeMap<u64, &str> = self
            .sent
            .iter()
            .filter(|sent| shelf(sent.topic).is_some())
            .flat_map(|sent| {
                let offsets = sent.answer.iter().flatten().map(|cursor| cursor.offset.0);
                offsets.zip(std::iter::repeat(sent.topic))
            })
            .collect();
        for topic in ["a", "b.1", "b.*"] {
            let takes = |other: &str| other == topic || (topic == "b.*" && other.starts_with("b."));
            let ours: Vec<u64> =
                acknowledged.iter().filter(|(_, topic)| takes(topic)).map(|(offset, _)| *offset).collect();
            for after in ours.iter().step_by(3) {
                let cursor = engine.tail().cursor(Offset(*after));
                let (events, is_told) = follow(engine, topic, After::Cursor(cursor)).await;
                let expected: Vec<u64> = there
                    .iter()
                    .filter(|(offset, (topic, _))| *offset > after && takes(topic))
                    .map(|(offset, _)| *offset)
                    .collect();
                let is_gone = ours.iter().any(|offset| offset > after && !there.contains_key(offset));
                assert!(is_told || !is_gone, "{topic} after {after}: nobody is told of what is gone");
                if !is_told {
                    assert_eq!(events, expected, "{topic} after {after}");
                }
            }
        }
    }

    /// Checks that new events get new offsets, and that the keys of events that are there are remembered.
    async fn goes_on(&mut self, engine: &DiskEngine, there: &BTreeMap<u64, (String, String)>) {
        let seen = self.sent.iter().flat_map(|sent| sent.answer.iter().flatten());
        let seen = seen.map(|cursor| cursor.offset.0).max().unwrap_or(0);
        let mut next = self.next("a", 1, false);
        next.texts[0].push_str("-on");
        let answer = engine.append(next.append()).await.unwrap();
        assert!(answer[0].offset.0 > seen, "{} was given out before: {seen}", answer[0]);
        next.answer = Some(answer);
        self.sent.push(next);
        let is_there = |sent: &Sent| there.values().any(|(_, text)| *text == sent.texts[0]);
        let keyed: Vec<usize> = (0..self.sent.len()).filter(|at| self.sent[*at].key.is_some()).collect();
        for at in keyed {
            let sent = self.sent[at].clone();
            let was_there = is_there(&sent);
            let again = engine.append(sent.append()).await.unwrap();
            let found: Vec<_> = there.iter().filter(|(_, (_, text))| sent.texts.contains(text)).collect();
            if was_there {
                let found: Vec<u64> = found.iter().map(|(offset, _)| **offset).collect();
                let again: Vec<u64> = again.iter().map(|cursor| cursor.offset.0).collect();
                assert_eq!(again, found, "{sent:?} was repeated");
            } else {
                // The append is published anew: with other offsets, if it had been acknowledged and was dropped.
                self.sent[at].key = None;
                let mut anew = sent.clone();
                anew.answer = Some(again);
                if sent.answer.is_none() {
                    self.sent[at].answer = anew.answer;
                } else {
                    self.sent.remove(at);
                    self.sent.insert(at, anew);
                }
            }
        }
    }
}

/// Reads all events, by offset, each with its topic and text.
pub(super) async fn read(engine: &DiskEngine) -> BTreeMap<u64, (String, String)> {
    let mut all = BTreeMap::new();
    let filters: Vec<Filter> = vec![">".parse().unwrap()];
    let mut subscription = Subscription::new(
        &engine.tail(),
        &filters,
        After::Earliest,
        Policy::All,
        Technique::Sse,
        Shard::DIRECT,
    );
    let mut last = 0;
    while let Some(Batch { events, .. }) = subscription.now(7).await {
        for event in &events {
            let event = event.event();
            let offset = event.cursor.offset.0;
            assert!(offset > last, "{offset} comes after {last}");
            last = offset;
            all.insert(offset, (event.topic.as_str().to_owned(), text(&event.data)));
        }
    }
    all
}

/// Reads a topic or pattern; returns the offsets of its events, and true if a reset came.
pub(super) async fn follow(engine: &DiskEngine, topic: &str, after: After) -> (Vec<u64>, bool) {
    let filters: Vec<Filter> = vec![topic.parse().unwrap()];
    let mut subscription =
        Subscription::new(&engine.tail(), &filters, after, Policy::All, Technique::Sse, Shard::DIRECT);
    let (mut offsets, mut is_told) = (Vec::new(), false);
    while let Some(Batch { reset, events }) = subscription.now(7).await {
        is_told |= reset.is_some();
        offsets.extend(events.iter().map(|event| event.event().cursor.offset.0));
    }
    (offsets, is_told)
}

pub(super) fn text(data: &Data) -> String {
    match data {
        Data::Json(raw) | Data::Text(raw) => serde_json::from_str(raw.get()).unwrap(),
        Data::Bytes(bytes) => format!("{bytes:?}"),
    }
}
