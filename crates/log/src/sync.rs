//! The locks of the tail, its waiters, the memory engine and the subscriptions: `crates/race` compiles the same files with
//! a model checker's locks in place of this module. The disk engine, which the checker does not run, uses others too.

pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

/// Locks the mutex even if an earlier holder panicked: every critical section here leaves the data consistent at each
/// step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
