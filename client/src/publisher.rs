//! Publishing from outside.

use std::time::Duration;

use fourways_shared::{Cursor, Topic};
use reqwest::{Method, header::CONTENT_TYPE};

use crate::{RequestError, Target, target};

/// Publishes to one topic.
#[derive(Clone, Debug)]
pub struct Publisher {
    target: Target,
    topic: Topic,
}

impl Publisher {
    /// Nothing is opened yet.
    pub const fn new(target: Target, topic: Topic) -> Self {
        Self { target, topic }
    }

    /// Publishes JSON values, all or none; `lines` holds one on each line. `key` makes a repeat harmless.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn publish_lines(&self, lines: String, key: &str) -> Result<Vec<Cursor>, RequestError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            cursors: Vec<Cursor>,
        }
        let request = self
            .target
            .ask(Method::POST, self.target.publish_url(&self.topic))
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header("Idempotency-Key", key)
            .timeout(Duration::from_secs(30))
            .body(lines);
        let Answer { cursors } = target::answer(request).await?;
        Ok(cursors)
    }
}
