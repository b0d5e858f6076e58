//! Signs of life: each server tells the others once a second that it lives, and how it is.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};

use super::{Other, Peers};

/// Time between two signs of life.
const EVERY: Duration = Duration::from_secs(1);
/// Number of other servers that are remembered at most.
const MAX_OTHERS: usize = 1000;
/// Number of topics and patterns that another server may say are read there.
const MAX_READS: usize = 1000;

/// A sign of life: the present figures of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Id of the server, which ends with its process.
    pub id: String,
    /// Name of the server.
    pub name: String,
    /// Version of the program.
    #[serde(default)]
    pub version: String,
    /// Epoch of the log that the server follows, as in cursors.
    #[serde(default)]
    pub epoch: String,
    /// Offset of the newest event that can be read there.
    #[serde(default)]
    pub head: u64,
    /// Number of open connections.
    #[serde(default)]
    pub connections: u64,
    /// Number of open streams, sockets and held polls.
    #[serde(default)]
    pub subscribers: u64,
    /// Everything that was published can be read there.
    #[serde(default)]
    pub is_ready: bool,
    /// The server is stopping.
    #[serde(default)]
    pub is_draining: bool,
    /// The server has stopped: this is its last sign.
    #[serde(default)]
    pub is_gone: bool,
    /// Hash of the retention rules, which should be the same everywhere.
    #[serde(default)]
    pub rules: String,
    /// Topics and patterns that the server's clients read, of those for which events are made only if somebody reads them.
    #[serde(default)]
    pub reads: Vec<String>,
    /// Hashes of the newest whole blocks of the server's copy, by the numbers of the blocks.
    #[serde(default)]
    pub audit: Vec<(u64, u64)>,
}

/// Tells the others that this server lives, for as long as the runtime does.
pub(super) async fn tell(peers: Arc<Peers>) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        peers.send(&peers.own()).await;
    }
}

impl Peers {
    /// Tells the others at once how this server is, as when it begins to drain.
    pub fn tell(self: &Arc<Self>) {
        let peers = Arc::clone(self);
        self.spawn(async move { peers.send(&peers.own()).await });
    }

    /// Tells the others that this server has stopped, so that none counts on it for the seconds in which it might only
    /// have been slow.
    pub(crate) async fn leave(&self) {
        self.send(&Beat { is_gone: true, ..self.own() }).await;
        // The connection closes next, with what was not sent.
        drop(self.client.flush().await);
    }

    async fn send(&self, beat: &Beat) {
        let Ok(beat) = serde_json::to_vec(beat) else { return };
        // A lost sign of life is followed by another.
        drop(self.client.publish(format!("{}.beat", self.root), beat.into()).await);
    }
}

/// Hears the others' signs of life, for as long as the runtime lives.
pub(super) async fn hear(peers: Arc<Peers>) {
    let subject = format!("{}.beat", peers.root);
    loop {
        let Ok(mut beats) = peers.client.subscribe(subject.clone()).await else {
            tokio::time::sleep(EVERY).await;
            continue;
        };
        while let Some(message) = beats.next().await {
            let Ok(beat) = serde_json::from_slice::<Beat>(&message.payload) else { continue };
            if beat.id == peers.id {
                continue;
            }
            let own = peers.own();
            let mut others = peers.others.lock().unwrap_or_else(PoisonError::into_inner);
            if beat.is_gone {
                others.remove(&beat.id);
                continue;
            }
            let is_new = !others.contains_key(&beat.id);
            if is_new && others.len() >= MAX_OTHERS {
                continue;
            }
            // A server that has just begun does not tell its rules yet.
            let is_known = !beat.rules.is_empty() && !own.rules.is_empty();
            let was_known = others.get(&beat.id).is_some_and(|other| !other.beat.rules.is_empty());
            let (name, differs) = (beat.name.clone(), beat.rules != own.rules);
            let reads = beat.reads.iter().take(MAX_READS).filter_map(|filter| filter.parse().ok()).collect();
            others.insert(beat.id.clone(), Other { beat, reads, heard: Instant::now() });
            drop(others);
            if is_known && !was_known && differs {
                tracing::warn!(server = name, "its rules of retention differ from this server's");
            }
        }
    }
}
