//! The indices of topics and patterns: made when they are first needed, gone when nobody does.

use std::collections::hash_map::Entry;

use fourways_shared::{Filter, Topic};

use super::{Tail, TopicLog, TopicTail};
use crate::sync::{Arc, Ordering, PoisonError, lock};

impl Tail {
    /// The index of a topic or pattern. A topic that nobody knows is an empty one; a pattern's index is made of what is
    /// there when it is first read.
    pub(crate) fn index(&self, filter: &Filter) -> Arc<TopicTail> {
        match filter.topic() {
            Some(topic) => self.topic(&topic),
            None => self.view(filter),
        }
    }

    fn view(&self, filter: &Filter) -> Arc<TopicTail> {
        let known = |views: &[Arc<TopicTail>]| views.iter().find(|view| view.name == *filter).cloned();
        if let Some(view) = known(&self.views.read().unwrap_or_else(PoisonError::into_inner)) {
            return view;
        }
        // Nothing is published meanwhile, so the view begins with all there is and misses nothing that follows.
        let mut order = lock(&self.order);
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = known(&views) {
            return view;
        }
        let earliest = self.earliest.load(Ordering::SeqCst);
        let log =
            TopicLog { trimmed_through: earliest.max(self.unknown_through(filter)), ..TopicLog::default() };
        let view = Arc::new(TopicTail::new(filter.clone(), self.relays.len(), log));
        let mut events = Vec::new();
        for line in &mut order.lines {
            for placed in &mut line.events {
                if filter.takes(placed.event.event().topic.as_str()) {
                    placed.indices.push(Arc::clone(&view));
                    events.push(Arc::clone(&placed.event));
                }
            }
        }
        events.sort_unstable_by_key(|event| event.offset());
        view.log.write().unwrap_or_else(PoisonError::into_inner).events = events.into();
        views.push(Arc::clone(&view));
        view
    }

    /// How many patterns are read by clients; the server's own are not counted.
    pub fn patterns(&self) -> usize {
        let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
        views.iter().filter(|view| view.is_read()).count()
    }

    /// A reader of the index has left. A pattern's index goes with its last reader.
    pub(crate) fn left(&self, index: Arc<TopicTail>) {
        if !index.name.is_pattern() {
            let is_empty = index.log.read().unwrap_or_else(PoisonError::into_inner).events.is_empty();
            if is_empty {
                self.forget(index);
            }
            return;
        }
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        if !index.is_held() {
            views.retain(|view| !Arc::ptr_eq(view, &index));
            index.log.write().unwrap_or_else(PoisonError::into_inner).events.clear();
        }
    }

    /// The topic's index; a topic that nobody knows is an empty one.
    pub(super) fn topic(&self, name: &Topic) -> Arc<TopicTail> {
        if let Some(topic) = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(topic);
        }
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        match topics.entry(name.clone()) {
            Entry::Occupied(there) => Arc::clone(there.get()),
            Entry::Vacant(place) => {
                let name = Filter::from(name);
                let log = TopicLog { trimmed_through: self.unknown_through(&name), ..TopicLog::default() };
                let topic = TopicTail::new(name, self.relays.len(), log);
                Arc::clone(place.insert(Arc::new(topic)))
            }
        }
    }

    /// Drops the topic's index if it is empty and this was the last handle, so that topics that came and went cost
    /// nothing. A reader that comes back with an older cursor gets a reset, since nobody knows any more what it missed.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the handle is given up: a reader that kept it could go on reading"
    )]
    pub(super) fn forget(&self, topic: Arc<TopicTail>) {
        let Some(name) = topic.name.topic() else { return };
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        // Two: the map's and this one. Nobody can take another while the map is locked.
        if Arc::strong_count(&topic) > 2 {
            return;
        }
        let log = topic.log.read().unwrap_or_else(PoisonError::into_inner);
        if log.events.is_empty() {
            self.forgotten.fetch_max(log.trimmed_through, Ordering::SeqCst);
            topics.remove(&name);
        }
    }
}
