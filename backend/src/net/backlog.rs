//! The bytes that a stream has produced and its socket has not taken yet. A client that does not read must not fill the
//! server's memory, so its stream produces nothing more until the socket has taken enough.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Waker},
};

use actix_web::HttpRequest;

/// The bytes that a connection's socket has taken so far, and the stream that waits for it to take more.
///
/// Shared by `Rc` between the connection's [`Tap`](super::tap::Tap), which counts, and the streams on it, which read
/// the count.
/// All of them run on one thread, so it needs no lock. It ends with the connection.
#[derive(Debug, Default)]
pub struct Gauge {
    written: Cell<u64>,
    /// The waker of the stream whose backlog is full.
    waiting: RefCell<Option<Waker>>,
    has_stopped_reading: Cell<bool>,
}

impl Gauge {
    /// Stops reading requests from the connection, which closes soon. The rest of a refused body may have no end, and
    /// HTTP/1.1 would read it all to get to the next request.
    pub fn stop_reading(request: &HttpRequest) {
        if let Some(gauge) = request.conn_data::<Rc<Self>>() {
            gauge.has_stopped_reading.set(true);
        }
    }

    /// Returns true after [`Self::stop_reading`].
    pub const fn has_stopped_reading(&self) -> bool {
        self.has_stopped_reading.get()
    }

    /// Adds `count` bytes that the socket took, and wakes the stream that waits for it.
    pub fn wrote(&self, count: usize) {
        self.written.set(self.written.get() + count as u64);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

/// The backlog of one stream: the bytes that it produced minus those that its socket took. Owned by the stream.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// `None` on HTTP/2, whose flow control bounds a stream instead, and in tests without a socket.
    gauge: Option<Rc<Gauge>>,
    began: u64,
    given: u64,
    /// Bytes taken since the stream began, when the gauge was last read.
    taken: u64,
}

/// Unwritten bytes from which a stream produces nothing more. A larger event is written alone.
pub(crate) const MAX_BACKLOG: u64 = 8 * 1024;

impl Backlog {
    /// Creates the backlog of the stream that answers this request.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let gauge = request.conn_data::<Rc<Gauge>>().cloned();
        let began = gauge.as_ref().map_or(0, |gauge| gauge.written.get());
        Self { gauge, began, given: 0, taken: 0 }
    }

    /// Adds `count` bytes that the stream produced.
    pub(crate) const fn produced(&mut self, count: usize) {
        self.given += count as u64;
    }

    /// Returns true if the stream must wait; the task is woken when the socket has taken more.
    pub(crate) fn is_full(&mut self, cx: &Context<'_>) -> bool {
        // The gauge is on another cache line, so it is read only if its last known value is not enough.
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
        backlog.produced(8_191);
        assert!(!backlog.is_full(&cx));
        backlog.produced(1);
        assert!(backlog.is_full(&cx) && gauge.waiting.borrow().is_some());
        gauge.wrote(1);
        assert!(!backlog.is_full(&cx) && gauge.waiting.borrow().is_none());
    }
}
