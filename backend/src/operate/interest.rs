//! Interest: the topics that are read, for events that are made only if somebody reads them.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use fourways_cluster::Peers;
use fourways_log::{
    engine::{Engine, Tail},
    subscription::{Reader, Subscription},
};
use fourways_shared::{After, Filter, Topic};

/// Time that a topic counts as read after its last subscriber: longer than the usual pause between two short polls.
const GRACE: Duration = Duration::from_secs(12);
/// Number of topics and patterns that the other servers are told of, at most.
const MAX_TOLD: usize = 1000;

/// A view of which topics are read, here or at another server that shares the log. Each task that makes events has its
/// own.
pub(crate) struct Readers {
    engine: Arc<dyn Engine>,
    peers: Option<Arc<Peers>>,
    /// Number of reads that have begun and the time of the last one, by topic.
    seen: HashMap<Topic, (u32, Option<Instant>)>,
}

impl Readers {
    /// Creates a view. Without peers, no other server shares the log.
    pub(crate) fn new(engine: Arc<dyn Engine>, peers: Option<Arc<Peers>>) -> Self {
        Self { engine, peers, seen: HashMap::new() }
    }

    /// Returns the newest events of the log.
    pub(crate) fn tail(&self) -> Arc<Tail> {
        self.engine.tail()
    }

    /// True if the topic has a subscriber, or had one within [`GRACE`]. Another server's readers count about a second
    /// late.
    pub(crate) fn has(&mut self, topic: &Topic) -> bool {
        self.has_here(topic) || self.peers.as_ref().is_some_and(|peers| peers.is_read(topic))
    }

    fn has_here(&mut self, topic: &Topic) -> bool {
        let tail = self.engine.tail();
        let begun = tail.reads_begun(topic);
        let seen = self.seen.entry(topic.clone()).or_default();
        if seen.0 != begun || tail.is_read(topic) {
            *seen = (begun, Some(Instant::now()));
        }
        seen.1.is_some_and(|at| at.elapsed() < GRACE)
    }
}

/// The topics that the clients of this server read, of those for which another server may make events.
pub(crate) struct Told {
    readers: Readers,
    topics: Vec<Topic>,
    /// Beginning of further topics, whose names are not known beforehand.
    beginning: &'static str,
    /// Reads the topics, because the log counts the reads of topics that it knows.
    held: Option<(Arc<Tail>, Subscription)>,
}

impl Told {
    /// Creates the list for these topics, and for all topics that begin with a text.
    pub(crate) fn new(engine: Arc<dyn Engine>, topics: Vec<Topic>, beginning: &'static str) -> Self {
        Self { readers: Readers::new(engine, None), topics, beginning, held: None }
    }

    /// Returns the topics and patterns that are read now.
    pub(crate) fn list(&mut self) -> Vec<String> {
        let tail = self.readers.tail();
        if self.held.as_ref().is_none_or(|(held, _)| !Arc::ptr_eq(held, &tail)) {
            let topics: Vec<Filter> = self.topics.iter().map(Into::into).collect();
            let read = Reader::of_server(&tail).read(&topics, After::Head);
            self.held = Some((Arc::clone(&tail), read));
        }
        let further = tail.read_under(self.beginning, MAX_TOLD);
        let readers = &mut self.readers;
        let known = self.topics.iter().filter(|topic| readers.has(topic)).map(ToString::to_string);
        known.chain(further.iter().map(ToString::to_string)).take(MAX_TOLD).collect()
    }
}
