//! Where to, and what for.

use std::time::Duration;

use fourways_shared::{After, Filter, Policy, Problem, Topic, heartbeat};
use reqwest::{Method, RequestBuilder, Url};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::Ended;

/// A server and what to read there.
#[derive(Clone, Debug)]
pub struct Target {
    http: reqwest::Client,
    token: Option<Box<str>>,
    base: Url,
    topics: Vec<Filter>,
    policy: Policy,
    /// Time between short polls.
    pub poll_interval: Duration,
    /// How long the server may hold a long poll.
    pub hold: Duration,
    /// What gives no sign of life for so long is taken for dead. A stream's own time, once the server has said it, goes before it:
    /// see [`Target::dead_after`].
    pub silence: Duration,
}

/// Why a request got no answer that says yes.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The server refused it; nothing was done.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// No answer; it may have been done, and a publish with the same key again would tell.
    #[error("the server can't be reached")]
    Unreachable(#[source] reqwest::Error),
    /// An answer that is none.
    #[error("the server's answer can't be read")]
    Unreadable,
}

/// Asks, and reads the answer.
pub(crate) async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, RequestError> {
    let response = request.send().await.map_err(RequestError::Unreachable)?;
    let is_done = response.status().is_success();
    let body = response.bytes().await.map_err(RequestError::Unreachable)?;
    if is_done {
        return serde_json::from_slice(&body).map_err(|_| RequestError::Unreadable);
    }
    Err(serde_json::from_slice(&body)
        .map_or(RequestError::Unreadable, |problem| RequestError::Refused(Box::new(problem))))
}

/// Why there is no such target.
#[derive(Debug, Error)]
pub enum TargetError {
    /// Not `http://host[:port]`.
    #[error("server address {0:?} is not of the form http://host:port")]
    Address(String),
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
}

/// What a server that answered had to say against it.
pub(crate) fn refused(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Ended {
    let advice = fourways_shared::Advice::of_status(status, retry_after);
    let problem = serde_json::from_slice::<Problem>(body).ok();
    let detail = problem.map_or_else(|| format!("the server answered {status}"), |problem| problem.detail);
    Ended::Failed { advice, detail }
}

pub(crate) fn lost(error: impl std::fmt::Display) -> Ended {
    Ended::Failed { advice: fourways_shared::Advice::Retry(Duration::ZERO), detail: error.to_string() }
}

impl Target {
    /// # Errors
    /// If the address is none.
    pub fn new(base: &str, topics: Vec<Topic>) -> Result<Self, TargetError> {
        let bad = || TargetError::Address(base.to_owned());
        let base = Url::parse(base).map_err(|_| bad())?;
        if base.scheme() != "http" || base.host().is_none() {
            return Err(bad());
        }
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .tcp_nodelay(true)
            // One's own proxy settings are for the web, and a proxy that buffers would break what is measured here.
            .no_proxy()
            .build()
            .map_err(TargetError::Client)?;
        Ok(Self {
            http,
            token: None,
            base,
            topics: topics.into_iter().map(|topic| (&topic).into()).collect(),
            policy: Policy::All,
            poll_interval: Duration::from_secs(1),
            hold: Duration::from_secs(25),
            silence: Duration::from_secs(30),
        })
    }

    /// Reads these topics and patterns instead.
    #[must_use]
    pub fn with_filters(self, topics: Vec<Filter>) -> Self {
        Self { topics, ..self }
    }

    /// Shows this token with every request, as `Authorization: Bearer`.
    #[must_use]
    pub fn token(mut self, token: Option<&str>) -> Self {
        self.token = token.map(Into::into);
        self
    }

    /// A request that shows the token.
    pub(crate) fn ask(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// The value of `Authorization`, where a token is shown.
    pub(crate) fn authorization(&self) -> Option<String> {
        self.token.as_ref().map(|token| format!("Bearer {token}"))
    }

    /// How long a stream may be silent whose server gives a sign of life so often.
    pub(crate) fn dead_after(interval_ms: u64) -> Duration {
        // Heartbeats of milliseconds are late by more than that on any network.
        heartbeat::dead_after(Duration::from_millis(interval_ms)).max(Duration::from_secs(5))
    }

    /// Only the newest event of each topic, of those that are pending.
    #[must_use]
    pub const fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    pub(crate) fn publish_url(&self, topic: &Topic) -> Url {
        self.url(&format!("/v1/topics/{topic}/events"))
    }

    pub(crate) fn read_url(&self, path: &str, after: After) -> Url {
        let mut url = self.url(path);
        {
            let mut query = url.query_pairs_mut();
            for topic in &self.topics {
                query.append_pair("topic", topic.as_str());
            }
            match after {
                After::Head => {}
                After::Earliest => drop(query.append_pair("after", "earliest")),
                After::Last(count) => drop(query.append_pair("last", &count.to_string())),
                After::Cursor(cursor) => drop(query.append_pair("after", &cursor.to_string())),
            }
            if self.policy == Policy::Latest {
                query.append_pair("policy", "latest");
            }
        }
        url
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }
}
