//! An accepted connection: TCP, TLS after its handshake, or a Unix socket.

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

use crate::{access::limits::Permit, net::tap::Socket};

/// A connection to a client, with its permit among all connections, which is given back on drop.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    _permit: Permit,
}

#[derive(Debug)]
enum Stream {
    /// TCP without TLS.
    Plain(TcpStream),
    /// A Unix socket, from a program on this machine.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Wraps a connection from a Unix socket.
pub fn accept_unix(stream: UnixStream, permit: Permit) -> Connection {
    Connection { stream: Stream::Unix(stream), _permit: permit }
}

/// Wraps a TCP connection, after the TLS handshake if there is an acceptor. Returns it with the protocol that was
/// negotiated (ALPN, RFC 7301); HTTP/1.1 without TLS.
///
/// # Errors
/// If the handshake fails or takes longer than `deadline`.
pub async fn accept(
    stream: TcpStream,
    permit: Permit,
    acceptor: Option<TlsAcceptor>,
    deadline: Duration,
) -> io::Result<(Connection, Protocol)> {
    let Some(acceptor) = acceptor else {
        return Ok((Connection { stream: Stream::Plain(stream), _permit: permit }, Protocol::Http1));
    };
    // Boxed: a task is as large as the largest future it waits for, and the handshake's would make each connection 2.7
    // KiB larger for its whole life.
    let accepted = timeout(deadline, Box::pin(acceptor.accept(stream))).await;
    let stream = accepted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
    Ok((Connection { stream: Stream::Tls(Box::new(stream)), _permit: permit }, protocol))
}

/// Middleware that adds `Connection: close` to the answer if a request offered an upgrade and did not get it. HTTP/1.1
/// closes the connection after any such request; without the field a proxy would keep it for the next one.
///
/// # Errors
/// The errors of the service that it wraps.
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

/// Sets the socket options of a connection: no delay, the timeouts that find dead peers, and the limit of unsent bytes.
///
/// # Errors
/// If the kernel refuses an option; the connection works without it.
pub fn prepare(stream: &TcpStream, write_timeout: Duration, heartbeat: Duration) -> io::Result<()> {
    // Nagle's algorithm would hold small events back until the one before is acknowledged.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    // A peer that acknowledges nothing for this long, or leaves no window, is disconnected (RFC 5482). A heartbeat is
    // written within one interval, so a dead peer is found by the end of the second.
    socket.set_tcp_user_timeout(Some(write_timeout.min(heartbeat)))?;
    // Keep-alive probes the peer of a quiet connection, so that a held poll's dead peer is found too. The kernel counts
    // in whole seconds.
    let again = (heartbeat / 3).max(Duration::from_secs(1));
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(heartbeat).with_interval(again))?;
    // Unsent events stay in the log, where they can still be conflated, and not in the kernel's memory.
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// Unsent bytes that the kernel may hold for a connection.
const UNSENT_BYTES: u32 = 64 * 1024;

/// Refuses a connection over the limit: with `429` in plain HTTP, or by closing it if the client expects TLS.
pub async fn refuse(mut stream: impl AsyncWrite + Unpin, is_tls: bool) {
    const BODY: &str = r#"{"type":"urn:fourways:problem:too_many","code":"too_many","title":"Too much at once","status":429,"detail":"there is no room for another connection"}"#;
    if !is_tls {
        let answer = format!(
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nConnection: close\r\n\
             Content-Type: application/problem+json\r\nContent-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        // A failure is ignored: the connection is closed either way.
        drop(timeout(Duration::from_secs(1), stream.write_all(answer.as_bytes())).await);
    }
}

impl Socket for Connection {
    fn reset_on_drop(&self) {
        match &self.stream {
            Stream::Plain(stream) => stream.reset_on_drop(),
            // A Unix socket has no reset; it is closed normally.
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
