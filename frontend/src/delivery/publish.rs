//! Publishing: over plain HTTP, and what becomes of it.

use fourways_shared::{EventId, Problem, Topic};
use gloo_net::http::Request;
use web_sys::AbortSignal;

/// Longest that an answer may take. What took longer is sent again, and by its key kept once.
const PATIENCE_MS: u32 = 20_000;

/// What became of something that was to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The server holds it.
    Kept,
    /// The server won't have it, whoever asks how often; why.
    Refused(String),
    /// Nobody knows; with its key it can be sent again and is kept once.
    Lost,
}

/// Is told what became of it.
pub(crate) type Told = Box<dyn FnOnce(Sent)>;

impl Sent {
    /// # Errors
    /// Why the server does not hold it.
    pub(crate) fn kept(self) -> Result<(), String> {
        match self {
            Self::Kept => Ok(()),
            Self::Refused(why) => Err(why),
            Self::Lost => Err("the server did not answer".to_owned()),
        }
    }
}

/// Publishes a text.
pub(crate) async fn text(topic: &Topic, text: &str) -> Sent {
    json(topic, &serde_json::to_string(text).unwrap_or_default(), None).await
}

/// Publishes JSON.
pub(crate) async fn json(topic: &Topic, json: &str, id: Option<&EventId>) -> Sent {
    send(topic, "application/json", json.into(), id).await
}

/// Publishes bytes.
pub(crate) async fn bytes(topic: &Topic, bytes: &[u8], id: &EventId) -> Sent {
    let bytes = js_sys::Uint8Array::from(bytes);
    send(topic, "application/octet-stream", bytes.into(), Some(id)).await
}

async fn send(topic: &Topic, kind: &str, body: wasm_bindgen::JsValue, id: Option<&EventId>) -> Sent {
    let patience = AbortSignal::timeout_with_u32(PATIENCE_MS);
    let mut request = Request::post(&format!("/v1/topics/{topic}/events"))
        .header("Content-Type", kind)
        .abort_signal(Some(&patience));
    if let Some(id) = id {
        request = request.header("Idempotency-Key", id.as_str());
    }
    let Ok(request) = request.body(body) else { return Sent::Lost };
    let Ok(response) = request.send().await else { return Sent::Lost };
    match response.status() {
        200..300 => Sent::Kept,
        // Too many, no room, or not now: later.
        408 | 425 | 429 | 500.. => Sent::Lost,
        _ => {
            let text = response.text().await.unwrap_or_default();
            Sent::Refused(serde_json::from_str(&text).map_or(text, |problem: Problem| problem.detail))
        }
    }
}
