//! Reports of a reader to the server's delivery ledger.

use std::time::Duration;

use fourways_shared::account::{Account, Report};
use reqwest::{Method, header::CONTENT_TYPE};

use crate::{RequestError, Target, target};

impl Target {
    /// Reports the events that a reader holds. Returns the reader's account for the report's technique, over all its
    /// reports.
    ///
    /// # Errors
    /// Any [`RequestError`].
    pub async fn report(&self, report: &Report) -> Result<Account, RequestError> {
        let body = serde_json::to_vec(report).map_err(|_| RequestError::Unreadable)?;
        let request = self
            .ask(Method::POST, self.url("/v1/ledger"))
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        target::answer(request.timeout(Duration::from_secs(30))).await
    }
}
