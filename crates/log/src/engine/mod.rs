//! The engines: each numbers and keeps the events that are published, and hands them to the [`Tail`], which readers
//! read.
//!
//! [`Engine`] and [`Archive`] are the contract; [`MemoryEngine`] and [`DiskEngine`] hold to it. An engine is a module
//! of this folder, because only modules of this folder can feed a tail. It knows no subscription and no delivery.

mod ages;
mod archive;
mod disk;
mod followed;
mod keys;
mod lag;
mod memory;
mod meters;
mod retention;
mod sequence;
mod storage;
mod tail;
mod waiters;

use std::{future::Future, io, pin::Pin, time::Duration};

use crate::sync::Arc;

use fourways_shared::{Cursor, Data, EventId, EventName, Topic, time::micros};
use thiserror::Error;

use self::ages::{Ages, Last, Now};
#[cfg(fuzzing)]
pub use self::disk::segments;
pub(crate) use self::tail::{Scan, Seek, TopicTail};
pub use self::{
    ages::{Clock, SystemClock},
    archive::{Archive, Floors, Newest, Older, Stock},
    disk::{
        Checked, DiskEngine, Durability, Files, Finding, FindingKind, LogError, OpenFile, OpenMode,
        SystemFiles, check, check_on, renew,
    },
    followed::{Copy, Followed, FollowedLog, Head},
    lag::{LagAction, LagRule},
    memory::MemoryEngine,
    meters::{BOUNDS_US, Histogram, Meter, Meters, Reads, Times},
    retention::{Retention, RetentionRule, RetentionText, Selection, bytes, duration},
    storage::Storage,
    tail::{Tail, TailCap, TopicPage, TopicState},
    waiters::Shard,
};

/// Time for which an idempotency key is remembered.
pub const KEY_WINDOW: Duration = Duration::from_mins(5);
/// Number of idempotency keys remembered at most; the oldest are forgotten first.
const MAX_KEYS: usize = 100_000;

/// A log: it numbers events, keeps them until retention drops them, and hands them to its [`Tail`].
///
/// One engine serves the whole server: it is shared in an `Arc`, and its methods are called from several threads at
/// once.
///
/// # Offsets
/// The engine assigns every event its offset, in one order over all topics. The first offset is 1 or higher, each is
/// higher than the one before, and none is assigned twice within an epoch. Gaps are allowed. So an engine appends from
/// one place at a time: a lock in memory, a thread on disk. Both use `Sequence`, which also remembers idempotency
/// keys; an engine whose store assigns the offsets (a cluster's stream) can't use it, and must recognise repeated
/// keys itself.
///
/// # Order of calls
/// While the log opens, and before anybody can read: `Tail::new`; then, if older events are kept elsewhere,
/// `with_archive`, `begin_after`, and `put_before` for events that are to be in memory again. From then on, for every
/// append:
///
/// 1. Number its events.
/// 2. Keep them. Events that are not volatile must be readable in the [`Archive`], if there is one, from here on: the
///    tail may drop them from memory during the next step.
/// 3. Hand them to `Tail::put`: one call for each append, in the order of offsets, and never two at once.
/// 4. Resolve the append's future.
///
/// Once a second the server calls [`Tail::sweep`]. It drops events from memory only; an engine that keeps events
/// elsewhere drops those itself.
///
/// # What a reader sees
/// Readers see no event before `Tail::put`, and then all events of the append at once, in the order of offsets over
/// all topics. An event whose append was acknowledged can be read from that moment until retention drops it; whether
/// it outlives the process is each engine's own promise (see [`Durability`]). No reader ever sees an event of a
/// failed append, unless the error says that the events may still be kept.
///
/// # Blocking
/// [`Engine::tail`] and [`Engine::append`] are called by threads that serve connections and must not block them: an
/// append waits in its future. [`Engine::close`] may block.
///
/// # A new engine
/// An engine that needs nothing but this machine gets a variant of [`Storage`], which opens it (on a thread that already
/// runs an async runtime, so that it can't block on one); one that follows an order from elsewhere is made around a
/// [`FollowedLog`], in a crate of its own. Either gets a line in `tests/all/conformance.rs`, which holds every engine to
/// this contract, and its dependencies in `crates/race` too, which compiles the same files.
pub trait Engine: Send + Sync + 'static {
    /// Returns the end of the log, where readers read. An engine that follows another server's order may replace its
    /// tail, so a caller asks anew for each request; a subscription goes on in the new tail by itself.
    fn tail(&self) -> Arc<Tail>;

    /// Keeps the events, all or none; the future resolves to their cursors once they are kept and can be read.
    ///
    /// An append whose key was used for the same events keeps nothing and resolves to the first cursors. Dropping the
    /// future does not take the append back.
    ///
    /// # Errors
    /// See [`EngineError`].
    fn append(&self, append: Append) -> Appending<'_>;

    /// Returns whether the engine can do at present what it promises. An engine that decides the order itself always
    /// can, as far as it knows.
    fn standing(&self) -> Standing {
        Standing::Ready
    }

    /// Returns the figures of an order that is decided elsewhere; `None` for an engine that decides the order itself.
    fn order(&self) -> Option<OrderFigures> {
        None
    }

    /// Blocks until everything that was accepted is where it is kept. Afterwards an engine that keeps events outside
    /// memory accepts no more. Another call does nothing.
    fn close(&self) {}
}

