//! Requests of an operator.

use std::time::Duration;

use fourways_shared::operate::Rehearsal;
use reqwest::Method;

use crate::{RequestError, Target, target};

/// Timeout of a rehearsal: longer than one with a hundred thousand clients.
const LONGEST: Duration = Duration::from_mins(3);

impl Target {
    /// Makes the server tell its streams and sockets to reconnect, and returns how they did once the server has
    /// measured it.
    ///
    /// # Errors
    /// Any [`RequestError`].
    pub async fn rehearse(&self) -> Result<Rehearsal, RequestError> {
        target::answer(self.ask(Method::POST, self.url("/v1/rehearsal")).timeout(LONGEST)).await
    }
}
