//! What went wrong, said the same way on all four techniques (RFC 9457).

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize};

/// The body of an error: `application/problem+json` over HTTP, `event: problem` on SSE, `"type":"error"` with these
/// members on WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A URN that names the kind for ever.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// The same kind as one word, for programs.
    pub code: Code,
    /// One line for people; the same for every problem of the code.
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this one request, and what is allowed.
    pub detail: String,
    /// The query parameter, header or member at fault.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<Cow<'static, str>>,
}

impl Problem {
    /// A problem of that kind.
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

    /// Names what is at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }
}

/// What a client should do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Try again after a backoff, and not before this.
    Retry(Duration),
    /// The same request will fail again: stop.
    Stop,
}

impl Advice {
    /// By HTTP status: 408, 425, 429 and 5xx pass; every other refusal is the request's own fault.
    pub fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            408 | 425 | 429 | 500..=599 => Self::Retry(retry_after.unwrap_or_default()),
            400..=499 => Self::Stop,
            _ => Self::Retry(Duration::ZERO),
        }
    }

    /// By WebSocket close code (RFC 6455 7.4): a fault of the client's own messages would only come back.
    /// 44xx and 45xx mean what their HTTP namesakes mean.
    ///
    /// A server that restarts (1012) says in its reason when to come back, so that not all come at once:
    /// [`RETRY_AFTER_MS`] and a number.
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

/// How the reason of a WebSocket's close begins where it says how many milliseconds to wait.
pub const RETRY_AFTER_MS: &str = "retry after ms: ";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $text:literal $status:literal $title:literal;)*) => {
        /// The kinds of problem, stable for ever.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl Code {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word used on the wire.
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
    /// A topic that no topic can be, none at all, or too many.
    BadTopic "bad_topic" 400 "The topic is not valid";
    /// A cursor that this server never gave out.
    BadCursor "bad_cursor" 400 "The cursor is not valid";
    /// A parameter, header or member that is wrong in itself.
    BadParameter "bad_parameter" 400 "A parameter is not valid";
    /// A body that is not what its `Content-Type` says.
    BadBody "bad_body" 400 "The body is not valid";
    /// A name that no event may have.
    BadName "bad_name" 400 "The event name is not valid";
    /// An idempotency key that is not one.
    BadId "bad_id" 400 "The idempotency key is not valid";
    /// An idempotency key that was used for other events.
    KeyReused "key_reused" 422 "The idempotency key was used for something else";
    /// None of the offered subprotocols is spoken here.
    BadSubprotocol "bad_subprotocol" 400 "No offered subprotocol is spoken here";
    /// A WebSocket message that is no command.
    BadCommand "bad_command" 400 "The command is not valid";
    /// A subscribe to a topic that this socket already has.
    AlreadySubscribed "already_subscribed" 409 "The socket already has this topic";
    /// An unsubscribe from a topic that this socket does not have.
    NotSubscribed "not_subscribed" 409 "The socket does not have this topic";
    /// No token, or none that is valid.
    Unauthenticated "unauthenticated" 401 "A valid token is needed";
    /// The token was valid.
    TokenExpired "token_expired" 401 "The token has expired";
    /// The token is valid, and does not grant this.
    Forbidden "forbidden" 403 "The token does not grant this";
    /// A name that this server does not answer to.
    Misdirected "misdirected" 421 "The server is not called that";
    /// A page of an origin that is not allowed.
    ForeignOrigin "foreign_origin" 403 "Pages of this origin may not use this server";
    /// Nothing lives at this address.
    NotFound "not_found" 404 "There is nothing here";
    /// The address exists, but not for this method.
    MethodNotAllowed "method_not_allowed" 405 "The method is not allowed here";
    /// `Accept` names nothing that this address can answer with.
    NotAcceptable "not_acceptable" 406 "This address can't answer with what Accept asks for";
    /// The body did not arrive in time.
    BodyTimeout "body_timeout" 408 "The body took too long";
    /// The body is longer than the limit.
    BodyTooLarge "body_too_large" 413 "The body is too large";
    /// The `Content-Type` is none that can be published.
    UnsupportedMediaType "unsupported_media_type" 415 "This type of body can't be published";
    /// A WebSocket address asked without an upgrade.
    UpgradeRequired "upgrade_required" 426 "This address speaks WebSocket";
    /// More than one client, or all together, may have at once.
    TooMany "too_many" 429 "Too much at once";
    /// A stream that read too slowly.
    TooSlow "too_slow" 429 "The stream fell too far behind";
    /// The server's own fault.
    Internal "internal" 500 "The server failed";
    /// The server can't take it now.
    Unavailable "unavailable" 503 "The server can't take this now";
    /// The disk is full; reading goes on.
    StorageFull "storage_full" 507 "There is no room to keep this";
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
