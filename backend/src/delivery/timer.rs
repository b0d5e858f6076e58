//! The timer of a held connection, for its heartbeat, its token's expiry and the wait at its close. It is polled twice
//! with every event, so a poll must cost almost nothing.

use std::{
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// A timer that is due once its interval has passed, and can be restarted. Owned by one connection and dropped with it.
#[derive(Debug)]
pub(super) struct Timer {
    every: Duration,
    sleep: Pin<Box<Sleep>>,
    waker: Option<Waker>,
}

impl Timer {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, sleep: Box::pin(sleep(every)), waker: None }
    }

    /// Returns true once the timer is due; until then, the task is woken when it will be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        // The sleep keeps the waker of its last poll. Another poll with the same waker would only cost a lock.
        if self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            return self.sleep.as_mut().poll(cx).is_ready();
        }
        self.sleep.is_elapsed()
    }

    /// Starts the next interval.
    pub(super) fn restart(&mut self) {
        self.set(self.every);
    }

    /// Makes the timer due after this time, counted from now, instead of after its interval.
    pub(super) fn set(&mut self, after: Duration) {
        self.sleep.as_mut().reset(Instant::now() + after);
        self.waker = None;
    }
}