/// The state of an engine: able to do what it promises, or not at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Everything that was published can be read here, and events can be published.
    Ready,
    /// Others may have published events that can't be read here yet. What can be read stays as it is.
    Behind {
        /// Time since the engine was last known to have everything.
        since: Duration,
        /// The cause and, where there is one, the remedy, as a sentence without a full stop.
        why: String,
    },
}

/// Figures of an order that is decided elsewhere, for operators. The counters begin with the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderFigures {
    /// Number of events that are known to exist and can't be read here yet.
    pub missing: u64,
    /// Time since everything could last be read here.
    pub behind: Duration,
    /// True if none of those who decide the order can be reached.
    pub is_cut: bool,
    /// Number of events that were followed.
    pub followed: u64,
    /// Number of times that following began again, for each reason.
    pub remade: Vec<(&'static str, u64)>,
    /// Number of gaps in the offsets that the order has, too: their events were deleted.
    pub holes: u64,
    /// Number of times that the order contradicted this server's copy for good, so that the log began anew.
    pub diverged: u64,
    /// Number of blocks of the copy that were compared with the order, because another server has them otherwise.
    pub audited: u64,
    /// Number of times that an append was sent again.
    pub retries: u64,
    /// Number of appends that had been kept before they were sent again.
    pub duplicates: u64,
    /// Number of appends that wait for the order now.
    pub waiting: u64,
}

/// The future of an append. It resolves to the cursors of its events, in their order.
pub type Appending<'a> = Pin<Box<dyn Future<Output = Result<Vec<Cursor>, EngineError>> + Send + 'a>>;

/// Events to keep, all or none, in this order.
#[derive(Debug)]
pub struct Append {
    /// Topic of all the events.
    pub topic: Topic,
    /// The events; at least one.
    pub drafts: Vec<Draft>,
    /// Idempotency key of the append: the same events with the same key are kept once.
    pub key: Option<Key>,
}

/// An idempotency key. The same id is another key on another topic or from another publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Key that the publisher chose. Every event of the append carries it as its `id`.
    pub id: EventId,
    /// Subject of the publisher's token (`sub`); `None` on a server that asks for no token.
    pub by: Option<Box<str>>,
}

/// An event before it has a time and an offset.
#[derive(Debug)]
pub struct Draft {
    /// Type of the event, as in the `event` field of SSE.
    pub name: EventName,
    /// Payload of the event.
    pub data: Data,
}

/// The reason why an append failed. Unless the error says otherwise, none of its events was kept.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The log can't keep events at present; the publisher may repeat the append with the same key.
    #[error("the log can't accept events now: {0}")]
    Unavailable(String),
    /// The events may or may not have been kept. Repeating the append with the same key keeps them once.
    #[error("{0}; the events may have been kept: publish them again with the same key")]
    Unknown(String),
    /// More events were given than one append can keep.
    #[error("at most {0} events can be published at once")]
    TooMany(usize),
    /// No space is left. The append succeeds once there is space again.
    #[error("the disk is full; reading still works")]
    Full,
    /// The key was used for other events. Repeating the append never succeeds.
    #[error(
        "this key was used on this topic for other events in the last five minutes; nothing was published"
    )]
    KeyReused,
}

impl EngineError {
    fn of_disk(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Unavailable(format!("the disk failed: {error}")),
        }
    }
}
