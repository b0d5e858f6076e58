//! HTTP/2 (RFC 9113) for the same routes as HTTP/1.1.
//!
//! A connection is one task, and every stream's answer is a future of its own in it. So a stream that its client resets
//! is dropped with all that it holds at once, and so are all when the connection ends. (actix-http gives each request a
//! task that outlives both: what it held was given back when it next had something to write.)
//!
//! ```text
//! h2 ─► request ─► routes ─► answer ─► h2
//!  │                           │
//!  └── reset, end, GOAWAY ─────┴── dropped, with its place, seat and presence
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
use crate::{config::Limits, operate::drain::Drain};

/// Streams of one connection that may be open at once (RFC 9113 5.1.2); a client waits with more.
const MAX_STREAMS: u32 = 128;
/// The longest head, unpacked (RFC 9113 6.5.2); a longer one is answered with 431.
const MAX_HEAD_BYTES: u32 = 64 * 1024;
/// What a stream may have given that its client has not taken, whatever window it opens.
const MAX_UNSENT_BYTES: usize = 16 * 1024;
/// A connection without a stream ends after so long, as one of HTTP/1.1 does.
pub(crate) const IDLE: Duration = Duration::from_secs(75);

/// What a connection keeps to.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// For the preface.
    head_timeout: Duration,
    /// A client may leave what a stream gives untaken for so long.
    write_timeout: Duration,
    /// Tells when the server ends.
    drain: Arc<Drain>,
}

impl Terms {
    /// As the operator has set the limits.
    pub(crate) fn of(limits: &Limits, drain: &Arc<Drain>) -> Self {
        let Limits { head_timeout, write_timeout, .. } = *limits;
        Self { head_timeout, write_timeout, drain: Arc::clone(drain) }
    }
}

/// Serves a connection until it ends.
///
/// # Errors
/// If the client breaks the protocol, or the connection is lost.
pub(crate) async fn serve<T, A>(
    io: T,
    peer: Option<SocketAddr>,
    routes: Rc<A>,
    terms: Terms,
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
        // Nobody has asked for anything.
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
            // Polled first: it reads and writes for all of them.
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
                // A client that opens and resets streams without a pause must not keep what they left.
                while answers.next().now_or_never().flatten().is_some() {}
            }
            Some(()) = answers.next() => {
                if answers.is_empty() {
                    idle.as_mut().reset(Instant::now() + IDLE);
                }
            }
            () = &mut ends, if !is_ending => {
                // RFC 9113 6.8: what is open is answered, and a new request goes elsewhere.
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

/// A request's body. What was read of it makes room for more (RFC 9113 5.2).
fn payload(body: RecvStream) -> BoxedPayloadStream {
    let pieces = futures_util::stream::unfold(body, |mut body| async move {
        let data = body.data().await?;
        let data = data.and_then(|data| body.flow_control().release_capacity(data.len()).map(|()| data));
        Some((data.map_err(PayloadError::from), body))
    });
    Box::pin(pieces)
}
