//! Nodes and NATS servers for tests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use fourways_cluster::{JetStreamEngine, OrderError, OrderSettings};
use fourways_log::{
    engine::{Append, Copy, Draft, Engine, EngineError, Key, Retention, RetentionRule, Shard, Standing},
    subscription::Subscription,
};
use fourways_shared::{After, Cursor, Data, EventName, Filter, Policy, Reset, Technique};
use fourways_testkit::{DEADLINE, Nats, skipped};

/// Starts one NATS server; `None`, aloud, where there is none.
pub(crate) fn one_server() -> Option<Nats> {
    let Some(binary) = Nats::binary() else {
        skipped("there is no nats-server; `cargo xtask test` installs it");
        return None;
    };
    Some(Nats::alone(&binary).unwrap())
}

/// Returns the name of a log that no other test uses on the same server.
pub(crate) fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("log{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn settings(nats: &Nats, log: &str) -> OrderSettings {
    OrderSettings {
        servers: nats.urls().split(',').map(str::to_owned).collect(),
        credentials: None,
        ca: None,
        log: log.to_owned(),
        node: "test".to_owned(),
        monitors: Vec::new(),
        max_bytes: 1 << 20,
        copy: Copy::Memory,
        rules: vec![RetentionRule::for_all(Retention::default())],
        workers: 1,
    }
}

/// A server that follows the log, and a runtime for its callers.
pub(crate) struct Node {
    pub(crate) engine: Arc<dyn Engine>,
    runtime: tokio::runtime::Runtime,
}

impl Node {
    pub(crate) fn open(settings: &OrderSettings) -> Self {
        Self::try_open(settings).unwrap()
    }

    pub(crate) fn try_open(settings: &OrderSettings) -> Result<Self, OrderError> {
        let engine: Arc<dyn Engine> = Arc::new(JetStreamEngine::open(settings)?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Ok(Self { engine, runtime })
    }

    /// Publishes texts to a topic, and returns the offsets.
    pub(crate) fn publish(
        &self,
        topic: &str,
        texts: &[&str],
        key: Option<&str>,
    ) -> Result<Vec<u64>, EngineError> {
        let draft = |text: &&str| Draft { name: EventName::DEFAULT, data: Data::text(text) };
        let append = Append {
            topic: topic.parse().unwrap(),
            drafts: texts.iter().map(draft).collect(),
            key: key.map(|id| Key { id: id.parse().unwrap(), by: None }),
        };
        let cursors: Vec<Cursor> = self.runtime.block_on(self.engine.append(append))?;
        Ok(cursors.iter().map(|cursor| cursor.offset.0).collect())
    }

    pub(crate) fn subscribe(&self, after: After) -> Subscription {
        let all = [Filter::all()];
        Subscription::new(&self.engine.tail(), &all, after, Policy::All, Technique::Sse, Shard::DIRECT)
    }

    /// Reads until there are `count` events, and returns them as offset and data, with the resets that came before.
    pub(crate) fn read(
        &self,
        subscription: &mut Subscription,
        count: usize,
    ) -> (Vec<Reset>, Vec<(u64, String)>) {
        let (mut resets, mut events) = (Vec::new(), Vec::new());
        let deadline = Instant::now() + DEADLINE;
        while events.len() < count {
            let batch = self.runtime.block_on(subscription.next(count - events.len(), deadline));
            let batch =
                batch.unwrap_or_else(|| panic!("{} of {count} events have come: {events:?}", events.len()));
            resets.extend(batch.reset.map(|reset| *reset));
            events.extend(batch.events.iter().map(|event| (event.offset(), event.event().data.preview(100))));
        }
        (resets, events)
    }

    /// Waits until the node is ready.
    pub(crate) fn ready(&self) {
        until("the node is ready", || self.engine.standing() == Standing::Ready);
    }
}

/// Waits for a condition.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < DEADLINE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
