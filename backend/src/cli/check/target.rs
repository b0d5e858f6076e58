//! The target of a check: a Fourways server with all four techniques, or one technique of any server.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::Url;
use serde::{Deserialize, de::IgnoredAny};

use super::{
    marks::{COUNT, Mark, PATIENCE_MS, SPACING_MS},
    recording::{Recording, literal},
    request::Request,
    wire::{self, ANSWER_MS, Clock, Connection, Step},
};

/// A technique that a server speaks at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum By {
    /// Server-Sent Events (HTML Standard 9.2).
    Sse,
    /// `WebSocket` (RFC 6455).
    Websocket,
    /// HTTP requests that are repeated to see what is new.
    Poll,
}

/// The target of a check.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A Fourways server, with all its techniques.
    Fourways(Fourways),
    /// One address that speaks one technique.
    One { url: Url, by: By },
}

/// A Fourways server, and a prefix of topics that only this check uses.
#[derive(Clone, Debug)]
pub(crate) struct Fourways {
    base: Url,
    /// Prefix of each topic of the check.
    topic: String,
    /// The head of the log when the check began.
    pub(crate) cursor: String,
}

impl Fourways {
    /// Returns one of the check's own topics, by its last part.
    pub(crate) fn topic(&self, part: &str) -> String {
        format!("{}.{part}", self.topic)
    }

    /// Returns the address that reads such a topic.
    pub(crate) fn read(&self, path: &str, part: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url.query_pairs_mut().append_pair("topic", &self.topic(part)).extend_pairs(query);
        url
    }

    /// Returns the address that publishes to such a topic: on this server, or at the URL that is given instead. A URL
    /// with a path of its own is used as it is.
    pub(crate) fn publish(&self, part: &str, by_way_of: Option<&Url>) -> Url {
        let mut url = by_way_of.unwrap_or(&self.base).clone();
        if url.path() == "/" {
            url.set_path(&format!("/v1/topics/{}/events", self.topic(part)));
        }
        url
    }
}

/// Parses an address. The scheme of a `ws` or `wss` address becomes `http` or `https`, which opens the same connection.
///
/// # Errors
/// If the text is not such an address, or holds a user name or password, which the report would show.
pub(crate) fn parse(text: &str) -> anyhow::Result<(Url, Option<By>)> {
    let bad = || format!("{text:?} is not an address; allowed are http://, https://, ws:// and wss://");
    let mut url = Url::parse(text).with_context(bad)?;
    let (scheme, by) = match url.scheme() {
        "http" => ("http", None),
        "https" => ("https", None),
        "ws" => ("http", Some(By::Websocket)),
        "wss" => ("https", Some(By::Websocket)),
        _ => bail!(bad()),
    };
    if !url.username().is_empty() || url.password().is_some() {
        bail!("the address holds a user name or password, and the report would show it; leave them out");
    }
    if url.host_str().is_none() || url.set_scheme(scheme).is_err() {
        bail!(bad());
    }
    url.set_fragment(None);
    Ok((url, by))
}

/// Returns the Fourways server at an address, if there is one: its list of topics has the cursor of the head.
pub(crate) async fn fourways(clock: Clock, base: &Url, topic: String) -> Option<Fourways> {
    #[derive(Deserialize)]
    struct Listing {
        cursor: String,
        #[serde(rename = "topics")]
        _topics: Vec<IgnoredAny>,
    }
    if base.path() != "/" || base.query().is_some() {
        return None;
    }
    let mut url = base.clone();
    url.set_path("/v1/topics");
    let deadline_ms = clock.now_ms() + ANSWER_MS;
    let answer = wire::answer(clock, &Request::get(&url), deadline_ms).await;
    let listing: Listing = serde_json::from_slice(&answer.body().bytes()).ok()?;
    Some(Fourways { base: base.clone(), topic, cursor: listing.cursor })
}

/// Requests a stream, and finds out from the head of the answer which technique the address speaks.
///
/// # Errors
/// If the connection ends without an answer, or the answer is a redirect.
pub(crate) async fn guess(clock: Clock, url: &Url) -> anyhow::Result<By> {
    let request = Request::get(url).field("Accept", "text/event-stream, */*;q=0.1");
    let mut connection = Connection::open(clock, &request).await;
    let deadline_ms = clock.now_ms() + ANSWER_MS / 2;
    while connection.recording.head.is_none() && connection.step(deadline_ms).await == Step::Arrived {}
    by_answer(&connection.recording)
}

