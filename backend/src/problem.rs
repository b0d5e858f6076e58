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

use crate::log::engine::EngineError;

/// When to try again where nobody knows better: what is short of room or not ready seldom changes at once.
const USUAL_WAIT: Duration = Duration::from_secs(5);

/// A problem on its way out over HTTP.
#[derive(Debug)]
pub struct Failure {
    problem: Box<Problem>,
    retry_after: Option<Duration>,
}

impl Failure {
    /// What went wrong.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }

    /// Names what is at fault.
    #[must_use]
    pub fn field(self, field: &'static str) -> Self {
        Self { problem: Box::new(self.problem.field(field)), ..self }
    }

    /// Says when to try again (RFC 9110 10.2.3).
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// A body was too long.
    pub fn is_too_large(&self) -> bool {
        self.problem.code == Code::BodyTooLarge
    }

    /// What is said of it.
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

/// What a publisher is told, over HTTP and WebSocket alike; `key` is where its idempotency key was.
pub(crate) fn of_engine(error: &EngineError, key: &'static str) -> Problem {
    match error {
        EngineError::Unavailable(_) => Problem::new(Code::Unavailable, error.to_string()),
        EngineError::KeyReused => Problem::new(Code::KeyReused, error.to_string()).field(key),
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
        // A 503 says that something passes: one line for each would let anybody fill the log while it lasts.
        if self.status_code().is_server_error() && self.status_code() != StatusCode::SERVICE_UNAVAILABLE {
            tracing::error!(code = self.problem.code.name(), detail = %self.problem.detail, "request failed");
        }
        let mut response = HttpResponse::build(self.status_code());
        response
            .insert_header((header::CONTENT_TYPE, "application/problem+json"))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        if self.problem.code == Code::UpgradeRequired {
            // RFC 9110 15.5.22: a 426 names what to upgrade to.
            response.insert_header((header::UPGRADE, "websocket"));
            // RFC 6455 4.2.2 and 4.4.
            response.insert_header((header::SEC_WEBSOCKET_VERSION, "13"));
        }
        if matches!(self.problem.code, Code::BodyTooLarge | Code::BodyTimeout) {
            // What is left of the body is not read: it may have no end.
            response.force_close();
        }
        let is_passing =
            matches!(self.status_code(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        if let Some(wait) = self.retry_after.or_else(|| is_passing.then_some(USUAL_WAIT)) {
            // Whole seconds, and never sooner than was meant.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.insert_header((header::RETRY_AFTER, seconds.max(1)));
        }
        if self.status_code() == StatusCode::UNAUTHORIZED {
            // RFC 6750 3: a 401 says how to come in.
            let error =
                if self.problem.code == Code::TokenExpired { ", error=\"invalid_token\"" } else { "" };
            response.insert_header((header::WWW_AUTHENTICATE, format!("Bearer realm=\"fourways\"{error}")));
        }
        response.body(serde_json::to_vec(&self.problem).unwrap_or_default())
    }
}

/// A body that could not be read.
pub(crate) fn of_payload(error: &error::PayloadError, limit: usize) -> Failure {
    match error {
        error::PayloadError::Overflow => too_large(limit),
        other => Failure::new(Code::BadBody, format!("the body could not be read: {other}")),
    }
}

pub(crate) fn too_large(limit: usize) -> Failure {
    Failure::new(Code::BodyTooLarge, format!("the body is longer than {limit} bytes, which is the limit"))
}

/// Answers an address where nothing lives.
pub async fn not_found() -> Result<HttpResponse, Failure> {
    Err(Failure::new(
        Code::NotFound,
        "no address of the API is this; GET /v1/topics lists what there is to read",
    ))
}

/// An address, and the methods that it has: any other is told which these are (RFC 9110 15.5.6).
pub fn only(path: &str, allowed: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move || async move { method_not_allowed(allowed) }))
}

/// The answer to a method that an address does not have.
pub(crate) fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let mut response =
        Failure::new(Code::MethodNotAllowed, format!("allowed here: {allowed}")).error_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The methods of a read with a body: `POST`, and `QUERY` (draft-ietf-httpbis-safe-method-w-body), which says that it changes nothing.
pub(crate) fn has_body(method: &Method) -> bool {
    method == Method::POST || method.as_str() == "QUERY"
}

/// The same of an address whose question may be in a body.
pub fn asking() -> Route {
    let is_asked = |context: &GuardContext<'_>| {
        matches!(context.head().method, Method::GET | Method::HEAD) || has_body(&context.head().method)
    };
    web::route().guard(guard::fn_guard(is_asked))
}

/// Reading an address, whole or its head alone: whatever has GET has HEAD (RFC 9110 9.1).
pub fn read() -> Route {
    let is_read = |context: &GuardContext<'_>| matches!(context.head().method, Method::GET | Method::HEAD);
    web::route().guard(guard::fn_guard(is_read))
}
