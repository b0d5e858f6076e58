//! Logs whose order is decided elsewhere: readers that are ahead of the tail, and a tail that takes another's place.

use fourways_shared::Offset;

use super::Tail;
use crate::sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, Ordering, PoisonError, RwLock};

/// The tail that takes the place of another, if there is one.
///
/// Owned by the tail that ends; set once, and then read by each of its readers. The flag stands beside the lock so that
/// a reader looks at one atomic for each poll.
#[derive(Debug, Default)]
pub(super) struct Succession {
    is_over: AtomicBool,
    next: RwLock<Option<Arc<Tail>>>,
}

/// The end of the log as those who decide its order know it.
#[derive(Debug, Default)]
pub(super) struct End {
    offset: AtomicU64,
    /// Number of times that the end was confirmed.
    confirmations: AtomicU64,
    /// Number of readers whose cursor is ahead of the tail.
    readers_ahead: AtomicUsize,
}

impl Tail {
    /// Ends this tail: its readers go on in `next` with the cursors that they have, and are told what they miss.
    /// What is in memory here is freed with the last of them.
    pub(in crate::engine) fn succeed(&self, next: Arc<Self>) {
        *self.succession.next.write().unwrap_or_else(PoisonError::into_inner) = Some(next);
        // A reader registers its waker and then looks at the flag; here the flag is set before the waker is called. So
        // no reader sleeps on.
        self.succession.is_over.store(true, Ordering::SeqCst);
        self.wake_all();
        for relay in &self.relays {
            relay.wake();
        }
    }

    /// True if another tail has taken the place of this one.
    pub(crate) fn is_succeeded(&self) -> bool {
        self.succession.is_over.load(Ordering::SeqCst)
    }

    /// Returns the tail that has taken the place of this one; `None` while this one is in use.
    pub fn successor(&self) -> Option<Arc<Self>> {
        if !self.is_succeeded() {
            return None;
        }
        self.succession.next.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True if a reader may rightly have a cursor after the newest event here, because other servers follow the same log.
    pub fn may_be_behind(&self) -> bool {
        self.following.is_some()
    }

    /// Returns how often the end of the log was confirmed; 0 for a log that decides its order itself.
    pub(crate) fn confirmations(&self) -> u64 {
        self.following.as_ref().map_or(0, |end| end.confirmations.load(Ordering::SeqCst))
    }

    /// True if the end of the log has been confirmed to lie before `offset` since there were `confirmations`: nobody
    /// assigned that offset in this epoch.
    pub(crate) fn is_beyond_end(&self, offset: u64, confirmations: u64) -> bool {
        // The first confirmation may answer a question that was asked before the reader came.
        self.following.as_ref().is_some_and(|end| {
            end.confirmations.load(Ordering::SeqCst) >= confirmations + 2
                && end.offset.load(Ordering::SeqCst) < offset
        })
    }

    /// Records the end of the log, as asked of those who decide its order, and wakes readers that wait for it.
    pub(in crate::engine) fn confirm_end(&self, offset: Offset) {
        let Some(end) = &self.following else { return };
        end.offset.store(offset.0, Ordering::SeqCst);
        end.confirmations.fetch_add(1, Ordering::SeqCst);
        if end.readers_ahead.load(Ordering::SeqCst) > 0 {
            self.wake_all();
        }
    }

    /// Counts a reader that is ahead of the tail, or one that no longer is.
    pub(crate) fn count_ahead(&self, is_ahead: bool) {
        let Some(end) = &self.following else { return };
        if is_ahead {
            end.readers_ahead.fetch_add(1, Ordering::SeqCst);
        } else {
            end.readers_ahead.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
