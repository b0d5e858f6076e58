//! A log whose order is decided elsewhere: readers that know more than this node, and copies that begin anew.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use fourways_log::{
    engine::{
        Append, Clock as _, Copy, Draft, EngineError, Followed, FollowedLog, Key, Retention, RetentionRule,
        Shard, Storage, SystemClock, TailCap,
    },
    subscription::Subscription,
};
use fourways_shared::{
    After, Cursor, Data, Epoch, Event, EventName, Filter, Offset, Policy, ResetReason, Technique,
};
use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};

const TOPICS: [&str; 3] = ["a.x", "a.y", "b.x"];

/// A node that follows, and the folder in which its copy may be.
struct Node {
    log: Arc<FollowedLog>,
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

fn epoch(life: u64) -> Epoch {
    Epoch::from_bits(life + 1)
}

fn rules() -> Vec<RetentionRule> {
    vec![RetentionRule::for_all(Retention::default())]
}

fn in_folder(folder: &tempfile::TempDir) -> Copy {
    Copy::Disk { folder: folder.path().join("log"), cap: TailCap { events: 8, bytes: 1 << 20 } }
}

fn in_memory(_: &tempfile::TempDir) -> Copy {
    Copy::Memory
}

const COPIES: [fn(&tempfile::TempDir) -> Copy; 2] = [in_memory, in_folder];

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

impl Node {
    fn begin(copy: fn(&tempfile::TempDir) -> Copy, after: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = FollowedLog::begin(copy(&folder), rules(), 1, (epoch(0), Offset(after))).unwrap();
        Self { log: Arc::new(log), runtime: runtime(), _folder: folder }
    }

    /// Follows one append, and waits until it can be read.
    fn follow(&self, topic: &str, offsets: std::ops::RangeInclusive<u64>, id: Option<&str>) {
        let (last, mut head) = (Offset(*offsets.end()), self.log.head());
        let epoch = self.log.tail().epoch();
        let events = offsets.map(|offset| Event {
            topic: topic.parse().unwrap(),
            cursor: Cursor { epoch, offset: Offset(offset) },
            name: EventName::DEFAULT,
            id: id.map(|id| id.parse().unwrap()),
            published_at_us: SystemClock::default().wall_us(),
            data: Data::text(&offset.to_string()),
        });
        let append = Followed { events: events.collect(), by: None };
        self.runtime.block_on(async {
            self.log.put(vec![append], true).await;
            let reached = head.wait_for(|head| head.offset >= last);
            tokio::time::timeout(Duration::from_mins(1), reached).await.unwrap().unwrap();
        });
    }

    fn subscribe(&self, filters: &[&str], after: After, policy: Policy) -> Subscription {
        let filters: Vec<Filter> = filters.iter().map(|filter| filter.parse().unwrap()).collect();
        Subscription::new(&self.log.tail(), &filters, after, policy, Technique::Sse, Shard::DIRECT)
    }

