//! Publishers that go to another server when theirs does not answer, and repeat what was not acknowledged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fourways_client::{Publisher, RequestError, Target};
use fourways_shared::Topic;
use tokio::task::JoinHandle;

use super::{PATIENCE, checker::Facts};

/// Number of publishers, each with a topic of its own.
pub(super) const PUBLISHERS: usize = 6;
/// One publish in this many is repeated though it was acknowledged.
const REPEATED: u64 = 10;

pub(super) struct Publishers {
    stops: Arc<AtomicBool>,
    facts: Arc<Facts>,
    tasks: Vec<JoinHandle<u64>>,
}

/// The load of all publishers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Number of events in the largest publish.
    pub(super) batch: u64,
    /// Time between two publishes of one publisher.
    pub(super) pause: Duration,
}

pub(super) fn topic(index: usize) -> Topic {
    format!("cluster.{index}").parse().unwrap()
}

impl Publishers {
    pub(super) fn start(bases: &[String], facts: &Arc<Facts>, load: Load) -> Self {
        let stops = Arc::new(AtomicBool::new(false));
        let task = |index: usize| {
            let targets = bases.iter().map(|base| Target::new(base, vec![]).unwrap());
            let publishers = targets.map(|target| Publisher::new(target, topic(index))).collect();
            tokio::spawn(publish((publishers, index), load, Arc::clone(&stops), Arc::clone(facts)))
        };
        let tasks = (0..PUBLISHERS).map(task).collect();
        Self { stops, facts: Arc::clone(facts), tasks }
    }

    /// Waits until this many more events were acknowledged.
    pub(super) async fn acknowledges(&self, more: u64, after: &str) {
        let (until, began) = (self.facts.acknowledged() + more, Instant::now());
        while self.facts.acknowledged() < until {
            assert!(began.elapsed() < PATIENCE, "{after}: nothing is acknowledged any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends all publishers, once what they were publishing is acknowledged. Returns how many publishes were refused.
    pub(super) async fn stop(self) -> u64 {
        self.stops.store(true, Ordering::SeqCst);
        let mut refused = 0;
        for task in self.tasks {
            refused += task.await.unwrap();
        }
        refused
    }
}

async fn publish(
    (publishers, index): (Vec<Publisher>, usize),
    load: Load,
    stops: Arc<AtomicBool>,
    facts: Arc<Facts>,
) -> u64 {
    let refused = AtomicU64::new(0);
    let mut at = index;
    let mut next = 0;
    for round in 0.. {
        if stops.load(Ordering::SeqCst) {
            break;
        }
        let count = if round % 3 == 0 { 2 + round % (load.batch - 1) } else { load.batch / 7 + 1 };
        let lines: Vec<String> = (next..next + count).map(|number| number.to_string()).collect();
        let (lines, key) = (lines.join("\n"), format!("p{index}-{next}"));
        let attempt = async |at: &mut usize| {
            let began = Instant::now();
            loop {
                match publishers[*at % publishers.len()].publish_lines(lines.clone(), &key).await {
                    Ok(cursors) => return cursors,
                    Err(RequestError::Refused(refusal)) => {
                        assert!(refusal.status >= 500, "{refusal:?}");
                        // A server that is stopping sends publishers elsewhere; that is no refusal by the cluster.
                        if !refusal.detail.contains("stopping") {
                            println!("refused: {}", refusal.detail);
                            refused.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    Err(_) => {}
                }
                assert!(began.elapsed() < PATIENCE, "the cluster comes back");
                *at += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let cursors = attempt(&mut at).await;
        if round % REPEATED == 0 {
            // Another server gives the same answer.
            at += 1;
            assert_eq!(attempt(&mut at).await, cursors, "a repeat has the first answer");
        }
        facts.acknowledge(index, next, &cursors);
        next += count;
        tokio::time::sleep(load.pause).await;
    }
    refused.into_inner()
}
