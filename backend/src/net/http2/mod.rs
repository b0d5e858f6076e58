//! HTTP/2 (RFC 9113) for the same routes as HTTP/1.1.
//!
//! A connection is one task, in which the answer of each stream is a future. A stream that its client resets is dropped
//! at once with all that it holds, and so are all streams when the connection ends. (actix-http gives each request a
//! task that outlives both, and would release its resources only at its next write.)
//!
//! ```text
//! h2 ─► request ─► routes ─► answer ─► h2
//!  │                           │
//!  └── reset, end, GOAWAY ─────┴── dropped, with its permit, seat and presence
//! ```

mod answer;
mod service;

use std::{net::SocketAddr, pin::pin, rc::Rc, sync::Arc, time::Duration};

use actix_http::{BoxedPayloadStream, Payload, Request, error::PayloadError};
use actix_web::http;
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use h2::{RecvStream, server};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until, timeout},
};

use self::answer::answer;
pub(crate) use self::service::{Answers, both};
use crate::{access::limits::Limits, operate::drain::Drain};

/// Most streams of one connection that may be open at once (RFC 9113 5.1.2); a client delays further ones.
const MAX_STREAMS: u32 = 128;
/// Longest head of a request, uncompressed, in bytes (RFC 9113 6.5.2); a longer one is answered with 431.
const MAX_HEAD_BYTES: u32 = 64 * 1024;
/// Most bytes of a stream that are buffered for its client, however large a window the client opens.
const MAX_UNSENT_BYTES: usize = 16 * 1024;
/// Time after which a connection without an open stream is closed, the same as for HTTP/1.1.
pub(crate) const IDLE: Duration = Duration::from_secs(75);

/// The limits of a connection. Cloned for each worker and each connection; the drain is shared by the whole server.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    /// Longest time for the connection preface to arrive.
    head_timeout: Duration,
    /// Longest time that a client may take nothing of a stream that has data.
    write_timeout: Duration,
    /// The drain of the server, which ends the connection in order.
    drain: Arc<Drain>,
}

impl ConnectionLimits {
    /// Takes the limits of a connection from those of the operator.
    pub(crate) fn of(limits: &Limits, drain: &Arc<Drain>) -> Self {
        let Limits { head_timeout, write_timeout, .. } = *limits;
        Self { head_timeout, write_timeout, drain: Arc::clone(drain) }
    }
}

/// Serves an HTTP/2 connection until it ends.
///
/// # Errors
/// If the client violates the protocol or the connection is lost.
pub(crate) async fn serve<T, A>(
    io: T,
    peer: Option<SocketAddr>,
    routes: Rc<A>,
    terms: ConnectionLimits,
) -> Result<(), h2::Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
    A: Answers,
{
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES)
        .max_send_buffer_size(MAX_UNSENT_BYTES);
    let Ok(connection) = timeout(terms.head_timeout, builder.handshake(io)).await else {
        // A client that does not finish the handshake has requested nothing, so no error is reported.
        return Ok(());
    };
    let mut connection = connection?;
    let mut answers = FuturesUnordered::new();
    let mut idle = pin!(sleep_until(Instant::now() + IDLE));
    let mut ends = pin!(terms.drain.begun());
    let mut is_ending = false;
    loop {
        tokio::select! {
            biased;
            // Polled first, because it does the reading and writing of all streams.
            next = connection.accept() => {
                let Some(next) = next else { return Ok(()) };
                let (request, respond) = next?;
                let (parts, body) = request.into_parts();
                let is_head = parts.method == http::Method::HEAD;
                let mut request = Request::with_payload(Payload::Stream { payload: payload(body) });
                let head = request.head_mut();
                (head.uri, head.method, head.version) = (parts.uri, parts.method, parts.version);
                head.headers = parts.headers.into();
                head.peer_addr = peer;
                answers.push(answer(Rc::clone(&routes), request, respond, is_head, terms.write_timeout));
                // Drops finished answers, which would pile up if a client opened and reset streams without a pause.
                while answers.next().now_or_never().flatten().is_some() {}
            }
            Some(()) = answers.next() => {
                if answers.is_empty() {
                    idle.as_mut().reset(Instant::now() + IDLE);
                }
            }
            () = &mut ends, if !is_ending => {
                // RFC 9113 6.8: open streams are answered, and the client sends new requests on another connection.
                is_ending = true;
                connection.graceful_shutdown();
            }
            () = &mut idle, if answers.is_empty() && !is_ending => {
                is_ending = true;
                connection.graceful_shutdown();
            }
        }
    }
}

/// Converts a request's body to the payload of actix. Each piece that is read reopens the window (RFC 9113 5.2).
fn payload(body: RecvStream) -> BoxedPayloadStream {
    let pieces = futures_util::stream::unfold(body, |mut body| async move {
        let data = body.data().await?;
        let data = data.and_then(|data| body.flow_control().release_capacity(data.len()).map(|()| data));
        Some((data.map_err(PayloadError::from), body))
    });
    Box::pin(pieces)
}