    /// Returns what can be read now: resets, and the offsets of events.
    fn read(&self, subscription: &mut Subscription) -> (Vec<ResetReason>, Vec<u64>) {
        let (mut resets, mut offsets) = (Vec::new(), Vec::new());
        self.runtime.block_on(async {
            while let Some(batch) = subscription.now(3).await {
                resets.extend(batch.reset.map(|reset| reset.reason));
                offsets.extend(batch.events.iter().map(|event| event.offset()));
            }
        });
        (resets, offsets)
    }
}

fn at(life: u64, offset: u64) -> After {
    After::Cursor(Cursor { epoch: epoch(life), offset: Offset(offset) })
}

#[test]
fn a_cursor_ahead_of_the_node_waits_and_keeps_its_place() {
    for copy in COPIES {
        for policy in [Policy::All, Policy::Latest] {
            for filters in [&["a.x"][..], &["a.*"], &[">"], &["a.x", "b.*"]] {
                let node = Node::begin(copy, 0);
                node.follow("a.x", 1..=3, None);
                let mut ahead = node.subscribe(filters, at(0, 5), policy);
                assert!(ahead.is_ahead());
                assert_eq!(node.read(&mut ahead), (vec![], vec![]));
                assert_eq!(ahead.cursor().offset, Offset(5), "never a smaller cursor than it had");
                node.follow("a.x", 4..=4, None);
                assert_eq!(node.read(&mut ahead), (vec![], vec![]));
                node.follow("a.x", 5..=6, None);
                assert_eq!(node.read(&mut ahead), (vec![], vec![6]), "{filters:?} {policy:?}");
                assert!(!ahead.is_ahead());
            }
        }
    }
}

#[test]
fn a_cursor_beyond_the_end_of_the_log_is_reset_once_that_is_certain() {
    for copy in COPIES {
        let node = Node::begin(copy, 0);
        node.follow("a.x", 1..=3, None);
        let mut reader = node.subscribe(&["a.x"], at(0, 7), Policy::All);
        for _ in 0..2 {
            assert_eq!(node.read(&mut reader), (vec![], vec![]));
            assert_eq!(reader.cursor().offset, Offset(7));
            node.log.confirm_end(Offset(3));
        }
        assert_eq!(node.read(&mut reader), (vec![ResetReason::Epoch], vec![1, 2, 3]));
        // A node that is only behind does not reset.
        let mut reader = node.subscribe(&["a.x"], at(0, 7), Policy::All);
        node.log.confirm_end(Offset(9));
        node.log.confirm_end(Offset(9));
        assert_eq!(node.read(&mut reader), (vec![], vec![]));
        node.follow("a.x", 4..=9, None);
        assert_eq!(node.read(&mut reader), (vec![], vec![8, 9]));
    }
}

#[test]
fn a_log_that_begins_anew_is_told_to_readers_that_wait() {
    for copy in COPIES {
        let node = Node::begin(copy, 0);
        node.follow("a.x", 1..=3, None);
        let mut reader = node.subscribe(&["a.x", "b.*"], After::Earliest, Policy::All);
        assert_eq!(node.read(&mut reader).1, [1, 2, 3]);
        let waiting = node.runtime.spawn({
            let deadline = std::time::Instant::now() + Duration::from_mins(1);
            async move { (reader.next(10, deadline).await, reader) }
        });
        node.runtime.block_on(tokio::task::yield_now());
        node.log.begin_anew(epoch(1), Offset(0)).unwrap();
        let (batch, mut reader) = node.runtime.block_on(waiting).unwrap();
        let reset = batch.expect("the reader is woken").reset.expect("and told");
        assert_eq!((reset.reason, reset.cursor.epoch), (ResetReason::Epoch, epoch(1)));
        node.follow("b.z", 1..=1, None);
        assert_eq!(node.read(&mut reader), (vec![], vec![1]));
        let meters = node.log.tail();
        assert_eq!(meters.meters().reads(Technique::Sse).open, 0, "a reader of the server's own thread");
    }
}

#[test]
fn a_node_that_missed_what_the_order_no_longer_has_tells_who_needs_it() {
    for copy in COPIES {
        let node = Node::begin(copy, 0);
        node.follow("a.x", 1..=3, None);
        let mut behind = node.subscribe(&["a.x"], at(0, 2), Policy::All);
        let mut ahead = node.subscribe(&["a.x"], at(0, 12), Policy::All);
        node.log.begin_anew(epoch(0), Offset(10)).unwrap();
        node.follow("a.x", 11..=13, None);
        assert_eq!(node.read(&mut behind), (vec![ResetReason::Retention], vec![11, 12, 13]));
        assert_eq!(node.read(&mut ahead), (vec![], vec![13]));
        let mut fresh = node.subscribe(&["a.x", ">"], at(0, 9), Policy::All);
        assert_eq!(node.read(&mut fresh).0, [ResetReason::Retention]);
        let mut fresh = node.subscribe(&["a.x", ">"], at(0, 10), Policy::All);
        assert_eq!(node.read(&mut fresh), (vec![], vec![11, 12, 13]));
    }
}

fn append(id: &str, texts: &[&str]) -> Append {
    let drafts =
        texts.iter().map(|text| Draft { name: EventName::DEFAULT, data: Data::text(text) }).collect();
    Append { topic: "a.x".parse().unwrap(), drafts, key: Some(Key { id: id.parse().unwrap(), by: None }) }
}

#[test]
fn a_copy_on_the_disk_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node {
        log: Arc::new(FollowedLog::begin(in_folder(&folder), rules(), 1, (epoch(0), Offset(4))).unwrap()),
        runtime: runtime(),
        _folder: tempfile::tempdir().unwrap(),
    };
    node.follow("a.x", 5..=6, Some("k"));
    node.follow("b.x", 9..=9, None);
    drop(node);
    let resume = || FollowedLog::resume(in_folder(&folder), rules(), 1).unwrap();
    let log = resume().expect("it was closed in order");
    assert_eq!((log.tail().epoch(), log.head().borrow().offset), (epoch(0), Offset(9)));
    assert_eq!(log.newest_kept().unwrap().offset(), 9);
    let cursors = log.look(&append("k", &["5", "6"])).unwrap().expect("the key is known");
    assert_eq!(cursors.iter().map(|cursor| cursor.offset.0).collect::<Vec<_>>(), [5, 6]);
    assert!(log.look(&append("other", &["5", "6"])).unwrap().is_none());
    let node = Node { log: Arc::new(log), runtime: runtime(), _folder: tempfile::tempdir().unwrap() };
    node.follow("a.x", 10..=10, None);
    let mut reader = node.subscribe(&[">"], at(0, 4), Policy::All);
    assert_eq!(node.read(&mut reader), (vec![], vec![5, 6, 9, 10]));
    drop(reader);
    let mut reader = node.subscribe(&[">"], at(0, 3), Policy::All);
    assert_eq!(node.read(&mut reader).0, [ResetReason::Retention], "what lies before was never here");
    drop((reader, node));
    // The process was killed, and the machine is the same: the copy is whole. Then the machine went down.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let write = |state: &str| {
        std::fs::write(folder.path().join("log/followed"), format!("copy.1 {state}\n")).unwrap();
    };
    write(boot.trim());
    drop(resume().expect("the kernel has what was written"));
    write("another-boot");
    assert!(resume().is_none(), "a copy that may lack something is not used");
    let log = FollowedLog::begin(in_folder(&folder), rules(), 1, (epoch(0), Offset(0))).unwrap();
    assert_eq!(log.head().borrow().offset, Offset(0));
    let copies = std::fs::read_dir(folder.path().join("log")).unwrap();
    let copies = copies.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(copies, 1, "the old one is gone");
}

