//! Request bodies, read within a limit of length and of time.

use actix_http::Request;
use actix_web::{Error, HttpMessage as _, HttpRequest, http::header, web};
use bytes::{Bytes, BytesMut};
use fourways_shared::Code;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::{
    access::limits::Limit,
    access::limits::Limits,
    net::backlog::Gauge,
    problem::{self, Failure},
    worker::Worker,
};

/// Reads a body within the limits of length and time; one that trickles in would hold its memory for ever.
///
/// # Errors
/// 400 if it can't be read, 408 if it is too slow, 413 if it is too long, 415 if it has a content coding. The rest of
/// the body is not read then, and an HTTP/1.1 connection closes.
pub(crate) async fn whole(
    payload: web::Payload,
    request: &HttpRequest,
    worker: &Worker,
) -> Result<Bytes, Failure> {
    read_in_time(payload, request, worker).await.inspect_err(|_| Gauge::stop_reading(request))
}

/// Decides on a request with `Expect: 100-continue`, whose client waits before it sends the body (RFC 9110 10.1.1).
///
/// # Errors
/// 413 if the announced length is over the limit.
pub(crate) fn expected(request: Request, max_body_bytes: usize) -> Result<Request, Error> {
    let length =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > max_body_bytes as u64) {
        return Err(problem::too_large(max_body_bytes).into());
    }
    Ok(request)
}

async fn read_in_time(
    payload: web::Payload,
    request: &HttpRequest,
    worker: &Worker,
) -> Result<Bytes, Failure> {
    identity(request)?;
    let Limits { body_timeout, max_body_bytes, .. } = *worker.limits;
    let Ok(read) = timeout(body_timeout, body(payload, request, max_body_bytes)).await else {
        worker.usage.count(Limit::BodyTime);
        let detail = format!("the body did not arrive within {} s", body_timeout.as_secs_f64());
        return Err(Failure::new(Code::BodyTimeout, detail).field("body"));
    };
    read.inspect_err(|failure| {
        if failure.is_too_large() {
            worker.usage.count(Limit::Body);
        }
    })
}

/// Refuses a body with a content coding, which could be of any size once decoded (RFC 9110 8.4, 15.5.16).
fn identity(request: &HttpRequest) -> Result<(), Failure> {
    let coding = request.headers().get(header::CONTENT_ENCODING);
    if coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    let detail = "a request body must have no content coding";
    Err(Failure::new(Code::UnsupportedMediaType, detail).field("Content-Encoding"))
}

async fn body(mut payload: web::Payload, request: &HttpRequest, limit: usize) -> Result<Bytes, Failure> {
    let length =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > limit as u64) {
        return Err(problem::too_large(limit));
    }
    let mut body = BytesMut::new();
    // The body of a request that offers an upgrade has a length too, but HTTP/1.1 would read until the connection ends.
    let is_whole = |body: &BytesMut| length.is_some_and(|length| body.len() as u64 >= length);
    while !is_whole(&body)
        && let Some(piece) = payload.next().await
    {
        let piece = piece.map_err(|error| problem::of_payload(&error, limit))?;
        if body.len() + piece.len() > limit {
            return Err(problem::too_large(limit));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}
