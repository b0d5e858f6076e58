//! What happens to a stream that lags: by topic, as the operator says.

use std::str::FromStr;

use fourways_shared::Filter;

/// What is done to a stream or socket that has fallen too far behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LagAction {
    /// Its connection is ended; it resumes by its cursor, on a better one perhaps.
    Cut,
    /// It goes on at the head, and is told how many events it missed.
    Skip,
    /// It goes on with the newest event of each topic, and is told how many it missed.
    Conflate,
}

/// How far streams of some topics may fall behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LagRule {
    filter: Filter,
    /// What is done then.
    pub action: LagAction,
    /// Events that may be pending.
    pub events: u64,
}

impl LagAction {
    /// The word used in settings and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Skip => "skip",
            Self::Conflate => "conflate",
        }
    }
}

impl LagRule {
    /// The rule of a subscription to these topics: of those that meet one, the strictest.
    pub fn of<'r>(rules: &'r [Self], topics: &[Filter]) -> Option<&'r Self> {
        let ours = topics.iter().filter_map(|topic| rules.iter().find(|rule| rule.filter.meets(topic)));
        ours.min_by_key(|rule| rule.events)
    }
}

impl FromStr for LagRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "{text:?} is no rule; as in prices.>=conflate:500, with cut, skip or conflate and a number of events"
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
