//! The other servers that share the log: which of them live, and what they are asked.
//!
//! Servers talk over NATS without JetStream: nothing here is kept, and a server that does not answer in time has not
//! answered.
//! Each server tells the others once a second that it lives, and answers questions of a few kinds.

mod beat;
mod counts;
mod lease;
mod tally;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    future::Future,
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use async_nats::{Client, connection::State};
use bytes::Bytes;
use fourways_log::engine::FollowedLog;
use fourways_shared::{Filter, Topic};
use futures_util::{StreamExt as _, future::join_all};
use tokio::{runtime::Handle, time::timeout};

pub use self::{beat::Beat, counts::Counts, lease::Lease, tally::Turn};
use crate::{audit::Audit, bucket::Bucket};

/// Time that one server waits for another's answer. An operator would rather know that a server did not answer.
const ANSWER: Duration = Duration::from_millis(500);
/// Time after which a server that tells nothing is taken for dead.
const DEAD: Duration = Duration::from_secs(5);

/// A function that answers one kind of question. It must not block.
type Handler = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;
/// A function that tells the present figures of this server.
type Figures = Box<dyn Fn() -> Beat + Send + Sync>;

/// The other servers that share this one's log. The server shares it in an `Arc`; its tasks end with the runtime of the
/// order.
pub struct Peers {
    id: String,
    name: String,
    root: String,
    client: Client,
    runtime: Handle,
    /// Keeps the leases; set once NATS could be asked for the first time.
    bucket: OnceLock<Bucket>,
    log: Arc<FollowedLog>,
    audit: Arc<Audit>,
    others: Mutex<HashMap<String, Other>>,
    handlers: RwLock<HashMap<String, Handler>>,
    figures: RwLock<Option<Figures>>,
}

/// Another server, as it was heard last.
struct Other {
    beat: Beat,
    reads: Vec<Filter>,
    heard: Instant,
}

/// The answers of the servers that were asked the same.
#[derive(Debug, Default)]
pub struct Answers {
    /// Number of servers, this one included.
    pub nodes: usize,
    /// Answers by the id of the server; this one is not among them.
    pub answered: Vec<(String, Bytes)>,
}

impl Peers {
    /// Begins to talk to the others, on subjects that begin with `root`. They are told about this copy, and its hashes in
    /// `audit`.
    pub(crate) fn begin(
        client: Client,
        root: &str,
        name: &str,
        (log, audit): (Arc<FollowedLog>, Arc<Audit>),
        runtime: &Handle,
    ) -> Result<Arc<Self>, getrandom::Error> {
        let peers = Arc::new(Self {
            id: format!("{:012x}", getrandom::u64()? >> 16),
            name: name.to_owned(),
            root: root.to_owned(),
            client,
            runtime: runtime.clone(),
            bucket: OnceLock::new(),
            log,
            audit,
            others: Mutex::default(),
            handlers: RwLock::default(),
            figures: RwLock::default(),
        });
        runtime.spawn(beat::tell(Arc::clone(&peers)));
        runtime.spawn(beat::hear(Arc::clone(&peers)));
        runtime.spawn(answer(Arc::clone(&peers)));
        Ok(peers)
    }

    /// Sets the bucket that keeps the leases. Another call does nothing.
    pub(crate) fn keeps_leases_in(&self, bucket: Bucket) {
        self.bucket.get_or_init(|| bucket);
    }

