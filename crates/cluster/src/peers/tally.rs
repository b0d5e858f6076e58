//! Counts that several servers share, as one of them knows them: a pure state machine.
//!
//! Each server changes its own counts only, and tells the others those that changed, as [`Delta`]s with consecutive
//! versions. A server that misses one takes all counts of the other again, in pages.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry},
    ops::Bound,
};

use serde::{Deserialize, Serialize};

/// Number of counts in one delta or page, at most.
pub(super) const PAGE: usize = 1000;
/// Number of deltas that are kept while the pages of another server are taken. With more, they are taken again.
const MAX_WAITING: usize = 1000;
/// Number of counts of one other server that are known at most. Further ones count as 0.
const MAX_COUNTS: usize = 1_000_000;
/// Number of other servers that are known at most.
const MAX_OTHERS: usize = 1000;

/// The counts of a server that changed from one version of them to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delta {
    /// Id of the server.
    pub(super) node: String,
    /// Version of the counts before the change.
    pub(super) from: u64,
    /// Version of the counts after the change: the same if nothing has changed.
    pub(super) to: u64,
    /// The new counts, by key.
    pub(super) counts: Vec<(Box<str>, u32)>,
}

/// A page of all counts of a server, in the order of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Page {
    /// Version of the counts when the page was made.
    pub(super) version: u64,
    /// The counts of the page, by key.
    pub(super) counts: Vec<(Box<str>, u32)>,
    /// True if no further page follows.
    pub(super) is_last: bool,
}

/// A key whose sum over all servers became 0, or was 0 before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The key whose sum has changed.
    pub key: Box<str>,
    /// True if the sum is above 0 now.
    pub is_some: bool,
    /// Id of the server whose count changed.
    pub node: String,
    /// Version of that server's counts; `u64::MAX` if the server is gone.
    pub version: u64,
}

/// The counts of all servers.
#[derive(Debug, Default)]
pub(super) struct Tally {
    node: String,
    version: u64,
    own: BTreeMap<Box<str>, u32>,
    /// Keys of own counts that changed since the last delta.
    changed: BTreeSet<Box<str>>,
    others: HashMap<String, Other>,
    sums: HashMap<Box<str>, u64>,
}

/// The counts of one other server.
#[derive(Debug, Default)]
struct Other {
    version: u64,
    counts: BTreeMap<Box<str>, u32>,
    /// Set while pages are taken.
    taking: Option<Taking>,
}

/// Pages that are being taken, and the deltas that came meanwhile.
#[derive(Debug, Default)]
struct Taking {
    /// Version of the first page, once that is there.
    since: Option<u64>,
    counts: BTreeMap<Box<str>, u32>,
    waiting: Vec<Delta>,
}

/// The next thing to do after a delta or a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing is left to do.
    Nothing,
    /// The page of this server's counts after a key must be asked for; the first one without a key.
    Ask { after: Option<Box<str>> },
}

impl Tally {
    pub(super) fn new(node: &str) -> Self {
        Self { node: node.to_owned(), ..Self::default() }
    }

    /// Adds to an own count.
    pub(super) fn add(&mut self, key: &str, by: i32) -> Option<Turn> {
        let is = self.own.get(key).copied().unwrap_or(0).saturating_add_signed(by);
        if is == 0 {
            self.own.remove(key);
        } else {
            self.own.insert(key.into(), is);
        }
        self.changed.insert(key.into());
        let version = self.version + 1;
        let node = self.node.clone();
        shift(&mut self.sums, key, by.into(), &node, version)
    }

    /// Returns the sum of the other servers' counts.
    pub(super) fn elsewhere(&self, key: &str) -> u64 {
        let sum = self.sums.get(key).copied().unwrap_or(0);
        sum.saturating_sub(self.own.get(key).copied().unwrap_or(0).into())
    }

    /// True if the sum of all servers' counts is above 0.
    pub(super) fn is_some(&self, key: &str) -> bool {
        self.sums.contains_key(key)
    }

