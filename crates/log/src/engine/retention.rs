//! Retention: how much of the log is kept, by topic. And the topics that a reader selects.

use std::{str::FromStr, time::Duration};

use fourways_shared::{Filter, Topic};

/// Limits on what is kept. Whichever is reached first, the oldest events are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Number of events kept at most.
    pub events: usize,
    /// Number of bytes kept at most: in memory counted as [`crate::encoding::Encoded::retained_bytes`], on the disk
    /// as the size of the files.
    pub bytes: u64,
    /// Age above which events are dropped.
    pub age: Duration,
}

impl Default for Retention {
    /// 100,000 events, 256 MiB, one hour: a reader may be away for an hour at 27 events a second.
    fn default() -> Self {
        Self { events: 100_000, bytes: 256 << 20, age: Duration::from_hours(1) }
    }
}

/// The retention of the topics that a filter matches: the limits are for all these topics together. A topic belongs
/// to the first rule that matches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// Topics that the rule applies to.
    pub filter: Filter,
    /// Limits of count, bytes and age.
    pub retention: Retention,
    /// The topics are kept in memory only: their events are never written to the disk, and are lost with the process.
    pub is_volatile: bool,
}

impl RetentionRule {
    /// Creates a rule for every topic.
    pub fn for_all(retention: Retention) -> Self {
        Self { filter: Filter::all(), retention, is_volatile: false }
    }

    /// Returns the rules that topics of a filter may belong to.
    pub(crate) fn of<'r>(rules: &'r [Self], filter: &Filter) -> impl Iterator<Item = &'r Self> {
        let mut is_over = false;
        rules.iter().filter(move |rule| {
            let is_one = !is_over && rule.filter.overlaps(filter);
            // Topics that one rule covers never get to the rules after it.
            is_over |= rule.filter.covers(filter);
            is_one
        })
    }

    /// Returns the index of the rule that a topic belongs to. The last rule applies to every topic that no other
    /// matches.
    pub fn index_of(rules: &[Self], topic: &Topic) -> usize {
        if rules.len() == 1 {
            return 0;
        }
        let taken = rules.iter().position(|rule| rule.filter.matches(topic.as_str()));
        taken.unwrap_or(rules.len().saturating_sub(1))
    }
}

/// A rule as an operator writes it: `orders.>=age:7d,bytes:1GiB,events:1000000`, or `typing.*=memory,age:1m`. A limit
/// that is left out is the general one, filled in by [`RetentionText::rule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionText {
    filter: Filter,
    events: Option<usize>,
    bytes: Option<u64>,
    age: Option<Duration>,
    is_volatile: bool,
}

impl RetentionText {
    /// Returns the rule, with the limits of `rest` where the text has none.
    pub fn rule(&self, rest: Retention) -> RetentionRule {
        RetentionRule {
            filter: self.filter.clone(),
            retention: Retention {
                events: self.events.unwrap_or(rest.events),
                bytes: self.bytes.unwrap_or(rest.bytes),
                age: self.age.unwrap_or(rest.age),
            },
            is_volatile: self.is_volatile,
        }
    }
}

impl FromStr for RetentionText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (filter, limits) = text.split_once('=').ok_or(
            "a pattern, =, and limits are expected, as in orders.>=age:7d,bytes:1GiB,events:1000000 or typing.*=memory",
        )?;
        let filter =
            filter.parse().map_err(|error: fourways_shared::filter::FilterError| error.to_string())?;
        let mut rule = Self { filter, events: None, bytes: None, age: None, is_volatile: false };
        for limit in limits.split(',') {
            match limit.split_once(':').unwrap_or((limit, "")) {
                ("memory", "") => rule.is_volatile = true,
                ("events", count) => {
                    let count = count.parse().ok().filter(|count| *count > 0);
                    rule.events =
                        Some(count.ok_or_else(|| {
                            format!("{limit:?} is not a limit; a number above 0 is needed")
                        })?);
                }
                ("bytes", size) => rule.bytes = Some(bytes(size)?),
                ("age", age) => rule.age = Some(duration(age)?),
                _ => {
                    return Err(format!(
                        "{limit:?} is not a limit; allowed are events:, bytes:, age: and memory"
                    ));
                }
            }
        }
        Ok(rule)
    }
}

/// Parses a size: a number, alone or with B, kB, KiB, MB, MiB, GB or GiB.
///
/// # Errors
/// If the text is no such size, or 0. The message names what is expected.
pub fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match &text[digits..] {
        "" | "B" => 1,
        "kB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => 0,
    };
    let size = text[..digits].parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    size.filter(|size| *size > 0)
        .ok_or_else(|| format!("{text:?} is not a size, as in 512MiB, with B, kB, KiB, MB, MiB, GB, GiB"))
}

/// Parses a duration: a number of seconds, or a number with ms, s, m, h or d.
///
/// # Errors
/// If the text is no such duration, or 0. The message names what is expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match &text[digits..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => 0.0,
    };
    let seconds = text[..digits].parse::<f64>().ok().map(|number| number * unit);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| *time > Duration::ZERO)
        .ok_or_else(|| format!("{text:?} is not a time above 0, as in 30 (seconds), 250ms, 5m, 12h, 7d"))
}

/// The topics and patterns of one reader.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a>(pub &'a [Filter]);

impl Selection<'_> {
    /// True if a topic is selected.
    pub fn matches(self, topic: &str) -> bool {
        self.0.iter().any(|filter| filter.matches(topic))
    }

    /// Returns the topics, if none of the filters is a pattern.
    pub(crate) fn topics(self) -> Option<Vec<Topic>> {
        self.0.iter().map(Filter::topic).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_with_units() {
        let rest = Retention::default();
        let rule = |text: &str| text.parse::<RetentionText>().map(|text| text.rule(rest));
        let orders = rule("orders.>=age:7d,bytes:1GiB,events:1000000").unwrap();
        assert_eq!(
            orders.retention,
            Retention { events: 1_000_000, bytes: 1 << 30, age: Duration::from_hours(168) }
        );
        assert!(!orders.is_volatile && orders.filter.matches("orders.a.b"));
        let typing = rule("typing.*=memory,age:250ms").unwrap();
        assert!(typing.is_volatile && typing.retention.age == Duration::from_millis(250));
        assert_eq!(typing.retention.bytes, rest.bytes, "what is not said is as everywhere");
        for wrong in
            ["", "a", "a=", "a=events:0", "a=bytes:1Gi", "a=age:-1", "A=age:1", "a=size:3", "a=age:1w"]
        {
            assert!(rule(wrong).is_err(), "{wrong}");
        }
        let rules = [orders, typing, RetentionRule::for_all(rest)];
        for (topic, place) in [("orders.1", 0), ("typing.1", 1), ("typing.1.x", 2), ("x", 2)] {
            assert_eq!(RetentionRule::index_of(&rules, &topic.parse().unwrap()), place);
        }
    }
}
