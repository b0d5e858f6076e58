//! The log in memory: the tail is all there is, and a restart begins another epoch.

use std::future::ready;

use fourways_shared::{Cursor, Epoch};

use super::{
    Ages, Append, Appending, Clock, Engine, EngineError, RetentionRule, Shard, SystemClock, Tail,
    sequence::{Numbered, Sequence},
};
use crate::log::sync::{Arc, Mutex, lock};

/// Keeps the log in memory.
#[derive(Debug)]
pub struct MemoryEngine {
    tail: Arc<Tail>,
    /// Held until the tail has what was numbered, so that both have one order.
    sequence: Mutex<Sequence>,
}

impl MemoryEngine {
    /// An empty log of a new epoch. `workers`: see [`Shard`]. Of the rules, the last takes every topic that no other
    /// does.
    pub fn new(epoch: Epoch, rules: Vec<RetentionRule>, workers: usize) -> Self {
        Self::with_clock(Arc::new(SystemClock::default()), epoch, rules, workers)
    }

    /// The same by another clock than the system's.
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
    fn tail(&self) -> &Arc<Tail> {
        &self.tail
    }

    fn append(&self, append: Append) -> Appending<'_> {
        Box::pin(ready(self.keep(append)))
    }
}
