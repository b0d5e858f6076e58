//! `POST /v1/topics/{topic}/events`: parses a body, appends its events, and answers with their cursors.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use bytes::Bytes;
use fourways_log::engine::{Append, Draft, Engine, Key};
use fourways_shared::{Code, Cursor, Data, EventId, EventName, Topic};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    access::{Grant, limits::Client},
    net::body,
    problem::Failure,
    worker::Worker,
};

/// Publishes the body: as one event, or with `application/x-ndjson` as one event per line, all or none.
///
/// # Errors
/// 400 names the parameter, or the line and its fault; 403 for a topic that is not granted; 413 and 415 for the body as
/// a whole; 429 beyond the publish rate; 422, 503 and 507 if the engine refuses the append.
pub async fn handle(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    grant: Grant,
    engine: web::Data<dyn Engine>,
    worker: web::Data<Worker>,
) -> Result<HttpResponse, Failure> {
    let topic = Topic::parse(&path)
        .map_err(|error| Failure::new(Code::BadTopic, error.to_string()).field("topic"))?;
    grant.may_publish(&topic)?;
    let (limits, usage) = (&worker.limits, &worker.usage);
    let kind = Kind::of(&request)?;
    let name = name(request.query_string())?;
    let key = key(&request)?.map(|id| Key { id, by: grant.subject.clone() });
    let body = body::whole(payload, &request, &worker).await?;
    let drafts = kind.drafts(&body, &name)?;
    usage.publish(&Client::of(&request, &grant, limits.trusted_hops), drafts.len())?;
    let cursors = worker.append(&**engine, Append { topic, drafts, key }).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(Answer::of(kind, cursors)))
}

/// Returns the events that a request with this body would publish.
#[cfg(fuzzing)]
pub(crate) fn drafts(request: &HttpRequest, body: &Bytes) -> Result<Vec<Draft>, Failure> {
    Kind::of(request)?.drafts(body, &EventName::DEFAULT)
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    One { cursor: Option<Cursor> },
    Many { cursors: Vec<Cursor> },
}

impl Answer {
    fn of(kind: Kind, cursors: Vec<Cursor>) -> Self {
        match kind {
            Kind::Lines => Self::Many { cursors },
            _ => Self::One { cursor: cursors.first().copied() },
        }
    }
}

/// Maximum number of lines in one request: they are appended under one lock, and other publishers wait meanwhile.
const MAX_LINES: usize = 10_000;

/// The kind of a body, by its `Content-Type`.
#[derive(Clone, Copy)]
enum Kind {
    Json,
    Lines,
    Text,
    Bytes,
}

impl Kind {
    fn of(request: &HttpRequest) -> Result<Self, Failure> {
        let Some(value) = request.headers().get(header::CONTENT_TYPE) else { return Ok(Self::Json) };
        let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Self::Lines),
            "text/plain" => Ok(Self::Text),
            "application/octet-stream" => Ok(Self::Bytes),
            json if json == "application/json" || json.ends_with("+json") => Ok(Self::Json),
            other => Err(Failure::new(
                Code::UnsupportedMediaType,
                format!(
                    "Content-Type {other:?} can't be published; allowed are application/json, application/x-ndjson, \
                     text/plain, application/octet-stream (with curl: --json)"
                ),
            )
            .field("Content-Type")),
        }
    }

    fn drafts(self, body: &Bytes, name: &EventName) -> Result<Vec<Draft>, Failure> {
        let draft = |data| Draft { name: name.clone(), data };
        let bad = |detail| Failure::new(Code::BadBody, detail).field("body");
        match self {
            Self::Bytes => Ok(vec![draft(Data::Bytes(body.clone()))]),
            Self::Text => {
                let text = std::str::from_utf8(body)
                    .map_err(|error| bad(format!("the body is not UTF-8: {error}")))?;
                Ok(vec![draft(Data::plain(text))])
            }
            Self::Json => {
                let json =
                    json(body).map_err(|error| bad(format!("the body is not one JSON value: {error}")))?;
                Ok(vec![draft(Data::from_client_json(json).map_err(|error| bad(error.to_string()))?)])
            }
            Self::Lines => {
                let lines = body.split(|byte| *byte == b'\n').enumerate();
                let drafts = lines.filter(|(_, line)| !line.trim_ascii().is_empty()).map(|(at, line)| {
                    let json = json(line).map_err(|error| {
                        bad(format!("line {} is not one JSON value: {error}; nothing was published", at + 1))
                    })?;
                    let data = Data::from_client_json(json)
                        .map_err(|error| bad(format!("line {}: {error}; nothing was published", at + 1)))?;
                    Ok(draft(data))
                });
                let drafts = drafts.collect::<Result<Vec<_>, Failure>>()?;
                match drafts.len() {
                    0 => Err(bad("the body has no line".to_owned())),
                    1..=MAX_LINES => Ok(drafts),
                    more => {
                        Err(bad(format!("the body has {more} lines; allowed are {MAX_LINES} in one request")))
                    }
                }
            }
        }
    }
}

fn json(bytes: &[u8]) -> serde_json::Result<Box<RawValue>> {
    serde_json::from_slice(bytes)
}

fn name(query: &str) -> Result<EventName, Failure> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    match pairs.find(|(key, _)| key == "name") {
        None => Ok(EventName::DEFAULT),
        // The parser replaces bytes that are not UTF-8 by this character.
        Some((_, text)) if text.contains(char::REPLACEMENT_CHARACTER) => {
            Err(Failure::new(Code::BadName, "name is not UTF-8").field("name"))
        }
        Some((_, text)) => {
            text.parse().map_err(|error| Failure::new(Code::BadName, format!("name {error}")).field("name"))
        }
    }
}

pub(crate) fn key(request: &HttpRequest) -> Result<Option<EventId>, Failure> {
    let bad = |detail: String| Failure::new(Code::BadId, detail).field("Idempotency-Key");
    let Some(value) = request.headers().get("Idempotency-Key") else { return Ok(None) };
    let text =
        value.to_str().map_err(|_| bad("Idempotency-Key has characters beyond visible ASCII".to_owned()))?;
    // The header is a structured string (draft-ietf-httpapi-idempotency-key-header): quotes are its syntax.
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    EventId::parse_client_id(text).map(Some).map_err(|error| bad(format!("Idempotency-Key {error}")))
}

/// Wraps the engine in the type that handlers extract.
pub fn data(engine: Arc<dyn Engine>) -> web::Data<dyn Engine> {
    web::Data::from(engine)
}
