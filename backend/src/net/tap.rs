//! The tap, through which every connection of the server reads and writes. It counts the bytes that were written
//! ([`Gauge`]), and reads and discards the rest of a refused body.
//!
//! A [`Watch`] may look on: the lab counts its visitors' bytes with one, and injects their faults. A push server works
//! without one.

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

/// A connection of the server, as HTTP sees it. Owned by its task; the streams on it share only its [`Gauge`].
#[derive(Debug)]
pub struct Tap<T: Socket> {
    io: T,
    gauge: Rc<Gauge>,
    /// The deadline for the last answer to reach the client, once lingering has begun.
    ending: Option<Pin<Box<Sleep>>>,
    /// Bytes read and discarded while lingering.
    lingered: usize,
    /// The latest end of lingering, however much still arrives.
    lingers_until: Option<Instant>,
    /// True once the writing side is shut down.
    is_shut: bool,
    watch: Box<dyn Watch>,
}

/// An observer that reads and writes a connection on behalf of its tap. Each method has the contract of the method of
/// [`AsyncRead`] or [`AsyncWrite`] with its name, and may do more, such as delay or count. Owned by the tap.
pub trait Watch: fmt::Debug {
    /// Reads from the connection into `buf`.
    fn poll_read(
        &mut self,
        io: &mut dyn Socket,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(io).poll_read(cx, buf)
    }

    /// Writes to the connection. Bytes that the watch keeps for later count as written.
    fn poll_write(
        &mut self,
        io: &mut dyn Socket,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(io).poll_write(cx, bytes)
    }

    /// Writes the bytes that the watch has kept. The tap flushes the connection afterwards.
    fn poll_flush(&mut self, _io: &mut dyn Socket, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Time that the answer to a refused body has to reach the client, counted from the client's last byte.
const LAST_ANSWER: Duration = Duration::from_secs(2);
/// Longest time for which the rest of a refused body is read and discarded.
const MAX_LINGER: Duration = Duration::from_secs(30);
/// Most bytes of a refused body that are read and discarded.
const MAX_LINGER_BYTES: usize = 64 << 20;

/// A connection that a tap can read, write and reset.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Makes a drop of the connection send a TCP reset instead of closing it in order.
    fn reset_on_drop(&self);
}

impl Socket for TcpStream {
    fn reset_on_drop(&self) {
        // A failure is ignored: the connection is then closed in order, which ends it as well.
        drop(self.set_zero_linger());
    }
}

impl<T: Socket> Tap<T> {
    /// Wraps a connection, which `watch` observes from its first byte on.
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

    /// Returns the count of written bytes, for the streams on this connection.
    pub fn gauge(&self) -> Rc<Gauge> {
        Rc::clone(&self.gauge)
    }

    /// Reads and discards the rest of a refused body, until it ends or a limit is reached. If the connection were
    /// closed before that, it would be reset, and the answer might be lost on its way (RFC 9112 9.6).
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scraps = [MaybeUninit::uninit(); 8 * 1024];
        while self.lingered < MAX_LINGER_BYTES {
            let mut scraps = ReadBuf::uninit(&mut scraps);
            match Pin::new(&mut self.io).poll_read(cx, &mut scraps) {
                Poll::Ready(Ok(())) if !scraps.filled().is_empty() => {
                    self.lingered += scraps.filled().len();
                    // The client still sends, so the answer's time starts again, within the limit of all lingering.
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
        if this.gauge.has_stopped_reading() {
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
        if this.gauge.has_stopped_reading() {
            ready!(this.linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