#[test]
fn a_key_used_for_other_events_is_refused() {
    let node = Node::begin(in_memory, 0);
    node.follow("a.x", 1..=1, Some("k"));
    assert!(matches!(node.log.look(&append("k", &["something else"])), Err(EngineError::KeyReused)));
}

#[test]
fn the_folder_of_a_single_server_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let Copy::Disk { folder: path, cap } = in_folder(&folder) else { unreachable!() };
    let storage = Storage::Disk { folder: path, durability: fourways_log::engine::Durability::Always, cap };
    drop(storage.open(rules(), 1).unwrap());
    let refused = FollowedLog::begin(in_folder(&folder), rules(), 1, (epoch(0), Offset(0)));
    assert!(refused.unwrap_err().to_string().contains("holds the log of a single server"));
    assert!(FollowedLog::resume(in_folder(&folder), rules(), 1).is_err());
    drop(storage.open(rules(), 1).unwrap());
}

/// An event in the life of a cluster of two nodes.
#[derive(Clone, Debug)]
enum Step {
    /// Somebody publishes to a topic.
    Publish { topic: usize, count: usize },
    /// A node follows this many of the appends that it lacks.
    Follow { node: usize, count: usize },
    /// The reader reads what is there.
    Read,
    /// The reader goes to a node with its cursor.
    Go { node: usize },
    /// The log is lost, and begins anew.
    Lose,
    /// A node loses its copy, and begins another at the beginning of the log.
    Forget { node: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_usize, 1..4_usize).prop_map(|(topic, count)| Step::Publish { topic, count }),
        4 => (0..2_usize, 1..5_usize).prop_map(|(node, count)| Step::Follow { node, count }),
        4 => Just(Step::Read),
        3 => (0..2_usize).prop_map(|node| Step::Go { node }),
        1 => Just(Step::Lose),
        1 => (0..2_usize).prop_map(|node| Step::Forget { node }),
    ];
    prop::collection::vec(step, 1..40)
}

/// The order, and the part of it that each node has.
struct Cluster {
    life: u64,
    appends: Vec<(usize, std::ops::RangeInclusive<u64>)>,
    nodes: [Node; 2],
    /// The life that each node follows, and the number of appends that it has of it.
    has: [(u64, usize); 2],
}

impl Cluster {
    fn follow(&mut self, node: usize, count: usize) {
        if self.has[node].0 != self.life {
            self.nodes[node].log.begin_anew(epoch(self.life), Offset(0)).unwrap();
            self.has[node] = (self.life, 0);
        }
        for _ in 0..count {
            let Some((topic, offsets)) = self.appends.get(self.has[node].1).cloned() else { return };
            self.nodes[node].follow(TOPICS[topic], offsets, None);
            self.has[node].1 += 1;
        }
    }
}

/// A reader that goes from node to node: what it got of each life must be without loss, repeat or disorder.
struct Walker {
    subscription: Subscription,
    node: usize,
    filters: &'static [&'static str],
    /// The life and offset after which everything was read, as told by the cursor and by resets.
    through: (u64, u64),
}

