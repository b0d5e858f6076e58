//! What an operator asks for.

use std::time::Duration;

use fourways_shared::operate::Rehearsal;
use reqwest::Method;

use crate::{RequestError, Target, target};

/// Longer than a rehearsal with a hundred thousand clients.
const LONGEST: Duration = Duration::from_mins(3);

impl Target {
    /// Has the server tell its streams and sockets to come back, and watches how they do.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn rehearse(&self) -> Result<Rehearsal, RequestError> {
        target::answer(self.ask(Method::POST, self.url("/v1/rehearsal")).timeout(LONGEST)).await
    }
}
