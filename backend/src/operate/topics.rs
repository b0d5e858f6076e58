//! `GET /v1/topics` and `/v1/topics/{topic}`: what there is to read, and who reads it.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use fourways_shared::{Code, Cursor, Technique, Topic};
use serde::Serialize;

use crate::{
    access::Grant,
    log::engine::{TopicPage, TopicState},
    problem::Failure,
    worker::Worker,
};

/// Most topics in one answer.
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

/// Where a listing begins, and how much of it there is.
struct Query {
    after: Option<Topic>,
    limit: usize,
}

impl Query {
    /// Reads the query; parameters that this version doesn't know are left alone.
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

/// The head of the log, the place before its oldest event, and topics by name: of those that the token lets its holder
/// read. `next` is there if there may be more: they come with it as `after`.
///
/// # Errors
/// 400 for an `after` that is no topic, or a `limit` out of range.
pub async fn list(
    request: HttpRequest,
    grant: Grant,
    worker: web::Data<Worker>,
) -> Result<HttpResponse, Failure> {
    let Query { after, limit } = Query::parse(request.query_string())?;
    let tail = &worker.tail;
    let wanted = |topic: &Topic| grant.may_subscribe(&[topic.into()]).is_ok();
    let TopicPage { states, next } = tail.topic_states(after.as_ref(), limit, wanted);
    let cursor = tail.cursor(tail.head());
    let topics = states.into_iter().map(|state| Item::of(state, cursor)).collect();
    let listing = Listing { cursor, earliest: tail.cursor(tail.earliest()), topics, next };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(listing))
}

/// One topic; one that nobody knows is an empty one.
///
/// # Errors
/// 400 if no topic can have that name, 403 if the token does not let its holder read it.
pub async fn one(
    path: web::Path<String>,
    grant: Grant,
    worker: web::Data<Worker>,
) -> Result<HttpResponse, Failure> {
    let tail = &worker.tail;
    let topic = Topic::parse(&path)
        .map_err(|error| Failure::new(Code::BadTopic, error.to_string()).field("topic"))?;
    grant.may_subscribe(&[(&topic).into()])?;
    let item = Item::of(tail.topic_state(&topic), tail.cursor(tail.head()));
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(item))
}