fn by_answer(answer: &Recording) -> anyhow::Result<By> {
    let Some(head) = &answer.head else {
        if answer.end.is_open() {
            // Only a stream that the path holds back, or a held poll, sends nothing at all.
            return Ok(By::Sse);
        }
        bail!("there is no answer to check: the connection {}", answer.end.words());
    };
    if let (300..=308, Some(place)) = (head.status, head.header("Location")) {
        bail!("the address answers {}, a redirect to {}; check that one", head.status, literal(&place));
    }
    let content_type = head.header("Content-Type").unwrap_or_default().to_ascii_lowercase();
    let speaks_websocket = head.status == 426 || head.values("Sec-WebSocket-Version").next().is_some();
    Ok(if content_type.starts_with("text/event-stream") {
        By::Sse
    } else if speaks_websocket {
        By::Websocket
    } else {
        By::Poll
    })
}

/// Publishes the check's own events to one address.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    clock: Clock,
    address: Url,
    /// Prefix that makes the marks of this run and this publisher unlike any other text.
    name: String,
}

impl Publisher {
    pub(crate) fn new(clock: Clock, address: Url) -> Self {
        // If the system provides no random numbers, runs at the same time read each other's marks, and nothing worse.
        Self { clock, address, name: format!("fourways-check-{:x}", getrandom::u64().unwrap_or(1)) }
    }

    /// Publishes one mark at once. A failure is noted in the mark.
    pub(crate) async fn publish(&self, number: u64) -> Mark {
        let text = format!("{}-{number}", self.name);
        let request = Request::post(&self.address, format!("{{\"check\":\"{text}\"}}").into_bytes());
        let sent_ms = self.clock.now_ms();
        let answer = wire::answer(self.clock, &request, sent_ms + ANSWER_MS / 2).await;
        let failure = match answer.status() {
            Some(200..=299) => None,
            Some(status) => Some(format!("POST {} answered {status}", self.address)),
            None => Some(format!("POST {}: the connection {}", self.address, answer.end.words())),
        };
        Mark { text, sent_ms, failure }
    }

    /// Publishes all marks, [`SPACING_MS`] apart, and waits [`PATIENCE_MS`] for the last to arrive. Stops at the first
    /// that fails. The first mark waits for [`SPACING_MS`] too, so that the server knows the readers by then.
    pub(crate) async fn publish_spaced(&self) -> Vec<Mark> {
        let mut marks: Vec<Mark> = Vec::new();
        let mut due_ms = self.clock.now_ms() + SPACING_MS;
        for number in 1..=COUNT {
            tokio::time::sleep(self.clock.left(due_ms)).await;
            let mark = self.publish(number).await;
            due_ms = mark.sent_ms + SPACING_MS;
            marks.push(mark);
            if marks.iter().any(|mark| mark.failure.is_some()) {
                return marks;
            }
        }
        tokio::time::sleep(Duration::from_millis(PATIENCE_MS)).await;
        marks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::recording::{End, Head};

    fn answer(head: &str) -> Recording {
        Recording { head: Head::parse(head.as_bytes()), ..Recording::default() }
    }

    #[test]
    fn an_answer_tells_what_the_address_speaks() {
        let by = |head: &str| by_answer(&answer(head)).unwrap();
        assert_eq!(by("HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream;charset=utf-8"), By::Sse);
        assert_eq!(by("HTTP/1.1 426 Upgrade Required"), By::Websocket);
        assert_eq!(by("HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13"), By::Websocket);
        assert_eq!(by("HTTP/1.1 200 OK\r\nContent-Type: application/json"), By::Poll);
        let moved = by_answer(&answer("HTTP/1.1 301 Moved\r\nLocation: https://a/b")).unwrap_err();
        assert!(moved.to_string().contains("https://a/b"), "{moved}");
        let gone = Recording { end: End::Reset, ..Recording::default() };
        assert!(by_answer(&gone).is_err() && by_answer(&Recording::default()).unwrap() == By::Sse);
    }

    #[test]
    fn addresses_are_read_as_sockets_see_them() {
        let (url, by) = parse("wss://a.example/live#x").unwrap();
        assert_eq!((url.as_str(), by), ("https://a.example/live", Some(By::Websocket)));
        for bad in ["a.example", "ftp://a.example", "http://me:secret@a.example"] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn another_way_to_publish_is_a_server_or_a_whole_address() {
        let base = Url::parse("http://a:1").unwrap();
        let fourways = Fourways { base, topic: "check.1".to_owned(), cursor: String::new() };
        let url = |text| Url::parse(text).unwrap();
        assert_eq!(fourways.publish("sse", None).as_str(), "http://a:1/v1/topics/check.1.sse/events");
        let beside = url("http://b:2");
        assert_eq!(
            fourways.publish("sse", Some(&beside)).as_str(),
            "http://b:2/v1/topics/check.1.sse/events"
        );
        let whole = url("http://b:2/x");
        assert_eq!(fourways.publish("sse", Some(&whole)).as_str(), "http://b:2/x");
        let read = fourways.read("/v1/events", "poll", &[("after", "k-1")]);
        assert_eq!(read.as_str(), "http://a:1/v1/events?topic=check.1.poll&after=k-1");
    }
}
