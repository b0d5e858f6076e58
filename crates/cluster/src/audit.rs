//! Audit: hashes of blocks of the log, by which servers notice that their copies differ.
//!
//! Each server hashes what it keeps, tells the others the hashes of the newest whole blocks, and compares theirs with its
//! own. If two differ, each compares its block with the order itself, which says whose copy is wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use fourways_shared::{Data, Event};

/// Number of events in a block. Block 0 has the offsets from 1 to this number.
pub(crate) const BLOCK: u64 = 256;
/// Number of whole blocks whose hashes are kept.
pub(crate) const KEPT: u64 = 16;

/// The hashes of the newest whole blocks of one copy. The follower and the signs of life share it in an `Arc`; each holds
/// the lock for a burst of events.
#[derive(Debug, Default)]
pub(crate) struct Audit(Mutex<Blocks>);

#[derive(Debug, Default)]
struct Blocks {
    whole: BTreeMap<u64, u64>,
    /// Offset that the next event must have, if the present block is to be whole, and the hash so far.
    open: Option<(u64, u64)>,
}

impl Audit {
    /// Adds events, in the order of offsets. A block that lacks an event is not compared: it had expired when this server
    /// followed it.
    pub(crate) fn add<'e>(&self, events: impl IntoIterator<Item = &'e Event>) {
        let mut blocks = self.blocks();
        for event in events {
            let offset = event.cursor.offset.0;
            let (block, at) = (offset.saturating_sub(1) / BLOCK, offset.saturating_sub(1) % BLOCK);
            let hash = match blocks.open {
                _ if at == 0 => 0,
                Some((expected, hash)) if expected == offset => hash,
                _ => {
                    blocks.open = None;
                    continue;
                }
            };
            let hash = hash_of(hash, event);
            blocks.open = Some((offset + 1, hash));
            if at == BLOCK - 1 {
                blocks.whole.insert(block, hash);
                if blocks.whole.len() as u64 > KEPT {
                    blocks.whole.pop_first();
                }
            }
        }
    }

    /// Returns the hashes of whole blocks, by the numbers of the blocks.
    pub(crate) fn hashes(&self) -> Vec<(u64, u64)> {
        self.blocks().whole.iter().map(|(block, hash)| (*block, *hash)).collect()
    }

    /// Returns the first block, not among those that are settled, whose hash is another here than there.
    pub(crate) fn differs(&self, theirs: &[(u64, u64)], settled: &BTreeSet<u64>) -> Option<u64> {
        let blocks = self.blocks();
        let differs = |(block, hash): &&(u64, u64)| {
            !settled.contains(block) && blocks.whole.get(block).is_some_and(|own| own != hash)
        };
        theirs.iter().filter(differs).map(|(block, _)| *block).min()
    }

    /// Returns the hash of a whole block.
    pub(crate) fn hash(&self, block: u64) -> Option<u64> {
        self.blocks().whole.get(&block).copied()
    }

    /// Forgets everything, because the copy begins anew.
    pub(crate) fn clear(&self) {
        *self.blocks() = Blocks::default();
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the hash of a block's events up to this one.
pub(crate) fn hash_of(before: u64, event: &Event) -> u64 {
    let (kind, data) = match &event.data {
        Data::Json(raw) => (0, raw.get().as_bytes()),
        Data::Text(raw) => (1, raw.get().as_bytes()),
        Data::Bytes(bytes) => (2, bytes.as_ref()),
    };
    let mut hash = crc32fast::Hasher::new();
    hash.update(&[kind]);
    hash.update(&event.cursor.offset.0.to_le_bytes());
    hash.update(&event.published_at_us.to_le_bytes());
    for part in [event.topic.as_str(), event.name.as_str(), event.id.as_ref().map_or("", |id| id.as_str())] {
        hash.update(&[0xff]);
        hash.update(part.as_bytes());
    }
    hash.update(&[0xff]);
    hash.update(data);
    // The odd factor makes the order of events count.
    before.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(u64::from(hash.finalize()) + 1)
}

#[cfg(test)]
mod tests {
    use fourways_shared::{Cursor, Epoch, EventName, Offset};

    use super::*;

    fn event(offset: u64, data: &str) -> Event {
        Event {
            topic: "a".parse().unwrap(),
            cursor: Cursor { epoch: Epoch::from_bits(1), offset: Offset(offset) },
            name: EventName::DEFAULT,
            id: None,
            published_at_us: offset,
            data: Data::text(data),
        }
    }

    fn audit(offsets: impl IntoIterator<Item = u64>, changed: u64) -> Audit {
        let audit = Audit::default();
        let events: Vec<Event> = offsets
            .into_iter()
            .map(|offset| event(offset, if offset == changed { "changed" } else { "same" }))
            .collect();
        audit.add(&events);
        audit
    }

    fn differs(one: &Audit, other: &Audit) -> Option<u64> {
        one.differs(&other.hashes(), &BTreeSet::new())
    }

    #[test]
    fn one_changed_event_changes_its_block_alone() {
        let (one, other) = (audit(1..=10 * BLOCK, 0), audit(1..=10 * BLOCK, 3 * BLOCK + 7));
        assert_eq!(one.hashes().len(), 10);
        assert_eq!((differs(&one, &other), differs(&other, &one)), (Some(3), Some(3)));
        assert_eq!(one.differs(&other.hashes(), &BTreeSet::from([3])), None, "it was looked at already");
        assert_eq!(differs(&one, &audit(1..=10 * BLOCK, 0)), None);
    }

    #[test]
    fn a_block_that_lacks_an_event_is_not_compared() {
        let lacks = audit((1..=4 * BLOCK).filter(|offset| *offset != BLOCK + 2), 0);
        assert_eq!(lacks.hashes().iter().map(|(block, _)| *block).collect::<Vec<_>>(), [0, 2, 3]);
        let late = audit(BLOCK / 2..=3 * BLOCK, 0);
        assert_eq!(late.hashes().iter().map(|(block, _)| *block).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(differs(&late, &audit(1..=3 * BLOCK, 0)), None);
    }

    #[test]
    fn the_newest_blocks_are_kept_and_swapped_events_are_noticed() {
        let all = audit(1..=(KEPT + 5) * BLOCK, 0);
        assert_eq!(all.hashes().len() as u64, KEPT);
        assert_eq!(all.hashes()[0].0, 5);
        let hash = |first: &str, second: &str| hash_of(hash_of(0, &event(1, first)), &event(2, second));
        assert_ne!(hash("a", "b"), hash("b", "a"));
    }
}
