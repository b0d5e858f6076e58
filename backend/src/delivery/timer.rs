//! The heartbeat of a held connection. A delivery must not pay for it: it is asked for twice with every event.

use std::{
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// Comes due again and again; dropping it ends it.
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

    /// True once it is due. Whoever asks is woken when it will be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        // The sleep keeps the waker it was polled with, so it need not be polled again, which costs a lock.
        if self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            return self.sleep.as_mut().poll(cx).is_ready();
        }
        self.sleep.is_elapsed()
    }

    /// Begins the next interval.
    pub(super) fn restart(&mut self) {
        self.set(self.every);
    }

    /// Comes due after this time instead.
    pub(super) fn set(&mut self, after: Duration) {
        self.sleep.as_mut().reset(Instant::now() + after);
        self.waker = None;
    }
}
