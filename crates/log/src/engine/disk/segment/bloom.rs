//! A Bloom filter over the topics in a piece of a segment, so that a search for a rare topic skips pieces without it.

use std::hash::{DefaultHasher, Hasher as _};

/// Size of a filter, in words of 64 bits. A piece of 16 KiB has some 160 small events; if each is of another topic,
/// about one of twenty pieces is examined in vain.
const WORDS: usize = 16;

/// The topics of one piece of a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bloom([u64; WORDS]);

/// The hash of a topic's name, which picks its bits.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Mark(u64);

impl Mark {
    /// Hashes the name of a topic.
    pub(in super::super) fn of(topic: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(topic.as_bytes());
        Self(hasher.finish())
    }

    fn bits(self) -> [(usize, u64); 3] {
        [self.0, self.0 >> 21, self.0 >> 42].map(|part| {
            let bit = part % (WORDS as u64 * 64);
            (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
        })
    }
}

impl Bloom {
    /// Adds a topic.
    pub(super) fn add(&mut self, mark: Mark) {
        for (word, bit) in mark.bits() {
            self.0[word] |= bit;
        }
    }

    /// False if the piece certainly has no event of this topic.
    pub(super) fn may_hold(&self, mark: Mark) -> bool {
        mark.bits().into_iter().all(|(word, bit)| self.0[word] & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_never_passed_over_and_little_is_taken_for_it() {
        let mut bloom = Bloom::default();
        let mark = |n: u32| Mark::of(&format!("topic.{n}"));
        for n in 0..160 {
            bloom.add(mark(n));
        }
        assert!((0..160).all(|n| bloom.may_hold(mark(n))));
        let wrong = (1000..2000).filter(|n| bloom.may_hold(mark(*n))).count();
        assert!(wrong < 100, "{wrong} of 1000");
    }
}
