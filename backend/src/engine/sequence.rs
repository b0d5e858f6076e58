//! The order of the log: which number, which time, and whether it was published before.

use std::collections::{HashMap, VecDeque};

use fourways_shared::{Cursor, Epoch, Event, EventId, Offset, Topic};

use super::{Append, KEY_WINDOW, MAX_KEYS, Now, micros};

/// Numbers what is published. Whoever owns it is the one who appends.
#[derive(Debug)]
pub(super) struct Sequence {
    epoch: Epoch,
    head: u64,
    /// The first answer to a key: its first offset and how many followed. An append is in one piece.
    keys: HashMap<(Topic, EventId), (u64, usize)>,
    key_ages: VecDeque<(u64, (Topic, EventId))>,
}

/// An append with its place.
#[derive(Debug)]
pub(super) enum Numbered {
    /// It was kept before; the first answer.
    Before(Vec<Cursor>),
    /// To be kept.
    New(Vec<Event>),
}

/// Where a sequence was, to go back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    head: u64,
    keys: usize,
}

impl Sequence {
    /// Goes on after an offset.
    pub(super) fn new(epoch: Epoch, head: u64) -> Self {
        Self { epoch, head, keys: HashMap::new(), key_ages: VecDeque::new() }
    }

    /// The last number that was given.
    pub(super) const fn head(&self) -> u64 {
        self.head
    }

    /// Numbers the events. `wall_us` is what they say of when they were published, whatever the clock said before: order
    /// is the number's alone.
    pub(super) fn number(&mut self, append: Append, wall_us: u64, now: Now) -> Numbered {
        let Append { topic, drafts, key } = append;
        let known = key.as_ref().and_then(|key| self.keys.get(&(topic.clone(), key.clone())));
        if let Some((first, count)) = known {
            let cursor = |offset| Cursor { epoch: self.epoch, offset: Offset(offset) };
            return Numbered::Before((*first..).take(*count).map(cursor).collect());
        }
        if let Some(key) = &key {
            self.remember(topic.clone(), key.clone(), self.head + 1, drafts.len(), now.us);
        }
        let events = drafts.into_iter().map(|draft| {
            self.head += 1;
            Event {
                topic: topic.clone(),
                cursor: Cursor { epoch: self.epoch, offset: Offset(self.head) },
                name: draft.name,
                id: key.clone(),
                published_at_us: wall_us,
                data: draft.data,
            }
        });
        Numbered::New(events.collect())
    }

    /// A key was used for `count` events from `first` on.
    pub(super) fn remember(&mut self, topic: Topic, key: EventId, first: u64, count: usize, at_us: u64) {
        let key = (topic, key);
        self.keys.insert(key.clone(), (first, count));
        self.key_ages.push_back((at_us, key));
    }

    /// Forgets keys that are older than their window, or too many.
    pub(super) fn forget_keys(&mut self, now: Now) {
        let is_old = |at_us| now.age_us(at_us) > micros(KEY_WINDOW);
        while self.key_ages.front().is_some_and(|(at_us, _)| is_old(*at_us) || self.key_ages.len() > MAX_KEYS)
        {
            if let Some((_, key)) = self.key_ages.pop_front() {
                self.keys.remove(&key);
            }
        }
    }

    /// Where it is now.
    pub(super) fn mark(&self) -> Mark {
        Mark { head: self.head, keys: self.key_ages.len() }
    }

    /// Takes back what was numbered since; no key may have been forgotten since.
    pub(super) fn roll_back(&mut self, to: Mark) {
        self.head = to.head;
        for (_, key) in self.key_ages.drain(to.keys..) {
            self.keys.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use fourways_shared::{Data, EventName};

    use super::*;
    use crate::engine::Draft;

    fn now(us: u64) -> Now {
        Now::of_test(us)
    }

    fn append(key: Option<&str>, count: usize) -> Append {
        let draft = || Draft { name: EventName::DEFAULT, data: Data::text("x") };
        Append {
            topic: "a".parse().unwrap(),
            drafts: (0..count).map(|_| draft()).collect(),
            key: key.map(|key| key.parse().unwrap()),
        }
    }

    fn offsets(numbered: Numbered) -> (bool, Vec<u64>) {
        match numbered {
            Numbered::Before(cursors) => (true, cursors.iter().map(|cursor| cursor.offset.0).collect()),
            Numbered::New(events) => (false, events.iter().map(|event| event.cursor.offset.0).collect()),
        }
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let mut sequence = Sequence::new(Epoch::from_bits(1), 7);
        assert_eq!(offsets(sequence.number(append(Some("k"), 2), 90, now(90))), (false, vec![8, 9]));
        let mark = sequence.mark();
        assert_eq!(offsets(sequence.number(append(Some("l"), 1), 200, now(200))), (false, vec![10]));
        sequence.roll_back(mark);
        assert_eq!(sequence.head(), 9);
        assert_eq!(offsets(sequence.number(append(Some("l"), 1), 150, now(150))), (false, vec![10]));
        assert_eq!(offsets(sequence.number(append(Some("k"), 2), 300, now(300))), (true, vec![8, 9]));
    }

    #[test]
    fn keys_are_forgotten_after_their_window() {
        let mut sequence = Sequence::new(Epoch::from_bits(1), 0);
        sequence.number(append(Some("k"), 1), 5, now(1_000));
        let window = u64::try_from(KEY_WINDOW.as_micros()).unwrap();
        sequence.forget_keys(now(1_000 + window));
        assert!(offsets(sequence.number(append(Some("k"), 1), 6, now(2_000))).0);
        sequence.forget_keys(now(1_001 + window));
        assert_eq!(offsets(sequence.number(append(Some("k"), 1), 7, now(3_000))), (false, vec![2]));
    }
}
