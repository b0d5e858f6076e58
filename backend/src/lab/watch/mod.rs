//! The lab's watch over connections: it counts a visitor's streams part by part, and applies the visitor's faults.
//!
//! The watch stands between the socket and HTTP, like a proxy: it counts the bytes that the kernel reads and writes,
//! and no delivery knows of faults. On a connection without a lab id, a read costs one comparison, or the parsing of
//! the first line of a request to the API.

pub(super) mod dissect;
mod meter;
mod pipe;
mod streams;
mod visit;

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::ReadBuf;

use self::{
    streams::Streams,
    visit::{ReadAction, Visit},
};
use super::visitors::Visitors;
use crate::net::tap::{Socket, Watch};

/// Returns a watch for a connection that speaks HTTP/1.1: it counts, and applies faults.
pub fn http1(visitors: Arc<Visitors>) -> Box<dyn Watch> {
    Box::new(Http1 { visitors, visit: None })
}

/// Returns a watch for a connection that speaks HTTP/2: it counts, and applies no faults, since all requests of a
/// browser share the connection.
pub fn http2(visitors: Arc<Visitors>) -> Box<dyn Watch> {
    Box::new(Http2(Streams::new(visitors)))
}

#[derive(Debug)]
struct Http1 {
    visitors: Arc<Visitors>,
    /// State of the visitor's requests; `None` unless the last request was a visitor's.
    visit: Option<Box<Visit>>,
}

fn cut<V>(io: &dyn Socket) -> Poll<io::Result<V>> {
    io.reset_on_drop();
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

impl Watch for Http1 {
    fn poll_read(
        &mut self,
        io: &mut dyn Socket,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let before = buf.filled().len();
            if let Some(visit) = &mut self.visit {
                visit.register_waker(cx);
                if visit.is_cut() {
                    return cut(io);
                }
                if visit.give(buf) {
                    return Poll::Ready(Ok(()));
                }
                if visit.is_upload_full() {
                    visit.wait(cx);
                    return Poll::Pending;
                }
            }
            if Pin::new(&mut *io).poll_read(cx, buf)?.is_pending() {
                if let Some(visit) = &mut self.visit {
                    visit.wait(cx);
                }
                return Poll::Pending;
            }
            match Visit::hear(&mut self.visit, &self.visitors, &buf.filled()[before..]) {
                ReadAction::PassOn => return Poll::Ready(Ok(())),
                ReadAction::Later => buf.set_filled(before),
                ReadAction::Refused => {
                    buf.set_filled(before);
                    if let Some(visit) = &mut self.visit {
                        visit.refuse();
                        if let Poll::Ready(done) = visit.drain(cx, io) {
                            done?;
                        }
                    }
                }
                ReadAction::Cut => return cut(io),
            }
        }
    }

    fn poll_write(
        &mut self,
        io: &mut dyn Socket,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(visit) = &mut self.visit else { return Pin::new(io).poll_write(cx, bytes) };
        visit.register_waker(cx);
        if visit.is_cut() {
            return cut(io);
        }
        if visit.is_straight() {
            let count = ready!(Pin::new(io).poll_write(cx, bytes))?;
            visit.wrote(&bytes[..count]);
            return Poll::Ready(Ok(count));
        }
        if visit.is_full() {
            ready!(visit.drain(cx, io))?;
        }
        visit.hold(bytes);
        if let Poll::Ready(done) = visit.drain(cx, io) {
            done?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(&mut self, io: &mut dyn Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(visit) = &mut self.visit else { return Poll::Ready(Ok(())) };
        visit.register_waker(cx);
        if visit.is_cut() {
            return cut(io);
        }
        visit.drain(cx, io)
    }
}

#[derive(Debug)]
struct Http2(Streams);

impl Watch for Http2 {
    fn poll_read(
        &mut self,
        io: &mut dyn Socket,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(io).poll_read(cx, buf))?;
        self.0.take(true, &buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        io: &mut dyn Socket,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(io).poll_write(cx, bytes))?;
        self.0.take(false, &bytes[..count]);
        Poll::Ready(Ok(count))
    }
}
