//! Errors, in one form on all four techniques (RFC 9457), and what a client should do about them.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize};

/// The body of an error: `application/problem+json` over HTTP, `event: problem` on SSE, `"type":"error"` with these
/// members on WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// URN of the kind of problem; it never changes.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// Kind of problem as one word, for programs.
    pub code: Code,
    /// One line for people, the same for every problem of this code.
    pub title: Cow<'static, str>,
    /// HTTP status, also where the problem is not an HTTP response.
    pub status: u16,
    /// The fault of this one request, and what is allowed instead.
    pub detail: String,
    /// Name of the query parameter, header or member at fault.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<Cow<'static, str>>,
}

impl Problem {
    /// Creates a problem of this kind.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let (status, title) = code.status_and_title();
        Self {
            kind: format!("urn:fourways:problem:{}", code.name()).into(),
            code,
            title: title.into(),
            status,
            detail: detail.into(),
            field: None,
        }
    }

    /// Names the query parameter, header or member at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }
}

/// The reaction of a client to a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Try again after a backoff, which is added to this least wait.
    Retry(Duration),
    /// Stop, because the same request would fail again.
    Stop,
}

impl Advice {
    /// Returns the advice for an HTTP status: 408, 425, 429 and 5xx are temporary; every other 4xx is the request's own
    /// fault.
    pub fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            408 | 425 | 429 | 500..=599 => Self::Retry(retry_after.unwrap_or_default()),
            400..=499 => Self::Stop,
            _ => Self::Retry(Duration::ZERO),
        }
    }

    /// Returns the advice for a WebSocket close code (RFC 6455 7.4). After a fault of the client's own messages a
    /// reconnect would only fail again. 44xx and 45xx mean the same as the HTTP statuses 4xx and 5xx.
    ///
    /// The close reason of a server that restarts (1012) or is overloaded (1013) may be [`RETRY_AFTER_MS`] and a
    /// number: the time until the reconnect, different for each client so that not all reconnect at once.
    pub fn of_close(code: u16, reason: &str) -> Self {
        match code {
            1012 | 1013 => {
                let wait = reason.strip_prefix(RETRY_AFTER_MS).and_then(|ms| ms.parse().ok());
                Self::Retry(wait.map(Duration::from_millis).unwrap_or_default())
            }
            1002 | 1003 | 1007..=1010 => Self::Stop,
            4400..=4599 => Self::of_status(code - 4000, None),
            _ => Self::Retry(Duration::ZERO),
        }
    }
}

/// Prefix of a WebSocket close reason that names the time until a reconnect, in milliseconds.
pub const RETRY_AFTER_MS: &str = "retry after ms: ";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $text:literal $status:literal $title:literal;)*) => {
        /// The kinds of problem. A code never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl Code {
            /// Every kind of problem.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the word used on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            const fn status_and_title(self) -> (u16, &'static str) {
                match self { $(Self::$name => ($status, $title),)* }
            }
        }
    };
}

codes! {
    /// An invalid topic, no topic at all, or too many topics.
    BadTopic "bad_topic" 400 "The topic is not valid";
    /// A text that is not a cursor.
    BadCursor "bad_cursor" 400 "The cursor is not valid";
    /// A parameter, header or member with an invalid value.
    BadParameter "bad_parameter" 400 "A parameter is not valid";
    /// A body that is not what its `Content-Type` says.
    BadBody "bad_body" 400 "The body is not valid";
    /// An event name that is invalid or reserved.
    BadName "bad_name" 400 "The event name is not valid";
    /// An invalid idempotency key.
    BadId "bad_id" 400 "The idempotency key is not valid";
    /// An idempotency key that was used for other events.
    KeyReused "key_reused" 422 "The idempotency key was used for something else";
    /// A WebSocket upgrade that offers only unknown subprotocols.
    BadSubprotocol "bad_subprotocol" 400 "No offered subprotocol is supported";
    /// A WebSocket message that is not a command.
    BadCommand "bad_command" 400 "The command is not valid";
    /// A subscribe to a topic that this socket already has.
    AlreadySubscribed "already_subscribed" 409 "The socket already has this topic";
    /// An unsubscribe from a topic that this socket does not have.
    NotSubscribed "not_subscribed" 409 "The socket does not have this topic";
    /// No token, or an invalid one.
    Unauthenticated "unauthenticated" 401 "A valid token is needed";
    /// A token that has expired.
    TokenExpired "token_expired" 401 "The token has expired";
    /// A valid token that does not grant the request.
    Forbidden "forbidden" 403 "The token does not grant this";
    /// A `Host` that this server does not serve.
    Misdirected "misdirected" 421 "The server does not serve this host";
    /// A request by a page of an origin that is not allowed.
    ForeignOrigin "foreign_origin" 403 "Pages of this origin may not use this server";
    /// An unknown path, or something in it that does not exist.
    NotFound "not_found" 404 "There is nothing here";
    /// A method that the path does not have.
    MethodNotAllowed "method_not_allowed" 405 "The method is not allowed here";
    /// An `Accept` header that allows no form of the answer.
    NotAcceptable "not_acceptable" 406 "This address has no answer that Accept allows";
    /// A body that did not arrive in time.
    BodyTimeout "body_timeout" 408 "The body took too long";
    /// A body that is longer than the limit.
    BodyTooLarge "body_too_large" 413 "The body is too large";
    /// A `Content-Type` that can't be published.
    UnsupportedMediaType "unsupported_media_type" 415 "This type of body can't be published";
    /// A request to the WebSocket path without a valid upgrade.
    UpgradeRequired "upgrade_required" 426 "This address speaks WebSocket";
    /// More than one client, or all clients together, may have or do at once.
    TooMany "too_many" 429 "Too much at once";
    /// A stream whose client lags too far behind.
    TooSlow "too_slow" 429 "The stream fell too far behind";
    /// A fault of the server.
    Internal "internal" 500 "The server failed";
    /// A request that the server can't handle at the moment.
    Unavailable "unavailable" 503 "The server can't take this now";
    /// A full disk: nothing can be published, but reads continue.
    StorageFull "storage_full" 507 "There is no space to store this";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_status_that_says_who_is_at_fault() {
        for &code in Code::ALL {
            let problem = Problem::new(code, "x");
            assert!((400..600).contains(&problem.status), "{code:?}");
            let stops = Advice::of_status(problem.status, None) == Advice::Stop;
            let passes = problem.status >= 500 || matches!(problem.status, 408 | 429);
            assert_eq!(stops, !passes, "{code:?}");
            let text = serde_json::to_string(&problem).unwrap();
            assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
        }
    }

    #[test]
    fn a_close_code_advises_as_its_http_namesake() {
        assert_eq!(Advice::of_close(1009, ""), Advice::Stop);
        assert_eq!(Advice::of_close(1011, ""), Advice::Retry(Duration::ZERO));
        assert_eq!(Advice::of_close(4403, ""), Advice::Stop);
        assert_eq!(Advice::of_close(4429, ""), Advice::Retry(Duration::ZERO));
        let wait = format!("{RETRY_AFTER_MS}1500");
        assert_eq!(Advice::of_close(1012, &wait), Advice::Retry(Duration::from_millis(1500)));
        assert_eq!(Advice::of_close(1012, "bye"), Advice::Retry(Duration::ZERO));
    }
}
