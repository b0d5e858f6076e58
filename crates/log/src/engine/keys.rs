//! Idempotency keys, as in draft-ietf-httpapi-idempotency-key-header: events that are published again with the same
//! key are not kept again, and the publisher gets the first answer.
//!
//! A key belongs to a topic, a publisher and the published events. So nobody can use up another publisher's key, and
//! a key that is used again for other events is refused. The disk keeps no names of publishers; after a restart a key
//! belongs to any publisher that publishes the same events again.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use fourways_shared::{Data, EventId, EventName, Topic};
use smallvec::SmallVec;

use super::{Draft, KEY_WINDOW, Key, MAX_KEYS, Now, micros};

/// The keys of the last [`KEY_WINDOW`], at most [`MAX_KEYS`] of them.
#[derive(Debug, Default)]
pub(super) struct Keys {
    kept: HashMap<(Topic, EventId), SmallVec<[Kept; 1]>>,
    /// Every key in the order of arrival: its arrival time, the key, and the first offset of its events.
    ages: VecDeque<(u64, (Topic, EventId), u64)>,
}

#[derive(Debug)]
struct Kept {
    by: By,
    content: Content,
    first: u64,
    count: usize,
}

/// The publisher that used a key.
#[derive(Debug, PartialEq, Eq)]
enum By {
    /// Subject of the publisher's token; `None` on a server that asks for no token.
    Subject(Option<Box<str>>),
    /// The key was used before a restart, and the disk does not keep its publisher.
    Unknown,
}

/// The past of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// The key was not used.
    New,
    /// The same events were published with the key before.
    Same {
        /// Offset of the first of those events.
        first: u64,
        /// Number of those events.
        count: usize,
    },
    /// Other events were published with the key before.
    Other,
}

/// A hash of published events, to recognise them when they are published again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Content(u64);

impl Content {
    /// Hashes the events of an append.
    pub(super) fn of(drafts: &[Draft]) -> Self {
        drafts
            .iter()
            .fold(Self::default(), |content, draft| content.and(Self::of_one(&draft.name, &draft.data)))
    }

    /// Hashes one event.
    pub(super) fn of_one(name: &EventName, data: &Data) -> Self {
        let (kind, data): (u8, &[u8]) = match data {
            Data::Json(raw) => (0, raw.get().as_bytes()),
            Data::Bytes(bytes) => (1, bytes),
            Data::Text(raw) => (2, raw.get().as_bytes()),
        };
        Self::of_event(kind, if *name == EventName::DEFAULT { "" } else { name.as_str() }, data)
    }

