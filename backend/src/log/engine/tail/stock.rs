//! What there is of each topic, in memory and behind it.

use std::collections::BTreeSet;

use fourways_shared::{Cursor, Offset, Topic};

use super::{Tail, TopicTail};
use crate::log::{
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

/// Topics in the order of their names.
#[derive(Clone, Debug)]
pub struct TopicPage {
    /// What there is of each.
    pub states: Vec<TopicState>,
    /// There may be more behind this name.
    pub next: Option<Topic>,
}

/// Names that one page looks at.
const LOOK: usize = 4096;

impl Tail {
    /// What there is of a topic; an unknown one is empty.
    pub fn topic_state(&self, name: &Topic) -> TopicState {
        let mut state = TopicState::empty(name.clone());
        if let Some(topic) = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            state.add_memory(topic);
        }
        self.add_archive(&mut state);
        state
    }

    /// Topics behind a name, in the order of names: so many at most of those that are wanted. It looks at [`LOOK`] names at
    /// most, so there may be more though these are fewer: [`TopicPage::next`] says so.
    pub fn topic_states(
        &self,
        after: Option<&Topic>,
        limit: usize,
        wanted: impl Fn(&Topic) -> bool,
    ) -> TopicPage {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let here = topics.names_after(after, LOOK);
        let behind =
            self.archive.as_ref().map(|archive| archive.names_after(after, LOOK)).unwrap_or_default();
        // Behind the last of a whole list there may be more in it.
        let end = |names: &[Topic]| names.last().filter(|_| names.len() == LOOK).cloned();
        let through = [end(&here), end(&behind)].into_iter().flatten().min();
        let names: BTreeSet<Topic> = here.into_iter().chain(behind).collect();
        let mut page = TopicPage { states: Vec::new(), next: through.clone() };
        for name in names {
            if through.as_ref().is_some_and(|through| name > *through) {
                break;
            }
            if !wanted(&name) {
                continue;
            }
            let mut state = TopicState::empty(name.clone());
            if let Some(topic) = topics.get(&name) {
                state.add_memory(topic);
            }
            self.add_archive(&mut state);
            // What the server alone reads is nothing to tell of until something is published.
            if state.published == 0 && state.events == 0 && state.subscribers == [0; 4] {
                continue;
            }
            if page.states.len() == limit {
                page.next = page.states.last().map(|last| last.topic.clone());
                break;
            }
            page.states.push(state);
        }
        page
    }

    fn add_archive(&self, state: &mut TopicState) {
        let stock = self.archive.as_ref().and_then(|archive| archive.stock(&state.topic));
        if let Some(stock) = stock {
            state.add_archive(stock, |offset| self.cursor(offset));
        }
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
