//! A connection as it is accepted: plain, or TLS after its handshake.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_http::{ConnectionType, Protocol};
use actix_web::{
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::StatusCode,
    middleware::Next,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{access::limits::Place, net::tap::Socket};

/// A connection to a client, and its place among all.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    _place: Place,
}

#[derive(Debug)]
enum Stream {
    /// As it comes from the network.
    Plain(TcpStream),
    /// From a program on this machine.
    Unix(UnixStream),
    /// Inside TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// From a Unix socket.
pub fn accept_unix(stream: UnixStream, place: Place) -> Connection {
    Connection { stream: Stream::Unix(stream), _place: place }
}

/// Shakes hands, if there is TLS; what is spoken is what was agreed on (ALPN, RFC 7301).
///
/// # Errors
/// If the handshake fails or takes too long.
pub async fn accept(
    stream: TcpStream,
    place: Place,
    acceptor: Option<TlsAcceptor>,
    deadline: Duration,
) -> io::Result<(Connection, Protocol)> {
    let Some(acceptor) = acceptor else {
        return Ok((Connection { stream: Stream::Plain(stream), _place: place }, Protocol::Http1));
    };
    // Boxed: a task is as large as the largest of what it waits for, and this would make each connection 2.7 KiB larger
    // for as long as it lives.
    let accepted = timeout(deadline, Box::pin(acceptor.accept(stream))).await;
    let stream = accepted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
    Ok((Connection { stream: Stream::Tls(Box::new(stream)), _place: place }, protocol))
}

/// HTTP ends a connection after the answer to a request that offered an upgrade, whatever became of it. Unless it was
/// upgraded the answer says so, or a proxy would keep it for the next request.
///
/// # Errors
/// As what comes behind.
pub async fn say_close(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let offers = request.head().upgrade();
    let mut response = next.call(request).await?;
    if offers && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}

/// Tells the kernel what a connection of this server is like.
///
/// # Errors
/// If it can't; the connection works all the same.
pub fn prepare(stream: &TcpStream, write_timeout: Duration, heartbeat: Duration) -> io::Result<()> {
    // Without it Nagle's algorithm holds small events back until the one before is acknowledged.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    // Whoever acknowledges nothing for so long, or leaves no room to write, is cut (RFC 5482): a heartbeat is written by
    // the end of the first interval, so dead peers are found by the end of the second.
    socket.set_tcp_user_timeout(Some(write_timeout.min(heartbeat)))?;
    // A quiet connection's peer is asked whether it is there, so that a held poll's is missed as well. The kernel counts
    // in whole seconds.
    let again = (heartbeat / 3).max(Duration::from_secs(1));
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(heartbeat).with_interval(again))?;
    // What is not sent yet stays in the log, where it can still be conflated, and not in the kernel's memory.
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// What the kernel may hold of a connection before it is sent.
const UNSENT_BYTES: u32 = 64 * 1024;

/// Refuses a connection for which there is no place, in plain HTTP; inside TLS it is only closed.
pub async fn refuse(mut stream: impl AsyncWrite + Unpin, is_tls: bool) {
    const BODY: &str = r#"{"type":"urn:fourways:problem:too_many","code":"too_many","title":"Too much at once","status":429,"detail":"there is no place for another connection"}"#;
    if !is_tls {
        let answer = format!(
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nConnection: close\r\n\
             Content-Type: application/problem+json\r\nContent-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        // Whoever does not take it is as well off without.
        drop(timeout(Duration::from_secs(1), stream.write_all(answer.as_bytes())).await);
    }
}

impl Socket for Connection {
    fn reset_on_drop(&self) {
        match &self.stream {
            Stream::Plain(stream) => stream.reset_on_drop(),
            // There is no reset here: it only ends.
            Stream::Unix(_) => {}
            Stream::Tls(stream) => stream.get_ref().0.reset_on_drop(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
