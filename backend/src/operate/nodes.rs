//! The servers that share the log, and everything that this one's handlers ask them.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fourways_cluster::{Beat, Counts, Peers};
use fourways_log::engine::{Engine, Standing};
use fourways_shared::{
    Topic,
    operate::{Connections, Node},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{interest::Told, roster::Roster};
use crate::{
    access::{Gate, Grant, limits::Usage},
    operate::drain::Drain,
};

/// Kinds of questions between servers.
const CONNECTIONS: &str = "connections";
const CUT: &str = "cut";
const SUBSCRIBERS: &str = "subscribers";
const TICKET: &str = "ticket";
/// Kind of the counts of held permits by subject.
const HELD: &str = "held";

/// The other servers that share the log; a server that decides the order itself has none, and asks nobody. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Nodes(Option<Arc<Peers>>);

/// The parts of this server that other servers ask about.
pub(crate) struct Asked {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) usage: Arc<Usage>,
    pub(crate) drain: Arc<Drain>,
    /// Hash of the retention rules.
    pub(crate) rules: String,
    /// The topics that the clients of this server read.
    pub(crate) told: Told,
}

/// The answers of all servers to one question.
#[derive(Debug)]
pub(crate) struct Gathered<T> {
    /// Number of servers, this one included.
    pub(crate) nodes: usize,
    /// Answers of the other servers, by their ids.
    pub(crate) answers: Vec<(String, T)>,
}

impl Nodes {
    /// Returns the other servers, and begins to answer what they ask.
    pub(crate) fn begin(peers: &Arc<Peers>, asked: Asked) -> Self {
        let Asked { engine, gate, roster, usage, drain, rules, told } = asked;
        usage.shares(Counts::begin(peers, HELD, drop));
        let this = Self(Some(Arc::clone(peers)));
        let (log, connections) = (Arc::clone(&engine), Arc::clone(&roster));
        let told = Mutex::new(told);
        peers.tells(move || Beat {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            connections: usage.state().connections as u64,
            subscribers: connections.state().total as u64,
            is_ready: log.standing() == Standing::Ready,
            is_draining: drain.is_on(),
            rules: rules.clone(),
            reads: told.lock().unwrap_or_else(PoisonError::into_inner).list(),
            ..Beat::default()
        });
        let connections = Arc::clone(&roster);
        this.answers(CONNECTIONS, move |()| connections.state());
        let log = Arc::clone(&engine);
        this.answers(CUT, move |id| {
            let is_cut = roster.cut(id);
            if is_cut {
                log.tail().wake_all();
                roster.wake_idle();
            }
            is_cut
        });
        this.answers(SUBSCRIBERS, move |topics: Vec<Topic>| {
            let tail = engine.tail();
            topics.iter().map(|topic| tail.topic_state(topic).subscribers).collect::<Vec<[u32; 4]>>()
        });
        this.answers(TICKET, move |ticket: String| gate.redeem_own(&ticket));
        this
    }

    /// Answers a kind of question of other servers with this function, which must not block.
    pub(crate) fn answers<Q: DeserializeOwned, A: Serialize>(
        &self,
        kind: &str,
        answer: impl Fn(Q) -> A + Send + Sync + 'static,
    ) {
        let Some(peers) = &self.0 else { return };
        peers.answers(kind.to_owned(), move |question| {
            // A server of another version may ask what this one does not understand; it hears nothing that it could read.
            serde_json::from_slice(question).map_or_else(|_| Vec::new(), |question| json(&answer(question)))
        });
    }

    /// Returns the servers that share the log, this one first; none for a server that decides the order itself.
    pub(crate) fn list(&self) -> Vec<Node> {
        let node = |beat: Beat, is_this: bool| Node {
            id: beat.id,
            name: beat.name,
            version: beat.version,
            epoch: beat.epoch,
            head: beat.head,
            connections: beat.connections,
            subscribers: beat.subscribers,
            is_ready: beat.is_ready,
            is_draining: beat.is_draining,
            is_this,
        };
        let Some(peers) = &self.0 else { return Vec::new() };
        let others = peers.others().into_iter().map(|beat| node(beat, false));
        std::iter::once(node(peers.own(), true)).chain(others).collect()
    }

