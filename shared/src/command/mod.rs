//! Commands: the messages that a client sends over a WebSocket.

mod members;

use std::{collections::HashSet, num::NonZeroU32};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use self::members::MAX_TOPICS;
use self::members::Members;
use self::members::{List, Member};
use crate::filter::FilterError;
use crate::{After, Code, Data, EventId, EventName, Filter, Problem, Topic, wire::cbor};

/// The policy of a subscription for events that pile up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Every event is delivered.
    #[default]
    All,
    /// Conflation: of the pending events, only the newest of each topic is delivered.
    Latest,
}

impl std::str::FromStr for Policy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            "latest" => Ok(Self::Latest),
            _ => Err("allowed are all, latest"),
        }
    }
}

/// A client's name for a command, which the reply echoes: any text of 1 to [`MAX_REF_BYTES`] bytes.
pub type Ref = Box<str>;

/// Length of the longest `ref`, in bytes.
pub const MAX_REF_BYTES: usize = 64;

/// A command that was parsed and checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Starts the delivery of the events of these topics and patterns.
    Subscribe {
        /// Topics and patterns: at least one, without duplicates.
        topics: Vec<Filter>,
        /// Place in the log at which delivery begins.
        after: After,
        /// Policy for a backlog.
        policy: Policy,
    },
    /// Stops the delivery of these topics and patterns.
    Unsubscribe {
        /// Topics and patterns: at least one, each spelled as in its subscribe.
        topics: Vec<Filter>,
    },
    /// Appends an event to the log.
    Publish {
        /// Topic of the event.
        topic: Topic,
        /// Data of the event.
        data: Data,
        /// Name of the event.
        name: EventName,
        /// Idempotency key: a repeat with the same key publishes nothing and gets the first answer.
        id: Option<EventId>,
    },
    /// Replaces the socket's token by another one of the same subject.
    Authorize {
        /// The token, as in the header `Authorization: Bearer`.
        token: Box<str>,
    },
    /// Asks for a `pong`.
    Ping,
}

/// A command that was refused, and the `ref` that the error must echo.
#[derive(Debug)]
pub struct RefusedCommand {
    /// The command's `ref`, if it could be read.
    pub reference: Option<Ref>,
    /// Reason for the refusal.
    pub problem: Problem,
}

impl Command {
    /// Parses a text message.
    ///
    /// # Errors
    /// If the message is not a valid command. The problem names the member at fault and what is allowed; the connection
    /// can stay open.
    pub fn from_json(text: &str) -> Result<(Self, Option<Ref>), RefusedCommand> {
        let mut members: Members<Box<RawValue>> =
            serde_json::from_str(text).map_err(|error| RefusedCommand {
                reference: None,
                problem: Problem::new(
                    Code::BadCommand,
                    format!("the message is not a JSON object with a type: {error}"),
                ),
            })?;
        let data =
            members.data.take().map(Data::from_client_json).transpose().map_err(|error| RefusedCommand {
                reference: None,
                problem: Problem::new(Code::BadCommand, error.to_string()).field("data"),
            })?;
        parse(&members, data)
    }

    /// Parses a binary message.
    ///
    /// # Errors
    /// The same errors as [`Self::from_json`].
    pub fn from_cbor(bytes: &[u8]) -> Result<(Self, Option<Ref>), RefusedCommand> {
        let mut members: Members<cbor::Published> = cbor::read(bytes).map_err(|detail| RefusedCommand {
            reference: None,
            problem: Problem::new(Code::BadCommand, detail),
        })?;
        let data = members.data.take().map(|published| published.0);
        parse(&members, data)
    }

    /// Returns the command as a text message.
    pub fn to_json(&self, reference: Option<&str>) -> String {
        let begin = |after: &After| match after {
            After::Head | After::Last(_) => None,
            After::Earliest => Some("earliest".to_owned()),
            After::Cursor(cursor) => Some(cursor.to_string()),
        };
        let said = match self {
            Self::Subscribe { topics, after, policy } => CommandJson {
                topics: Some(topics),
                after: begin(after),
                last: if let After::Last(count) = after { Some(*count) } else { None },
                policy: (*policy == Policy::Latest).then_some("latest"),
                ..CommandJson::of("subscribe", reference)
            },
            Self::Unsubscribe { topics } => {
                CommandJson { topics: Some(topics), ..CommandJson::of("unsubscribe", reference) }
            }
            Self::Publish { topic, data, name, id } => CommandJson {
                topic: Some(topic),
                name: (*name != EventName::DEFAULT).then_some(name),
                id: id.as_ref(),
                data: Some(match data {
                    Data::Json(raw) | Data::Text(raw) => raw.clone(),
                    // JSON has no bytes. A client that publishes bytes sends its commands in CBOR.
                    Data::Bytes(bytes) => match Data::text(&BASE64_STANDARD.encode(bytes)) {
                        Data::Json(raw) | Data::Text(raw) => raw,
                        Data::Bytes(_) => RawValue::NULL.to_owned(),
                    },
                }),
                ..CommandJson::of("publish", reference)
            },
            Self::Authorize { token } => {
                CommandJson { token: Some(token), ..CommandJson::of("authorize", reference) }
            }
            Self::Ping => CommandJson::of("ping", reference),
        };
        serde_json::to_string(&said).unwrap_or_default()
    }
}

