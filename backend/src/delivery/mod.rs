//! The four deliveries. They share the request for a read (`request`); none of the four knows another.

pub(crate) mod asked;
mod held;
mod history;
pub mod long_poll;
mod request;
pub mod short_poll;
pub mod sse;
mod timer;
pub mod websocket;

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    http::{Method, header},
    web,
};
use bytes::{BufMut, BytesMut};
use fourways_log::{
    engine::{Meter, Standing},
    subscription::{Batch, Subscription},
};
use fourways_shared::{After, Cursor, Technique};

use self::asked::asked;
pub use self::request::{ReadRequest, SortOrder};
pub(crate) use self::request::{if_none_match, prefer_wait, too_many};
use crate::{
    access::{Gate, Grant, limits::Held},
    problem::Failure,
    worker::Worker,
};

/// Name of the header that says for how many seconds the server has been behind.
const BEHIND: header::HeaderName = header::HeaderName::from_static("fourways-behind");
const NODE: header::HeaderName = header::HeaderName::from_static("fourways-node");

/// Handles `/v1/events`: a short poll, or a long poll if the request asks for a wait.
///
/// # Errors
/// 400 names the parameter; 408, 413 and 415 are about the body, 403 about a topic that is not granted, 429 about a
/// limit, and 503 about a server that is stopping.
pub async fn poll(
    request: HttpRequest,
    payload: web::Payload,
    grant: Grant,
    gate: web::Data<Gate>,
    worker: web::Data<Worker>,
) -> Result<HttpResponse, Failure> {
    let limits = &worker.limits;
    let read = ReadRequest::parse(&asked(&request, payload, &worker).await?, limits)?.required()?;
    let (client, _reading) = worker.admit(&request, &grant, &read.topics)?;
    let preferred = read.wait.or_else(|| prefer_wait(&request));
    if let Some(until) = read.until {
        return history::handle(&read, until, gate.is_open(), &worker).await;
    }
    let known = if_none_match(&request).filter(|_| *request.method() != Method::POST);
    if let Some(After::Cursor(cursor)) = read.after.or(known.map(After::Cursor)) {
        worker.catch_up(cursor).await;
    }
    // A HEAD request is never held.
    let is_head = *request.method() == Method::HEAD;
    match preferred.filter(|wait| *wait > Duration::ZERO && !is_head) {
        None => Ok(with_state(short_poll::handle(&read, known, &worker).await, &worker)),
        Some(wait) => {
            let is_preference = read.wait.is_none();
            // No request is held beyond the expiry of its token.
            let wait = wait.min(limits.max_wait).min(grant.lasts().unwrap_or(Duration::MAX));
            let _place = worker.usage.hold(client, Held::Poll)?;
            let mut seat = worker.roster.enter(Technique::LongPoll, &grant, &read.topics);
            let response = long_poll::handle(&read, known, wait, &worker, &mut seat).await;
            let mut response = with_state(response, &worker);
            if is_preference {
                // RFC 7240 3: reports how much of the preference was honoured.
                let applied = format!("wait={}", wait.as_secs());
                response = response
                    .customize()
                    .insert_header(("Preference-Applied", applied))
                    .respond_to(&request)
                    .map_into_boxed_body();
            }
            Ok(response)
        }
    }
}

/// Adds the state of a server that shares its log to an answer: `Fourways-Node`, its name, and `Fourways-Behind`, the
/// seconds for which it has not been able to read what others may have published. Nobody may keep an answer with the
/// latter.
fn with_state(mut response: HttpResponse, worker: &Worker) -> HttpResponse {
    if let Some(name) = worker.nodes.name().and_then(|name| header::HeaderValue::from_str(name).ok()) {
        response.headers_mut().insert(NODE, name);
    }
    if let Standing::Behind { since, .. } = worker.engine.standing() {
        let headers = response.headers_mut();
        headers.insert(BEHIND, header::HeaderValue::from(since.as_secs()));
        headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    }
    response
}

fn etag(cursor: Cursor) -> (header::HeaderName, String) {
    (header::ETAG, format!("\"{cursor}\""))
}

/// Creates the subscription of a poll. Without an `after`, the poll begins at the cursor of the client's
/// `If-None-Match`.
fn subscribe(
    read: &ReadRequest,
    known: Option<Cursor>,
    technique: Technique,
    worker: &Worker,
) -> Subscription {
    let after = read.after.or(known.map(After::Cursor)).unwrap_or_default();
    Subscription::new(&worker.tail(), &read.topics, after, read.policy, technique, worker.shard)
}

/// Builds the `200` answer to a poll, from the JSON that each event is already encoded in.
fn poll_body(batch: Option<Batch>, subscription: &Subscription, meter: &Meter) -> HttpResponse {
    let Batch { reset, events } = batch.unwrap_or_default();
    let cursor = subscription.cursor();
    let texts: Vec<_> = events.iter().map(|event| event.json()).collect();
    let mut body = BytesMut::with_capacity(80 + texts.iter().map(|text| text.len() + 1).sum::<usize>());
    body.put_u8(b'{');
    if let Some(reset) = reset {
        body.extend_from_slice(b"\"reset\":");
        body.extend_from_slice(&serde_json::to_vec(&reset).unwrap_or_default());
        body.put_u8(b',');
    }
    body.extend_from_slice(b"\"events\":[");
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            body.put_u8(b',');
        }
        body.extend_from_slice(text);
    }
    let more = if subscription.has_more() { ",\"more\":true" } else { "" };
    body.extend_from_slice(format!("],\"cursor\":\"{cursor}\"{more}}}").as_bytes());
    meter.count_bytes(body.len());
    HttpResponse::Ok()
        .insert_header(etag(cursor))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(body.freeze())
}
