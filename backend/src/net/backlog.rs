//! How much of what a stream has given is not written yet. A client that does not read must not fill the server's
//! memory: its stream gives nothing more until the socket has taken what it gave.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Waker},
};

use actix_web::HttpRequest;

/// What a socket has taken so far, and who waits for it to take more. One for each connection, on its own thread.
#[derive(Debug, Default)]
pub struct Gauge {
    written: Cell<u64>,
    waiting: RefCell<Option<Waker>>,
    is_deaf: Cell<bool>,
}

impl Gauge {
    /// Nothing more is read of this connection, and it ends soon: the rest of a body that was refused may have no end,
    /// and HTTP would read it all to get to the next request.
    pub fn stop_reading(request: &HttpRequest) {
        if let Some(gauge) = request.conn_data::<Rc<Self>>() {
            gauge.is_deaf.set(true);
        }
    }

    /// Whether that was said.
    pub const fn is_deaf(&self) -> bool {
        self.is_deaf.get()
    }

    /// The socket took so many bytes more.
    pub fn wrote(&self, count: usize) {
        self.written.set(self.written.get() + count as u64);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

/// What one stream has given beyond what its socket has taken.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// `None` in a test without a socket.
    gauge: Option<Rc<Gauge>>,
    began: u64,
    given: u64,
    /// As the gauge said when it was last asked.
    taken: u64,
}

/// A stream gives no more while so many bytes are unwritten. One event may be larger; it goes alone.
pub(crate) const MAX_BACKLOG: u64 = 8 * 1024;

impl Backlog {
    /// Of the stream that answers this request.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let gauge = request.conn_data::<Rc<Gauge>>().cloned();
        let began = gauge.as_ref().map_or(0, |gauge| gauge.written.get());
        Self { gauge, began, given: 0, taken: 0 }
    }

    /// The stream gave so many bytes.
    pub(crate) const fn gave(&mut self, count: usize) {
        self.given += count as u64;
    }

    /// There is no room; whoever asks is woken when the socket has taken something.
    pub(crate) fn is_full(&mut self, cx: &Context<'_>) -> bool {
        // The gauge is the connection's, another cache line: it is asked only where what is known of it won't do.
        if self.given.saturating_sub(self.taken) < MAX_BACKLOG {
            return false;
        }
        let Some(gauge) = &self.gauge else { return false };
        self.taken = gauge.written.get() - self.began;
        let is_full = self.given.saturating_sub(self.taken) >= MAX_BACKLOG;
        if is_full {
            gauge.waiting.replace(Some(cx.waker().clone()));
        }
        is_full
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_stream_waits_for_its_socket() {
        let gauge = Rc::new(Gauge::default());
        gauge.wrote(500);
        let mut backlog = Backlog { gauge: Some(Rc::clone(&gauge)), began: 500, given: 0, taken: 0 };
        let cx = Context::from_waker(Waker::noop());
        backlog.gave(8_191);
        assert!(!backlog.is_full(&cx));
        backlog.gave(1);
        assert!(backlog.is_full(&cx) && gauge.waiting.borrow().is_some());
        gauge.wrote(1);
        assert!(!backlog.is_full(&cx) && gauge.waiting.borrow().is_none());
    }
}
