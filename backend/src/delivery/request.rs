//! The request for a read: the parameters that the four deliveries share, and the header fields of a poll.

use std::{num::NonZeroU32, str::FromStr, time::Duration};

use actix_web::{HttpRequest, http::header};
use fourways_shared::{
    After, Code, Cursor, Filter, Policy, PollBody, Problem, cursor::CursorError, filter::FilterError,
};

use crate::{access::limits::Limits, problem::Failure};

/// The parsed parameters of a read, for all four deliveries.
#[derive(Clone, Debug)]
pub struct ReadRequest {
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
    last: Option<NonZeroU32>,
    /// Number of topics given, those that are given twice included.
    given: usize,
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

impl ReadRequest {
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
            last: None,
            given: 0,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            read.set(&name, &value, limits)?;
        }
        if let (Some(_), Some(_)) = (read.after, read.last) {
            return Err(bad("last", "after and last exclude each other; give one"));
        }
        if read.order == SortOrder::Newest && read.until.is_none() {
            return Err(bad("order", "order=newest needs an upper bound: add until="));
        }
        read.after = read.after.or(read.last.map(After::Last));
        Ok(read)
    }

    fn set(&mut self, name: &str, value: &str, limits: &Limits) -> Result<(), Failure> {
        match name {
            "topic" => self.add_topic(value, limits)?,
            "after" => self.after = Some(cursor("after", value)?),
            "until" => self.until = Some(cursor("until", value)?),
            "last" => self.last = Some(last(value, limits)?),
            "limit" => self.limit = limit(value)?.min(limits.max_events),
            "wait" => self.wait = Some(wait(value, limits)?),
            "policy" => {
                let refused = |allowed| bad("policy", format!("policy is {value:?}; {allowed}"));
                self.policy = value.parse().map_err(refused)?;
            }
            "order" => {
                let orders = [("oldest", SortOrder::Oldest), ("newest", SortOrder::Newest)];
                self.order = one_of("order", value, orders)?;
            }
            "heartbeat" => {
                self.hears_heartbeats = one_of("heartbeat", value, [("comment", false), ("event", true)])?;
            }
            "data" => self.is_raw = one_of("data", value, [("event", false), ("raw", true)])?,
            "lab" => self.is_watched = true,
            "encoding" => self.encoding = Some(value.to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn add_topic(&mut self, value: &str, limits: &Limits) -> Result<(), Failure> {
        let refused = |error: FilterError| Failure::new(Code::BadTopic, error.to_string()).field("topic");
        let topic = value.parse().map_err(refused)?;
        // Checked for each topic, because the search for duplicates gets slower with each.
        self.given += 1;
        too_many(self.given, limits)?;
        if !self.topics.contains(&topic) {
            self.topics.push(topic);
        }
        Ok(())
    }

    /// Refuses a read without a topic.
    pub(super) fn required(self) -> Result<Self, Failure> {
        if self.topics.is_empty() {
            let detail = "give at least one topic, as in ?topic=host.cpu";
            return Err(Failure::new(Code::BadTopic, detail).field("topic"));
        }
        Ok(self)
    }
}

fn bad(field: &'static str, detail: impl Into<String>) -> Failure {
    Failure::new(Code::BadParameter, detail.into()).field(field)
}

fn cursor<T: FromStr<Err = CursorError>>(field: &'static str, value: &str) -> Result<T, Failure> {
    value.parse().map_err(|error: CursorError| Failure::new(Code::BadCursor, error.to_string()).field(field))
}

fn last(value: &str, limits: &Limits) -> Result<NonZeroU32, Failure> {
    let count: Option<NonZeroU32> = value.parse().ok();
    count
        .filter(|count| count.get() as usize <= limits.max_events)
        .ok_or_else(|| bad("last", format!("last is {value:?}; allowed are 1 to {}", limits.max_events)))
}

/// Parses a limit. One that is larger than the server's is no error: the answer says that there is more.
fn limit(value: &str) -> Result<usize, Failure> {
    let refused = |_| bad("limit", format!("limit is {value:?}; allowed are whole numbers from 1"));
    value.parse().map(|limit: NonZeroU32| limit.get() as usize).map_err(refused)
}

fn wait(value: &str, limits: &Limits) -> Result<Duration, Failure> {
    let wait = value.parse().ok().and_then(|wait| Duration::try_from_secs_f64(wait).ok());
    wait.ok_or_else(|| {
        let most = limits.max_wait.as_secs();
        bad("wait", format!("wait is {value:?}; allowed are seconds from 0, held for at most {most}"))
    })
}

/// Returns the meaning of a parameter's value, one of two words.
fn one_of<T: Copy>(field: &'static str, value: &str, words: [(&str, T); 2]) -> Result<T, Failure> {
    words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning).ok_or_else(|| {
        bad(field, format!("{field} is {value:?}; allowed are {}", words.map(|(word, _)| word).join(", ")))
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
