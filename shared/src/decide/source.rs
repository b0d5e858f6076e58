//! The sources of reasons: standards, issue threads, measurements and the answers themselves.

/// The source of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A standard, or an issue thread about the problem.
    Rule {
        /// Name for people, as in `HTML Standard 9.2.4` or `phoenix #6766`.
        name: &'static str,
        /// Address of the standard's section or of the thread.
        url: &'static str,
    },
    /// The cost model with the measured constants; the number is in the sentence.
    Measured,
    /// Computed from the answers alone; the number is in the sentence.
    Answers,
}

const fn rule(name: &'static str, url: &'static str) -> Source {
    Source::Rule { name, url }
}

// Standards that reasons cite.
pub(super) const SSE_INTRODUCTION: Source = rule(
    "HTML Standard 9.2.1",
    "https://html.spec.whatwg.org/multipage/server-sent-events.html#server-sent-events-intro",
);
pub(super) const LAST_EVENT_ID: Source = rule(
    "HTML Standard 9.2.4",
    "https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header",
);
pub(super) const SSE_IS_UTF8: Source = rule(
    "HTML Standard 9.2.5",
    "https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream",
);
pub(super) const SSE_PUSHES: Source = rule(
    "HTML Standard 9.2.6",
    "https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation",
);
pub(super) const WEBSOCKET_API: Source = rule("WebSockets Standard", "https://websockets.spec.whatwg.org/");
pub(super) const TWO_WAYS: Source =
    rule("RFC 6455 1.1", "https://www.rfc-editor.org/rfc/rfc6455#section-1.1");
pub(super) const BINARY_FRAMES: Source =
    rule("RFC 6455 5.6", "https://www.rfc-editor.org/rfc/rfc6455#section-5.6");
pub(super) const BASE64: Source = rule("RFC 4648 4", "https://www.rfc-editor.org/rfc/rfc4648#section-4");
pub(super) const LONG_POLL: Source =
    rule("RFC 6202 2.1", "https://www.rfc-editor.org/rfc/rfc6202#section-2.1");
pub(super) const LONG_POLL_ISSUES: Source =
    rule("RFC 6202 2.2", "https://www.rfc-editor.org/rfc/rfc6202#section-2.2");
pub(super) const INTERMEDIARIES: Source =
    rule("RFC 9110 3.7", "https://www.rfc-editor.org/rfc/rfc9110#section-3.7");
pub(super) const NOT_MODIFIED: Source =
    rule("RFC 9110 15.4.5", "https://www.rfc-editor.org/rfc/rfc9110#section-15.4.5");
pub(super) const CACHES: Source = rule("RFC 9111 2", "https://www.rfc-editor.org/rfc/rfc9111#section-2");
pub(super) const STREAMS: Source = rule("RFC 9113 5", "https://www.rfc-editor.org/rfc/rfc9113#section-5");
pub(super) const HUNDRED_STREAMS: Source =
    rule("RFC 9113 6.5.2", "https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2");

// Issue threads that reasons cite.
pub(super) const SIX_CONNECTIONS: Source =
    rule("freenet-core #5213", "https://github.com/freenet/freenet-core/issues/5213");
pub(super) const UPGRADE_CUT: Source =
    rule("phoenix #6766", "https://github.com/phoenixframework/phoenix/issues/6766");
pub(super) const UPGRADE_BLOCKED: Source =
    rule("suitenumerique/docs #437", "https://github.com/suitenumerique/docs/issues/437");
pub(super) const STREAM_HELD: Source = rule("caniuse #2148", "https://github.com/Fyrd/caniuse/pull/2148");
pub(super) const STREAM_BUFFERED: Source = rule("nginx #1505", "https://github.com/nginx/nginx/issues/1505");
pub(super) const TIMERS_THROTTLED: Source =
    rule("nextcloud/text #8005", "https://github.com/nextcloud/text/pull/8005");
pub(super) const HERD: Source = rule("rails #40229", "https://github.com/rails/rails/pull/40229");
