//! Requests of an operator, made with the page's own cookie.

use fourways_shared::{Event, PollBody, Problem, Topic, operate::Rehearsal};
use gloo_net::http::{Request, RequestBuilder};
use serde::de::DeserializeOwned;

/// Reason why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The server asks for a token, or for one with other rights (401 or 403).
    Unauthorized { status: u16, words: String },
    /// Any other failure, in words.
    Other(String),
}

impl Refused {
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::Unauthorized { words, .. } | Self::Other(words) => words,
        }
    }
}

/// Fetches JSON from an address.
///
/// # Errors
/// See [`Refused`].
pub(crate) async fn get<T: DeserializeOwned>(address: &str) -> Result<T, Refused> {
    let text = answer(Request::get(address), None).await?;
    serde_json::from_str(&text).map_err(|error| Refused::Other(error.to_string()))
}

/// Returns the last `count` events of a topic, newest last.
///
/// # Errors
/// See [`Refused`].
pub(crate) async fn last(topic: &Topic, count: u32) -> Result<Vec<Event>, Refused> {
    let body: PollBody = get(&format!("/v1/events?topic={topic}&last={count}")).await?;
    Ok(body.events)
}

/// Publishes JSON as it was typed, and returns the server's answer.
///
/// # Errors
/// See [`Refused`].
pub(crate) async fn publish(topic: &str, json: &str) -> Result<String, Refused> {
    let request = Request::post(&format!("/v1/topics/{topic}/events"));
    answer(request.header("Content-Type", "application/json"), Some(json)).await
}

/// Closes a connection by its id, which begins with the id of its server if several servers share the log.
///
/// # Errors
/// See [`Refused`].
pub(crate) async fn cut(id: &str) -> Result<(), Refused> {
    answer(Request::delete(&format!("/v1/connections/{id}")), None).await.map(drop)
}

/// Kills the server of this id, where that is allowed.
///
/// # Errors
/// See [`Refused`].
pub(crate) async fn kill(id: &str) -> Result<(), Refused> {
    answer(Request::post(&format!("/v1/lab/kill/{id}")), None).await.map(drop)
}

/// Makes every subscriber reconnect, and returns what the server observed.
///
/// # Errors
/// See [`Refused`].
pub(crate) async fn rehearse() -> Result<Rehearsal, Refused> {
    let text = answer(Request::post("/v1/rehearsal"), None).await?;
    serde_json::from_str(&text).map_err(|error| Refused::Other(error.to_string()))
}

/// Makes the server put a token into a cookie that no script can read.
///
/// # Errors
/// See [`Refused`].
pub(crate) async fn sign_in(token: &str) -> Result<(), Refused> {
    let request = Request::post("/v1/session").header("Authorization", &format!("Bearer {token}"));
    answer(request, None).await.map(drop)
}

/// Returns the subject of the token that the browser holds; `None` where the server asks for no token.
///
/// # Errors
/// See [`Refused`].
pub(crate) async fn session() -> Result<Option<String>, Refused> {
    #[derive(serde::Deserialize)]
    struct Session {
        subject: Option<String>,
    }
    let session: Session = get("/v1/session").await?;
    Ok(session.subject)
}

/// Makes the browser forget the token.
///
/// # Errors
/// See [`Refused`].
pub(crate) async fn sign_out() -> Result<(), Refused> {
    answer(Request::delete("/v1/session"), None).await.map(drop)
}

async fn answer(request: RequestBuilder, body: Option<&str>) -> Result<String, Refused> {
    let other = |error: gloo_net::Error| Refused::Other(error.to_string());
    let request = match body {
        Some(body) => request.body(body).map_err(other)?,
        None => request.build().map_err(other)?,
    };
    let response =
        request.send().await.map_err(|_| Refused::Other("the server did not answer".to_owned()))?;
    let text = response.text().await.map_err(other)?;
    if response.ok() {
        return Ok(text);
    }
    let words = serde_json::from_str(&text).map_or(text, |problem: Problem| problem.detail);
    let status = response.status();
    Err(if matches!(status, 401 | 403) {
        Refused::Unauthorized { status, words }
    } else {
        Refused::Other(words)
    })
}
