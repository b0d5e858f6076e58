//! The one place where an error becomes an answer: `application/problem+json` (RFC 9457).

use std::{fmt, time::Duration};

use actix_web::{
    HttpResponse, Resource, ResponseError, Route, error,
    guard::{self, GuardContext},
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    web,
};
use fourways_shared::{Code, Problem};

use fourways_log::engine::EngineError;

/// The `Retry-After` of a 429 or 503 that names no wait of its own: a server that is full or not ready seldom changes
/// at once.
const USUAL_WAIT: Duration = Duration::from_secs(5);

/// A problem on its way to an HTTP response, with the wait for `Retry-After` if there is one.
#[derive(Debug)]
pub struct Failure {
    problem: Box<Problem>,
    retry_after: Option<Duration>,
}

impl Failure {
    /// Creates a failure of this kind; `detail` is one sentence for people.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }

    /// Names the parameter, header or body that is at fault.
    #[must_use]
    pub fn field(self, field: &'static str) -> Self {
        Self { problem: Box::new(self.problem.field(field)), ..self }
    }

    /// Sets how long the client should wait before it tries again (`Retry-After`, RFC 9110 10.2.3).
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// True if the failure is a body that was too long.
    pub fn is_too_large(&self) -> bool {
        self.problem.code == Code::BodyTooLarge
    }

    /// Returns the problem alone, for answers that have no headers.
    pub fn problem(self) -> Problem {
        *self.problem
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), retry_after: None }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        of_engine(&error, "Idempotency-Key").into()
    }
}

/// Maps an engine's error to the problem that publishers see, over HTTP and WebSocket alike; `key` names the field that
/// held the idempotency key.
pub(crate) fn of_engine(error: &EngineError, key: &'static str) -> Problem {
    match error {
        EngineError::Unavailable(_) | EngineError::Unknown(_) => {
            Problem::new(Code::Unavailable, error.to_string())
        }
        EngineError::KeyReused => Problem::new(Code::KeyReused, error.to_string()).field(key),
        EngineError::TooMany(_) => Problem::new(Code::BodyTooLarge, error.to_string()),
        EngineError::Full => Problem::new(Code::StorageFull, error.to_string()),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.problem.code.name(), self.problem.detail)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        // A 503 is temporary, and a line for each would let anybody fill the server's log while it lasts.
        if self.status_code().is_server_error() && self.status_code() != StatusCode::SERVICE_UNAVAILABLE {
            tracing::error!(code = self.problem.code.name(), detail = %self.problem.detail, "request failed");
        }
        let mut response = HttpResponse::build(self.status_code());
        response
            .insert_header((header::CONTENT_TYPE, "application/problem+json"))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        if self.problem.code == Code::UpgradeRequired {
            // RFC 9110 15.5.22: a 426 names the protocol to upgrade to.
            response.insert_header((header::UPGRADE, "websocket"));
            // RFC 6455 4.2.2 and 4.4: the version of the protocol that the server speaks.
            response.insert_header((header::SEC_WEBSOCKET_VERSION, "13"));
        }
        if matches!(self.problem.code, Code::BodyTooLarge | Code::BodyTimeout) {
            // The rest of the body is not read, because it may have no end.
            response.force_close();
        }
        let is_passing =
            matches!(self.status_code(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        if let Some(wait) = self.retry_after.or_else(|| is_passing.then_some(USUAL_WAIT)) {
            // `Retry-After` has whole seconds: rounded up, so that no client comes before the time that was meant.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.insert_header((header::RETRY_AFTER, seconds.max(1)));
        }
        if self.status_code() == StatusCode::UNAUTHORIZED {
            // RFC 6750 3: a 401 names the scheme of authentication.
            let error =
                if self.problem.code == Code::TokenExpired { ", error=\"invalid_token\"" } else { "" };
            response.insert_header((header::WWW_AUTHENTICATE, format!("Bearer realm=\"fourways\"{error}")));
        }
        response.body(serde_json::to_vec(&self.problem).unwrap_or_default())
    }
}

/// Maps an error of reading a body to its problem; `limit` is the maximum length in bytes.
pub(crate) fn of_payload(error: &error::PayloadError, limit: usize) -> Failure {
    match error {
        error::PayloadError::Overflow => too_large(limit),
        other => Failure::new(Code::BadBody, format!("the body could not be read: {other}")),
    }
}

pub(crate) fn too_large(limit: usize) -> Failure {
    Failure::new(Code::BodyTooLarge, format!("the body is longer than {limit} bytes, which is the limit"))
}

/// Answers every path of the API that does not exist, with 404.
pub async fn not_found() -> Result<HttpResponse, Failure> {
    Err(Failure::new(
        Code::NotFound,
        "the API has no such path; GET /v1/topics lists the topics that can be read",
    ))
}

/// Returns a resource that answers every method without a route of its own with 405 and the `allowed` ones (RFC 9110
/// 15.5.6).
pub fn only(path: &str, allowed: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move || async move { method_not_allowed(allowed) }))
}

/// Returns the 405 for a method that a path does not have, with the `allowed` ones in `Allow`.
pub(crate) fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let mut response =
        Failure::new(Code::MethodNotAllowed, format!("allowed here: {allowed}")).error_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// True for the methods of a read whose parameters are in its body: `POST`, and `QUERY`
/// (draft-ietf-httpbis-safe-method-w-body), which is defined to change nothing.
pub(crate) fn has_body(method: &Method) -> bool {
    method == Method::POST || method.as_str() == "QUERY"
}

/// Returns a route for reads whose parameters are in the query (GET and HEAD) or in the body (POST and QUERY).
pub fn asking() -> Route {
    let is_asked = |context: &GuardContext<'_>| {
        matches!(context.head().method, Method::GET | Method::HEAD) || has_body(&context.head().method)
    };
    web::route().guard(guard::fn_guard(is_asked))
}

/// Returns a route for GET and HEAD: every path that has GET has HEAD (RFC 9110 9.1).
pub fn read() -> Route {
    let is_read = |context: &GuardContext<'_>| matches!(context.head().method, Method::GET | Method::HEAD);
    web::route().guard(guard::fn_guard(is_read))
}
