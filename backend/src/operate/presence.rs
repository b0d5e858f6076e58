//! Presence: the subjects of the tokens that hold a stream or socket on a topic. On a server that asks nobody for a
//! token, nobody has a name and presence costs nothing; `/v1/topics/{topic}` counts the subscribers in any case.
//!
//! To follow joins and leaves, subscribe to `presence.` and the topic: events named `join` and `leave` are published
//! there while the topic has a reader.
//!
//! If several servers share the log, they count together: a subject joins with its first connection at any of them, and
//! leaves with its last one, or when the server that has that one is gone. One server, which holds a lease, publishes the
//! joins and leaves of all.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, http::header, web};
use fourways_cluster::{Counts, Lease, Peers, Turn};
use fourways_log::{
    engine::{Append, Draft, Engine, Key},
    subscription::Reader,
};
use fourways_shared::{After, Code, Data, Event, EventId, Filter, Topic};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::{
    access::Grant,
    operate::nodes::{Gathered, Nodes},
    problem::Failure,
    worker::Worker,
};

/// Prefix of a topic's name that makes it the topic of its joins and leaves.
pub const PREFIX: &str = "presence.";

/// Maximum number of joins and leaves that wait to be published. Beyond it some are not published; the list of subjects
/// stays right.
const MAX_UNTOLD: usize = 4096;
/// Time for which a server that does not publish joins and leaves remembers them: the server that does may be gone, and
/// another takes its place within this time.
const HANDOVER: Duration = Duration::from_secs(12);
/// Time that a leave waits before it is published: a subject that goes from one server to another does not leave.
const SETTLE_LEAVE: Duration = Duration::from_millis(500);
/// Time that a join waits before it is published, so that another server knows of it and can publish the leave, should
/// this one die.
const SETTLE_JOIN: Duration = Duration::from_millis(100);
/// Number of events that are read at once.
const BATCH: usize = 256;
/// Name of the lease, and kinds of messages between servers.
const PRESENCE: &str = "presence";
const SUBJECTS: &str = "presence-subjects";

/// The subjects on each topic. One for the whole server, shared by all workers by `Arc`. The mutex is held until a join
/// or leave is queued, so that they are published in their order.
pub struct Presence {
    news: News,
    /// The subjects here and at the other servers that share the log.
    everywhere: Option<Arc<Counts>>,
    /// Number of each subject's connections, by the topic or pattern that they subscribed to.
    here: Mutex<HashMap<Filter, BTreeMap<Box<str>, usize>>>,
}

/// The queue of joins and leaves that are to be published. Cheap to clone.
#[derive(Clone)]
struct News {
    engine: Arc<dyn Engine>,
    peers: Option<Arc<Peers>>,
    queue: mpsc::Sender<Told>,
    known: Known,
}

/// The state that subscribers know of each subject on a topic, and since when. The lock is held for a look-up, or while
/// entries are cleared.
type Known = Arc<Mutex<HashMap<Box<str>, (bool, Instant)>>>;

/// A join or leave that is to be published.
struct Told {
    since: Instant,
    is_join: bool,
    /// Key of the subject on the topic among the counts of all servers, if several share the log.
    key: Option<Box<str>>,
    append: Append,
}

/// One connection's presence on its topics. Owned by the stream or socket; dropping it makes the connection leave.
pub struct Here {
    presence: Arc<Presence>,
    subject: Box<str>,
    topics: Vec<Filter>,
}

#[derive(Serialize)]
struct Answer {
    topic: Topic,
    subjects: Vec<Subject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<usize>,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    subject: Box<str>,
    connections: usize,
}

impl News {
    /// Queues a join or leave to be published, if its topic has a reader. Never waits. `turn` is its cause, if several
    /// servers share the log.
    fn tell(&self, topic: &str, subject: &str, is_join: bool, turn: Option<&Turn>) {
        // A topic whose name is too long for the prefix has no joins and leaves, and neither has a pattern.
        let Ok(topic) = Topic::parse(&format!("{PREFIX}{topic}")) else { return };
        let is_read = self.engine.tail().is_read(&topic)
            || self.peers.as_ref().is_some_and(|peers| peers.is_read(&topic));
        if !is_read {
            if let Some(turn) = turn {
                // Nobody learns of it, so what was known of the subject is no longer true.
                self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&turn.key);
            }
            return;
        }
        let what = if is_join { "join" } else { "leave" };
        let Ok(name) = what.parse() else { return };
        let data = Data::json(&serde_json::json!({ "subject": subject }));
        // Tells the same join or leave apart from others, should several servers publish it.
        let id = turn.map(|Turn { key, node, version, .. }| {
            let hash = crc32fast::hash(key.as_bytes());
            format!("{}{what}-{node}-{version}-{hash:08x}", EventId::SERVER_PREFIX)
        });
        let key = id.and_then(|id| id.parse().ok()).map(|id| Key { id, by: None });
        let append = Append { topic, drafts: vec![Draft { name, data }], key };
        let key = turn.map(|turn| turn.key.clone());
        if self.queue.try_send(Told { since: Instant::now(), is_join, key, append }).is_err() {
            tracing::warn!("too many joins and leaves at once: a {what} was not published");
        }
    }

    /// Tells that a subject is on a topic anywhere, or no longer.
    fn turned(&self, turn: &Turn) {
        let Some((topic, subject)) = turn.key.split_once('\n') else { return };
        self.tell(topic, subject, turn.is_some, Some(turn));
    }
}

