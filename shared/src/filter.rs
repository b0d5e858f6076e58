//! Filters: one topic by its name, or all topics that match a pattern.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::{Topic, topic::TopicError};

/// A topic, or a pattern that matches topics. A pattern has parts between dots as a topic has; `*` stands for any one
/// part, and `>` as the last part for one or more. `>` alone matches every topic. This is the syntax of NATS subjects.
///
/// Cloning is cheap: clones share the text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter(Arc<str>);

/// The reason why a text is not a filter.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FilterError {
    /// A wildcard that is not a whole part, or `>` before the last part; holds the wildcard and its byte position.
    #[error(
        "pattern has {0} at byte {1}; * stands for a whole part between dots, > for all parts that follow"
    )]
    Wildcard(char, usize),
    /// The text would not be a valid topic even with its wildcards replaced.
    #[error(transparent)]
    Topic(#[from] TopicError),
}

impl Filter {
    /// Returns the filter that matches every topic: `>`.
    pub fn all() -> Self {
        Self(">".into())
    }

    /// Returns the filter as text, exactly as it was parsed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if the filter has a wildcard.
    pub fn is_pattern(&self) -> bool {
        self.0.contains(['*', '>'])
    }

    /// Returns the one topic that the filter names; `None` for a pattern.
    pub fn topic(&self) -> Option<Topic> {
        if self.is_pattern() { None } else { Topic::parse(&self.0).ok() }
    }

    /// Returns the prefix that all matching topics share: the text before the first wildcard.
    pub fn literal_prefix(&self) -> &str {
        let wild = self.0.find(['*', '>']).unwrap_or(self.0.len());
        &self.0[..wild]
    }

    /// True if the filter matches this topic.
    pub fn matches(&self, topic: &str) -> bool {
        let mut parts = topic.split('.');
        for wanted in self.0.split('.') {
            match (wanted, parts.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(part)) if wanted == part => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }

    /// True if the two filters overlap: some topic matches both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.0.split('.'), other.0.split('.'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) | (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
                (Some(one), Some(other)) if one == "*" || other == "*" || one == other => {}
                _ => return false,
            }
        }
    }

    /// True if this filter matches every topic that the other one matches.
    pub fn covers(&self, other: &Self) -> bool {
        let mut others = other.0.split('.');
        for wanted in self.0.split('.') {
            match (wanted, others.next()) {
                (">", Some(_)) => return true,
                (_, Some(">")) => return false,
                ("*", Some(_)) => {}
                (wanted, Some(part)) if wanted == part => {}
                _ => return false,
            }
        }
        others.next().is_none()
    }
}

impl From<&Topic> for Filter {
    fn from(topic: &Topic) -> Self {
        Self(topic.shared())
    }
}

impl From<Topic> for Filter {
    fn from(topic: Topic) -> Self {
        Self(topic.shared())
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let mut at = 0;
        let mut plain = String::with_capacity(text.len());
        let mut parts = text.split('.').peekable();
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            let wildcard = part.char_indices().find(|(_, c)| matches!(c, '*' | '>'));
            match wildcard {
                Some((_, '*')) if part == "*" => plain.push('x'),
                Some((_, '>')) if part == ">" && is_last => plain.push('x'),
                Some((near, wildcard)) => return Err(FilterError::Wildcard(wildcard, at + near)),
                None => plain.push_str(part),
            }
            if !is_last {
                plain.push('.');
            }
            at += part.len() + 1;
        }
        Topic::parse(&plain)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> Filter {
        text.parse().unwrap()
    }

    #[test]
    fn every_topic_that_is_meant_begins_as_it_says() {
        for (text, beginning) in
            [("a.b", "a.b"), ("a.*", "a."), ("a.>", "a."), (">", ""), ("*.b", ""), ("a.b.*.c", "a.b.")]
        {
            assert_eq!(filter(text).literal_prefix(), beginning);
        }
    }

    #[test]
    fn wildcards_take_whole_parts() {
        for (pattern, taken, refused) in [
            ("orders.*", &["orders.1", "orders.a-b"][..], &["orders", "orders.1.x", "order.1"][..]),
            ("chat.>", &["chat.1", "chat.1.typing"], &["chat", "chats.1"]),
            (">", &["a", "a.b.c"], &[]),
            ("*.cpu", &["host.cpu"], &["cpu", "host.a.cpu", "host.cpu.x"]),
            ("a.*.c", &["a.b.c"], &["a.c", "a.b.c.d"]),
            ("host.cpu", &["host.cpu"], &["host.cpu2", "host"]),
        ] {
            for topic in taken {
                assert!(filter(pattern).matches(topic), "{pattern} {topic}");
            }
            for topic in refused {
                assert!(!filter(pattern).matches(topic), "{pattern} {topic}");
            }
        }
        assert!(filter("chat.*").is_pattern() && !filter("chat.1").is_pattern());
        assert_eq!(filter("chat.1").topic().unwrap().as_str(), "chat.1");
        assert_eq!(filter("chat.*").topic(), None);
    }

    #[test]
    fn what_is_no_filter_says_where() {
        for (text, at) in [("a*", 1), ("a.>.b", 2), ("a.b>", 3), ("**", 0), ("a.*b", 2)] {
            let Err(FilterError::Wildcard(_, place)) = text.parse::<Filter>() else { panic!("{text}") };
            assert_eq!(place, at, "{text}");
        }
        for text in ["", "a..b", "a.", "A.*", "../x", "a.*/b", "*.\n"] {
            assert!(text.parse::<Filter>().is_err(), "{text:?}");
        }
    }

    fn part() -> impl Strategy<Value = String> {
        prop_oneof![Just("*".to_owned()), Just("a".to_owned()), Just("b".to_owned())]
    }

    fn any_filter() -> impl Strategy<Value = Filter> {
        (prop::collection::vec(part(), 1..4), any::<bool>()).prop_map(|(mut parts, is_open)| {
            if is_open {
                parts.push(">".to_owned());
            }
            filter(&parts.join("."))
        })
    }

    proptest! {
        #[test]
        fn who_covers_another_takes_all_that_it_takes(
            one in any_filter(), other in any_filter(),
            topics in prop::collection::vec(prop::collection::vec("[abc]", 1..6), 1..20),
        ) {
            for topic in topics.iter().map(|parts| parts.join(".")) {
                if one.covers(&other) && other.matches(&topic) {
                    prop_assert!(one.matches(&topic), "{one} {other} {topic}");
                }
                if one.matches(&topic) && other.matches(&topic) {
                    prop_assert!(one.overlaps(&other) && other.overlaps(&one), "{one} {other} {topic}");
                }
            }
            prop_assert!(one.covers(&one) && Filter::all().covers(&one));
        }

        #[test]
        fn a_topic_takes_itself_alone(text in "[a-c]{1,2}(\\.[a-c]{1,2}){0,3}", other in "[a-c]{1,2}(\\.[a-c]{1,2}){0,3}") {
            prop_assert_eq!(filter(&text).matches(&other), text == other);
        }

        #[test]
        fn what_is_taken_is_the_filters_own_text(text in "\\PC{0,12}|[a-b*>.]{1,9}") {
            if let Ok(filter) = text.parse::<Filter>() {
                prop_assert_eq!(filter.to_string(), text);
            }
        }
    }
}
