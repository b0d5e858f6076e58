//! The connections that a browser opens to one server over HTTP/1.1, and how many of them the tabs of this browser hold.
//!
//! Browsers open six to a host, over all tabs (Chromium, Firefox and Safari alike). Streams and held polls keep theirs, so
//! what is asked beside them waits, and every figure with it. A WebSocket is not one of the six.

use std::collections::BTreeMap;

/// How many there are.
pub(crate) const LIMIT: u32 = 6;
/// Whatever a tab says, it holds no more.
const MOST_A_TAB: u32 = 100;
/// So many tabs are remembered.
const MOST_TABS: usize = 200;
/// A tab says how many it holds every few seconds; the timers of a hidden one may come once a minute.
const FORGET_MS: f64 = 75_000.0;

/// What the tabs of this browser hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Budget {
    /// By the tab's own name: how many, and when it said so.
    tabs: BTreeMap<String, (u32, f64)>,
}

impl Budget {
    /// A tab holds so many.
    pub(crate) fn hear(&mut self, tab: &str, held: u32, now_ms: f64) {
        let held = held.min(MOST_A_TAB);
        self.tabs.retain(|_, (_, at_ms)| now_ms - *at_ms < FORGET_MS);
        if held == 0 {
            self.tabs.remove(tab);
        } else if self.tabs.len() < MOST_TABS || self.tabs.contains_key(tab) {
            self.tabs.insert(tab.to_owned(), (held, now_ms));
        }
    }

    /// How many are held.
    pub(crate) fn held(&self) -> u32 {
        self.tabs.values().map(|(held, _)| held).sum()
    }

    /// Nothing is left for a request.
    pub(crate) fn is_spent(&self) -> bool {
        self.held() >= LIMIT
    }

    /// What to tell the visitor; `None` while there is room.
    pub(crate) fn words(&self) -> Option<String> {
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
