//! The operator's rules for streams that lag: how far they may, and what happens then, by topic.

use std::str::FromStr;

use fourways_shared::Filter;

/// The treatment of a stream or socket that lags too far behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LagAction {
    /// The connection is closed; the client resumes with its cursor, perhaps over a better connection.
    Cut,
    /// The reader continues at the head, and is told how many events it missed.
    Skip,
    /// The reader continues with the newest event of each topic, and is told how many events it missed.
    Conflate,
}

/// A limit on how far the streams of some topics may lag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LagRule {
    filter: Filter,
    /// Treatment of a stream that lags further.
    pub action: LagAction,
    /// Number of events that may be pending.
    pub events: u64,
}

impl LagAction {
    /// Returns the word for this action in settings and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Skip => "skip",
            Self::Conflate => "conflate",
        }
    }
}

impl LagRule {
    /// Returns the rule for a subscription: the first that overlaps with a topic counts for that topic, and of all
    /// topics' rules the one that allows the fewest pending events.
    pub fn of<'r>(rules: &'r [Self], topics: &[Filter]) -> Option<&'r Self> {
        let ours = topics.iter().filter_map(|topic| rules.iter().find(|rule| rule.filter.overlaps(topic)));
        ours.min_by_key(|rule| rule.events)
    }
}

impl FromStr for LagRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "{text:?} is not a rule: expected PATTERN=ACTION:EVENTS with cut, skip or conflate, as in prices.>=conflate:500"
            )
        };
        let (filter, rest) = text.split_once('=').ok_or_else(expected)?;
        let (action, events) = rest.split_once(':').ok_or_else(expected)?;
        let actions = [LagAction::Cut, LagAction::Skip, LagAction::Conflate];
        let action = actions.into_iter().find(|known| known.name() == action).ok_or_else(expected)?;
        let events = events.parse().ok().filter(|events| *events > 0).ok_or_else(expected)?;
        let filter =
            filter.parse().map_err(|error: fourways_shared::filter::FilterError| error.to_string())?;
        Ok(Self { filter, action, events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_rule_of_a_subscription_is_its_own() {
        let rules: Vec<LagRule> = ["prices.>=conflate:500", "chat.*=skip:100", ">=cut:9000"]
            .map(|rule| rule.parse().unwrap())
            .into();
        let of = |topics: &[&str]| {
            let topics: Vec<Filter> = topics.iter().map(|topic| topic.parse().unwrap()).collect();
            LagRule::of(&rules, &topics).map(|rule| (rule.action, rule.events))
        };
        assert_eq!(of(&["prices.a", "x"]), Some((LagAction::Conflate, 500)));
        assert_eq!(of(&["prices.a", "chat.1"]), Some((LagAction::Skip, 100)));
        assert_eq!(of(&["x"]), Some((LagAction::Cut, 9000)));
        assert_eq!(LagRule::of(&[], &["x".parse().unwrap()]), None);
        for wrong in ["", "a", "a=skip", "a=skip:0", "a=drop:1", "a..b=skip:1"] {
            assert!(wrong.parse::<LagRule>().is_err(), "{wrong}");
        }
    }
}
