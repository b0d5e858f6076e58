//! The connections that a browser opens to one server over HTTP/1.1, and the number of them that the tabs of this
//! browser hold.
//!
//! Browsers open six to a host, over all tabs (Chromium, Firefox and Safari alike). Streams and held polls keep theirs,
//! so other requests wait, and every measured time includes that wait. A WebSocket is not one of the six.

use std::collections::BTreeMap;

/// Number of connections that a browser opens to one host over HTTP/1.1.
pub const LIMIT: u32 = 6;
/// Number of connections that one tab can hold at most: a higher number in a tab's report is lowered to this.
const MOST_A_TAB: u32 = 100;
/// Number of tabs remembered at most.
const MOST_TABS: usize = 200;
/// Time without a report after which a tab is forgotten, in milliseconds. A tab reports every few seconds, but the
/// timers of a hidden tab may run only once a minute.
const FORGET_MS: f64 = 75_000.0;

/// The connections that the tabs of this browser hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budget {
    /// Number of connections and time of the last report, in milliseconds, by the tab's id.
    tabs: BTreeMap<String, (u32, f64)>,
}

impl Budget {
    /// Takes a tab's report that it holds `held` connections, and forgets tabs that have not reported for 75 seconds.
    pub fn hear(&mut self, tab: &str, held: u32, now_ms: f64) {
        let held = held.min(MOST_A_TAB);
        self.tabs.retain(|_, (_, at_ms)| now_ms - *at_ms < FORGET_MS);
        if held == 0 {
            self.tabs.remove(tab);
        } else if self.tabs.len() < MOST_TABS || self.tabs.contains_key(tab) {
            self.tabs.insert(tab.to_owned(), (held, now_ms));
        }
    }

    /// Returns the number of connections that all tabs hold.
    pub fn held(&self) -> u32 {
        self.tabs.values().map(|(held, _)| held).sum()
    }

    /// True if no connection is left for another request.
    pub fn is_spent(&self) -> bool {
        self.held() >= LIMIT
    }

    /// Returns a warning for the visitor; `None` while two or more connections are left.
    pub fn words(&self) -> Option<String> {
        let (held, tabs) = (self.held(), self.tabs.len());
        let tabs = if tabs == 1 { "this tab".to_owned() } else { format!("{tabs} tabs of this browser") };
        if held >= LIMIT {
            let waiting = held - LIMIT;
            let more = if waiting > 0 { format!(", and {waiting} more wait") } else { String::new() };
            return Some(format!(
                "All {LIMIT} connections to this server are taken by {tabs}{more}. Requests wait for one, and the times shown here with them."
            ));
        }
        (held + 1 == LIMIT)
            .then(|| format!("{held} of {LIMIT} connections to this server are taken by {tabs}. One is left for all other requests."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_add_up_and_are_forgotten() {
        let mut budget = Budget::default();
        budget.hear("a", 2, 0.0);
        assert_eq!(budget.words(), None);
        budget.hear("b", 2, 1_000.0);
        budget.hear("c", 1, 2_000.0);
        assert!(
            budget.words().is_some_and(
                |words| words.starts_with("5 of 6 connections to this server are taken by 3 tabs")
            )
        );
        assert!(!budget.is_spent());
        budget.hear("c", 3, 3_000.0);
        assert!(budget.is_spent());
        assert!(
            budget.words().is_some_and(|words| words.contains("by 3 tabs of this browser, and 1 more wait"))
        );
        budget.hear("c", 0, 4_000.0);
        assert_eq!(budget.held(), 4, "it closed them");
        budget.hear("d", 1, 76_500.0);
        assert_eq!(budget.held(), 1, "the others have said nothing for long");
        for tab in 0..10_000 {
            budget.hear(&tab.to_string(), u32::MAX, 76_500.0);
        }
        assert_eq!(
            (budget.tabs.len(), budget.is_spent()),
            (MOST_TABS, true),
            "whatever is told, it is bounded"
        );
    }
}
