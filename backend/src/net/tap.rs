//! Every connection of the server goes through a tap: it passes bytes on, counts what was written ([`Gauge`]), and reads on what a
//! client still sends of a body that was refused.
//!
//! Somebody may watch ([`Watch`]): the lab counts its visitors' bytes there, and breaks their connections. A push server works without.

use std::{
    fmt, io,
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::backlog::Gauge;

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
    watch: Box<dyn Watch>,
}

/// Whoever reads and writes a connection in the tap's place, to look at what passes. Each method is called as the method of
/// [`AsyncRead`] or [`AsyncWrite`] with its name, and may do no less; what it does beside that is its own affair.
pub trait Watch: fmt::Debug {
    /// Reads.
    fn poll_read(
        &mut self,
        io: &mut dyn Socket,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(io).poll_read(cx, buf)
    }

    /// Writes; what it keeps for later counts as written.
    fn poll_write(
        &mut self,
        io: &mut dyn Socket,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(io).poll_write(cx, bytes)
    }

    /// Writes what it has kept; the tap flushes the connection.
    fn poll_flush(&mut self, _io: &mut dyn Socket, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
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
    /// Taps a connection, watched from its first byte on.
    pub fn new(io: T, watch: Box<dyn Watch>) -> Self {
        Self {
            io,
            gauge: Rc::default(),
            ending: None,
            lingered: 0,
            lingers_until: None,
            is_shut: false,
            watch,
        }
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
}

impl<T: Socket> AsyncRead for Tap<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.gauge.is_deaf() {
            ready!(this.linger(cx));
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        this.watch.poll_read(&mut this.io, cx, buf)
    }
}

impl<T: Socket> AsyncWrite for Tap<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(this.watch.poll_write(&mut this.io, cx, bytes))?;
        this.gauge.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.watch.poll_flush(&mut this.io, cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_shut {
            ready!(this.watch.poll_flush(&mut this.io, cx))?;
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            this.is_shut = true;
        }
        if this.gauge.is_deaf() {
            ready!(this.linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
