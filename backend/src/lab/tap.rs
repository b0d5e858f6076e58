//! Every connection of the server goes through a tap. It passes bytes on, and for a visitor's streams it counts them
//! part by part and lets the visitor's own faults happen to them.
//!
//! It stands between the socket and HTTP, as a proxy would, so that what is counted is what the kernel counts, and no
//! delivery knows of faults. A connection whose requests carry no lab id costs one comparison for each read.

mod streams;
mod visit;

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use self::{
    streams::Streams,
    visit::{Said, Visit},
};
use super::visitors::Visitors;
use crate::backlog::Gauge;

/// A connection.
#[derive(Debug)]
pub struct Tap<T: Socket> {
    io: T,
    gauge: Rc<Gauge>,
    /// Until when the last answer may be on its way.
    ending: Option<Pin<Box<Sleep>>>,
    /// Bytes that were thrown away meanwhile.
    lingered: usize,
    /// Whatever still comes.
    lingers_until: Option<Instant>,
    /// Nothing is written any more.
    is_shut: bool,
    visitors: Arc<Visitors>,
    /// Only while the last request was a visitor's.
    visit: Option<Box<Visit>>,
    /// Of a connection that speaks HTTP/2.
    streams: Option<Box<Streams>>,
}

/// How long the answer to a request that is not read to its end has to reach the client, once nothing more comes of it.
const LAST_ANSWER: Duration = Duration::from_secs(2);
/// How long the rest may come at all,
const MAX_LINGER: Duration = Duration::from_secs(30);
/// and how much of it.
const MAX_LINGER_BYTES: usize = 64 << 20;

/// What a tap needs of a connection beside reading and writing.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Dropping it sends a TCP reset from now on, instead of an orderly end.
    fn reset_on_drop(&self);
}

impl Socket for TcpStream {
    fn reset_on_drop(&self) {
        // A socket that can't be told is closed in order; that is a cut too.
        drop(self.set_zero_linger());
    }
}

impl<T: Socket> Tap<T> {
    /// Taps a connection that speaks HTTP/1.1.
    pub fn new(io: T, visitors: Arc<Visitors>) -> Self {
        Self {
            io,
            gauge: Rc::default(),
            ending: None,
            lingered: 0,
            lingers_until: None,
            is_shut: false,
            visitors,
            visit: None,
            streams: None,
        }
    }

    /// Taps one that speaks HTTP/2: it is counted, and not broken, since everything of a browser shares it.
    pub fn http2(io: T, visitors: Arc<Visitors>) -> Self {
        let streams = Some(Box::new(Streams::new(Arc::clone(&visitors))));
        Self { streams, ..Self::new(io, visitors) }
    }

    /// What it has written, for the streams on it to look at.
    pub fn gauge(&self) -> Rc<Gauge> {
        Rc::clone(&self.gauge)
    }

    /// Reads on and throws away what a client still sends of a body that was refused, until it ends or has had its time:
    /// closed before that, the connection would be reset, and the answer lost on its way (RFC 9112 9.6).
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scraps = [MaybeUninit::uninit(); 8 * 1024];
        while self.lingered < MAX_LINGER_BYTES {
            let mut scraps = ReadBuf::uninit(&mut scraps);
            match Pin::new(&mut self.io).poll_read(cx, &mut scraps) {
                Poll::Ready(Ok(())) if !scraps.filled().is_empty() => {
                    self.lingered += scraps.filled().len();
                    // It goes on: it may have its time anew, within that of all.
                    let until = self.lingers_until.get_or_insert_with(|| Instant::now() + MAX_LINGER);
                    if let Some(ending) = &mut self.ending {
                        ending.as_mut().reset((Instant::now() + LAST_ANSWER).min(*until));
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let ending = self.ending.get_or_insert_with(|| Box::pin(sleep(LAST_ANSWER)));
                    return ending.as_mut().poll(cx);
                }
            }
        }
        Poll::Ready(())
    }

    fn cut<V>(&self) -> Poll<io::Result<V>> {
        self.io.reset_on_drop();
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}

impl<T: Socket> AsyncRead for Tap<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.gauge.is_deaf() {
            ready!(this.linger(cx));
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        loop {
            let before = buf.filled().len();
            if let Some(visit) = &mut this.visit {
                visit.attend(cx);
                if visit.is_cut() {
                    return this.cut();
                }
                if visit.give(buf) {
                    return Poll::Ready(Ok(()));
                }
                if visit.is_deaf() {
                    visit.wait(cx);
                    return Poll::Pending;
                }
            }
            if Pin::new(&mut this.io).poll_read(cx, buf)?.is_pending() {
                if let Some(visit) = &mut this.visit {
                    visit.wait(cx);
                }
                return Poll::Pending;
            }
            let read = &buf.filled()[before..];
            if let Some(streams) = &mut this.streams {
                streams.take(true, read);
                return Poll::Ready(Ok(()));
            }
            match Visit::hear(&mut this.visit, &this.visitors, read) {
                Said::PassOn => return Poll::Ready(Ok(())),
                Said::Later => buf.set_filled(before),
                Said::Refused => {
                    buf.set_filled(before);
                    if let Some(visit) = &mut this.visit {
                        visit.refuse();
                        if let Poll::Ready(done) = visit.drain(cx, &mut this.io) {
                            done?;
                        }
                    }
                }
                Said::Cut => return this.cut(),
            }
        }
    }
}

impl<T: Socket> AsyncWrite for Tap<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(visit) = &mut this.visit else {
            let written = Pin::new(&mut this.io).poll_write(cx, bytes);
            if let Poll::Ready(Ok(count)) = written {
                this.gauge.wrote(count);
            }
            if let (Some(streams), Poll::Ready(Ok(count))) = (&mut this.streams, &written) {
                streams.take(false, &bytes[..*count]);
            }
            return written;
        };
        visit.attend(cx);
        if visit.is_cut() {
            return this.cut();
        }
        if visit.is_straight() {
            let count = ready!(Pin::new(&mut this.io).poll_write(cx, bytes))?;
            visit.wrote(&bytes[..count]);
            this.gauge.wrote(count);
            return Poll::Ready(Ok(count));
        }
        if visit.is_full() {
            ready!(visit.drain(cx, &mut this.io))?;
        }
        visit.hold(bytes);
        this.gauge.wrote(bytes.len());
        if let Poll::Ready(done) = visit.drain(cx, &mut this.io) {
            done?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(visit) = &mut this.visit {
            visit.attend(cx);
            if visit.is_cut() {
                return this.cut();
            }
            ready!(visit.drain(cx, &mut this.io))?;
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(visit) = &mut this.visit {
            ready!(visit.drain(cx, &mut this.io))?;
        }
        if !this.is_shut {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            this.is_shut = true;
        }
        if this.gauge.is_deaf() {
            ready!(this.linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
