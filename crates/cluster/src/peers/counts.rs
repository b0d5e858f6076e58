//! Counts by key whose sum over all servers each of them knows, a moment late.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::{
    Peers,
    tally::{Delta, Page, Tally, Then, Turn},
};

/// Time over which changes are gathered before the others are told.
const GATHER: Duration = Duration::from_millis(20);
/// Time between two messages to the others at most, so that they notice when one was lost.
const PRESENT: Duration = Duration::from_secs(1);
/// Time without a message after which another server's counts are forgotten.
const GONE: Duration = Duration::from_secs(5);

/// A function that is told each key whose sum becomes 0 or is no longer 0. It must not block.
type OnTurn = Box<dyn Fn(Turn) + Send + Sync>;

/// Counts that the servers share. The program shares them in an `Arc`; a task that tells them ends with the runtime of
/// the order, or with the last handle. The mutex is held while a turn is told, so that turns are told in their order.
pub struct Counts {
    peers: Arc<Peers>,
    kind: &'static str,
    pages: String,
    state: Mutex<State>,
    changed: Notify,
    on_turn: OnTurn,
}

struct State {
    tally: Tally,
    /// The moment at which each other server was heard last.
    heard: HashMap<String, Instant>,
}

impl Counts {
    /// Begins to share counts of one kind, which has a name of its own. `on_turn` is told each key whose sum over all
    /// servers becomes 0 or is no longer 0; it must not block, and must not use these counts.
    pub fn begin(
        peers: &Arc<Peers>,
        kind: &'static str,
        on_turn: impl Fn(Turn) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let state = State { tally: Tally::new(peers.id()), heard: HashMap::new() };
        let counts = Arc::new(Self {
            peers: Arc::clone(peers),
            kind,
            pages: format!("{kind}-page"),
            state: Mutex::new(state),
            changed: Notify::new(),
            on_turn: Box::new(on_turn),
        });
        // Weak, because the peers keep these functions, and the counts keep the peers.
        let heard = Arc::downgrade(&counts);
        peers.answers(kind.to_owned(), move |body| {
            if let (Some(counts), Ok(delta)) = (heard.upgrade(), serde_json::from_slice(body)) {
                counts.hear(delta);
            }
            Vec::new()
        });
        let asked = Arc::downgrade(&counts);
        peers.answers(counts.pages.clone(), move |after| {
            let after: Option<Box<str>> = serde_json::from_slice(after).unwrap_or_default();
            let page = asked.upgrade().map(|counts| counts.state().tally.page(after.as_deref()));
            serde_json::to_vec(&page).unwrap_or_default()
        });
        peers.spawn(tell(Arc::downgrade(&counts)));
        counts
    }

    /// Adds one to this server's count.
    pub fn add(&self, key: &str) {
        self.change(key, 1);
    }

    /// Takes one from this server's count.
    pub fn remove(&self, key: &str) {
        self.change(key, -1);
    }

    /// Returns the sum of the other servers' counts, as far as they are known: what changed in the last moment is not.
    pub fn elsewhere(&self, key: &str) -> u64 {
        self.state().tally.elsewhere(key)
    }

    /// True if the sum of all servers' counts is above 0, as far as it is known.
    pub fn is_some(&self, key: &str) -> bool {
        self.state().tally.is_some(key)
    }

    fn change(&self, key: &str, by: i32) {
        let mut state = self.state();
        let turn = state.tally.add(key, by);
        turn.into_iter().for_each(&self.on_turn);
        drop(state);
        self.changed.notify_one();
    }

    fn hear(self: &Arc<Self>, delta: Delta) {
        let node = delta.node.clone();
        let mut state = self.state();
        state.heard.insert(node.clone(), Instant::now());
        let (turns, then) = state.tally.delta(delta);
        turns.into_iter().for_each(&self.on_turn);
        drop(state);
        if let Then::Ask { after } = then {
            self.peers.spawn(take(Arc::clone(self), node, after));
        }
    }

    /// Returns what is to be told to the others, and forgets those that are gone.
    fn news(&self) -> Vec<Delta> {
        let mut state = self.state();
        let mut deltas: Vec<Delta> = std::iter::from_fn(|| state.tally.changes()).collect();
        if deltas.is_empty() {
            deltas.push(state.tally.present());
        }
        let gone: Vec<String> =
            state.heard.extract_if(|_, heard| heard.elapsed() >= GONE).map(|(node, _)| node).collect();
        for node in gone {
            state.tally.forget(&node).into_iter().for_each(&self.on_turn);
        }
        deltas
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Tells the others what changes, for as long as somebody holds the counts.
async fn tell(counts: Weak<Counts>) {
    loop {
        let Some(held) = counts.upgrade() else { return };
        // The wait ends by itself, so the counts are held no longer than that.
        drop(tokio::time::timeout(PRESENT, held.changed.notified()).await);
        tokio::time::sleep(GATHER).await;
        let deltas = held.news();
        for delta in deltas {
            let delta = serde_json::to_vec(&delta).unwrap_or_default();
            held.peers.tell_all(held.kind, delta.into()).await;
        }
    }
}

/// Takes the counts of another server, page by page.
async fn take(counts: Arc<Counts>, node: String, after: Option<Box<str>>) {
    let mut after = after;
    loop {
        let body = Bytes::from(serde_json::to_vec(&after).unwrap_or_default());
        let page = counts.peers.ask(&node, &counts.pages, body).await;
        let page: Option<Page> = page.and_then(|page| serde_json::from_slice(&page).ok()?);
        let mut state = counts.state();
        let (turns, then) = state.tally.paged(&node, page);
        turns.into_iter().for_each(&counts.on_turn);
        drop(state);
        match then {
            Then::Nothing => return,
            Then::Ask { after: next } => after = next,
        }
    }
}
