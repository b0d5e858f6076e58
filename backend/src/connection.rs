//! A connection as it is accepted: plain, or TLS after its handshake.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_http::Protocol;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::lab::tap::Socket;

/// Who has not finished the handshake by then is no browser.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// A connection to a client.
#[derive(Debug)]
pub enum Connection {
    /// As it comes from the network.
    Plain(TcpStream),
    /// Inside TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Shakes hands, if there is TLS; what is spoken is what was agreed on (ALPN, RFC 7301).
///
/// # Errors
/// If the handshake fails or takes too long.
pub async fn accept(stream: TcpStream, acceptor: Option<TlsAcceptor>) -> io::Result<(Connection, Protocol)> {
    let Some(acceptor) = acceptor else { return Ok((Connection::Plain(stream), Protocol::Http1)) };
    let accepted = timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await;
    let stream = accepted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
    Ok((Connection::Tls(Box::new(stream)), protocol))
}

impl Socket for Connection {
    fn reset_on_drop(&self) {
        match self {
            Self::Plain(stream) => stream.reset_on_drop(),
            Self::Tls(stream) => stream.get_ref().0.reset_on_drop(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
