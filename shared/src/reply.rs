//! Replies: the messages that the server sends over a WebSocket.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    Code, Cursor, Event, Filter, Problem, Reset,
    command::{Ref, RefusedCommand},
};

/// A message of the server. Serialized, it is the text message; a binary message has the same members in CBOR.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// The first message of every socket.
    Welcome {
        /// Cursor of the log's head: the newest event.
        cursor: Cursor,
        /// Interval between the server's pings, in milliseconds.
        heartbeat_ms: u64,
        /// Name of the server, if several share the log.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<Cow<'static, str>>,
    },
    /// The answer to a subscribe: the events after the cursor are delivered.
    Subscribed {
        /// Topics and patterns of the subscribe.
        topics: Vec<Filter>,
        /// Cursor at which delivery begins.
        cursor: Cursor,
        /// Action of the topics' lag rule when too many events are pending: `cut`, `skip` or `conflate`; absent without
        /// a rule.
        #[serde(skip_serializing_if = "Option::is_none")]
        on_lag: Option<Cow<'static, str>>,
        /// The `ref` of the command.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    /// The answer to an unsubscribe: no event of the topics follows.
    Unsubscribed {
        /// Topics and patterns that are no longer delivered.
        topics: Vec<Filter>,
        /// The `ref` of the command.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    /// The answer to a publish: the log has stored the event.
    Published {
        /// Cursor of the published event.
        cursor: Cursor,
        /// The `ref` of the command.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    /// The answer to an authorize.
    Authorized {
        /// Time until the new token expires, in milliseconds; `null` if it never does.
        expires_in_ms: Option<u64>,
        /// The `ref` of the command.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    /// The answer to a ping.
    Pong {
        /// The server's clock, in microseconds since the Unix epoch.
        now: u64,
        /// The `ref` of the command.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    /// A break in the continuity of a subscription.
    #[serde(untagged)]
    Reset(Reset),
    /// The refusal of a command; the connection stays open.
    #[serde(untagged)]
    Error(ErrorReply),
    /// An event of a subscription.
    #[serde(untagged)]
    Event(Event),
}

/// The value of `type` in the JSON of an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorTag {
    /// The only value: `error`.
    #[default]
    Error,
}

/// `{"type":"error",…}`: a problem's members (its own `type` becomes `problem`) and the command's `ref`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// The constant `error`.
    #[serde(rename = "type", default)]
    pub kind: ErrorTag,
    /// URN of the problem, which problem+json has as `type`.
    pub problem: Cow<'static, str>,
    /// Code of the problem, as in [`Problem::code`].
    pub code: Code,
    /// Title of the problem, as in [`Problem::title`].
    pub title: Cow<'static, str>,
    /// HTTP status of the problem, as in [`Problem::status`].
    pub status: u16,
    /// Detail of the problem, as in [`Problem::detail`].
    pub detail: String,
    /// Name of the member at fault, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<Cow<'static, str>>,
    /// The `ref` of the command.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<Ref>,
}

impl From<RefusedCommand> for ErrorReply {
    fn from(RefusedCommand { reference, problem }: RefusedCommand) -> Self {
        let Problem { kind, code, title, status, detail, field } = problem;
        Self { kind: ErrorTag::Error, problem: kind, code, title, status, detail, field, reference }
    }
}

impl Reply {
    /// Parses a text message. Returns `None` for a message that is malformed or of a kind that this version does not
    /// know; a client skips it.
    pub fn from_json(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Kind<'a> {
            #[serde(rename = "type", borrow)]
            kind: Cow<'a, str>,
        }
        #[derive(Deserialize)]
        struct Loose {
            cursor: Option<Cursor>,
            #[serde(default)]
            topics: Vec<Filter>,
            #[serde(default)]
            heartbeat_ms: u64,
            node: Option<Cow<'static, str>>,
            #[serde(default)]
            now: u64,
            expires_in_ms: Option<u64>,
            on_lag: Option<Cow<'static, str>>,
            #[serde(rename = "ref")]
            reference: Option<Ref>,
        }
        let loose = || serde_json::from_str::<Loose>(text).ok();
        Some(match &*serde_json::from_str::<Kind<'_>>(text).ok()?.kind {
            "event" => Self::Event(serde_json::from_str(text).ok()?),
            "reset" => Self::Reset(serde_json::from_str(text).ok()?),
            "error" => Self::Error(serde_json::from_str(text).ok()?),
            "welcome" => {
                let l = loose()?;
                Self::Welcome { cursor: l.cursor?, heartbeat_ms: l.heartbeat_ms, node: l.node }
            }
            "subscribed" => {
                let l = loose()?;
                Self::Subscribed {
                    topics: l.topics,
                    cursor: l.cursor?,
                    on_lag: l.on_lag,
                    reference: l.reference,
                }
            }
            "unsubscribed" => {
                let l = loose()?;
                Self::Unsubscribed { topics: l.topics, reference: l.reference }
            }
            "published" => {
                let l = loose()?;
                Self::Published { cursor: l.cursor?, reference: l.reference }
            }
            "authorized" => {
                let l = loose()?;
                Self::Authorized { expires_in_ms: l.expires_in_ms, reference: l.reference }
            }
            "pong" => {
                let l = loose()?;
                Self::Pong { now: l.now, reference: l.reference }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;

    #[test]
    fn a_reply_survives_its_text() {
        for text in [
            r#"{"type":"welcome","cursor":"k3f9-2","heartbeat_ms":25000}"#,
            r#"{"type":"welcome","cursor":"k3f9-2","heartbeat_ms":25000,"node":"a"}"#,
            r#"{"type":"subscribed","topics":["chat.1"],"cursor":"k3f9-1800","ref":"1"}"#,
            r#"{"type":"published","cursor":"k3f9-1801","ref":"2"}"#,
            r#"{"type":"subscribed","topics":["p.*"],"cursor":"k3f9-1","on_lag":"skip"}"#,
            r#"{"type":"authorized","expires_in_ms":60000,"ref":"3"}"#,
            r#"{"type":"reset","reason":"retention","missed":null,"earliest":"k3f9-1500","cursor":"k3f9-1841","topics":["a"]}"#,
            r#"{"type":"event","topic":"a","cursor":"k3f9-3","name":"message","published_at":1,"data":[1, 2]}"#,
        ] {
            assert_eq!(serde_json::to_string(&Reply::from_json(text).unwrap()).unwrap(), text);
        }
        let refused = Command::from_json(r#"{"type":"fly","ref":"1"}"#).unwrap_err();
        let text = serde_json::to_string(&Reply::Error(refused.into())).unwrap();
        assert!(
            text.starts_with(r#"{"type":"error","problem":"urn:fourways:problem:bad_command","#),
            "{text}"
        );
        assert!(Reply::from_json(&text).is_some() && Reply::from_json(r#"{"type":"new"}"#).is_none());
    }
}
