//! The state of each topic: what is kept of it in memory and in the archive, and how many read it.

use std::collections::BTreeSet;

use fourways_shared::{Cursor, Offset, Topic};

use super::{Tail, TopicTail};
use crate::{
    engine::Stock,
    sync::{Ordering, PoisonError},
};

/// The state of a topic.
#[derive(Clone, Debug)]
pub struct TopicState {
    /// Name of the topic.
    pub topic: Topic,
    /// Number of events that are kept.
    pub events: usize,
    /// Number of events that the topic's index has held, events that were loaded at the start included. An index that
    /// is empty and unread may be dropped; the next one counts from 0.
    pub published: u64,
    /// Cursor of the oldest event that is kept.
    pub earliest: Option<Cursor>,
    /// Cursor of the newest event that is kept.
    pub newest: Option<Cursor>,
    /// Number of readers by technique, in the order of [`Technique::index`](fourways_shared::Technique::index).
    pub subscribers: [u32; 4],
}

/// A page of topics in the order of their names.
#[derive(Clone, Debug)]
pub struct TopicPage {
    /// States of the topics on this page.
    pub states: Vec<TopicState>,
    /// Name after which the next page begins; `None` on the last page.
    pub next: Option<Topic>,
}

/// Number of names that one page examines, of memory and of the archive each.
const LOOK: usize = 4096;

impl Tail {
    /// Returns the state of a topic. An unknown topic has no events.
    pub fn topic_state(&self, name: &Topic) -> TopicState {
        let mut state = TopicState::empty(name.clone());
        if let Some(topic) = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            state.add_memory(topic);
        }
        self.add_archive(&mut state);
        state
    }

    /// Returns the states of topics whose names come after `after` and are `wanted`, in the order of names, at most
    /// `limit` of them.
    ///
    /// A page examines 4,096 names at most, so it may be shorter though there are more: [`TopicPage::next`] tells.
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
        // A full list may have more names after its last.
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
            // A topic that only the server reads is not shown until something is published.
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

    /// Events in memory are in the archive too, unless the topic is volatile: so the larger number counts, not the
    /// sum.
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
