//! How much of the log is kept, by topic, and what a reader selects of it.

use std::{str::FromStr, time::Duration};

use fourways_shared::{Filter, Topic};

/// How much is kept; the first limit that is reached lets the oldest go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// At most this many events.
    pub events: usize,
    /// At most this many bytes: in memory counted as [`crate::log::encoding::Encoded::retained_bytes`], on the disk as
    /// they lie there.
    pub bytes: u64,
    /// None older than this.
    pub age: Duration,
}

impl Default for Retention {
    /// 100,000 events, 256 MiB, one hour: a reader may be away for an hour at 27 events a second.
    fn default() -> Self {
        Self { events: 100_000, bytes: 256 << 20, age: Duration::from_hours(1) }
    }
}

/// The retention of the topics that a filter takes, all of them together. Of several rules the first that takes a
/// topic is its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// Whose.
    pub filter: Filter,
    /// How much.
    pub retention: Retention,
    /// Not on the disk: lost with the server, and no publisher waits for the disk.
    pub is_volatile: bool,
}

impl RetentionRule {
    /// A rule for every topic.
    pub fn for_all(retention: Retention) -> Self {
        Self { filter: Filter::all(), retention, is_volatile: false }
    }

    /// The rules by which topics of a filter may be kept.
    pub(crate) fn of<'r>(rules: &'r [Self], filter: &Filter) -> impl Iterator<Item = &'r Self> {
        let mut is_over = false;
        rules.iter().filter(move |rule| {
            let is_one = !is_over && rule.filter.meets(filter);
            // Of what it takes whole, nothing is left for those that follow.
            is_over |= rule.filter.covers(filter);
            is_one
        })
    }

    /// The place of the first rule that takes a topic. The last takes what no other did.
    pub(crate) fn place(rules: &[Self], topic: &Topic) -> usize {
        if rules.len() == 1 {
            return 0;
        }
        let taken = rules.iter().position(|rule| rule.filter.takes(topic.as_str()));
        taken.unwrap_or(rules.len().saturating_sub(1))
    }
}

/// A rule as it is written: `orders.>=age:7d,bytes:1GiB,events:1000000`, or `typing.*=memory,age:1m`. A limit that is
/// not said is that of everything else, and is filled in by [`RetentionText::rule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionText {
    filter: Filter,
    events: Option<usize>,
    bytes: Option<u64>,
    age: Option<Duration>,
    is_volatile: bool,
}

impl RetentionText {
    /// The rule, with `rest` for what it does not say.
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
                    rule.events = Some(
                        count.ok_or_else(|| format!("events is {limit:?}; a number above 0 is expected"))?,
                    );
                }
                ("bytes", size) => rule.bytes = Some(bytes(size)?),
                ("age", age) => rule.age = Some(duration(age)?),
                _ => {
                    return Err(format!(
                        "{limit:?} is no limit; allowed are events:, bytes:, age: and memory"
                    ));
                }
            }
        }
        Ok(rule)
    }
}

/// A size: a number with or without B, kB, KiB, MB, MiB, GB, GiB.
///
/// # Errors
/// Says what is expected.
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
        .ok_or_else(|| format!("{text:?} is no size; as in 512MiB, with B, kB, KiB, MB, MiB, GB, GiB"))
}

/// A time: a number of seconds, or with ms, s, m, h, d.
///
/// # Errors
/// Says what is expected.
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
        .ok_or_else(|| format!("{text:?} is no time above 0; as in 30, 250ms, 5m, 12h, 7d"))
}

/// The topics of a subscription.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a>(pub &'a [Filter]);

impl Selection<'_> {
    /// Whether a topic is one of them.
    pub fn takes(self, topic: &str) -> bool {
        self.0.iter().any(|filter| filter.takes(topic))
    }

    /// The topics that are meant, if there is no pattern among them.
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
        assert!(!orders.is_volatile && orders.filter.takes("orders.a.b"));
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
            assert_eq!(RetentionRule::place(&rules, &topic.parse().unwrap()), place);
        }
    }
}
