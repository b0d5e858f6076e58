//! Patterns that match only a few topics: their events are found through the topics' own indices, without a look at
//! the events of other topics.

use fourways_shared::{Filter, Offset};

use super::{Scan, Seek, Tail, TopicTail};
use crate::{
    encoding::Encoded,
    engine::RetentionRule,
    sync::{Arc, PoisonError},
};

/// Number of topics up to which a selection is handled by the topics' own indices.
const FEW: usize = 64;
/// Number of topic names that are tried, in search of the topics that match.
const LOOK: usize = 2048;

impl Tail {
    /// Returns the indices of all topics that the filters match, if they are few. The caller holds the lock on
    /// `order` and keeps it while it uses them, so that nothing is published in between.
    pub(super) fn few(&self, filters: &[Filter]) -> Option<Vec<Arc<TopicTail>>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let (mut few, mut looked) = (Vec::new(), 0);
        for filter in filters {
            for name in topics.names_under(filter.literal_prefix()) {
                looked += 1;
                if looked > LOOK || few.len() > FEW {
                    return None;
                }
                if filter.matches(name.as_str()) {
                    few.extend(topics.get(name).cloned());
                }
            }
        }
        few.sort_unstable_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        few.dedup_by(|a, b| Arc::ptr_eq(a, b));
        Some(few)
    }

    /// Scans these topics as [`Self::scan`] scans the whole log.
    pub(super) fn scan_few(&self, few: &[Arc<TopicTail>], scan: Scan<'_>) -> (Vec<Arc<Encoded>>, Offset) {
        let mut found: Vec<Arc<Encoded>> = Vec::new();
        for index in few {
            let is_volatile = index
                .name
                .topic()
                .is_some_and(|topic| self.rules[RetentionRule::index_of(&self.rules, &topic)].is_volatile);
            if scan.is_volatile && !is_volatile {
                continue;
            }
            let log = index.log.read().unwrap_or_else(PoisonError::into_inner);
            let (mut from, to) = (log.first_after(scan.after), log.first_after(scan.through));
            if let Some(through) = scan.newest_through {
                from = from.max(log.first_after(through).saturating_sub(1));
            }
            found.extend(log.events.range(from.min(to)..to).take(scan.limit).cloned());
        }
        found.sort_unstable_by_key(|event| event.offset());
        if found.len() < scan.limit {
            return (found, Offset(scan.through));
        }
        found.truncate(scan.limit);
        let looked = found.last().map_or(scan.through, |last| last.offset());
        (found, Offset(looked))
    }

    /// Seeks in these topics as [`Self::seek`] seeks in the whole log.
    pub(super) fn seek_few(few: &[Arc<TopicTail>], mut seek: Seek) -> Seek {
        let mut newest: Vec<u64> = Vec::new();
        for index in few {
            let log = index.log.read().unwrap_or_else(PoisonError::into_inner);
            let (from, to) = (log.first_after(seek.floor), log.first_after(seek.after));
            let from = from.min(to).max(to.saturating_sub(seek.count));
            newest.extend(log.events.range(from..to).map(|event| event.offset()));
        }
        newest.sort_unstable_by(|a, b| b.cmp(a));
        newest.truncate(seek.count);
        seek.count -= newest.len();
        seek.after = match newest.last() {
            Some(oldest) if seek.count == 0 => oldest - 1,
            _ => seek.after.min(seek.floor),
        };
        seek.is_over = seek.count > 0;
        seek
    }
}
