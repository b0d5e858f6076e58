//! The topics on the disk, by name and by their newest event. The catalogue is updated with every commit and every
//! file that is dropped, so that questions about topics cost the same however many topics there are.

use std::{collections::BTreeMap, ops::Bound};

use fourways_shared::Topic;

use super::segment::Held;

/// The topics of all shelves. The [`Store`](super::store::Store) owns it behind a `RwLock`.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    by_name: BTreeMap<Topic, Known>,
    /// Topics by the offset of their newest event. If that event was dropped while older ones are kept on another
    /// shelf, its offset stays.
    by_last: BTreeMap<u64, Topic>,
}

/// The events that are kept of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Number of the topic's events.
    pub events: u64,
    /// Offset of the topic's newest event.
    pub last: u64,
}

impl Catalogue {
    /// Adds events of a topic.
    pub(super) fn add(&mut self, topic: &Topic, held: Held) {
        let known = match self.by_name.get_mut(topic) {
            Some(known) => known,
            None => self.by_name.entry(topic.clone()).or_default(),
        };
        known.events += held.events;
        if held.last > known.last {
            self.by_last.remove(&known.last);
            known.last = held.last;
            self.by_last.insert(held.last, topic.clone());
        }
    }

    /// Removes a number of events of a topic.
    pub(super) fn remove(&mut self, topic: &Topic, events: u64) {
        let Some(known) = self.by_name.get_mut(topic) else { return };
        known.events = known.events.saturating_sub(events);
        if known.events == 0 {
            self.by_last.remove(&known.last);
            self.by_name.remove(topic);
        }
    }

    /// Returns the events that are kept of a topic.
    pub(super) fn get(&self, topic: &Topic) -> Option<Known> {
        self.by_name.get(topic).copied()
    }

    /// Returns the names after `name`, in order.
    pub(super) fn names_after<'a>(
        &'a self,
        name: Option<&Topic>,
    ) -> impl Iterator<Item = &'a Topic> + use<'a> {
        let from = name.map_or(Bound::Unbounded, |name| Bound::Excluded(name.clone()));
        self.by_name.range((from, Bound::Unbounded)).map(|(topic, _)| topic)
    }

    /// Returns the names that begin with `beginning`, in order.
    pub(super) fn names_under<'a>(&'a self, beginning: &'a str) -> impl Iterator<Item = &'a Topic> {
        let from = (Bound::Included(beginning), Bound::Unbounded);
        let names = self.by_name.range::<str, _>(from).map(|(topic, _)| topic);
        names.take_while(move |topic| topic.as_str().starts_with(beginning))
    }

    /// Returns the topics whose newest event lies after `after` and up to `through`, in the order of those events.
    pub(super) fn by_last(&self, after: u64, through: u64) -> impl Iterator<Item = (u64, &Topic)> {
        let range = (after < through).then(|| self.by_last.range(after + 1..=through));
        range.into_iter().flatten().map(|(last, topic)| (*last, topic))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Compares the catalogue with a list of all events, of which the oldest are dropped.
        #[test]
        fn it_says_what_there_is(events in prop::collection::vec((0_usize..5, any::<bool>()), 1..60)) {
            let topics: Vec<Topic> = (0..5).map(|n| format!("t{n}").parse().unwrap()).collect();
            let mut catalogue = Catalogue::default();
            let mut all: Vec<(u64, usize)> = Vec::new();
            for (at, (topic, goes)) in events.into_iter().enumerate() {
                let offset = at as u64 + 1;
                catalogue.add(&topics[topic], Held { events: 1, first: offset, last: offset });
                all.push((offset, topic));
                if goes {
                    let (_, gone) = all.remove(0);
                    catalogue.remove(&topics[gone], 1);
                }
                for (topic, name) in topics.iter().enumerate() {
                    let ours: Vec<u64> = all.iter().filter(|(_, of)| *of == topic).map(|(at, _)| *at).collect();
                    let expected = ours.last().map(|last| Known { events: ours.len() as u64, last: *last });
                    prop_assert_eq!(catalogue.get(name), expected);
                }
                let there: Vec<&Topic> = topics.iter().filter(|topic| catalogue.get(topic).is_some()).collect();
                prop_assert_eq!(catalogue.names_after(None).collect::<Vec<_>>(), there.clone());
                prop_assert_eq!(catalogue.by_last(0, offset).count(), there.len());
                let newest: Vec<u64> = catalogue.by_last(1, offset).map(|(last, _)| last).collect();
                prop_assert!(newest.is_sorted() && newest.iter().all(|last| *last > 1));
            }
        }
    }
}