    /// Hashes one event from its stored form: the kind of its data, its name (empty for the default name), its data.
    pub(super) fn of_event(kind: u8, name: &str, data: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        (kind, name, data).hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Extends a hash by the event that follows.
    pub(super) fn and(self, event: Self) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.0, event.0).hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl Keys {
    /// Returns the past of a key.
    pub(super) fn look(&self, topic: &Topic, key: &Key, content: Content) -> Use {
        let kept =
            self.kept.get(&(topic.clone(), key.id.clone())).map(SmallVec::as_slice).unwrap_or_default();
        let own = kept.iter().find(|kept| matches!(&kept.by, By::Subject(by) if *by == key.by));
        let known =
            own.or_else(|| kept.iter().find(|kept| kept.by == By::Unknown && kept.content == content));
        match known {
            None => Use::New,
            Some(Kept { first, count, content: before, .. }) if *before == content => {
                Use::Same { first: *first, count: *count }
            }
            Some(_) => Use::Other,
        }
    }

    /// Remembers that a key was used now, for `count` events from offset `first` on.
    pub(super) fn keep(
        &mut self,
        topic: Topic,
        key: Key,
        content: Content,
        (first, count): (u64, usize),
        now: Now,
    ) {
        let kept = Kept { by: By::Subject(key.by), content, first, count };
        self.remember((topic, key.id), kept, now.us);
    }

    /// Remembers a key that was read back from the disk, and was used at `arrived_us`.
    pub(super) fn restore(
        &mut self,
        topic: Topic,
        id: EventId,
        content: Content,
        (first, count): (u64, usize),
        arrived_us: u64,
    ) {
        self.remember((topic, id), Kept { by: By::Unknown, content, first, count }, arrived_us);
    }

    fn remember(&mut self, key: (Topic, EventId), kept: Kept, arrived_us: u64) {
        self.ages.push_back((arrived_us, key.clone(), kept.first));
        self.kept.entry(key).or_default().push(kept);
    }

    /// Forgets the keys that are older than [`KEY_WINDOW`], and the oldest if there are more than [`MAX_KEYS`].
    pub(super) fn forget(&mut self, now: Now) {
        let is_old = |arrived_us| now.age_us(arrived_us) > micros(KEY_WINDOW);
        while self
            .ages
            .front()
            .is_some_and(|(arrived_us, ..)| is_old(*arrived_us) || self.ages.len() > MAX_KEYS)
        {
            if let Some((_, key, first)) = self.ages.pop_front() {
                self.drop(&key, first);
            }
        }
    }

    /// Returns the number of keys, for [`Self::roll_back`].
    pub(super) fn count(&self) -> usize {
        self.ages.len()
    }

    /// Removes the keys that were added since there were `count`. No key may have been forgotten in between.
    pub(super) fn roll_back(&mut self, count: usize) {
        for (_, key, first) in self.ages.split_off(count) {
            self.drop(&key, first);
        }
    }

    fn drop(&mut self, key: &(Topic, EventId), first: u64) {
        let Some(kept) = self.kept.get_mut(key) else { return };
        kept.retain(|kept| kept.first != first);
        if kept.is_empty() {
            self.kept.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(by: Option<&str>) -> Key {
        Key { id: "k".parse().unwrap(), by: by.map(Into::into) }
    }

    fn drafts(texts: &[&str]) -> Vec<Draft> {
        texts.iter().map(|text| Draft { name: EventName::DEFAULT, data: Data::text(text) }).collect()
    }

    #[test]
    fn a_key_belongs_to_a_topic_a_subject_and_a_content() {
        let (a, b): (Topic, Topic) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut keys = Keys::default();
        let said = Content::of(&drafts(&["x", "y"]));
        keys.keep(a.clone(), key(Some("ann")), said, (7, 2), Now::of_test(1));
        assert_eq!(keys.look(&a, &key(Some("ann")), said), Use::Same { first: 7, count: 2 });
        for other in [&["x"][..], &["x", "y", "y"], &["y", "x"], &["xy"]] {
            assert_eq!(
                keys.look(&a, &key(Some("ann")), Content::of(&drafts(other))),
                Use::Other,
                "{other:?}"
            );
        }
        assert_eq!(keys.look(&a, &key(Some("bob")), said), Use::New);
        assert_eq!(keys.look(&a, &key(None), said), Use::New);
        assert_eq!(keys.look(&b, &key(Some("ann")), said), Use::New);
        // Bob's key is his own, and stays when Ann's is forgotten.
        keys.keep(a.clone(), key(Some("bob")), said, (9, 2), Now::of_test(2 + micros(KEY_WINDOW)));
        keys.forget(Now::of_test(2 + micros(KEY_WINDOW)));
        assert_eq!(keys.look(&a, &key(Some("ann")), said), Use::New);
        assert_eq!(keys.look(&a, &key(Some("bob")), said), Use::Same { first: 9, count: 2 });
        keys.forget(Now::of_test(3 + 2 * micros(KEY_WINDOW)));
        assert!(keys.kept.is_empty() && keys.ages.is_empty());
    }

    #[test]
    fn after_a_restart_a_key_is_known_by_what_was_published() {
        let a: Topic = "a".parse().unwrap();
        let mut keys = Keys::default();
        let said = Content::default().and(Content::of_event(0, "", b"\"x\""));
        assert_eq!(said, Content::of(&drafts(&["x"])));
        keys.restore(a.clone(), "k".parse().unwrap(), said, (3, 1), 1);
        assert_eq!(keys.look(&a, &key(Some("ann")), said), Use::Same { first: 3, count: 1 });
        let other = Content::of(&drafts(&["z"]));
        assert_eq!(keys.look(&a, &key(Some("bob")), other), Use::New, "it may have been another's");
    }
}
