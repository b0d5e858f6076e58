//! The order of the log: assigns offsets and times to events, and recognises appends that were made before.

use fourways_shared::{Cursor, Epoch, Event, EventId, Offset, Topic};

use super::{
    Append, EngineError, Now,
    keys::{Content, Keys, Use},
};

/// The source of offsets, and the memory of idempotency keys. Its owner is the log's only appender: in memory a lock
/// guards it, on disk the writer's thread owns it.
#[derive(Debug)]
pub(super) struct Sequence {
    epoch: Epoch,
    head: u64,
    keys: Keys,
}

/// An append after numbering.
#[derive(Debug)]
pub(super) enum Numbered {
    /// The same events were kept before with the same key: the cursors of that append.
    Before(Vec<Cursor>),
    /// Events to keep.
    New(Vec<Event>),
}

/// A state of a [`Sequence`], to roll back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    head: u64,
    keys: usize,
}

impl Sequence {
    /// Creates a sequence whose first offset is the one after `head`.
    pub(super) fn new(epoch: Epoch, head: u64) -> Self {
        Self { epoch, head, keys: Keys::default() }
    }

    /// Returns the last offset that was assigned; 0 before the first.
    pub(super) const fn head(&self) -> u64 {
        self.head
    }

    /// Assigns offsets to the events of an append, and `wall_us` as the time of publishing. That time may be earlier
    /// than the one before: the offset alone decides the order.
    ///
    /// # Errors
    /// [`EngineError::KeyReused`], in which case no offset was assigned.
    pub(super) fn number(&mut self, append: Append, wall_us: u64, now: Now) -> Result<Numbered, EngineError> {
        let Append { topic, drafts, key } = append;
        let id = key.as_ref().map(|key| key.id.clone());
        if let Some(key) = key {
            let content = Content::of(&drafts);
            match self.keys.look(&topic, &key, content) {
                Use::Same { first, count } => {
                    let cursor = |offset| Cursor { epoch: self.epoch, offset: Offset(offset) };
                    return Ok(Numbered::Before((first..).take(count).map(cursor).collect()));
                }
                Use::Other => return Err(EngineError::KeyReused),
                Use::New => self.keys.keep(topic.clone(), key, content, (self.head + 1, drafts.len()), now),
            }
        }
        let events = drafts.into_iter().map(|draft| {
            self.head += 1;
            Event {
                topic: topic.clone(),
                cursor: Cursor { epoch: self.epoch, offset: Offset(self.head) },
                name: draft.name,
                id: id.clone(),
                published_at_us: wall_us,
                data: draft.data,
            }
        });
        Ok(Numbered::New(events.collect()))
    }

    /// Remembers a key that was used before this start, at `arrived_us`, for the events at `place`: the first offset and
    /// the number of events.
    pub(super) fn restore(
        &mut self,
        topic: Topic,
        id: EventId,
        content: Content,
        place: (u64, usize),
        arrived_us: u64,
    ) {
        self.keys.restore(topic, id, content, place, arrived_us);
    }

    /// Forgets the keys that are older than [`KEY_WINDOW`](super::KEY_WINDOW), and the oldest if there are too many.
    pub(super) fn forget_keys(&mut self, now: Now) {
        self.keys.forget(now);
    }

    /// Returns the present state, for [`Self::roll_back`].
    pub(super) fn mark(&self) -> Mark {
        Mark { head: self.head, keys: self.keys.count() }
    }

    /// Takes back the offsets and keys that were assigned since `to`. No key may have been forgotten since.
    pub(super) fn roll_back(&mut self, to: Mark) {
        self.head = to.head;
        self.keys.roll_back(to.keys);
    }
}

#[cfg(test)]
mod tests {
    use fourways_shared::{Data, EventName};

    use super::*;
    use crate::engine::{Draft, KEY_WINDOW, Key, micros};

    fn now(us: u64) -> Now {
        Now::of_test(us)
    }

    fn append(key: Option<&str>, count: usize) -> Append {
        let draft = || Draft { name: EventName::DEFAULT, data: Data::text("x") };
        Append {
            topic: "a".parse().unwrap(),
            drafts: (0..count).map(|_| draft()).collect(),
            key: key.map(|key| Key { id: key.parse().unwrap(), by: None }),
        }
    }

    fn offsets(numbered: Result<Numbered, EngineError>) -> (bool, Vec<u64>) {
        match numbered.unwrap() {
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
        sequence.number(append(Some("k"), 1), 5, now(1_000)).unwrap();
        let window = micros(KEY_WINDOW);
        sequence.forget_keys(now(1_000 + window));
        assert!(offsets(sequence.number(append(Some("k"), 1), 6, now(2_000))).0);
        sequence.forget_keys(now(1_001 + window));
        assert_eq!(offsets(sequence.number(append(Some("k"), 1), 7, now(3_000))), (false, vec![2]));
    }
}