/// The JSON form of a command that is sent.
#[derive(Serialize)]
struct CommandJson<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<&'a [Filter]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a Topic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a EventName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
}

impl<'a> CommandJson<'a> {
    const fn of(kind: &'static str, reference: Option<&'a str>) -> Self {
        Self {
            kind,
            topics: None,
            topic: None,
            after: None,
            last: None,
            policy: None,
            name: None,
            id: None,
            data: None,
            token: None,
            reference,
        }
    }
}

fn parse<D>(members: &Members<D>, data: Option<Data>) -> Result<(Command, Option<Ref>), RefusedCommand> {
    let reference = match &members.reference {
        None => None,
        Some(Member::Text(text)) if (1..=MAX_REF_BYTES).contains(&text.len()) => Some(text.clone()),
        Some(_) => {
            let detail = format!("ref is not a string of 1 to {MAX_REF_BYTES} bytes");
            let problem = Problem::new(Code::BadCommand, detail).field("ref");
            return Err(RefusedCommand { reference: None, problem });
        }
    };
    match body(members, data) {
        Ok(command) => Ok((command, reference)),
        Err(problem) => Err(RefusedCommand { reference, problem }),
    }
}

fn body<D>(members: &Members<D>, data: Option<Data>) -> Result<Command, Problem> {
    let kind = text(members.kind.as_ref(), "type")?;
    Ok(match kind {
        Some("subscribe") => Command::Subscribe {
            topics: topics(members.topics.as_ref())?,
            after: after(members.after.as_ref(), members.last.as_ref())?,
            policy: read(members.policy.as_ref(), "policy", Code::BadParameter)?.unwrap_or_default(),
        },
        Some("unsubscribe") => Command::Unsubscribe { topics: topics(members.topics.as_ref())? },
        Some("publish") => Command::Publish {
            topic: read(members.topic.as_ref(), "topic", Code::BadTopic)?
                .ok_or_else(|| Problem::new(Code::BadTopic, "a publish needs a topic").field("topic"))?,
            data: data.ok_or_else(|| Problem::new(Code::BadCommand, "a publish needs data").field("data"))?,
            name: read(members.name.as_ref(), "name", Code::BadName)?.unwrap_or_default(),
            id: text(members.id.as_ref(), "id")?
                .map(EventId::parse_client_id)
                .transpose()
                .map_err(|error| Problem::new(Code::BadId, error.to_string()).field("id"))?,
        },
        Some("authorize") => Command::Authorize {
            token: text(members.token.as_ref(), "token")?
                .ok_or_else(|| Problem::new(Code::BadCommand, "an authorize needs a token").field("token"))?
                .into(),
        },
        Some("ping") => Command::Ping,
        other => {
            let found = other.map_or("there is no type".to_owned(), |kind| format!("unknown type {kind:?}"));
            let detail = format!("{found}; allowed are subscribe, unsubscribe, publish, authorize, ping");
            return Err(Problem::new(Code::BadCommand, detail).field("type"));
        }
    })
}

