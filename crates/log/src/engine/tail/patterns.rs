//! Patterns as a tree by their parts: the cost of finding those that match a topic depends on the topic's parts, not
//! on the number of patterns.

use fourways_shared::Filter;

/// A map from patterns to values.
#[derive(Debug)]
pub(crate) struct Patterns<V> {
    root: Node<V>,
    count: usize,
}

/// The patterns that begin with the same parts.
#[derive(Debug)]
struct Node<V> {
    /// Children for a part by its name, in the order of names.
    named: Vec<(Box<str>, Self)>,
    /// Child for any one part (`*`).
    any: Option<Box<Self>>,
    /// Value of the pattern that ends here with one part or more (`>`).
    rest: Option<V>,
    /// Value of the pattern that ends here.
    end: Option<V>,
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { named: Vec::new(), any: None, rest: None, end: None }
    }
}

impl<V> Default for Patterns<V> {
    fn default() -> Self {
        Self { root: Node::default(), count: 0 }
    }
}

impl<V> Patterns<V> {
    /// Returns the value of exactly this pattern.
    pub(crate) fn get(&self, filter: &Filter) -> Option<&V> {
        let mut node = &self.root;
        for part in filter.as_str().split('.') {
            node = match part {
                ">" => return node.rest.as_ref(),
                "*" => node.any.as_deref()?,
                _ => node.named(part)?,
            };
        }
        node.end.as_ref()
    }

    /// Sets the value of a pattern, and replaces the one it had.
    pub(crate) fn insert(&mut self, filter: &Filter, value: V) {
        let mut node = &mut self.root;
        let mut is_rest = false;
        for part in filter.as_str().split('.') {
            match part {
                ">" => is_rest = true,
                "*" => node = node.any.get_or_insert_default(),
                _ => {
                    let at = match node.find(part) {
                        Ok(at) => at,
                        Err(at) => {
                            node.named.insert(at, (part.into(), Node::default()));
                            at
                        }
                    };
                    node = &mut node.named[at].1;
                }
            }
        }
        let place = if is_rest { &mut node.rest } else { &mut node.end };
        if place.replace(value).is_none() {
            self.count += 1;
        }
    }

    /// Removes a pattern, and the nodes that no other pattern needs.
    pub(crate) fn remove(&mut self, filter: &Filter) -> Option<V> {
        let removed = self.root.remove(filter.as_str());
        self.count -= usize::from(removed.is_some());
        removed
    }

    /// Calls back with the value of every pattern that matches this topic.
    pub(crate) fn taking<'p>(&'p self, topic: &str, mut call: impl FnMut(&'p V)) {
        if self.count > 0 {
            self.root.taking(Some(topic), &mut call);
        }
    }

    /// True if a pattern matches this topic.
    pub(crate) fn take(&self, topic: &str) -> bool {
        let mut takes = false;
        self.taking(topic, |_| takes = true);
        takes
    }

    /// Calls back with every value.
    pub(crate) fn each<'p>(&'p self, mut call: impl FnMut(&'p V)) {
        self.root.each(&mut call);
    }
}

impl<'f> FromIterator<&'f Filter> for Patterns<()> {
    fn from_iter<I: IntoIterator<Item = &'f Filter>>(filters: I) -> Self {
        let mut patterns = Self::default();
        for filter in filters {
            patterns.insert(filter, ());
        }
        patterns
    }
}

impl<V> Node<V> {
    fn find(&self, part: &str) -> Result<usize, usize> {
        self.named.binary_search_by(|(name, _)| (**name).cmp(part))
    }

    fn named(&self, part: &str) -> Option<&Self> {
        self.find(part).ok().map(|at| &self.named[at].1)
    }

    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.any.is_none() && self.rest.is_none() && self.end.is_none()
    }

    fn remove(&mut self, filter: &str) -> Option<V> {
        let (part, rest) = filter.split_once('.').map_or((filter, None), |(part, rest)| (part, Some(rest)));
        if part == ">" {
            return self.rest.take();
        }
        let at = self.find(part);
        let next = match (part, at) {
            ("*", _) => self.any.as_deref_mut()?,
            (_, Ok(at)) => &mut self.named[at].1,
            (_, Err(_)) => return None,
        };
        let removed = match rest {
            Some(rest) => next.remove(rest),
            None => next.end.take(),
        };
        if next.is_empty() {
            match at {
                _ if part == "*" => self.any = None,
                Ok(at) => drop(self.named.remove(at)),
                Err(_) => {}
            }
        }
        removed
    }

    /// `topic` is the rest of the topic's name that is not matched yet; `None` at its end.
    fn taking<'p>(&'p self, topic: Option<&str>, call: &mut impl FnMut(&'p V)) {
        let Some(topic) = topic else {
            if let Some(value) = &self.end {
                call(value);
            }
            return;
        };
        if let Some(value) = &self.rest {
            call(value);
        }
        let (part, rest) = topic.split_once('.').map_or((topic, None), |(part, rest)| (part, Some(rest)));
        if let Some(any) = &self.any {
            any.taking(rest, call);
        }
        if let Some(named) = self.named(part) {
            named.taking(rest, call);
        }
    }

    fn each<'p>(&'p self, call: &mut impl FnMut(&'p V)) {
        for value in self.rest.iter().chain(&self.end) {
            call(value);
        }
        for node in self.named.iter().map(|(_, node)| node).chain(self.any.as_deref()) {
            node.each(call);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn part() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "c", "*"])
    }

    fn filter() -> impl Strategy<Value = Filter> {
        (prop::collection::vec(part(), 1..4), any::<bool>()).prop_map(|(mut parts, is_rest)| {
            if is_rest {
                parts.push(">");
            }
            parts.join(".").parse().unwrap()
        })
    }

    proptest! {
        /// Compares the tree with a list that is searched from end to end.
        #[test]
        fn they_take_what_each_of_them_takes(
            steps in prop::collection::vec((filter(), any::<bool>()), 0..40),
            topics in prop::collection::vec(prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d"]), 1..5), 1..20),
        ) {
            let (mut patterns, mut list) = (Patterns::default(), BTreeMap::new());
            for (at, (filter, is_insert)) in steps.into_iter().enumerate() {
                if is_insert {
                    patterns.insert(&filter, at);
                    list.insert(filter, at);
                } else {
                    prop_assert_eq!(patterns.remove(&filter), list.remove(&filter));
                }
                prop_assert_eq!(patterns.count, list.len());
            }
            for (filter, at) in &list {
                prop_assert_eq!(patterns.get(filter), Some(at));
            }
            for topic in topics {
                let topic = topic.join(".");
                let mut found = Vec::new();
                patterns.taking(&topic, |at| found.push(*at));
                found.sort_unstable();
                let mut expected: Vec<usize> =
                    list.iter().filter(|(filter, _)| filter.matches(&topic)).map(|(_, at)| *at).collect();
                expected.sort_unstable();
                prop_assert_eq!(patterns.take(&topic), !found.is_empty());
                prop_assert_eq!(found, expected);
            }
            let mut all = Vec::new();
            patterns.each(|at| all.push(*at));
            all.sort_unstable();
            let mut expected: Vec<usize> = list.values().copied().collect();
            expected.sort_unstable();
            prop_assert_eq!(all, expected);
            for filter in list.keys() {
                patterns.remove(filter);
            }
            prop_assert!(patterns.root.is_empty(), "nothing is left of what was taken out");
        }
    }
}