    /// Returns the peers; `None` for a server that decides the order itself.
    pub(crate) const fn peers(&self) -> Option<&Arc<Peers>> {
        self.0.as_ref()
    }

    /// Returns the id of this server among those that share the log.
    pub(crate) fn id(&self) -> Option<&str> {
        self.0.as_ref().map(|peers| peers.id())
    }

    /// Returns the name of this server among those that share the log.
    pub(crate) fn name(&self) -> Option<&str> {
        self.0.as_ref().map(|peers| peers.name())
    }

    /// Returns the connections of all servers, the oldest of each first, with the node of each if there are several.
    pub(crate) async fn connections(&self, roster: &Roster) -> Connections {
        let mut all = roster.state();
        let Some(peers) = &self.0 else { return all };
        let own = peers.id().to_owned();
        all.connections.iter_mut().for_each(|one| one.node = Some(own.clone()));
        let Gathered { nodes, answers } = self.ask_all::<Connections>(CONNECTIONS, &()).await;
        (all.nodes, all.answered) = (Some(nodes), Some(answers.len() + 1));
        for (node, theirs) in answers {
            all.total += theirs.total;
            let theirs = theirs.connections.into_iter();
            all.connections.extend(theirs.map(|mut one| {
                one.node = Some(node.clone());
                one
            }));
        }
        all
    }

    /// Tells another server to close a connection; false if it has none of this id, or does not answer.
    pub(crate) async fn cut(&self, node: &str, id: u64) -> bool {
        self.ask(node, CUT, &id).await.unwrap_or(false)
    }

    /// Adds the subscribers that these topics have at the other servers, by technique.
    pub(crate) async fn add_subscribers(&self, counts: &mut [(&Topic, &mut [u32; 4])]) {
        if self.0.is_none() || counts.is_empty() {
            return;
        }
        let topics: Vec<&Topic> = counts.iter().map(|(topic, _)| *topic).collect();
        let Gathered { answers, .. } = self.ask_all::<Vec<[u32; 4]>>(SUBSCRIBERS, &topics).await;
        for (_, theirs) in answers {
            for ((_, own), theirs) in counts.iter_mut().zip(theirs) {
                own.iter_mut().zip(theirs).for_each(|(own, theirs)| *own += theirs);
            }
        }
    }

    /// Redeems a ticket that another server issued; `None` if that does not know it, or does not answer.
    pub(crate) async fn redeem(&self, node: &str, ticket: &str) -> Option<Grant> {
        self.ask(node, TICKET, &ticket).await?
    }

    /// Returns the number of other servers that take clients.
    pub(crate) fn taking(&self) -> usize {
        let others = self.0.as_ref().map_or_else(Vec::new, |peers| peers.others());
        others.iter().filter(|other| other.is_ready && !other.is_draining).count()
    }

    /// Tells the other servers at once how this one is.
    pub(crate) fn tell(&self) {
        if let Some(peers) = &self.0 {
            peers.tell();
        }
    }

    /// Asks another server; `None` if it does not answer in time.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        node: &str,
        kind: &str,
        body: &impl Serialize,
    ) -> Option<T> {
        let answer = self.0.as_ref()?.ask(node, kind, json(body).into()).await?;
        serde_json::from_slice(&answer).ok()
    }

    /// Asks all other servers the same.
    pub(crate) async fn ask_all<T: DeserializeOwned>(
        &self,
        kind: &str,
        body: &impl Serialize,
    ) -> Gathered<T> {
        let Some(peers) = &self.0 else { return Gathered { nodes: 1, answers: Vec::new() } };
        let answers = peers.ask_all(kind, json(body).into()).await;
        let parse = |(node, answer): (String, Bytes)| Some((node, serde_json::from_slice(&answer).ok()?));
        Gathered { nodes: answers.nodes, answers: answers.answered.into_iter().filter_map(parse).collect() }
    }
}

/// Serializes what can always be serialized.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
