//! The choice of an engine.

use std::{io, path::PathBuf, time::Instant};

use fourways_shared::Epoch;

use super::{DiskEngine, Durability, Engine, MemoryEngine, RetentionRule, TailCap};
use crate::sync::Arc;

/// The place where a log is kept. Each kind has an engine of its own; a new engine gets a variant here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// The memory of the process: the log ends with it, and each start begins another epoch.
    Memory,
    /// A folder of files, with the newest events in memory too.
    Disk {
        /// Folder that holds the log.
        folder: PathBuf,
        /// Time at which an append is acknowledged.
        durability: Durability,
        /// The part of the log that is kept in memory too.
        cap: TailCap,
    },
}

impl Storage {
    /// Opens the log, or begins a new one. Blocks while the log is read; it is called on a
    /// thread that already runs an async runtime. The last of the rules applies to every topic
    /// that no other rule matches; `workers` is the number of threads that serve (see [`Shard`](super::Shard)).
    ///
    /// # Errors
    /// If the system gives no random numbers, if another server has the log open, or if the log can't be read or written.
    pub fn open(&self, rules: Vec<RetentionRule>, workers: usize) -> io::Result<Arc<dyn Engine>> {
        match self {
            Self::Memory => {
                let bits = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
                Ok(Arc::new(MemoryEngine::new(Epoch::from_bits(bits), rules, workers)))
            }
            Self::Disk { folder, durability, cap } => {
                let began = Instant::now();
                let engine =
                    DiskEngine::open(folder, rules, *cap, *durability, workers).map_err(|error| {
                        let text = format!("can't open the log in {}: {error}", folder.display());
                        io::Error::new(error.kind(), text)
                    })?;
                let (tail, ms) = (engine.tail(), began.elapsed().as_millis());
                tracing::info!(data = %folder.display(), epoch = %tail.epoch(), head = tail.head().0, ms, "the log is open");
                Ok(Arc::new(engine))
            }
        }
    }
}
