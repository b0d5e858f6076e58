//! The indices of topics and patterns: made when they are first needed, dropped when nobody needs them.

use fourways_shared::{Filter, Technique, Topic};

use super::{Tail, TopicTail, topic::TopicLog};
use crate::{
    engine::Floors,
    sync::{Arc, Ordering, PoisonError, lock},
};

impl Tail {
    /// Returns the index of a topic or pattern and counts one more reader of it: a client's by its technique, or the
    /// server's own (`None`). An unknown topic gets an empty index; a pattern's index begins with the next event.
    ///
    /// The reader is counted before the index can be found without readers: an index that is handed out and then
    /// dropped by somebody else would never get an event again.
    pub(crate) fn join(&self, filter: &Filter, technique: Option<Technique>) -> Arc<TopicTail> {
        let Some(topic) = filter.topic() else { return self.join_view(filter, technique) };
        let index = self.topic(&topic);
        index.join(technique);
        index
    }

    fn join_view(&self, filter: &Filter, technique: Option<Technique>) -> Arc<TopicTail> {
        {
            let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(view) = views.get(filter) {
                return self.joined(view, technique);
            }
        }
        // Nothing is published or dropped while `order` is locked, so the index misses nothing from here on.
        let order = lock(&self.order);
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = views.get(filter) {
            return self.joined(view, technique);
        }
        let log = TopicLog {
            trimmed_through: self.head.load(Ordering::SeqCst),
            gone: self.gone(&order, filter),
            ..TopicLog::default()
        };
        let view = Arc::new(TopicTail::new(filter.clone(), self.relays.len(), log));
        views.insert(filter, Arc::clone(&view));
        self.joined(&view, technique)
    }

    fn joined(&self, view: &Arc<TopicTail>, technique: Option<Technique>) -> Arc<TopicTail> {
        if view.join(technique) {
            self.read_patterns.fetch_add(1, Ordering::Relaxed);
        }
        Arc::clone(view)
    }

    /// Returns the number of patterns that clients read. Patterns that only the server reads are not counted.
    pub fn patterns(&self) -> usize {
        self.read_patterns.load(Ordering::Relaxed)
    }

    /// True if a client reads exactly this pattern.
    pub fn is_pattern_read(&self, filter: &Filter) -> bool {
        let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
        views.get(filter).is_some_and(|view| view.is_read())
    }

    /// Counts one reader of the index less. A pattern's index is dropped with its last reader.
    pub(crate) fn left(&self, index: Arc<TopicTail>, technique: Option<Technique>) {
        if !index.name.is_pattern() {
            index.part(technique);
            let is_empty = index.log.read().unwrap_or_else(PoisonError::into_inner).events.is_empty();
            if is_empty {
                self.forget(index);
            }
            return;
        }
        // The lock keeps others from joining between the leaving of the last reader and the dropping of the index.
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        if index.part(technique) {
            self.read_patterns.fetch_sub(1, Ordering::Relaxed);
        }
        if !index.is_held() {
            views.remove(&index.name);
        }
    }

    /// Returns the index of a topic; an unknown topic gets an empty one.
    pub(super) fn topic(&self, name: &Topic) -> Arc<TopicTail> {
        if let Some(topic) = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(topic);
        }
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(name) {
            return Arc::clone(topic);
        }
        let filter = Filter::from(name);
        let through = self.unknown_through(&filter);
        let gone = Floors::from_elem(through, 1);
        let log = TopicLog { trimmed_through: through, gone, ..TopicLog::default() };
        let topic = Arc::new(TopicTail::new(filter, self.relays.len(), log));
        topics.insert(name.clone(), Arc::clone(&topic));
        topic
    }

    /// Drops the topic's index if it is empty and this is its last handle, so that topics that are no longer used
    /// cost nothing. A reader that resumes at an older cursor gets a `reset`, because nobody knows any more what it
    /// missed.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the handle is given up: a reader that kept it could go on reading"
    )]
    pub(super) fn forget(&self, topic: Arc<TopicTail>) {
        let Some(name) = topic.name.topic() else { return };
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        // Two: the map's handle and this one. Nobody can take another while the map is locked.
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
