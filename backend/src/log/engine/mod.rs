//! Who keeps the log. The contract, and beside it the engines that hold to it.
//!
//! An engine numbers and keeps what is published, then hands it to the [`Tail`], which is what readers touch. It
//! knows no subscription and no delivery.

mod ages;
mod archive;
mod disk;
mod keys;
mod lag;
mod memory;
mod meters;
mod retention;
mod sequence;
mod tail;
mod waiters;

use std::{future::Future, io, pin::Pin, time::Duration};

use crate::log::sync::Arc;

use fourways_shared::{Cursor, Data, EventId, EventName, Topic};
use thiserror::Error;

use self::ages::{Ages, Last, Now};
#[cfg(fuzzing)]
pub use self::disk::segments;
pub(crate) use self::tail::{Scan, Seek, TopicTail};
pub use self::{
    ages::{Clock, SystemClock},
    archive::{Archive, Floors, Newest, Older, Stock},
    disk::{
        Checked, DiskEngine, Durability, Files, Finding, FindingKind, How, LogError, OpenFile, SystemFiles,
        check, check_on, renew,
    },
    lag::{LagAction, LagRule},
    memory::MemoryEngine,
    meters::{BOUNDS_US, Histogram, Meter, Meters, Reads, Times},
    retention::{Retention, RetentionRule, RetentionText, Selection, bytes, duration},
    tail::{Tail, TailCap, TopicPage, TopicState},
    waiters::Shard,
};

/// How long an idempotency key is remembered, and how many are at most.
pub const KEY_WINDOW: Duration = Duration::from_mins(5);
const MAX_KEYS: usize = 100_000;

/// Keeps the log.
///
/// What `append` has answered can be read again until retention lets it go, in one order for everybody. All events of
/// one append are kept, or none.
pub trait Engine: Send + Sync + 'static {
    /// The end of the log, where readers read.
    fn tail(&self) -> &Arc<Tail>;

    /// Keeps the events and resolves once they are kept.
    fn append(&self, append: Append) -> Appending<'_>;

    /// Waits until what was taken is where it is kept; nothing is taken any more. Blocks.
    fn close(&self) {}
}

/// An append under way.
pub type Appending<'a> = Pin<Box<dyn Future<Output = Result<Vec<Cursor>, EngineError>> + Send + 'a>>;

/// Events to keep, all or none, in this order.
#[derive(Debug)]
pub struct Append {
    /// Where to.
    pub topic: Topic,
    /// What; at least one.
    pub drafts: Vec<Draft>,
    /// The same again with the same key keeps nothing and returns the first answer.
    pub key: Option<Key>,
}

/// An idempotency key. It belongs to the topic and to who publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What the publisher calls it; the events' `id`.
    pub id: EventId,
    /// Who publishes, by the token's `sub`; `None` where nobody is asked.
    pub by: Option<Box<str>>,
}

/// An event before it has a place in the log.
#[derive(Debug)]
pub struct Draft {
    /// What SSE calls the event's type.
    pub name: EventName,
    /// What.
    pub data: Data,
}

/// Why the engine did not keep an append. Unless it says otherwise, nothing of it was kept.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Later, perhaps.
    #[error("the log can't take events now: {0}")]
    Unavailable(String),
    /// When there is room again.
    #[error("the disk is full; reading goes on")]
    Full,
    /// Never: the key was used for something else.
    #[error(
        "this key was used on this topic for other events in the last five minutes; nothing was published"
    )]
    KeyReused,
}

impl EngineError {
    fn of_disk(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Unavailable(format!("the disk fails: {error}")),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
