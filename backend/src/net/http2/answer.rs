//! One stream of HTTP/2: from its request to the end of its answer, or until its client resets it.

use std::{
    future::poll_fn,
    pin::pin,
    rc::Rc,
    time::{Duration, SystemTime},
};

use actix_http::{Request, ResponseHead};
use actix_web::{
    body::{BodySize, BoxBody, MessageBody as _},
    http::{StatusCode, Version, header},
};
use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use tokio::time::timeout;

use super::Answers;

/// Most bytes for which a stream reserves capacity on the connection at once.
const PIECE: usize = 16 * 1024;

/// The reason why a stream ends before its answer does.
#[derive(Debug)]
enum Broken {
    /// The client has reset the stream, or the connection is lost.
    Left,
    /// The client took nothing within the write timeout.
    Slow,
    /// The body of the answer failed.
    Failed,
}

impl From<h2::Error> for Broken {
    fn from(_: h2::Error) -> Self {
        Self::Left
    }
}

/// Answers a request. If the client resets the stream, the answer under way is dropped.
pub(super) async fn answer<A: Answers>(
    routes: Rc<A>,
    request: Request,
    mut respond: SendResponse<Bytes>,
    is_head: bool,
    write_timeout: Duration,
) {
    let response = tokio::select! {
        biased;
        // The client has reset the stream, or the connection is lost.
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return,
        response = routes.answer(request) => response,
    };
    let (response, body) = response.into_parts();
    let size = body.size();
    let is_over =
        is_head || is_bodiless(response.status()) || matches!(size, BodySize::None | BodySize::Sized(0));
    // An error means that the stream has ended in the meantime, and needs no answer.
    let Ok(mut stream) = respond.send_response(head(response.head(), size), is_over) else { return };
    if is_over {
        return;
    }
    match send(&mut stream, body, write_timeout).await {
        Ok(()) | Err(Broken::Left) => {}
        Err(Broken::Slow) => stream.send_reset(Reason::CANCEL),
        Err(Broken::Failed) => stream.send_reset(Reason::INTERNAL_ERROR),
    }
}

async fn send(stream: &mut SendStream<Bytes>, body: BoxBody, write_timeout: Duration) -> Result<(), Broken> {
    let mut body = pin!(body);
    loop {
        let next = tokio::select! {
            biased;
            _ = poll_fn(|cx| stream.poll_reset(cx)) => return Err(Broken::Left),
            next = poll_fn(|cx| body.as_mut().poll_next(cx)) => next,
        };
        let Some(piece) = next else {
            stream.send_data(Bytes::new(), true)?;
            return Ok(());
        };
        let mut piece = piece.map_err(|_| Broken::Failed)?;
        while !piece.is_empty() {
            stream.reserve_capacity(piece.len().min(PIECE));
            let room = timeout(write_timeout, poll_fn(|cx| stream.poll_capacity(cx)));
            let room = room.await.map_err(|_| Broken::Slow)?.ok_or(Broken::Left)??;
            let count = room.min(piece.len());
            stream.send_data(piece.split_to(count), false)?;
        }
    }
}

/// Returns true if an answer of this status never has a body (RFC 9110 15.2, 15.3.5 and 15.4.5).
fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// Converts the head of an answer to HTTP/2, without connection-specific fields (RFC 9113 8.2.2).
fn head(head: &ResponseHead, size: BodySize) -> http::Response<()> {
    let mut response = http::Response::new(());
    *response.status_mut() = head.status;
    *response.version_mut() = Version::HTTP_2;
    let fields = response.headers_mut();
    for (name, value) in head.headers() {
        let is_of_the_connection =
            matches!(*name, header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE)
                || matches!(name.as_str(), "keep-alive" | "proxy-connection");
        if !is_of_the_connection {
            fields.append(name, value.clone());
        }
    }
    if let BodySize::Sized(length) = size
        && !is_bodiless(head.status)
    {
        fields.insert(header::CONTENT_LENGTH, length.into());
    }
    if !fields.contains_key(header::DATE)
        && let Ok(date) = httpdate::fmt_http_date(SystemTime::now()).parse()
    {
        fields.insert(header::DATE, date);
    }
    response
}
