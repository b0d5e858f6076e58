//! Publishing from outside.

use std::time::Duration;

use fourways_shared::{Cursor, Problem, Topic};
use reqwest::header::CONTENT_TYPE;
use thiserror::Error;

use crate::Target;

/// Publishes to one topic.
#[derive(Clone, Debug)]
pub struct Publisher {
    target: Target,
    topic: Topic,
}

/// Why a publish got no cursor.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The server refused it; it was not published.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// No answer; it may have been published, and the same key again would tell.
    #[error("the server can't be reached")]
    Unreachable(#[source] reqwest::Error),
    /// An answer that is none.
    #[error("the server's answer can't be read")]
    Unreadable,
}

impl Publisher {
    /// Nothing is opened yet.
    pub const fn new(target: Target, topic: Topic) -> Self {
        Self { target, topic }
    }

    /// Publishes JSON values, all or none; `lines` holds one on each line. `key` makes a repeat harmless.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_lines(&self, lines: String, key: &str) -> Result<Vec<Cursor>, PublishError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            cursors: Vec<Cursor>,
        }
        let request = self
            .target
            .http
            .post(self.target.publish_url(&self.topic))
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header("Idempotency-Key", key)
            .timeout(Duration::from_secs(30))
            .body(lines);
        let response = request.send().await.map_err(PublishError::Unreachable)?;
        let is_published = response.status().is_success();
        let body = response.bytes().await.map_err(PublishError::Unreachable)?;
        if is_published {
            let answer: Answer = serde_json::from_slice(&body).map_err(|_| PublishError::Unreadable)?;
            return Ok(answer.cursors);
        }
        Err(serde_json::from_slice(&body)
            .map_or(PublishError::Unreadable, |problem| PublishError::Refused(Box::new(problem))))
    }
}