    /// Returns the first block of the log, in this epoch and not among those that are settled, that another server has
    /// otherwise than this one, and that server's name.
    pub(crate) fn disagreement(&self, epoch: &str, settled: &BTreeSet<u64>) -> Option<(u64, String)> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let live = others.values().filter(|other| other.heard.elapsed() < DEAD && other.beat.epoch == epoch);
        let differs = live
            .filter_map(|other| Some((self.audit.differs(&other.beat.audit, settled)?, &other.beat.name)));
        differs.min().map(|(block, name)| (block, name.clone()))
    }

    /// True if no NATS server can be reached.
    pub(crate) fn is_cut(&self) -> bool {
        self.client.connection_state() != State::Connected
    }

    /// Returns the id of this server, which no other has, and which ends with the process.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the name of this server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets the function that tells the figures of this server.
    pub fn tells(&self, figures: impl Fn() -> Beat + Send + Sync + 'static) {
        *self.figures.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(figures));
    }

    /// Sets the function that answers one kind of question. It must not block.
    pub fn answers(&self, kind: String, handler: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) {
        self.handlers.write().unwrap_or_else(PoisonError::into_inner).insert(kind, Box::new(handler));
    }

    /// Returns what this server last told the others.
    pub fn own(&self) -> Beat {
        let figures = self.figures.read().unwrap_or_else(PoisonError::into_inner);
        let told = figures.as_ref().map_or_else(Beat::default, |figures| figures());
        let tail = self.log.tail();
        Beat {
            id: self.id.clone(),
            name: self.name.clone(),
            epoch: tail.epoch().to_string(),
            head: tail.head().0,
            audit: self.audit.hashes(),
            ..told
        }
    }

    /// Returns what the other servers that live last told, in the order of their names.
    pub fn others(&self) -> Vec<Beat> {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.retain(|_, other| other.heard.elapsed() < DEAD);
        let mut beats: Vec<Beat> = others.values().map(|other| other.beat.clone()).collect();
        beats.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        beats
    }

    /// True if another server that lives said that its clients read this topic (see [`Beat::reads`]).
    pub fn is_read(&self, topic: &Topic) -> bool {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let mut live = others.values().filter(|other| other.heard.elapsed() < DEAD);
        live.any(|other| other.reads.iter().any(|filter| filter.matches(topic.as_str())))
    }

    /// Asks one other server; `None` if it does not answer in time.
    pub async fn ask(&self, node: &str, kind: &str, body: Bytes) -> Option<Bytes> {
        let subject = format!("{}.ask.{node}.{kind}", self.root);
        let (client, runtime) = (self.client.clone(), &self.runtime);
        // On the order's runtime, so that any runtime may ask.
        let asked = runtime.spawn(async move { timeout(ANSWER, client.request(subject, body)).await });
        Some(asked.await.ok()?.ok()?.ok()?.payload)
    }

    /// Asks all other servers the same.
    pub async fn ask_all(&self, kind: &str, body: Bytes) -> Answers {
        let others = self.others();
        let asked = others.iter().map(|other| {
            let body = body.clone();
            async move { Some((other.id.clone(), self.ask(&other.id, kind, body).await?)) }
        });
        let answered = join_all(asked).await.into_iter().flatten().collect();
        Answers { nodes: others.len() + 1, answered }
    }

    /// Tells all other servers something, after whatever this task told them before; nobody answers, and it may be lost.
    async fn tell_all(&self, kind: &str, body: Bytes) {
        drop(self.client.publish(format!("{}.all.{kind}", self.root), body).await);
    }

    /// Runs a task on the runtime of the order, until that ends.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    fn handle(&self, kind: &str, body: &[u8]) -> Option<Vec<u8>> {
        let handlers = self.handlers.read().unwrap_or_else(PoisonError::into_inner);
        handlers.get(kind).map(|handler| handler(body))
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Answers the questions of other servers for as long as the runtime lives.
async fn answer(peers: Arc<Peers>) {
    let (asked, told) = (format!("{}.ask.{}.*", peers.root, peers.id), format!("{}.all.*", peers.root));
    loop {
        let subscribed =
            (peers.client.subscribe(asked.clone()).await, peers.client.subscribe(told.clone()).await);
        let (Ok(asked), Ok(told)) = subscribed else {
            tokio::time::sleep(ANSWER).await;
            continue;
        };
        let mut messages = futures_util::stream::select(asked, told);
        while let Some(message) = messages.next().await {
            let kind = message.subject.rsplit('.').next().unwrap_or_default();
            let answer = peers.handle(kind, &message.payload);
            if let (Some(answer), Some(reply)) = (answer, message.reply) {
                // The server that asked has given up by the time that a lost answer could be sent again.
                drop(peers.client.publish(reply, answer.into()).await);
            }
        }
    }
}