/// Publishes joins and leaves of a server alone, in their order.
async fn publish(engine: Arc<dyn Engine>, mut queue: mpsc::Receiver<Told>) {
    while let Some(Told { append, .. }) = queue.recv().await {
        append_to(&engine, append).await;
    }
}

async fn append_to(engine: &Arc<dyn Engine>, append: Append) {
    if let Err(error) = engine.append(append).await {
        tracing::warn!(%error, "a join or leave could not be published");
    }
}

/// Publishes joins and leaves of all servers, while this one holds the lease.
///
/// The log says what was published, so a server that takes the lease over repeats nothing, and tells what the one before
/// it could not.
async fn publish_for_all(
    engine: Arc<dyn Engine>,
    (counts, known): (Arc<Counts>, Known),
    mut lease: Lease,
    mut queue: mpsc::Receiver<Told>,
) {
    let tail = engine.tail();
    let all: Vec<Filter> = format!("{PREFIX}>").parse().into_iter().collect();
    let (mut log, mut cleared) = (Reader::of_server(&tail).read(&all, After::Head), Instant::now());
    while let Some(Told { since, is_join, key, append }) = queue.recv().await {
        let Some(key) = key else { continue };
        let settle = if is_join { SETTLE_JOIN } else { SETTLE_LEAVE };
        sleep(settle.saturating_sub(since.elapsed())).await;
        if !lease.is_held() {
            let rest = HANDOVER.saturating_sub(since.elapsed());
            if timeout(rest, lease.becomes(true)).await.is_err() {
                // The server that holds the lease has published it.
                continue;
            }
        }
        while log.has_more() {
            let Some(batch) = log.now(BATCH).await else { continue };
            let told = batch.events.iter().filter_map(|event| told_by(event.event()));
            known.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
        }
        let is_there = counts.is_some(&key);
        let is_due = {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if cleared.elapsed() > HANDOVER {
                known.retain(|_, (is_there, since)| *is_there || since.elapsed() < HANDOVER);
                cleared = Instant::now();
            }
            let is_known = known.get(&key).map(|(is_there, _)| *is_there);
            let is_due = is_there == is_join && is_known != Some(is_join);
            if !is_due && is_known.is_none() {
                // The subject came and went, or went and came, before anybody was told.
                known.insert(key, (is_there, Instant::now()));
            }
            is_due
        };
        if is_due {
            append_to(&engine, append).await;
        }
    }
}

/// Returns the key of the subject that a server's join or leave is about, and the state that the event told.
fn told_by(event: &Event) -> Option<(Box<str>, (bool, Instant))> {
    #[derive(Deserialize)]
    struct Who {
        subject: Box<str>,
    }
    let topic = event.topic.as_str().strip_prefix(PREFIX)?;
    event.id.as_ref().filter(|id| id.is_from_server())?;
    let Data::Json(raw) = &event.data else { return None };
    let Who { subject } = serde_json::from_str(raw.get()).ok()?;
    Some((format!("{topic}\n{subject}").into(), (event.name.as_str() == "join", Instant::now())))
}

/// Returns the key of a subject on a topic among the counts of all servers. No topic contains a line break.
fn key_of(topic: &Filter, subject: &str) -> String {
    format!("{topic}\n{subject}")
}