    /// Returns a delta of own counts that have changed; `None` if all were told.
    pub(super) fn changes(&mut self) -> Option<Delta> {
        if self.changed.is_empty() {
            return None;
        }
        let mut counts = Vec::new();
        while counts.len() < PAGE
            && let Some(key) = self.changed.pop_first()
        {
            let count = self.own.get(&key).copied().unwrap_or(0);
            counts.push((key, count));
        }
        self.version += 1;
        Some(Delta { node: self.node.clone(), from: self.version - 1, to: self.version, counts })
    }

    /// Returns a delta that tells the present version and no change.
    pub(super) fn present(&self) -> Delta {
        Delta { node: self.node.clone(), from: self.version, to: self.version, counts: Vec::new() }
    }

    /// Returns the page of own counts after a key.
    pub(super) fn page(&self, after: Option<&str>) -> Page {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.own.range::<str, _>((from, Bound::Unbounded));
        let counts = rest.by_ref().take(PAGE).map(|(key, count)| (key.clone(), *count)).collect();
        Page { version: self.version, counts, is_last: rest.next().is_none() }
    }

    /// Applies a delta of another server.
    pub(super) fn delta(&mut self, delta: Delta) -> (Vec<Turn>, Then) {
        if delta.node == self.node {
            return (Vec::new(), Then::Nothing);
        }
        let is_new = !self.others.contains_key(&delta.node);
        if is_new && self.others.len() >= MAX_OTHERS {
            return (Vec::new(), Then::Nothing);
        }
        let other = self.others.entry(delta.node.clone()).or_default();
        if let Some(taking) = &mut other.taking {
            if taking.waiting.len() < MAX_WAITING {
                taking.waiting.push(delta);
                return (Vec::new(), Then::Nothing);
            }
        } else if delta.from == other.version {
            return (self.apply(&delta), Then::Nothing);
        } else if delta.to <= other.version && !is_new {
            // Told twice.
            return (Vec::new(), Then::Nothing);
        }
        other.taking = Some(Taking::default());
        (Vec::new(), Then::Ask { after: None })
    }

    /// Applies a page of another server's counts, which it was asked for; `None` if it did not answer.
    pub(super) fn paged(&mut self, node: &str, page: Option<Page>) -> (Vec<Turn>, Then) {
        let Some(other) = self.others.get_mut(node) else { return (Vec::new(), Then::Nothing) };
        let (Some(taking), Some(page)) = (&mut other.taking, page) else {
            // The next delta will find that its version does not follow, and begin again.
            other.taking = None;
            return (Vec::new(), Then::Nothing);
        };
        let since = *taking.since.get_or_insert(page.version);
        let last = page.counts.last().map(|(key, _)| key.clone());
        let known = taking.counts.len();
        taking.counts.extend(page.counts);
        // A server that sends the same page again and again is not asked for ever.
        let has_grown = taking.counts.len() > known;
        if !page.is_last && has_grown && taking.counts.len() < MAX_COUNTS {
            return (Vec::new(), Then::Ask { after: last });
        }
        let Some(Taking { mut counts, waiting, .. }) = other.taking.take() else {
            return (Vec::new(), Then::Nothing);
        };
        // Later pages may have what these say already; absolute counts do not mind.
        let mut version = since;
        for delta in waiting.into_iter().filter(|delta| delta.to > since) {
            if delta.from > version {
                // One is missing: the pages are taken again.
                other.taking = Some(Taking::default());
                return (Vec::new(), Then::Ask { after: None });
            }
            version = version.max(delta.to);
            for (key, count) in delta.counts {
                if count == 0 {
                    counts.remove(&key);
                } else {
                    counts.insert(key, count);
                }
            }
        }
        let gone: Vec<_> = other.counts.keys().filter(|key| !counts.contains_key(*key)).cloned().collect();
        let counts = counts.into_iter().chain(gone.into_iter().map(|key| (key, 0))).collect();
        let all = Delta { node: node.to_owned(), from: other.version, to: version, counts };
        (self.apply(&all), Then::Nothing)
    }

    /// Forgets the counts of a server that is gone.
    pub(super) fn forget(&mut self, node: &str) -> Vec<Turn> {
        let Some(other) = self.others.remove(node) else { return Vec::new() };
        let gone = other.counts.into_iter();
        gone.filter_map(|(key, count)| shift(&mut self.sums, &key, -i64::from(count), node, u64::MAX))
            .collect()
    }

