//! The log in memory: the tail is the whole log, and every start begins a new epoch.

use std::future::ready;

use fourways_shared::{Cursor, Epoch};

use super::{
    Ages, Append, Appending, Clock, Engine, EngineError, RetentionRule, Shard, SystemClock, Tail,
    sequence::{Numbered, Sequence},
};
use crate::sync::{Arc, Mutex, lock};

/// A log that lives in memory only, and ends with the process.
///
/// No append waits: when [`Engine::append`] returns its future, the events can be read already.
#[derive(Debug)]
pub struct MemoryEngine {
    tail: Arc<Tail>,
    /// Locked from numbering until the tail has the events, so that the tail gets them in the order of their offsets.
    /// A blocking lock, because nobody holds it across an `.await`.
    sequence: Mutex<Sequence>,
}

impl MemoryEngine {
    /// Creates an empty log. The last of the rules applies to every topic that no other rule matches; `workers` is
    /// the number of threads that serve (see [`Shard`]).
    pub fn new(epoch: Epoch, rules: Vec<RetentionRule>, workers: usize) -> Self {
        Self::with_clock(Arc::new(SystemClock::default()), epoch, rules, workers)
    }

    /// Creates an empty log with other clocks than the system's.
    pub fn with_clock(
        clock: Arc<dyn Clock>,
        epoch: Epoch,
        rules: Vec<RetentionRule>,
        workers: usize,
    ) -> Self {
        let ages = Arc::new(Ages::new(clock, None));
        let tail = Arc::new(Tail::new(epoch, rules, Shard::count(workers), ages));
        Self { tail, sequence: Mutex::new(Sequence::new(epoch, 0)) }
    }

    fn keep(&self, append: Append) -> Result<Vec<Cursor>, EngineError> {
        let mut sequence = lock(&self.sequence);
        let ages = self.tail.ages();
        let now = ages.now();
        sequence.forget_keys(now);
        match sequence.number(append, ages.wall_us(), now)? {
            Numbered::Before(cursors) => Ok(cursors),
            Numbered::New(events) => {
                let cursors = events.iter().map(|event| event.cursor).collect();
                self.tail.put(events);
                Ok(cursors)
            }
        }
    }
}

impl Engine for MemoryEngine {
    fn tail(&self) -> Arc<Tail> {
        Arc::clone(&self.tail)
    }

    fn append(&self, append: Append) -> Appending<'_> {
        Box::pin(ready(self.keep(append)))
    }
}
