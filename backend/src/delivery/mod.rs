//! The four deliveries. They share the request for a read, which is parsed here; none of the four knows another.

pub(crate) mod asked;
mod history;
pub mod long_poll;
pub mod short_poll;
pub mod sse;
mod timer;
pub mod websocket;

use std::{num::NonZeroU32, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    http::{Method, header},
    web,
};
use bytes::{BufMut, BytesMut};
use fourways_log::{
    engine::Meter,
    subscription::{Batch, Subscription},
};
use fourways_shared::{
    After, Code, Cursor, Filter, Policy, PollBody, Problem, Technique, filter::FilterError,
};

use self::asked::asked;
use crate::{
    access::limits::Limits,
    access::{Gate, Grant, limits::Held},
    problem::Failure,
    worker::Worker,
};

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
    let read = Read::parse(&asked(&request, payload, &worker).await?, limits)?.required()?;
    let (client, _reading) = worker.admit(&request, &grant, &read.topics)?;
    let preferred = read.wait.or_else(|| prefer_wait(&request));
    if let Some(until) = read.until {
        return history::handle(&read, until, gate.is_open(), &worker).await;
    }
    let known = if_none_match(&request).filter(|_| *request.method() != Method::POST);
    // A HEAD request is never held.
    let is_head = *request.method() == Method::HEAD;
    match preferred.filter(|wait| *wait > Duration::ZERO && !is_head) {
        None => Ok(short_poll::handle(&read, known, &worker).await),
        Some(wait) => {
            let is_preference = read.wait.is_none();
            // No request is held beyond the expiry of its token.
            let wait = wait.min(limits.max_wait).min(grant.lasts().unwrap_or(Duration::MAX));
            let _place = worker.usage.hold(client, Held::Poll)?;
            let mut seat = worker.roster.enter(Technique::LongPoll, &grant, &read.topics);
            let mut response = long_poll::handle(&read, known, wait, (&worker, &mut seat)).await;
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

/// The parsed parameters of a read, for all four deliveries.
#[derive(Clone, Debug)]
pub struct Read {
    /// The topics and patterns to read, none of them twice.
    pub topics: Vec<Filter>,
    /// The beginning of the read; `None` if the request gives none.
    pub after: Option<After>,
    /// The policy for a backlog: all of it, or the newest event of each topic.
    pub policy: Policy,
    /// Maximum number of events in one answer.
    pub limit: usize,
    /// Longest time to hold a poll.
    pub wait: Option<Duration>,
    /// The last cursor of a closed range.
    pub until: Option<Cursor>,
    /// The order of a closed range's events.
    pub order: SortOrder,
    /// True if every heartbeat of an SSE stream is an event, and none a comment.
    pub hears_heartbeats: bool,
    /// True if the `data` of an SSE stream is the published data alone, without the envelope.
    pub is_raw: bool,
    /// True if the lab shows this connection's bytes, which are then not compressed.
    pub is_watched: bool,
    /// The encoding of a WebSocket, for clients that can't offer a subprotocol; `None` if the query gives none.
    pub encoding: Option<String>,
}

/// The order of the events of a closed range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// Oldest first, the order of the log.
    #[default]
    Oldest,
    /// Newest first, from the end of the range.
    Newest,
}

impl Read {
    /// Parses a query; unknown parameters are ignored.
    ///
    /// # Errors
    /// 400 names the parameter and what is allowed.
    pub fn parse(query: &str, limits: &Limits) -> Result<Self, Failure> {
        let mut read = Self {
            topics: Vec::new(),
            after: None,
            policy: Policy::All,
            limit: limits.max_events.min(PollBody::DEFAULT_LIMIT),
            wait: None,
            until: None,
            order: SortOrder::Oldest,
            hears_heartbeats: false,
            is_raw: false,
            is_watched: false,
            encoding: None,
        };
        let mut last = None;
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let bad = |code, detail: String, field| Err(Failure::new(code, detail).field(field));
            match &*key {
                "topic" => match value.parse() {
                    Ok(topic) if read.topics.contains(&topic) => {}
                    Ok(topic) => {
                        read.topics.push(topic);
                        // Checked for each topic, because the search for duplicates gets slower with each.
                        too_many(read.topics.len(), limits)?;
                    }
                    Err(error) => {
                        let error: FilterError = error;
                        return bad(Code::BadTopic, error.to_string(), "topic");
                    }
                },
                "after" => match value.parse() {
                    Ok(after) => read.after = Some(after),
                    Err(error) => {
                        let error: fourways_shared::cursor::CursorError = error;
                        return bad(Code::BadCursor, error.to_string(), "after");
                    }
                },
                "last" => match value.parse::<NonZeroU32>() {
                    Ok(count) if count.get() as usize <= limits.max_events => last = Some(After::Last(count)),
                    _ => {
                        let detail = format!("last is {value:?}; allowed are 1 to {}", limits.max_events);
                        return bad(Code::BadParameter, detail, "last");
                    }
                },
                // A larger limit than the server's is no error: the answer says that there is more.
                "limit" => match value.parse::<NonZeroU32>() {
                    Ok(limit) => read.limit = limits.max_events.min(limit.get() as usize),
                    Err(_) => {
                        let detail = format!("limit is {value:?}; allowed are whole numbers from 1");
                        return bad(Code::BadParameter, detail, "limit");
                    }
                },
                "wait" => match value.parse().ok().and_then(|wait| Duration::try_from_secs_f64(wait).ok()) {
                    Some(wait) => read.wait = Some(wait),
                    None => {
                        let detail = format!(
                            "wait is {value:?}; allowed are seconds from 0, held for at most {}",
                            limits.max_wait.as_secs()
                        );
                        return bad(Code::BadParameter, detail, "wait");
                    }
                },
                "policy" => match value.parse() {
                    Ok(policy) => read.policy = policy,
                    Err(allowed) => {
                        return bad(Code::BadParameter, format!("policy is {value:?}; {allowed}"), "policy");
                    }
                },
                "until" => match value.parse() {
                    Ok(until) => read.until = Some(until),
                    Err(error) => {
                        let error: fourways_shared::cursor::CursorError = error;
                        return bad(Code::BadCursor, error.to_string(), "until");
                    }
                },
                "order" => {
                    let orders = [("oldest", SortOrder::Oldest), ("newest", SortOrder::Newest)];
                    read.order = one_of("order", &value, orders)?;
                }
                "heartbeat" => {
                    let heartbeats = [("comment", false), ("event", true)];
                    read.hears_heartbeats = one_of("heartbeat", &value, heartbeats)?;
                }
                "data" => read.is_raw = one_of("data", &value, [("event", false), ("raw", true)])?,
                "lab" => read.is_watched = true,
                "encoding" => read.encoding = Some(value.into_owned()),
                _ => {}
            }
        }
        if let (Some(_), Some(_)) = (read.after, last) {
            return Err(
                Failure::new(Code::BadParameter, "after and last exclude each other; give one").field("last")
            );
        }
        if read.order == SortOrder::Newest && read.until.is_none() {
            let detail = "order=newest needs an upper bound: add until=";
            return Err(Failure::new(Code::BadParameter, detail).field("order"));
        }
        read.after = read.after.or(last);
        Ok(read)
    }

    /// Refuses a read without a topic.
    fn required(self) -> Result<Self, Failure> {
        if self.topics.is_empty() {
            return Err(
                Failure::new(Code::BadTopic, "give at least one topic, as in ?topic=host.cpu").field("topic")
            );
        }
        Ok(self)
    }
}