fn text<'v>(value: Option<&'v Member>, field: &'static str) -> Result<Option<&'v str>, Problem> {
    match value {
        None | Some(Member::Null) => Ok(None),
        Some(Member::Text(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::new(Code::BadCommand, format!("{field} is not a string")).field(field)),
    }
}

fn read<T: std::str::FromStr<Err: ToString>>(
    value: Option<&Member>,
    field: &'static str,
    code: Code,
) -> Result<Option<T>, Problem> {
    text(value, field)?
        .map(|text| text.parse().map_err(|error: T::Err| Problem::new(code, error.to_string()).field(field)))
        .transpose()
}

fn topics(value: Option<&Member>) -> Result<Vec<Filter>, Problem> {
    let bad = |detail: String| Problem::new(Code::BadTopic, detail).field("topics");
    let texts = match value {
        Some(Member::List(List::Texts(texts))) => texts,
        Some(Member::List(List::Mixed)) => {
            return Err(bad("topics has an item that is not a string".into()));
        }
        Some(Member::List(List::TooLong)) => {
            return Err(bad(format!("topics has more than {MAX_TOPICS} items")));
        }
        _ => return Err(bad("topics is not a list; give at least one topic".into())),
    };
    let mut seen = HashSet::with_capacity(texts.len());
    let mut topics = Vec::with_capacity(texts.len());
    for text in texts.iter().filter(|text| seen.insert(&***text)) {
        topics.push(text.parse().map_err(|error: FilterError| bad(error.to_string()))?);
    }
    if topics.is_empty() { Err(bad("topics is empty; give at least one".into())) } else { Ok(topics) }
}

fn after(after: Option<&Member>, last: Option<&Member>) -> Result<After, Problem> {
    let after = read::<After>(after, "after", Code::BadCursor)?;
    let last = match last {
        None | Some(Member::Null) => None,
        Some(value) => {
            let count = if let Member::Number(count) = value { u32::try_from(*count).ok() } else { None };
            let bad = || Problem::new(Code::BadParameter, "last is not a whole number above 0").field("last");
            Some(count.and_then(NonZeroU32::new).ok_or_else(bad)?)
        }
    };
    match (after, last) {
        (Some(_), Some(_)) => {
            Err(Problem::new(Code::BadParameter, "after and last exclude each other; give one").field("last"))
        }
        (Some(after), None) => Ok(after),
        (None, Some(count)) => Ok(After::Last(count)),
        (None, None) => Ok(After::Head),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, code: Code, field: Option<&str>, reference: Option<&str>) {
        let refused = Command::from_json(text).expect_err(text);
        assert_eq!(refused.problem.code, code, "{}", refused.problem.detail);
        assert_eq!(refused.problem.field.as_deref(), field, "{text}");
        assert_eq!(refused.reference.as_deref(), reference, "{text}");
    }

    #[test]
    fn a_wrong_command_names_its_member_and_keeps_its_ref() {
        refused("", Code::BadCommand, None, None);
        refused("[]", Code::BadCommand, None, None);
        refused(r#"{"ref":"1"}"#, Code::BadCommand, Some("type"), Some("1"));
        refused(r#"{"type":"fly","ref":"1"}"#, Code::BadCommand, Some("type"), Some("1"));
        refused(r#"{"type":7,"ref":"1"}"#, Code::BadCommand, Some("type"), Some("1"));
        refused(r#"{"type":"ping","ref":1}"#, Code::BadCommand, Some("ref"), None);
        refused(r#"{"type":"subscribe","ref":"1"}"#, Code::BadTopic, Some("topics"), Some("1"));
        refused(r#"{"type":"subscribe","topics":[],"ref":"1"}"#, Code::BadTopic, Some("topics"), Some("1"));
        refused(
            r#"{"type":"subscribe","topics":["A"],"ref":"1"}"#,
            Code::BadTopic,
            Some("topics"),
            Some("1"),
        );
        refused(
            r#"{"type":"subscribe","topics":["a"],"after":"x","ref":"1"}"#,
            Code::BadCursor,
            Some("after"),
            Some("1"),
        );
        refused(r#"{"type":"subscribe","topics":["a"],"last":0}"#, Code::BadParameter, Some("last"), None);
        refused(
            r#"{"type":"subscribe","topics":["a"],"last":1,"after":"0-0"}"#,
            Code::BadParameter,
            Some("last"),
            None,
        );
        refused(
            r#"{"type":"subscribe","topics":["a"],"policy":"some"}"#,
            Code::BadParameter,
            Some("policy"),
            None,
        );
        refused(r#"{"type":"publish","data":1}"#, Code::BadTopic, Some("topic"), None);
        refused(r#"{"type":"publish","topic":"a"}"#, Code::BadCommand, Some("data"), None);
        refused(
            r#"{"type":"publish","topic":"a","data":1,"id":"fourways-1"}"#,
            Code::BadId,
            Some("id"),
            None,
        );
        refused(
            r#"{"type":"publish","topic":"a","data":1,"name":"error"}"#,
            Code::BadName,
            Some("name"),
            None,
        );
        refused(r#"{"type":"publish","topic":"a","data":1,"id":"a\nb"}"#, Code::BadId, Some("id"), None);
    }

    #[test]
    fn a_command_survives_its_text() {
        for text in [
            r#"{"type":"subscribe","topics":["chat.1"],"after":"k3f9-1800","ref":"1"}"#,
            r#"{"type":"subscribe","topics":["a","b"],"last":3,"policy":"latest"}"#,
            r#"{"type":"unsubscribe","topics":["a"]}"#,
            r#"{"type":"publish","topic":"chat.1","name":"said","id":"c0ffee","data":{"x":1.50},"ref":"2"}"#,
            r#"{"type":"publish","topic":"a","data":null}"#,
            r#"{"type":"subscribe","topics":["chat.*","orders.>"]}"#,
            r#"{"type":"authorize","token":"a.b.c","ref":"3"}"#,
            r#"{"type":"ping","ref":"9"}"#,
        ] {
            let (command, reference) = Command::from_json(text).unwrap();
            assert_eq!(command.to_json(reference.as_deref()), text);
        }
    }
}
