//! Readers of all techniques: some stay with one server, some are behind a balancer, others go to another server and
//! technique again and again.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use fourways_client::{Arrival, Subscriber, Target};
use fourways_shared::{After, Data, Technique};
use tokio::task::JoinHandle;

use super::{
    PATIENCE,
    checker::Facts,
    publishers::{PUBLISHERS, topic},
};

/// Number of readers that stay with one server by each technique, and of those that go about.
pub(super) const PINNED: usize = 2;
pub(super) const HOPPING: usize = 4;
/// Time that a reader stays with a server before it goes to another.
const STAY: Duration = Duration::from_millis(1500);

pub(super) struct Readers(Vec<JoinHandle<()>>);

impl Readers {
    pub(super) fn start(bases: &[String], balancer: &String, facts: &Arc<Facts>) -> Self {
        let target = |base: &String| {
            let mut target = Target::new(base, (0..PUBLISHERS).map(topic).collect()).unwrap();
            target.poll_interval = Duration::from_millis(50);
            target.hold = Duration::from_secs(2);
            target.silence = Duration::from_secs(5);
            target
        };
        let targets: Vec<Target> = bases.iter().map(target).collect();
        let mut tasks = Vec::new();
        for (at, technique) in Technique::ALL.into_iter().enumerate() {
            for copy in 0..PINNED {
                let target = targets[(at + copy) % targets.len()].clone();
                let facts = Arc::clone(facts);
                let reader = facts.reader(format!("{technique} on server {}", (at + copy) % targets.len()));
                tasks.push(tokio::spawn(async move {
                    let mut subscriber = Subscriber::new(target, After::Earliest);
                    subscriber.run(technique, |arrival| take(&facts, reader, arrival)).await;
                }));
            }
        }
        let balanced = target(balancer);
        for technique in Technique::ALL {
            let (target, facts) = (balanced.clone(), Arc::clone(facts));
            let reader = facts.reader(format!("{technique} behind the balancer"));
            tasks.push(tokio::spawn(async move {
                let mut subscriber = Subscriber::new(target, After::Earliest);
                subscriber.run(technique, |arrival| take(&facts, reader, arrival)).await;
            }));
        }
        for start in 0..HOPPING {
            let (targets, facts) = (targets.clone(), Arc::clone(facts));
            let reader = facts.reader(format!("hopping {start}"));
            tasks.push(tokio::spawn(async move { hop(targets, start, &facts, reader).await }));
        }
        Self(tasks)
    }

    /// Waits until every reader has everything that was acknowledged, and ends them.
    pub(super) async fn finish(self, facts: &Facts) {
        let began = Instant::now();
        while let Some(missing) = facts.missing() {
            assert!(began.elapsed() < PATIENCE, "{missing}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for task in &self.0 {
            assert!(!task.is_finished(), "a reader has given up");
            task.abort();
        }
    }
}

/// Goes from server to server and from technique to technique, always with the cursor that it has.
async fn hop(targets: Vec<Target>, start: usize, facts: &Facts, reader: usize) {
    let mut after = After::Earliest;
    for step in start.. {
        let mut subscriber = Subscriber::new(targets[(step * 2 + start) % targets.len()].clone(), after);
        let technique = Technique::ALL[step % Technique::ALL.len()];
        let reading = subscriber.run(technique, |arrival| take(facts, reader, arrival));
        // A server that is down is left, too.
        drop(tokio::time::timeout(STAY, reading).await);
        after = subscriber.cursor().map_or(after, After::Cursor);
    }
}

fn take(facts: &Facts, reader: usize, arrival: Arrival) -> ControlFlow<()> {
    match arrival {
        Arrival::Event(event) => {
            let Data::Json(raw) = &event.data else { panic!("{event:?}") };
            facts.arrive(reader, event.topic.as_str(), raw.get().parse().unwrap(), event.cursor);
        }
        Arrival::Reset(reset) => facts.reset(reader, &reset),
        Arrival::Lost { wait: None, detail } => panic!("a reader gives up: {detail}"),
        Arrival::Position(cursor) => facts.position(reader, cursor),
        Arrival::Lost { .. } | Arrival::Opened => {}
    }
    ControlFlow::Continue(())
}