impl Walker {
    fn read(&mut self, cluster: &Cluster) {
        let node = &cluster.nodes[self.node];
        let wants = |topic: usize| {
            self.filters.iter().any(|filter| filter.parse::<Filter>().unwrap().matches(TOPICS[topic]))
        };
        node.runtime.block_on(async {
            while let Some(batch) = self.subscription.now(3).await {
                if let Some(reset) = batch.reset {
                    assert_ne!(
                        reset.cursor.epoch,
                        epoch(self.through.0),
                        "a reset though nothing was lost: {reset:?}"
                    );
                    self.through = (reset.cursor.epoch.bits() - 1, reset.cursor.offset.0);
                }
                for event in &batch.events {
                    assert_eq!(event.event().cursor.epoch, epoch(self.through.0));
                    let expected = (self.through.0 == cluster.life).then(|| {
                        let all = cluster.appends.iter().filter(|(topic, _)| wants(*topic));
                        all.flat_map(|(_, offsets)| offsets.clone()).find(|offset| *offset > self.through.1)
                    });
                    if let Some(expected) = expected {
                        assert_eq!(Some(event.offset()), expected);
                    }
                    assert!(event.offset() > self.through.1);
                    self.through.1 = event.offset();
                }
            }
        });
        let cursor = self.subscription.cursor();
        assert!(cursor.epoch != epoch(self.through.0) || cursor.offset.0 >= self.through.1);
        // Everything up to the cursor was read.
        if cursor.epoch == epoch(self.through.0) && self.through.0 == cluster.life {
            let all = cluster.appends.iter().filter(|(topic, _)| wants(*topic));
            let missed = all
                .flat_map(|(_, offsets)| offsets.clone())
                .find(|offset| (self.through.1 + 1..=cursor.offset.0).contains(offset));
            assert_eq!(missed, None, "the cursor {cursor} skips an event");
            self.through.1 = cursor.offset.0;
        }
    }

    fn go(&mut self, cluster: &Cluster, node: usize) {
        let after = After::Cursor(self.subscription.cursor());
        self.node = node;
        self.subscription = cluster.nodes[node].subscribe(self.filters, after, Policy::All);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_reader_may_go_to_any_node_with_its_cursor(steps in steps(), copy in 0..2_usize, filters in 0..3_usize) {
        let filters: &[&str] = [&["a.x"][..], &["a.*"], &["b.x", ">"]][filters];
        let nodes = [Node::begin(COPIES[copy], 0), Node::begin(COPIES[copy], 0)];
        let mut cluster = Cluster { life: 0, appends: Vec::new(), nodes, has: [(0, 0); 2] };
        let subscription = cluster.nodes[0].subscribe(filters, After::Earliest, Policy::All);
        let mut walker = Walker { subscription, node: 0, filters, through: (0, 0) };
        for step in steps {
            match step {
                Step::Publish { topic, count } => {
                    let last = cluster.appends.last().map_or(0, |(_, offsets)| *offsets.end());
                    cluster.appends.push((topic, last + 1..=last + count as u64));
                }
                Step::Follow { node, count } => cluster.follow(node, count),
                Step::Read => walker.read(&cluster),
                Step::Go { node } => walker.go(&cluster, node),
                Step::Lose => {
                    cluster.life += 1;
                    cluster.appends.clear();
                }
                Step::Forget { node } => {
                    let life = cluster.has[node].0;
                    // A node can't take again what the order has lost.
                    if life == cluster.life {
                        cluster.nodes[node].log.begin_anew(epoch(life), Offset(0)).unwrap();
                        cluster.has[node].1 = 0;
                    }
                }
            }
        }
        // In the end the node has everything, and so has the reader.
        cluster.follow(walker.node, usize::MAX);
        walker.read(&cluster);
        let last = cluster.appends.last().map_or(0, |(_, offsets)| *offsets.end());
        prop_assert_eq!(walker.through, (cluster.life, last));
    }
}

#[test]
fn the_newest_events_of_a_followed_log_can_be_asked_for() {
    for copy in COPIES {
        let node = Node::begin(copy, 0);
        for (offset, topic) in (1..=20).zip(TOPICS.iter().cycle().skip(1)) {
            node.follow(topic, offset..=offset, None);
        }
        let last = After::Last(NonZeroU32::new(3).unwrap());
        let mut reader = node.subscribe(&["a.*"], last, Policy::All);
        assert_eq!(node.read(&mut reader), (vec![], vec![16, 18, 19]));
    }
}
