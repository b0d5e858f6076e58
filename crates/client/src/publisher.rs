//! Publishing over HTTP.

use std::time::Duration;

use fourways_shared::{Cursor, Topic};
use reqwest::{Method, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;

use crate::{RequestError, Target, target};

/// A publisher to one topic.
#[derive(Clone, Debug)]
pub struct Publisher {
    target: Target,
    topic: Topic,
}

impl Publisher {
    /// Creates a publisher without a connection.
    pub const fn new(target: Target, topic: Topic) -> Self {
        Self { target, topic }
    }

    /// Publishes the JSON values in `lines`, one per line, all or none. Returns their cursors. With the same `key`, a
    /// repeat publishes nothing.
    ///
    /// # Errors
    /// Any [`RequestError`].
    pub async fn publish_lines(&self, lines: String, key: &str) -> Result<Vec<Cursor>, RequestError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            cursors: Vec<Cursor>,
        }
        let Answer { cursors } = self.publish("application/x-ndjson", lines.into(), key).await?;
        Ok(cursors)
    }

    /// Publishes bytes as one event, and returns its cursor. With the same `key`, a repeat publishes nothing.
    ///
    /// # Errors
    /// Any [`RequestError`].
    pub async fn publish_bytes(&self, bytes: Vec<u8>, key: &str) -> Result<Cursor, RequestError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            cursor: Cursor,
        }
        let Answer { cursor } = self.publish("application/octet-stream", bytes, key).await?;
        Ok(cursor)
    }

    async fn publish<T: DeserializeOwned>(
        &self,
        kind: &str,
        body: Vec<u8>,
        key: &str,
    ) -> Result<T, RequestError> {
        let request = self
            .target
            .ask(Method::POST, self.target.publish_url(&self.topic))
            .header(CONTENT_TYPE, kind)
            .header("Idempotency-Key", key)
            .timeout(Duration::from_secs(30))
            .body(body);
        target::answer(request).await
    }
}
