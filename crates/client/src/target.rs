//! The server that a client talks to, and the topics that it reads there.

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

/// A server, and the topics to read there. Cheap to clone; all clones share one pool of HTTP connections.
#[derive(Clone, Debug)]
pub struct Target {
    http: reqwest::Client,
    tls: Option<Arc<ClientConfig>>,
    credentials: Credentials,
    base: Url,
    topics: Vec<Filter>,
    policy: EventPolicy,
    /// Pause between two short polls.
    pub poll_interval: Duration,
    /// Time for which the server is asked to hold a long poll.
    pub hold: Duration,
    /// Silence after which a connection counts as dead. On a stream or socket, the time that follows from the server's
    /// own heartbeat interval replaces this one, once the server has named the interval.
    pub silence: Duration,
}

/// A server's refusal of a request, which was not carried out.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// HTTP status of the answer.
    pub status: u16,
    /// The reason, in the server's words, or else a sentence with the status.
    pub detail: String,
    /// Time to wait before the next request, if the server named one.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    fn new(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let problem = serde_json::from_slice::<Problem>(body).ok();
        let detail =
            problem.map_or_else(|| format!("the server answered {status}"), |problem| problem.detail);
        Self { status, detail, retry_after }
    }

    /// Returns what a client should do now: try again after a wait, or stop.
    pub fn advice(&self) -> Advice {
        match self.status {
            // Redirects are not followed: a body must not be sent to whatever address an answer names.
            300..=399 => Advice::Stop,
            status => Advice::of_status(status, self.retry_after),
        }
    }
}

/// The error of a request that was not answered with success.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The server refused the request.
    #[error("{}", .0.detail)]
    Refused(Box<Refusal>),
    /// No answer came. The request may have been carried out; a publish can be repeated safely with the same key.
    #[error("the server can't be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The answer could not be parsed.
    #[error("the server's answer can't be read")]
    Unreadable,
}

/// Sends a request, and parses its answer.
pub(crate) async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, RequestError> {
    let response = request.send().await.map_err(RequestError::Unreachable)?;
    let (status, retry_after) = (response.status(), retry_after(&response));
    let body = response.bytes().await.map_err(RequestError::Unreachable)?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|_| RequestError::Unreadable);
    }
    Err(RequestError::Refused(Box::new(Refusal::new(status.as_u16(), retry_after, &body))))
}

/// Returns the wait that a `Retry-After` in seconds asks for (RFC 9110 10.2.3).
pub(crate) fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The error of a [`Target`] that can't be created.
#[derive(Debug, Error)]
pub enum TargetError {
    /// The address is not of the form `http://host[:port][/path]`, or the same with `https`.
    #[error("server address {0:?} is not of the form http://host:port/path or https://host:port/path")]
    Address(String),
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    /// TLS could not be set up.
    #[error("TLS could not be set up")]
    Tls(#[source] tokio_rustls::rustls::Error),
}

/// Returns the end of a connection that the server refused.
pub(crate) fn refused(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Ended {
    let refusal = Refusal::new(status, retry_after, body);
    Ended::Failed { advice: refusal.advice(), detail: refusal.detail }
}

pub(crate) fn lost(error: impl std::fmt::Display) -> Ended {
    Ended::Failed { advice: Advice::Retry(Duration::ZERO), detail: error.to_string() }
}

impl Target {
    /// Creates a target that reads these topics of the server at `base`.
    ///
    /// # Errors
    /// If the address has the wrong form, or HTTP or TLS can't be set up.
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
            // The user's proxy settings are for the web, and a proxy that buffers would spoil the measurements.
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

    /// Replaces the topics to read by these topics and patterns.
    #[must_use]
    pub fn with_filters(self, topics: Vec<Filter>) -> Self {
        Self { topics, ..self }
    }

    /// Sets the header fields and the token that are sent with every request.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Returns a request with the credentials.
    pub(crate) fn ask(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url).headers(self.credentials.fields())
    }

    /// Returns the header fields of the credentials, for requests that are not made by [`Self::ask`].
    pub(crate) fn fields(&self) -> HeaderMap {
        self.credentials.fields()
    }

    /// Returns what to do when a stream ends with `status`: reconnect after an expired token that may have been
    /// renewed, and otherwise follow the `advice`.
    pub(crate) fn at_the_tokens_end(&self, advice: Advice, status: u16) -> Advice {
        if status == 401 && self.credentials.may_be_renewed() {
            Advice::Retry(Duration::ZERO)
        } else {
            advice
        }
    }

    /// Returns the TLS settings for connections that the HTTP client does not make; `None` without TLS.
    pub(crate) const fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    /// Returns the silence after which a stream counts as dead, if its server sends a heartbeat every `interval_ms`.
    pub(crate) fn dead_after(interval_ms: u64) -> Duration {
        // On any network, a heartbeat may be late by more than an interval of a few milliseconds.
        heartbeat::dead_after(Duration::from_millis(interval_ms)).max(Duration::from_secs(5))
    }

    /// Sets what to do with pending events: read all, or only the newest of each topic.
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

    /// Returns the URL of a path below the path of the server's address.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}{}", self.base.path(), path.trim_start_matches('/'));
        url.set_path(&path);
        url
    }
}
