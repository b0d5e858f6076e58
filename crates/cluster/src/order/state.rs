//! The present state of following the order: whether this server hears it, and how far it is behind.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use fourways_log::engine::Standing;

use crate::audit::Audit;

use super::follow::Why;

/// Time without a sign of life after which this server is behind. A leader is elected in 4 to 9 s, so this is told before
/// an election ends.
const CUT: Duration = Duration::from_secs(3);

/// The follower's state, which it changes and everybody reads. The lock is held for a few instructions.
#[derive(Debug)]
pub(super) struct State {
    began: Instant,
    /// Milliseconds from the beginning to the last message or heartbeat; 0 before the first.
    heard_ms: AtomicU64,
    /// Offset that must be reached before the server is ready for the first time, and that the follower has reached.
    target: AtomicU64,
    reached: AtomicU64,
    /// Milliseconds from the beginning to the last moment at which nothing was missing.
    whole_ms: AtomicU64,
    pub(super) counts: FollowCounts,
    trouble: Mutex<Option<String>>,
    /// Hashes of what was kept.
    pub(super) audit: Arc<Audit>,
}

/// Counters of following.
#[derive(Debug, Default)]
pub(super) struct FollowCounts {
    /// Number of messages that were followed.
    pub(super) events: AtomicU64,
    /// Number of gaps in the order that the leader had, too.
    pub(super) holes: AtomicU64,
    /// Number of times that the log began anew because it contradicted this server's copy.
    pub(super) diverged: AtomicU64,
    /// Number of blocks that were compared with the leader's, because another server had them otherwise.
    pub(super) audited: AtomicU64,
    remade: Mutex<BTreeMap<Why, u64>>,
}

impl FollowCounts {
    pub(super) fn count_remade(&self, why: Why) {
        *self.remade.lock().unwrap_or_else(PoisonError::into_inner).entry(why).or_default() += 1;
    }

    /// Returns how often a consumer was made anew for each reason.
    pub(super) fn remade(&self) -> Vec<(&'static str, u64)> {
        let remade = self.remade.lock().unwrap_or_else(PoisonError::into_inner);
        Why::ALL.iter().map(|why| (why.name(), remade.get(why).copied().unwrap_or(0))).collect()
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            heard_ms: AtomicU64::new(0),
            target: AtomicU64::new(u64::MAX),
            reached: AtomicU64::new(0),
            whole_ms: AtomicU64::new(0),
            counts: FollowCounts::default(),
            trouble: Mutex::default(),
            audit: Arc::default(),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Records a message or heartbeat of the consumer, and the offset up to which everything was followed.
    pub(super) fn heard(&self, reached: u64) {
        let now = self.now_ms();
        self.heard_ms.store(now, Relaxed);
        self.reached.store(reached, Relaxed);
        if reached >= self.target.load(Relaxed) {
            self.whole_ms.store(now, Relaxed);
        }
    }

    /// Records the end of the log, as the leader just told it.
    pub(super) fn told_end(&self, last: u64) {
        self.target.store(last, Relaxed);
    }

    /// Records that the log begins anew, so that nothing is known about it.
    pub(super) fn begin_anew(&self) {
        self.target.store(u64::MAX, Relaxed);
        self.whole_ms.store(0, Relaxed);
        self.audit.clear();
    }

    /// Records what keeps this server from following; `None` once nothing does.
    pub(super) fn say_trouble(&self, why: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Returns the number of events that are known to be missing here.
    pub(super) fn missing(&self) -> u64 {
        let target = self.target.load(Relaxed);
        if target == u64::MAX { 0 } else { target.saturating_sub(self.reached.load(Relaxed)) }
    }

    /// Returns the time since the last moment at which nothing was missing, or since the start.
    pub(super) fn behind(&self) -> Duration {
        Duration::from_millis(self.now_ms().saturating_sub(self.whole_ms.load(Relaxed)))
    }

    pub(super) fn standing(&self, stuck: Option<String>) -> Standing {
        let quiet = Duration::from_millis(self.now_ms().saturating_sub(self.heard_ms.load(Relaxed)));
        let trouble = || self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let has_been_whole = self.whole_ms.load(Relaxed) > 0;
        let behind = self.behind();
        let why = if let Some(stuck) = stuck {
            format!("the copy of the log can't be written: {stuck}")
        } else if !has_been_whole {
            let (reached, target) = (self.reached.load(Relaxed), self.target.load(Relaxed));
            match trouble() {
                Some(trouble) => trouble,
                None if target == u64::MAX => "the order's end is not known yet".to_owned(),
                None => format!("the log is being taken from the order: {reached} of {target}"),
            }
        } else if quiet >= CUT || behind >= CUT {
            trouble().unwrap_or_else(|| "nothing is heard from NATS".to_owned())
        } else {
            return Standing::Ready;
        };
        Standing::Behind { since: behind, why }
    }
}
