//! The model checker's locks, under the names that the log's own `sync` module uses.

pub(crate) use std::sync::{Arc, PoisonError};

pub(crate) use shuttle::sync::{
    Mutex, MutexGuard, RwLock,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

/// Locks the mutex even if an earlier holder panicked, as the log's own `sync::lock` does.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
