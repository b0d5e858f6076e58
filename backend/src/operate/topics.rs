//! `GET /v1/topics` and `/v1/topics/{topic}`: the topics of the log, with their events and the number of their
//! subscribers.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use fourways_log::engine::{TopicPage, TopicState};
use fourways_shared::{Code, Cursor, Technique, Topic};
use serde::Serialize;

use crate::{access::Grant, problem::Failure, worker::Worker};

/// Maximum number of topics in one answer.
const MAX_LISTED: usize = 1000;

#[derive(Serialize)]
struct Listing {
    cursor: Cursor,
    earliest: Cursor,
    topics: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Topic>,
}

#[derive(Serialize)]
struct Item {
    topic: Topic,
    cursor: Cursor,
    events: usize,
    published: u64,
    earliest: Option<Cursor>,
    newest: Option<Cursor>,
    subscribers: Subscribers,
}

#[derive(Serialize)]
struct Subscribers {
    short_poll: u32,
    long_poll: u32,
    sse: u32,
    websocket: u32,
}

impl Item {
    fn of(state: TopicState, head: Cursor) -> Self {
        let count = |technique: Technique| state.subscribers[technique.index()];
        Self {
            cursor: head,
            events: state.events,
            published: state.published,
            earliest: state.earliest,
            newest: state.newest,
            subscribers: Subscribers {
                short_poll: count(Technique::ShortPoll),
                long_poll: count(Technique::LongPoll),
                sse: count(Technique::Sse),
                websocket: count(Technique::Websocket),
            },
            topic: state.topic,
        }
    }
}

/// The page of a listing that a request asks for.
struct Query {
    after: Option<Topic>,
    limit: usize,
}

impl Query {
    /// Parses the query; parameters that this version does not know are ignored.
    fn parse(query: &str) -> Result<Self, Failure> {
        let mut parsed = Self { after: None, limit: MAX_LISTED };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "after" => {
                    let bad = |error| Failure::new(Code::BadTopic, format!("after: {error}")).field("after");
                    parsed.after = Some(Topic::parse(&value).map_err(bad)?);
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_LISTED).contains(limit));
                    let bad = || {
                        let detail = format!("limit is {value:?}; allowed are 1 to {MAX_LISTED}");
                        Failure::new(Code::BadParameter, detail).field("limit")
                    };
                    parsed.limit = limit.ok_or_else(bad)?;
                }
                _ => {}
            }
        }
        Ok(parsed)
    }
}

/// `GET /v1/topics`: lists the topics that the grant lets the client read, by name, with the cursors of the log's head
/// and of the position before its oldest event. `next` is present if there may be more topics: pass it as `after` to
/// get them.
///
/// # Errors
/// 400 for an `after` that is not a topic, or a `limit` out of range.
pub async fn list(
    request: HttpRequest,
    grant: Grant,
    worker: web::Data<Worker>,
) -> Result<HttpResponse, Failure> {
    let Query { after, limit } = Query::parse(request.query_string())?;
    let tail = worker.tail();
    let wanted = |topic: &Topic| grant.may_subscribe(&[topic.into()]).is_ok();
    let TopicPage { mut states, next } = tail.topic_states(after.as_ref(), limit, wanted);
    let mut counts: Vec<_> = states.iter_mut().map(|state| (&state.topic, &mut state.subscribers)).collect();
    worker.nodes.add_subscribers(&mut counts).await;
    let cursor = tail.cursor(tail.head());
    let topics = states.into_iter().map(|state| Item::of(state, cursor)).collect();
    let listing = Listing { cursor, earliest: tail.cursor(tail.earliest()), topics, next };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(listing))
}

/// `GET /v1/topics/{topic}`: describes one topic. A topic without events is an empty one, not an error.
///
/// # Errors
/// 400 for a name that no topic can have, 403 for a topic that is not granted.
pub async fn one(
    path: web::Path<String>,
    grant: Grant,
    worker: web::Data<Worker>,
) -> Result<HttpResponse, Failure> {
    let tail = worker.tail();
    let topic = Topic::parse(&path)
        .map_err(|error| Failure::new(Code::BadTopic, error.to_string()).field("topic"))?;
    grant.may_subscribe(&[(&topic).into()])?;
    let mut state = tail.topic_state(&topic);
    worker.nodes.add_subscribers(&mut [(&state.topic, &mut state.subscribers)]).await;
    let item = Item::of(state, tail.cursor(tail.head()));
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(item))
}