    fn apply(&mut self, delta: &Delta) -> Vec<Turn> {
        let Some(other) = self.others.get_mut(&delta.node) else { return Vec::new() };
        let mut turns = Vec::new();
        for (key, count) in &delta.counts {
            let has_room = other.counts.len() < MAX_COUNTS;
            let was = match other.counts.entry(key.clone()) {
                Entry::Occupied(entry) if *count == 0 => entry.remove(),
                Entry::Occupied(mut entry) => entry.insert(*count),
                Entry::Vacant(entry) if *count > 0 && has_room => {
                    entry.insert(*count);
                    0
                }
                Entry::Vacant(_) => continue,
            };
            let by = i64::from(*count) - i64::from(was);
            turns.extend(shift(&mut self.sums, key, by, &delta.node, delta.to));
        }
        other.version = delta.to;
        turns
    }
}

/// Adds to a sum. Returns the turn if the sum becomes 0 or was 0 before.
fn shift(sums: &mut HashMap<Box<str>, u64>, key: &str, by: i64, node: &str, version: u64) -> Option<Turn> {
    let was = sums.get(key).copied().unwrap_or(0);
    let is = was.saturating_add_signed(by);
    if is == 0 {
        sums.remove(key);
    } else {
        sums.insert(key.into(), is);
    }
    let turn = |is_some| Turn { key: key.into(), is_some, node: node.to_owned(), version };
    ((was == 0) != (is == 0)).then(|| turn(is > 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An action of the model.
    #[derive(Clone, Debug)]
    enum Act {
        /// A server adds to one of its counts, or takes from it.
        Add(usize, u8, bool),
        /// A server tells what changed, and each other one hears it or not.
        Tell(usize, [bool; 3]),
        /// A server answers the oldest question, or not.
        Answer(bool),
        /// A server's process ends, and another takes its place.
        Die(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            8 => (0_usize..3, any::<u8>(), any::<bool>()).prop_map(|(node, key, up)| Act::Add(node, key % 12, up)),
            5 => (0_usize..3, any::<[bool; 3]>()).prop_map(|(node, hears)| Act::Tell(node, hears)),
            4 => any::<bool>().prop_map(Act::Answer),
            1 => (0_usize..3).prop_map(Act::Die),
        ]
    }

    /// A question between two servers: who asks, who is asked, and after which key.
    type Question = (usize, String, Option<Box<str>>);

    struct World {
        nodes: Vec<Tally>,
        questions: Vec<Question>,
        lives: u32,
        /// The keys of each server, with true for those that turns have told it are somewhere.
        told: Vec<HashMap<Box<str>, bool>>,
    }

    impl World {
        fn new() -> Self {
            let nodes = (0..3).map(|at| Tally::new(&format!("{at}"))).collect();
            Self { nodes, questions: Vec::new(), lives: 2, told: vec![HashMap::new(); 3] }
        }

        fn turned(&mut self, at: usize, turns: Vec<Turn>) {
            for turn in turns {
                let was = self.told[at].insert(turn.key.clone(), turn.is_some).unwrap_or(false);
                assert_ne!(was, turn.is_some, "{} turned to what it was", turn.key);
            }
        }

        fn then(&mut self, at: usize, node: &str, (turns, then): (Vec<Turn>, Then)) {
            self.turned(at, turns);
            if let Then::Ask { after } = then {
                self.questions.push((at, node.to_owned(), after));
            }
        }

        fn hear(&mut self, at: usize, delta: &Delta) {
            let heard = self.nodes[at].delta(delta.clone());
            self.then(at, &delta.node, heard);
        }

        fn answer(&mut self, is_answered: bool) {
            if self.questions.is_empty() {
                return;
            }
            let (at, node, after) = self.questions.remove(0);
            let page = self.nodes.iter().find(|tally| tally.node == node).filter(|_| is_answered);
            let page = page.map(|tally| tally.page(after.as_deref()));
            let paged = self.nodes[at].paged(&node, page);
            self.then(at, &node, paged);
        }

        fn act(&mut self, act: &Act) {
            match act {
                Act::Add(at, key, up) => {
                    let key = format!("k{key}");
                    if *up || self.nodes[*at].own.contains_key(key.as_str()) {
                        let turn = self.nodes[*at].add(&key, if *up { 1 } else { -1 });
                        self.turned(*at, turn.into_iter().collect());
                    }
                }
                Act::Tell(at, hears) => {
                    let delta = self.nodes[*at].changes().unwrap_or_else(|| self.nodes[*at].present());
                    for (other, hears) in hears.iter().enumerate() {
                        if *hears && other != *at {
                            self.hear(other, &delta);
                        }
                    }
                }
                Act::Answer(is_answered) => self.answer(*is_answered),
                Act::Die(at) => {
                    let gone = self.nodes[*at].node.clone();
                    self.lives += 1;
                    self.nodes[*at] = Tally::new(&self.lives.to_string());
                    self.told[*at].clear();
                    self.questions.retain(|(asks, ..)| asks != at);
                    for other in (0..3).filter(|other| other != at) {
                        let turns = self.nodes[other].forget(&gone);
                        self.turned(other, turns);
                    }
                }
            }
        }

        /// Lets everything be told and answered.
        fn settle(&mut self) {
            for _ in 0..8 {
                for at in 0..3 {
                    self.act(&Act::Tell(at, [true; 3]));
                }
                while !self.questions.is_empty() {
                    self.answer(true);
                }
            }
        }
    }

    proptest! {
        /// Whatever is lost meanwhile, in the end each server knows the others' counts, and was told every turn once.
        #[test]
        fn everybody_knows_in_the_end(acts in prop::collection::vec(act(), 0..120)) {
            let mut world = World::new();
            for act in &acts {
                world.act(act);
            }
            world.settle();
            for at in 0..3 {
                for key in (0..12).map(|key| format!("k{key}")) {
                    let count = |tally: &Tally| u64::from(tally.own.get(key.as_str()).copied().unwrap_or(0));
                    let others: u64 = (0..3).filter(|other| *other != at).map(|other| count(&world.nodes[other])).sum();
                    prop_assert_eq!(world.nodes[at].elsewhere(&key), others, "{} at {}", key, at);
                    let is_somewhere = others + count(&world.nodes[at]) > 0;
                    let told = world.told[at].get(key.as_str()).copied().unwrap_or(false);
                    prop_assert_eq!(told, is_somewhere, "{} at {}", key, at);
                }
            }
        }
    }

    #[test]
    fn a_server_that_sends_the_same_page_for_ever_is_asked_twice() {
        let mut tally = Tally::new("one");
        let delta = Delta { node: "other".to_owned(), from: 5, to: 5, counts: Vec::new() };
        assert_eq!(tally.delta(delta).1, Then::Ask { after: None });
        let page = || Some(Page { version: 5, counts: vec![("a".into(), 1)], is_last: false });
        assert_eq!(tally.paged("other", page()).1, Then::Ask { after: Some("a".into()) });
        assert_eq!(tally.paged("other", page()).1, Then::Nothing);
        assert_eq!(tally.elsewhere("a"), 1);
    }

    #[test]
    fn pages_and_what_changes_meanwhile_are_put_together() {
        let (mut one, mut other) = (Tally::new("one"), Tally::new("other"));
        for key in 0..2 * PAGE + 10 {
            one.add(&format!("{key:05}"), 1);
        }
        while one.changes().is_some() {}
        let (_, then) = other.delta(one.present());
        assert_eq!(then, Then::Ask { after: None });
        let (_, then) = other.paged("one", Some(one.page(None)));
        let Then::Ask { after } = then else { panic!("{then:?}") };
        // One of the first page goes, one of the next pages comes.
        one.add("00000", -1);
        one.add("99999", 1);
        other.delta(one.changes().unwrap());
        let (_, then) = other.paged("one", Some(one.page(after.as_deref())));
        let Then::Ask { after } = then else { panic!("{then:?}") };
        let (turns, then) = other.paged("one", Some(one.page(after.as_deref())));
        assert_eq!((turns.len(), then), (2 * PAGE + 10, Then::Nothing));
        assert_eq!([other.elsewhere("00000"), other.elsewhere("99999")], [0, 1]);
        assert_eq!(other.delta(one.present()), (Vec::new(), Then::Nothing));
    }
}
