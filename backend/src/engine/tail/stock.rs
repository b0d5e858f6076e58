//! What there is of each topic, in memory and behind it.

use std::collections::BTreeMap;

use fourways_shared::{Cursor, Offset, Topic};

use super::{Tail, TopicTail};
use crate::{
    engine::Stock,
    sync::{Ordering, PoisonError},
};

/// What there is of a topic.
#[derive(Clone, Debug)]
pub struct TopicState {
    /// Its name.
    pub topic: Topic,
    /// How many events are retained.
    pub events: usize,
    /// How many were published since the server began, as far as its index was kept.
    pub published: u64,
    /// The oldest retained event.
    pub earliest: Option<Cursor>,
    /// The newest retained event.
    pub newest: Option<Cursor>,
    /// Who reads it now, by [`Technique::index`](fourways_shared::Technique::index).
    pub subscribers: [u32; 4],
}

impl Tail {
    /// What there is of a topic; an unknown one is empty.
    pub fn topic_state(&self, name: &Topic) -> TopicState {
        let mut state = TopicState::empty(name.clone());
        if let Some(topic) = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            state.add_memory(topic);
        }
        let wanted = |topic: &Topic| topic == name;
        let behind = self.archive.as_ref().and_then(|archive| archive.stock(&wanted).pop());
        if let Some((_, stock)) = behind {
            state.add_archive(stock, |offset| self.cursor(offset));
        }
        state
    }

    /// The first `limit` topics by name of those that are wanted, and how many there are of these.
    pub fn topic_states(&self, limit: usize, wanted: impl Fn(&Topic) -> bool) -> (Vec<TopicState>, usize) {
        let mut all: BTreeMap<Topic, TopicState> = BTreeMap::new();
        for (topic, stock) in self.archive.as_ref().map(|archive| archive.stock(&wanted)).unwrap_or_default()
        {
            let state = all.entry(topic.clone()).or_insert_with(|| TopicState::empty(topic));
            state.add_archive(stock, |offset| self.cursor(offset));
        }
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        for (name, topic) in topics.iter().filter(|(name, _)| wanted(name)) {
            let state = all.entry(name.clone()).or_insert_with(|| TopicState::empty(name.clone()));
            state.add_memory(topic);
        }
        // What the server alone reads is nothing to tell of until something is published.
        all.retain(|_, state| state.published > 0 || state.events > 0 || state.subscribers != [0; 4]);
        let total = all.len();
        (all.into_values().take(limit).collect(), total)
    }
}

impl TopicState {
    const fn empty(topic: Topic) -> Self {
        Self { topic, events: 0, published: 0, earliest: None, newest: None, subscribers: [0; 4] }
    }

    /// What is in memory is in the archive too, unless the topic is volatile.
    fn add_memory(&mut self, topic: &TopicTail) {
        let log = topic.log.read().unwrap_or_else(PoisonError::into_inner);
        self.events = self.events.max(log.events.len());
        self.published = log.trimmed + log.events.len() as u64;
        if let (Some(first), Some(last)) = (log.events.front(), log.events.back()) {
            self.earliest = earlier(self.earliest, first.event().cursor);
            self.newest = later(self.newest, last.event().cursor);
        }
        self.subscribers = std::array::from_fn(|index| topic.subscribers[index].load(Ordering::Relaxed));
    }

    fn add_archive(&mut self, stock: Stock, cursor: impl Fn(Offset) -> Cursor) {
        self.events = self.events.max(usize::try_from(stock.events).unwrap_or(usize::MAX));
        self.earliest = earlier(self.earliest, cursor(stock.first));
        self.newest = later(self.newest, cursor(stock.last));
    }
}

fn earlier(known: Option<Cursor>, other: Cursor) -> Option<Cursor> {
    known.filter(|known| known.offset <= other.offset).or(Some(other))
}

fn later(known: Option<Cursor>, other: Cursor) -> Option<Cursor> {
    known.filter(|known| known.offset >= other.offset).or(Some(other))
}
