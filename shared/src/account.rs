//! The delivery ledger, `POST /v1/ledger`: readers report which events they hold, the server holds that against its log.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Cursor, Filter, Policy, Technique};

/// Who reports: a reader's own name for itself, which outlives its connections and its technique.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReaderId(Box<str>);

impl ReaderId {
    /// The longest, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ReaderId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(is_allowed) {
            return Ok(Self(text.into()));
        }
        Err("a reader's name has 1 to 64 of a-z A-Z 0-9 - _ .")
    }
}

impl TryFrom<String> for ReaderId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ReaderId> for String {
    fn from(id: ReaderId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for ReaderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ReaderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a reader holds of a stretch of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Who.
    pub reader: ReaderId,
    /// By which technique the events came.
    pub technique: Technique,
    /// What was subscribed; at least one.
    pub topics: Vec<Filter>,
    /// With `latest`, what was left out is no loss.
    #[serde(default)]
    pub policy: Policy,
    /// Where the stretch begins: where the reader began, or where its last report ended.
    pub after: Cursor,
    /// Where it ends: the reader holds everything up to here, as far as it knows.
    pub through: Cursor,
    /// The offsets of the events that arrived, in the order in which they did; repeated ones again.
    pub held: Vec<u64>,
}

/// What a reader's reports came to, for one technique.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Events of the log that the reader holds.
    pub held: u64,
    /// Events of the log that it should hold and doesn't.
    pub lost: u64,
    /// Events that it got more than once, counted each further time.
    pub repeated: u64,
    /// Events that it got after a later one.
    pub reordered: u64,
    /// Offsets that no event of its topics has.
    pub foreign: u64,
    /// Events that its policy let the server leave out.
    pub conflated: u64,
    /// Times that it began anew, or that the log could not be held against: a reset, or what retention has let go.
    pub breaks: u64,
}

impl Account {
    /// Each event of the log once and in order.
    pub const fn is_clean(&self) -> bool {
        self.lost == 0 && self.repeated == 0 && self.reordered == 0 && self.foreign == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_is_written() {
        let text = r#"{"reader":"tab-1","technique":"sse","topics":["a.*"],"after":"1-0","through":"1-9","held":[3,9]}"#;
        let report: Report = serde_json::from_str(text).unwrap();
        assert_eq!((report.policy, report.held.len(), report.through.offset.0), (Policy::All, 2, 9));
        let again: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!(again, report);
    }

    #[test]
    fn names_are_short_and_plain() {
        let long = "a".repeat(65);
        for bad in ["", "a b", "ä", "a\n", long.as_str()] {
            assert!(bad.parse::<ReaderId>().is_err(), "{bad}");
        }
        assert_eq!("Tab_1.x-2".parse::<ReaderId>().unwrap().as_str(), "Tab_1.x-2");
    }
}
