//! What an operator asks the server, with the page's own cookie.

use fourways_shared::{Event, PollBody, Problem, Topic, operate::Rehearsal};
use gloo_net::http::{Request, RequestBuilder};
use serde::de::DeserializeOwned;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The server wants to know who asks, or somebody else to ask.
    Stranger { status: u16, words: String },
    /// Something else, in the server's words.
    Other(String),
}

impl Refused {
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::Stranger { words, .. } | Self::Other(words) => words,
        }
    }
}

/// What is at an address.
///
/// # Errors
/// As [`Refused`] says.
pub(crate) async fn get<T: DeserializeOwned>(address: &str) -> Result<T, Refused> {
    let text = answer(Request::get(address), None).await?;
    serde_json::from_str(&text).map_err(|error| Refused::Other(error.to_string()))
}

/// The last events of a topic, newest last.
///
/// # Errors
/// As [`Refused`] says.
pub(crate) async fn last(topic: &Topic, count: u32) -> Result<Vec<Event>, Refused> {
    let body: PollBody = get(&format!("/v1/events?topic={topic}&last={count}")).await?;
    Ok(body.events)
}

/// Publishes what was typed; the answer.
///
/// # Errors
/// As [`Refused`] says.
pub(crate) async fn publish(topic: &str, json: &str) -> Result<String, Refused> {
    let request = Request::post(&format!("/v1/topics/{topic}/events"));
    answer(request.header("Content-Type", "application/json"), Some(json)).await
}

/// Ends a connection.
///
/// # Errors
/// As [`Refused`] says.
pub(crate) async fn cut(id: u64) -> Result<(), Refused> {
    answer(Request::delete(&format!("/v1/connections/{id}")), None).await.map(drop)
}

/// Has everybody come back, and watches.
///
/// # Errors
/// As [`Refused`] says.
pub(crate) async fn rehearse() -> Result<Rehearsal, Refused> {
    let text = answer(Request::post("/v1/rehearsal"), None).await?;
    serde_json::from_str(&text).map_err(|error| Refused::Other(error.to_string()))
}

/// Has the browser keep a token where no script reads it.
///
/// # Errors
/// As [`Refused`] says.
pub(crate) async fn sign_in(token: &str) -> Result<(), Refused> {
    let request = Request::post("/v1/session").header("Authorization", &format!("Bearer {token}"));
    answer(request, None).await.map(drop)
}

/// Whose token the browser keeps; `None` where the server asks nobody.
///
/// # Errors
/// As [`Refused`] says.
pub(crate) async fn session() -> Result<Option<String>, Refused> {
    #[derive(serde::Deserialize)]
    struct Session {
        subject: Option<String>,
    }
    let session: Session = get("/v1/session").await?;
    Ok(session.subject)
}

/// Has the browser forget the token.
///
/// # Errors
/// As [`Refused`] says.
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
    Err(if matches!(status, 401 | 403) { Refused::Stranger { status, words } } else { Refused::Other(words) })
}