impl Presence {
    /// Creates an empty list. The returned future publishes joins and leaves for as long as it is polled.
    pub fn new(engine: Arc<dyn Engine>, nodes: &Nodes) -> (Arc<Self>, impl Future<Output = ()> + use<>) {
        let (queue, queued) = mpsc::channel(MAX_UNTOLD);
        let peers = nodes.peers().cloned();
        let known = Known::default();
        let news =
            News { engine: Arc::clone(&engine), peers: peers.clone(), queue, known: Arc::clone(&known) };
        let turns = news.clone();
        let everywhere =
            peers.as_ref().map(|peers| Counts::begin(peers, PRESENCE, move |turn| turns.turned(&turn)));
        let lease = peers.map(|peers| peers.lease(PRESENCE));
        let shared = everywhere.clone().zip(lease);
        let told = async move {
            match shared {
                Some((counts, lease)) => publish_for_all(engine, (counts, known), lease, queued).await,
                None => publish(engine, queued).await,
            }
        };
        let presence = Arc::new(Self { news, everywhere, here: Mutex::default() });
        let asked = Arc::downgrade(&presence);
        nodes.answers(SUBJECTS, move |topic: Topic| {
            asked.upgrade().map_or_else(Vec::new, |presence| presence.subjects(&topic))
        });
        (presence, told)
    }

    /// Adds a connection of this grant's subject to these topics; `None` if the grant has no subject.
    pub fn enter(self: &Arc<Self>, grant: &Grant, topics: &[Filter]) -> Option<Here> {
        let subject = grant.subject.clone()?;
        // Locked until the join is queued. Queued afterwards, a join could come after the leave that followed it.
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        for topic in topics {
            let count = here.entry(topic.clone()).or_default().entry(subject.clone()).or_default();
            *count += 1;
            if *count == 1 {
                self.tell(topic, &subject, true);
            }
        }
        drop(here);
        Some(Here { presence: Arc::clone(self), subject, topics: topics.to_vec() })
    }

    fn leave(&self, topics: &[Filter], subject: &str) {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        for topic in topics {
            let Some(subjects) = here.get_mut(topic) else { continue };
            let Some(count) = subjects.get_mut(subject) else { continue };
            *count -= 1;
            if *count == 0 {
                subjects.remove(subject);
                self.tell(topic, subject, false);
            }
            if subjects.is_empty() {
                here.remove(topic);
            }
        }
    }

    /// Tells that a subject has its first connection on a topic here, or no longer has one.
    fn tell(&self, topic: &Filter, subject: &str, is_join: bool) {
        match &self.everywhere {
            None => self.news.tell(topic.as_str(), subject, is_join, None),
            Some(counts) if is_join => counts.add(&key_of(topic, subject)),
            Some(counts) => counts.remove(&key_of(topic, subject)),
        }
    }

    fn subjects(&self, topic: &Topic) -> Vec<Subject> {
        let here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        let mut subjects: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, there) in here.iter().filter(|(filter, _)| filter.matches(topic.as_str())) {
            for (subject, count) in there {
                *subjects.entry(subject).or_default() += count;
            }
        }
        let subject =
            |(subject, connections): (&str, usize)| Subject { subject: subject.into(), connections };
        subjects.into_iter().map(subject).collect()
    }
}

impl Here {
    /// True if the connection has left all its topics.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Leaves one topic, if the connection is on it.
    pub fn leave(&mut self, topic: &Filter) {
        if let Some(at) = self.topics.iter().position(|held| held == topic) {
            let topic = self.topics.swap_remove(at);
            self.presence.leave(&[topic], &self.subject);
        }
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.presence.leave(&self.topics, &self.subject);
    }
}

/// `GET /v1/topics/{topic}/presence`: lists the subjects that hold a stream or socket on a topic, at any server that
/// shares the log.
///
/// # Errors
/// 400 for a name that no topic can have, 403 for a topic that is not granted.
pub async fn handle(
    path: web::Path<String>,
    grant: Grant,
    presence: web::Data<Presence>,
    worker: web::Data<Worker>,
) -> Result<HttpResponse, Failure> {
    let topic = Topic::parse(&path)
        .map_err(|error| Failure::new(Code::BadTopic, error.to_string()).field("topic"))?;
    grant.may_subscribe(&[(&topic).into()])?;
    let mut subjects = presence.subjects(&topic);
    let mut counted = (None, None);
    if worker.nodes.peers().is_some() {
        let Gathered { nodes, answers } = worker.nodes.ask_all::<Vec<Subject>>(SUBJECTS, &topic).await;
        counted = (Some(nodes), Some(answers.len() + 1));
        let mut all: BTreeMap<Box<str>, usize> = BTreeMap::new();
        for Subject { subject, connections } in
            answers.into_iter().flat_map(|(_, theirs)| theirs).chain(subjects)
        {
            *all.entry(subject).or_default() += connections;
        }
        let subject = |(subject, connections)| Subject { subject, connections };
        subjects = all.into_iter().map(subject).collect();
    }
    let (nodes, answered) = counted;
    let answer = Answer { topic, subjects, nodes, answered };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(answer))
}