/// Returns the meaning of a parameter's value, one of two words.
fn one_of<T: Copy>(field: &'static str, value: &str, words: [(&str, T); 2]) -> Result<T, Failure> {
    words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let detail = format!("{field} is {value:?}; allowed are {}", words.map(|(word, _)| word).join(", "));
        Failure::new(Code::BadParameter, detail).field(field)
    })
}

/// Refuses more topics than one connection may read.
pub(crate) fn too_many(topics: usize, limits: &Limits) -> Result<(), Problem> {
    if topics <= limits.max_topics {
        return Ok(());
    }
    let detail = format!("{topics} topics; allowed are at most {} on one connection", limits.max_topics);
    Err(Problem::new(Code::BadTopic, detail).field("topic"))
}

/// Returns the `wait` preference of the request (RFC 7240 4.3). A malformed preference is ignored (RFC 7240 2).
pub(crate) fn prefer_wait(request: &HttpRequest) -> Option<Duration> {
    let values = request.headers().get_all("Prefer").filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split([',', ';'])).map(str::trim);
    preferences.find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        let seconds = value.trim().trim_matches('"').parse().ok()?;
        name.trim().eq_ignore_ascii_case("wait").then(|| Duration::from_secs(seconds))
    })
}

/// Returns the cursor that the client already has, from `If-None-Match` (RFC 9110 13.1.2: weak and strong tags alike).
pub(crate) fn if_none_match(request: &HttpRequest) -> Option<Cursor> {
    let value = request.headers().get(header::IF_NONE_MATCH)?.to_str().ok()?;
    let mut tags = value.split(',').map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'));
    tags.find_map(|tag| tag.parse().ok())
}

fn etag(cursor: Cursor) -> (header::HeaderName, String) {
    (header::ETAG, format!("\"{cursor}\""))
}

/// Creates the subscription of a poll. Without an `after`, the poll begins at the cursor of the client's
/// `If-None-Match`.
fn subscribe(read: &Read, known: Option<Cursor>, technique: Technique, worker: &Worker) -> Subscription {
    let after = read.after.or(known.map(After::Cursor)).unwrap_or_default();
    Subscription::new(&worker.tail, &read.topics, after, read.policy, technique, worker.shard)
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
    meter.sent(body.len());
    HttpResponse::Ok()
        .insert_header(etag(cursor))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(body.freeze())
}
