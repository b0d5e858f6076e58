//! The log in memory: the tail is all there is, and a restart begins another epoch.

use std::{future::ready, sync::Arc};

use fourways_shared::Epoch;

use super::{Append, Appending, Engine, Retention, Shard, Tail};

/// Keeps the log in memory.
#[derive(Debug)]
pub struct MemoryEngine {
    tail: Arc<Tail>,
}

impl MemoryEngine {
    /// An empty log of a new epoch. `workers`: see [`Shard`].
    pub fn new(epoch: Epoch, retention: Retention, workers: usize) -> Self {
        Self { tail: Arc::new(Tail::new(epoch, retention, Shard::count(workers))) }
    }
}

impl Engine for MemoryEngine {
    fn tail(&self) -> &Arc<Tail> {
        &self.tail
    }

    fn append(&self, append: Append) -> Appending<'_> {
        Box::pin(ready(Ok(self.tail.append(append))))
    }
}
