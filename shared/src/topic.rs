//! Topics: the names that events are published under. A topic is no log of its own but a filter over the one log.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// A topic: 1 to 128 characters of `a-z 0-9 . _ -`, dot-separated, the first a letter or digit.
///
/// Cloning is cheap: clones share the text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

/// The reason why a text is not a topic.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TopicError {
    /// The text is empty.
    #[error("topic is empty; allowed are 1 to {} characters of a-z 0-9 . _ -", Topic::MAX_BYTES)]
    Empty,
    /// The text is longer than [`Topic::MAX_BYTES`]; holds its length in bytes.
    #[error("topic has {0} bytes; allowed are 1 to {max}", max = Topic::MAX_BYTES)]
    Long(usize),
    /// A character that topics may not contain, and its byte position.
    #[error("topic has {0:?} at byte {1}; allowed are a-z 0-9 . _ -")]
    Character(char, usize),
    /// The first character is `.`, `_` or `-`.
    #[error("topic starts with {0:?}; allowed as the first character are a-z 0-9")]
    First(char),
    /// Two dots in a row, or a dot at the end, leave a part empty; holds the part's byte position.
    #[error("topic has an empty part at byte {0}; parts between dots have at least one character")]
    EmptyPart(usize),
}

impl Topic {
    /// Length of the longest topic, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// Parses a topic. Nothing is trimmed, cut off or changed: an invalid text is an error.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let first = text.chars().next().ok_or(TopicError::Empty)?;
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        if let Some((at, found)) = text.char_indices().find(|&(_, c)| !legal(c)) {
            return Err(TopicError::Character(found, at));
        }
        if text.len() > Self::MAX_BYTES {
            return Err(TopicError::Long(text.len()));
        }
        if matches!(first, '.' | '_' | '-') {
            return Err(TopicError::First(first));
        }
        if let Some(at) = text.find("..").map(|at| at + 1).or(text.ends_with('.').then_some(text.len())) {
            return Err(TopicError::EmptyPart(at));
        }
        Ok(Self(text.into()))
    }

    /// Returns the text itself, not a copy.
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Returns the topic as text, exactly as it was parsed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        Self::parse(text)
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), TopicError>) {
        match expected {
            Ok(()) => assert!(Topic::parse(text).is_ok(), "{text:?}"),
            Err(error) => assert_eq!(Topic::parse(text), Err(error), "{text:?}"),
        }
    }

    #[test]
    fn topics_are_parsed_whole_or_not_at_all() {
        check("host.cpu", Ok(()));
        check("0", Ok(()));
        check(&"a".repeat(128), Ok(()));
        check("", Err(TopicError::Empty));
        check(&"a".repeat(129), Err(TopicError::Long(129)));
        check("chat.Ä", Err(TopicError::Character('Ä', 5)));
        check("chat/1", Err(TopicError::Character('/', 4)));
        check("a\nid: 7", Err(TopicError::Character('\n', 1)));
        check("-a", Err(TopicError::First('-')));
        check("a..b", Err(TopicError::EmptyPart(2)));
        check("a.", Err(TopicError::EmptyPart(2)));
    }
}
