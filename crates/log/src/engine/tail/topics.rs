//! The indices of topics, found by name and listed in the order of names.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
};

use fourways_shared::Topic;

use super::TopicTail;
use crate::sync::Arc;

/// The topics that have an index.
#[derive(Debug, Default)]
pub(super) struct Topics {
    indices: HashMap<Topic, Arc<TopicTail>>,
    names: BTreeSet<Topic>,
}

impl Topics {
    pub(super) fn get(&self, name: &Topic) -> Option<&Arc<TopicTail>> {
        self.indices.get(name)
    }

    pub(super) fn insert(&mut self, name: Topic, index: Arc<TopicTail>) {
        self.names.insert(name.clone());
        self.indices.insert(name, index);
    }

    pub(super) fn remove(&mut self, name: &Topic) {
        self.names.remove(name);
        self.indices.remove(name);
    }

    /// Returns all indices, in no order.
    pub(super) fn values(&self) -> impl Iterator<Item = &Arc<TopicTail>> {
        self.indices.values()
    }

    /// Returns the names that begin with `beginning`, in order.
    pub(super) fn names_under<'a>(&'a self, beginning: &'a str) -> impl Iterator<Item = &'a Topic> {
        let names = self.names.range::<str, _>((Bound::Included(beginning), Bound::Unbounded));
        names.take_while(move |name| name.as_str().starts_with(beginning))
    }

    /// Returns the first `limit` names after `name`, in order.
    pub(super) fn names_after(&self, name: Option<&Topic>, limit: usize) -> Vec<Topic> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        self.names.range::<Topic, _>((from, Bound::Unbounded)).take(limit).cloned().collect()
    }
}
