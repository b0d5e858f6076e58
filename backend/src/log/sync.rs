//! The locks that the log and its subscriptions use; nothing else may lock in those files. `crates/race` compiles the
//! same files with the locks of a model checker in this module's place.

pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

/// Locks, whatever happened to an earlier holder: every critical section here leaves the data whole at each step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
