//! Publishing over plain HTTP, and the outcome of a publish.

use fourways_shared::{EventId, Problem, Topic};
use gloo_net::http::Request;
use web_sys::AbortSignal;

/// Longest wait for an answer, in milliseconds. A slower publish is sent again, and its key keeps it from being stored
/// twice.
const PATIENCE_MS: u32 = 20_000;

/// Outcome of a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublishOutcome {
    /// The server has stored the event.
    Kept,
    /// The server refuses the event, however often it is sent; holds the reason.
    Refused(String),
    /// The outcome is unknown; with its key the event can be sent again and is stored once.
    Lost,
}

/// Called once with the outcome of a publish.
pub(crate) type OnOutcome = Box<dyn FnOnce(PublishOutcome)>;

impl PublishOutcome {
    /// Converts the outcome into a result.
    ///
    /// # Errors
    /// The reason why the server does not hold the event.
    pub(crate) fn kept(self) -> Result<(), String> {
        match self {
            Self::Kept => Ok(()),
            Self::Refused(why) => Err(why),
            Self::Lost => Err("the server did not answer".to_owned()),
        }
    }
}

/// Publishes a text as a JSON string.
pub(crate) async fn text(topic: &Topic, text: &str) -> PublishOutcome {
    json(topic, &serde_json::to_string(text).unwrap_or_default(), None).await
}

/// Publishes a JSON document, with an idempotency key if `id` is given.
pub(crate) async fn json(topic: &Topic, json: &str, id: Option<&EventId>) -> PublishOutcome {
    send(topic, "application/json", json.into(), id).await
}

/// Publishes bytes, with an idempotency key.
pub(crate) async fn bytes(topic: &Topic, bytes: &[u8], id: &EventId) -> PublishOutcome {
    let bytes = js_sys::Uint8Array::from(bytes);
    send(topic, "application/octet-stream", bytes.into(), Some(id)).await
}

async fn send(
    topic: &Topic,
    kind: &str,
    body: wasm_bindgen::JsValue,
    id: Option<&EventId>,
) -> PublishOutcome {
    let patience = AbortSignal::timeout_with_u32(PATIENCE_MS);
    let mut request = Request::post(&format!("/v1/topics/{topic}/events"))
        .header("Content-Type", kind)
        .abort_signal(Some(&patience));
    if let Some(id) = id {
        request = request.header("Idempotency-Key", id.as_str());
    }
    let Ok(request) = request.body(body) else { return PublishOutcome::Lost };
    let Ok(response) = request.send().await else { return PublishOutcome::Lost };
    match response.status() {
        200..300 => PublishOutcome::Kept,
        // Timeouts, limits and server errors pass: the event may be sent again.
        408 | 425 | 429 | 500.. => PublishOutcome::Lost,
        _ => {
            let text = response.text().await.unwrap_or_default();
            PublishOutcome::Refused(
                serde_json::from_str(&text).map_or(text, |problem: Problem| problem.detail),
            )
        }
    }
}
