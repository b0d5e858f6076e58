//! A stream whose replicas, consumers and network lie, and the log that a node makes of it nevertheless.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Asked, Batch, Delivered, Follow, Next, Step, Why};

/// An event: where its publisher was told that it is.
type Item = u64;

/// A message as a server stores it.
type Stored = (Item, Option<Batch>);

/// A stream, as its leader and another replica have it.
#[derive(Debug, Default)]
struct Stream {
    leader: BTreeMap<u64, Stored>,
    replica: BTreeMap<u64, Stored>,
    last: u64,
}

/// A lie, or an event that looks like one.
#[derive(Clone, Debug)]
enum Act {
    /// Events are published, as one batch or one by one.
    Publish { count: u64, is_batch: bool },
    /// A message is deleted on all servers, by retention or by hand.
    Delete { which: u64 },
    /// The replica loses a message, and nobody notices.
    Lose { which: u64 },
    /// The consumer delivers this many messages.
    Deliver { count: u64 },
    /// A message is lost between the server and the node.
    Drop,
    /// A message comes twice.
    Repeat,
    /// The consumer is made anew by a server, from its first start.
    Rewind,
    /// A heartbeat comes.
    Heartbeat,
    /// The node makes a consumer on the other server.
    Move,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (1..5_u64, any::<bool>()).prop_map(|(count, is_batch)| Act::Publish { count, is_batch }),
        1 => any::<u64>().prop_map(|which| Act::Delete { which }),
        1 => any::<u64>().prop_map(|which| Act::Lose { which }),
        8 => (1..6_u64).prop_map(|count| Act::Deliver { count }),
        1 => Just(Act::Drop),
        1 => Just(Act::Repeat),
        1 => Just(Act::Rewind),
        1 => Just(Act::Heartbeat),
        1 => Just(Act::Move),
    ];
    prop::collection::vec(act, 1..80)
}

/// A consumer on one of the servers.
#[derive(Debug)]
struct Consumer {
    is_on_replica: bool,
    began: u64,
    next: u64,
    number: u64,
}

/// A node, and the log that it has made.
struct Node {
    stream: Stream,
    consumer: Consumer,
    follow: Follow<Item>,
    log: Vec<Vec<Item>>,
    contradictions: Vec<u64>,
    remade: Vec<Why>,
}

impl Node {
    fn new() -> Self {
        Self {
            stream: Stream::default(),
            consumer: Consumer { is_on_replica: true, began: 1, next: 1, number: 0 },
            follow: Follow::new(0, None),
            log: Vec::new(),
            contradictions: Vec::new(),
            remade: Vec::new(),
        }
    }

    /// Returns the newest event in the log.
    fn newest(&self) -> Option<Item> {
        self.log.last().and_then(|append| append.last()).copied()
    }

    fn remake(&mut self, why: Why) {
        self.remade.push(why);
        let newest = self.newest();
        self.follow = Follow::new(newest.unwrap_or(0), newest.map(|newest| (newest, newest)));
        let began = self.follow.begins_at();
        let is_on_replica = !self.consumer.is_on_replica;
        self.consumer = Consumer { is_on_replica, began, next: began, number: 0 };
    }

    /// Does what the machine says, until it waits for the consumer again.
    fn obey(&mut self, step: Step<Item>) {
        let mut step = step;
        loop {
            self.log.extend(step.keep);
            match step.next {
                Next::GoOn => return,
                Next::Ask { from } => {
                    let first = self.stream.leader.range(from..).next();
                    let asked = first.map(|(offset, (item, batch))| Asked {
                        offset: *offset,
                        batch: batch.clone(),
                        item: *item,
                    });
                    step = self.follow.answer(asked);
                }
                Next::Remake(why) => return self.remake(why),
                Next::Contradiction { offset } => {
                    self.contradictions.push(offset);
                    return self.remake(Why::Ended);
                }
            }
        }
    }

    fn next_message(&mut self) -> Option<Delivered<Item>> {
        let Consumer { is_on_replica, next, number, .. } = &mut self.consumer;
        let messages = if *is_on_replica { &self.stream.replica } else { &self.stream.leader };
        let (offset, (item, batch)) = messages.range(*next..).next()?;
        *next = offset + 1;
        *number += 1;
        Some(Delivered { offset: *offset, consumer: *number, batch: batch.clone(), item: *item })
    }

    fn deliver(&mut self, count: u64) {
        for _ in 0..count {
            let Some(message) = self.next_message() else { return };
            let step = self.follow.message(message);
            self.obey(step);
        }
    }

