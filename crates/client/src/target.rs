//! Where to, and what for.

use std::{sync::Arc, time::Duration};

use fourways_shared::{Advice, After, Filter, Policy as EventPolicy, Problem, Topic, heartbeat};
use reqwest::{
    Method, RequestBuilder, Url,
    header::{HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio_rustls::rustls::ClientConfig;

use crate::{Credentials, Ended, tls};

/// A server and what to read there.
#[derive(Clone, Debug)]
pub struct Target {
    http: reqwest::Client,
    tls: Option<Arc<ClientConfig>>,
    credentials: Credentials,
    base: Url,
    topics: Vec<Filter>,
    policy: EventPolicy,
    /// Time between short polls.
    pub poll_interval: Duration,
    /// How long the server may hold a long poll.
    pub hold: Duration,
    /// What gives no sign of life for so long is taken for dead. A stream's own time, once the server has said it, goes before it:
    /// see [`Target::dead_after`].
    pub silence: Duration,
}

/// What a server said that did not do what was asked. Nothing was done.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The status of its answer.
    pub status: u16,
    /// In its own words, or if it had none, by its status.
    pub detail: String,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    fn new(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let problem = serde_json::from_slice::<Problem>(body).ok();
        let detail =
            problem.map_or_else(|| format!("the server answered {status}"), |problem| problem.detail);
        Self { status, detail, retry_after }
    }

    /// What to do now.
    pub fn advice(&self) -> Advice {
        match self.status {
            // A body is not sent to wherever somebody points at.
            300..=399 => Advice::Stop,
            status => Advice::of_status(status, self.retry_after),
        }
    }
}

/// Why a request got no answer that says yes.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The server refused it.
    #[error("{}", .0.detail)]
    Refused(Box<Refusal>),
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
    let (status, retry_after) = (response.status(), retry_after(&response));
    let body = response.bytes().await.map_err(RequestError::Unreachable)?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|_| RequestError::Unreadable);
    }
    Err(RequestError::Refused(Box::new(Refusal::new(status.as_u16(), retry_after, &body))))
}

/// RFC 9110 10.2.3, in seconds.
pub(crate) fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Why there is no such target.
#[derive(Debug, Error)]
pub enum TargetError {
    /// Not `http://host[:port][/path]`, or the same with `https`.
    #[error("server address {0:?} is not of the form http://host:port/path or https://host:port/path")]
    Address(String),
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    /// TLS could not be set up.
    #[error("TLS could not be set up")]
    Tls(#[source] tokio_rustls::rustls::Error),
}

/// What a server that answered had to say against it.
pub(crate) fn refused(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Ended {
    let refusal = Refusal::new(status, retry_after, body);
    Ended::Failed { advice: refusal.advice(), detail: refusal.detail }
}

pub(crate) fn lost(error: impl std::fmt::Display) -> Ended {
    Ended::Failed { advice: Advice::Retry(Duration::ZERO), detail: error.to_string() }
}

impl Target {
    /// # Errors
    /// If the address is none.
    pub fn new(base: &str, topics: Vec<Topic>) -> Result<Self, TargetError> {
        let bad = || TargetError::Address(base.to_owned());
        let mut base = Url::parse(base).map_err(|_| bad())?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(bad());
        }
        base.set_query(None);
        base.set_fragment(None);
        let path = format!("{}/", base.path().trim_end_matches('/'));
        base.set_path(&path);
        tls::ready();
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .tcp_nodelay(true)
            .redirect(Policy::none())
            // One's own proxy settings are for the web, and a proxy that buffers would break what is measured here.
            .no_proxy();
        let mut secure = None;
        if base.scheme() == "https" {
            let config = tls::trusting_the_system().map_err(TargetError::Tls)?;
            http = http.tls_backend_preconfigured(config.clone());
            secure = Some(Arc::new(config));
        }
        Ok(Self {
            http: http.build().map_err(TargetError::Client)?,
            tls: secure,
            credentials: Credentials::default(),
            base,
            topics: topics.into_iter().map(|topic| (&topic).into()).collect(),
            policy: EventPolicy::All,
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

    /// Shows these with every request.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// A request that shows them.
    pub(crate) fn ask(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url).headers(self.credentials.fields())
    }

    /// The header fields that are shown.
    pub(crate) fn fields(&self) -> HeaderMap {
        self.credentials.fields()
    }

    /// What to do when the token of a stream has ended.
    pub(crate) fn at_the_tokens_end(&self, advice: Advice, status: u16) -> Advice {
        if status == 401 && self.credentials.may_be_renewed() {
            Advice::Retry(Duration::ZERO)
        } else {
            advice
        }
    }

    /// For connections that are no HTTP client's; `None`: in the clear.
    pub(crate) const fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    /// How long a stream may be silent whose server gives a sign of life so often.
    pub(crate) fn dead_after(interval_ms: u64) -> Duration {
        // Heartbeats of milliseconds are late by more than that on any network.
        heartbeat::dead_after(Duration::from_millis(interval_ms)).max(Duration::from_secs(5))
    }

    /// Only the newest event of each topic, of those that are pending.
    #[must_use]
    pub const fn policy(mut self, policy: EventPolicy) -> Self {
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
            if self.policy == EventPolicy::Latest {
                query.append_pair("policy", "latest");
            }
        }
        url
    }

    /// Below the server's own path.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}{}", self.base.path(), path.trim_start_matches('/'));
        url.set_path(&path);
        url
    }
}
