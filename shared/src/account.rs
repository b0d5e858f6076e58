//! The delivery ledger, `POST /v1/ledger`: readers report which events they hold, and the server compares the reports
//! with its log.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Cursor, Filter, Policy, Technique};

/// The name that a reader chose for itself; it outlives the reader's connections and techniques.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReaderId(Box<str>);

impl ReaderId {
    /// Length of the longest name, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// Returns the name as it appears in reports: 1 to [`Self::MAX_BYTES`] of `a-z A-Z 0-9 - _ .`.
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
        Err("a reader's name has 1 to 64 characters of a-z A-Z 0-9 - _ .")
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

/// A report of the events that a reader holds of one stretch of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Name of the reader.
    pub reader: ReaderId,
    /// Technique by which the events arrived.
    pub technique: Technique,
    /// Topics and patterns of the subscription; at least one.
    pub topics: Vec<Filter>,
    /// Policy of the subscription. With [`Policy::Latest`], events that were left out are not lost.
    #[serde(default)]
    pub policy: Policy,
    /// Cursor after which the stretch begins: the start of the reader, or `through` of its last report.
    pub after: Cursor,
    /// Cursor at which the stretch ends, inclusive: to its own knowledge, the reader holds every event up to here.
    pub through: Cursor,
    /// Offsets of the events that arrived, in the order of arrival; repeated events appear again.
    pub held: Vec<u64>,
}

/// The account of a reader's reports for one technique.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Number of events of the log that the reader holds.
    pub held: u64,
    /// Number of events of the log that the reader should hold and does not.
    pub lost: u64,
    /// Number of further arrivals of events that the reader had already.
    pub repeated: u64,
    /// Number of events that arrived after a later one.
    pub reordered: u64,
    /// Number of reported offsets that belong to no event of the topics.
    pub foreign: u64,
    /// Number of events that the policy allowed the server to leave out.
    pub conflated: u64,
    /// Number of breaks: the reader did not continue where its last report ended, or retention has dropped events of
    /// the stretch, so the report could not be compared.
    pub breaks: u64,
}

impl Account {
    /// True if the reader got each event of the log once and in order.
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