    fn act(&mut self, act: &Act) {
        let pick = |which: u64, of: &BTreeMap<u64, Stored>| {
            let at = usize::try_from(which % of.len().max(1) as u64).unwrap();
            of.keys().nth(at).copied()
        };
        match *act {
            Act::Publish { count, is_batch } => {
                let id = format!("b{}", self.stream.last);
                for at in 1..=count {
                    self.stream.last += 1;
                    let batch = is_batch.then(|| Batch { id: id.as_str().into(), is_last: at == count });
                    self.stream.leader.insert(self.stream.last, (self.stream.last, batch.clone()));
                    self.stream.replica.insert(self.stream.last, (self.stream.last, batch));
                }
            }
            Act::Delete { which } => {
                if let Some(offset) = pick(which, &self.stream.leader) {
                    self.stream.leader.remove(&offset);
                    self.stream.replica.remove(&offset);
                }
            }
            Act::Lose { which } => {
                if let Some(offset) = pick(which, &self.stream.replica) {
                    self.stream.replica.remove(&offset);
                }
            }
            Act::Deliver { count } => self.deliver(count),
            Act::Drop => drop(self.next_message()),
            Act::Repeat => {
                if let Some(message) = self.next_message() {
                    let step = self.follow.message(message.clone());
                    self.obey(step);
                    let step = self.follow.message(message);
                    self.obey(step);
                }
            }
            Act::Rewind => {
                self.consumer.next = self.consumer.began;
                self.consumer.number = 0;
            }
            Act::Heartbeat => {
                let step = self.follow.heartbeat(self.consumer.number);
                self.obey(step);
            }
            Act::Move => self.remake(Why::Quiet),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_lies_the_log_is_what_the_leader_has(acts in acts()) {
        let mut node = Node::new();
        // What was in the stream when something was last published: deleted messages may or may not be in the log.
        let mut published = BTreeMap::new();
        for act in &acts {
            node.act(act);
            if let Act::Publish { .. } = act {
                published.extend(node.stream.leader.clone());
            }
        }
        // In the end the node hears everything, as heartbeats tell it what it has missed.
        for _ in 0..200 {
            node.act(&Act::Heartbeat);
            node.deliver(u64::MAX);
            let last = node.stream.last;
            let step = node.follow.end(last);
            node.obey(step);
        }
        let log: Vec<Item> = node.log.iter().flatten().copied().collect();
        prop_assert!(log.is_sorted_by(|a, b| a < b), "in order and once: {log:?}");
        for offset in node.stream.leader.keys() {
            prop_assert!(log.contains(offset), "{offset} is in the stream and not in {log:?}");
        }
        prop_assert!(log.iter().all(|item| published.contains_key(item)));
        prop_assert_eq!(&node.contradictions, &[] as &[u64], "nothing was changed");
        // Batches are whole, but for what was deleted.
        for append in &node.log {
            let batches: Vec<_> = append.iter().map(|item| published[item].1.as_ref().map(|batch| &batch.id)).collect();
            prop_assert!(batches.windows(2).all(|pair| pair[0].is_some() && pair[0] == pair[1]), "{append:?}");
        }
        for (offset, (_, batch)) in &node.stream.leader {
            let Some(batch) = batch else { continue };
            let append = node.log.iter().find(|append| append.contains(offset)).expect("it is in the log");
            let of_batch = node.stream.leader.iter().filter(|(_, stored)| {
                stored.1.as_ref().is_some_and(|other| other.id == batch.id)
            });
            for (other, _) in of_batch {
                prop_assert!(append.contains(other), "{other} and {offset} were published together");
            }
        }
    }
}

/// A stream with the given messages, none of them in a batch.
fn delivered(offset: u64, consumer: u64, item: Item) -> Delivered<Item> {
    Delivered { offset, consumer, batch: None, item }
}

#[test]
fn a_stream_that_was_restored_or_renumbered_is_noticed_at_the_newest_event() {
    let mut follow = Follow::new(7, Some((7, 7)));
    assert_eq!(follow.begins_at(), 7);
    assert_eq!(follow.message(delivered(7, 1, 99)).next, Next::Contradiction { offset: 7 });
    // The replica is damaged there, and the leader has something else.
    let mut follow = Follow::new(7, Some((7, 7)));
    assert_eq!(follow.message(delivered(9, 1, 9)).next, Next::Ask { from: 7 });
    let other = Asked { offset: 7, batch: None, item: 99 };
    assert_eq!(follow.answer(Some(other)).next, Next::Contradiction { offset: 7 });
    // The leader has the same event.
    let mut follow = Follow::new(7, Some((7, 7)));
    follow.message(delivered(9, 1, 9));
    let same = Asked { offset: 7, batch: None, item: 7 };
    assert_eq!(follow.answer(Some(same)).next, Next::Ask { from: 8 });
    let missing = Asked { offset: 8, batch: None, item: 8 };
    assert_eq!(
        follow.answer(Some(missing)),
        Step { keep: vec![vec![8], vec![9]], next: Next::Remake(Why::Replica) }
    );
    // Retention has dropped it.
    let mut follow = Follow::new(8, Some((7, 7)));
    follow.message(delivered(11, 1, 11));
    let next = Asked { offset: 11, batch: None, item: 11 };
    assert_eq!(follow.answer(Some(next)), Step { keep: vec![vec![11]], next: Next::GoOn });
    assert_eq!(follow.holes(), 1);
}

#[test]
fn a_consumer_that_knows_more_than_the_leader_is_not_believed() {
    let mut follow = Follow::new(3, None);
    assert_eq!(follow.message(delivered(6, 1, 6)).next, Next::Ask { from: 4 });
    assert_eq!(follow.answer(None).next, Next::Remake(Why::Leader));
    let mut follow = Follow::new(3, None);
    follow.message(delivered(6, 1, 6));
    let later = Asked { offset: 8, batch: None, item: 8 };
    assert_eq!(follow.answer(Some(later)).next, Next::Remake(Why::Leader));
}

/// The known-bad control: the same machine with the comparison taken out does not notice that a backup was restored.
#[test]
fn it_is_the_comparison_that_notices_a_restored_backup() {
    let followed = |compares: bool| {
        let mut node = Node::new();
        node.act(&Act::Publish { count: 3, is_batch: false });
        node.deliver(3);
        // The backup lacked the third event, and somebody has published two others since.
        for messages in [&mut node.stream.leader, &mut node.stream.replica] {
            messages.insert(3, (99, None));
            messages.insert(4, (4, None));
        }
        node.stream.last = 4;
        node.remake(Why::Ended);
        if !compares {
            node.follow = Follow::new(3, None);
            node.consumer.next = 4;
        }
        node.deliver(1);
        (node.contradictions, node.log.concat())
    };
    assert_eq!(followed(true), (vec![3], vec![1, 2, 3]));
    assert_eq!(followed(false), (vec![], vec![1, 2, 3, 4]), "an event is lost in silence");
}
