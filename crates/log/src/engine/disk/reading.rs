//! Reading the log on the disk. The cost of a question does not depend on other topics, and each question examines a
//! limited part of the log: readers go on from there with the next.

use std::{collections::VecDeque, io, sync::Arc};

use fourways_shared::{Event, Filter, Offset, Topic};

use super::{
    catalogue::Known,
    segment::{Found, Held, Mark, Segment, Wanted},
    shelf::Shelf,
    store::Store,
};
use crate::{
    encoding::Encoded,
    engine::{Archive, Floors, Newest, Older, Selection, Stock},
};

/// Size of the data after which a read ends, in bytes. [`Archive::read`] counts each shelf by itself.
const READ_BYTES: usize = 256 * 1024;
/// Length of a shelf that one read examines, in bytes. The block that passes the limit is examined whole.
const LOOK_BYTES: u64 = 4 << 20;
/// Number of topics up to which a pattern's topics are looked up one by one.
const FEW_TOPICS: usize = 64;
/// Number of newest events that are read together, before their size is known.
const AT_ONCE: usize = 64;
/// Number of topics that one search for newest events examines.
const LOOK_TOPICS: usize = 16 * 1024;

impl Store {
    /// Returns all shelves in order; `None` instead of a shelf that can't hold events in the filter.
    fn shelves_of(&self, filter: &Filter) -> impl Iterator<Item = Option<&Shelf>> {
        let mut is_over = false;
        self.shelves().iter().map(move |shelf| {
            let is_one = shelf.is_former() || (!is_over && shelf.rule().filter.overlaps(filter));
            is_over |= shelf.rule().filter.covers(filter);
            is_one.then_some(shelf)
        })
    }

    /// Returns the selected topics if they are few: those named, and those that a pattern matches. A topic that is
    /// not on the disk may be missing, and has nothing to read here.
    fn named(&self, selection: Selection<'_>) -> Option<Vec<Topic>> {
        if let Some(topics) = selection.topics() {
            return Some(topics);
        }
        let catalogue = self.catalogue();
        let (mut topics, mut looked) = (Vec::new(), 0);
        for filter in selection.0 {
            if let Some(topic) = filter.topic() {
                topics.push(topic);
                continue;
            }
            for name in catalogue.names_under(filter.literal_prefix()) {
                looked += 1;
                if filter.matches(name.as_str()) {
                    topics.push(name.clone());
                }
                if looked > LOOK_TOPICS || topics.len() > FEW_TOPICS {
                    return None;
                }
            }
        }
        Some(topics)
    }

    fn found(&self, selection: Selection<'_>, wanted: Wanted<'_>) -> io::Result<Found> {
        let named = self.named(selection);
        let range_in = |segment: &Segment| match &named {
            Some(topics) => segment.index().range_of(topics),
            None => Some((0, u64::MAX)),
        };
        let marks = named.as_deref().map(marks_of);
        let wanted = Wanted { marks: marks.as_deref(), ..wanted };
        let mut all = Found { through: wanted.through, ..Found::default() };
        for shelf in self.shelves() {
            let found = shelf.read(&range_in, wanted, self.epoch())?;
            if (found.is_full || found.hole.is_some()) && found.through <= all.through {
                // Events of other shelves behind this point come after those that are missing here.
                (all.through, all.is_full) = (found.through, true);
                (all.hole, all.resumes_after) = (found.hole, found.resumes_after);
            }
            all.events.extend(found.events);
        }
        all.events.retain(|event| event.cursor.offset.0 <= all.through);
        all.events.sort_unstable_by_key(|event| event.cursor.offset);
        if all.events.len() > wanted.limit {
            all.events.truncate(wanted.limit);
            all.through = all.events.last().map_or(wanted.after, |last| last.cursor.offset.0);
            (all.hole, all.resumes_after) = (None, None);
        }
        Ok(all)
    }

    /// Returns the events at these offsets, in order. Those that are not kept or can't be read are left out.
    fn events_at(&self, offsets: &[u64]) -> io::Result<Vec<Event>> {
        let mut events = Vec::with_capacity(offsets.len());
        for shelf in self.shelves() {
            let mut left = offsets;
            while let Some(first) = left.first() {
                let Some(segment) = shelf.segment_of(*first) else {
                    // The offset lies before everything that the shelf holds.
                    left = &left[1..];
                    continue;
                };
                let last = segment.index().last;
                let count = left.partition_point(|offset| *offset <= last).max(1);
                events.extend(segment.read_these(&left[..count], self.epoch())?);
                left = &left[count..];
            }
        }
        events.sort_unstable_by_key(|event| event.cursor.offset);
        Ok(events)
    }

    /// Returns the offsets of the topics' newest events that lie after `after` and up to `through`, from the
    /// catalogue, and the offset up to which it was searched.
    fn newest(&self, selection: Selection<'_>, after: u64, through: u64, limit: usize) -> (Vec<u64>, u64) {
        let catalogue = self.catalogue();
        let mut newest = Vec::new();
        let mut looked = through;
        if let Some(topics) = selection.topics() {
            let known = topics.iter().filter_map(|topic| catalogue.get(topic)).map(|Known { last, .. }| last);
            newest.extend(known.filter(|last| (after + 1..=through).contains(last)));
            newest.sort_unstable();
            newest.dedup();
        } else {
            for (at, (last, topic)) in catalogue.by_last(after, through).enumerate() {
                if at == LOOK_TOPICS || newest.len() > limit {
                    looked = last - 1;
                    break;
                }
                if selection.matches(topic.as_str()) {
                    newest.push(last);
                }
            }
        }
        if newest.len() > limit {
            looked = newest[limit] - 1;
            newest.truncate(limit);
        }
        (newest, looked)
    }
}

impl Archive for Store {
    fn floors(&self, filter: &Filter) -> Floors {
        self.shelves_of(filter).map(|shelf| shelf.map_or(0, Shelf::floor)).collect()
    }

    fn lowest(&self, filter: &Filter) -> Offset {
        Offset(self.shelves_of(filter).flatten().map(Shelf::floor).min().unwrap_or(0))
    }

    fn earliest(&self) -> Offset {
        Offset(self.shelves().iter().filter_map(Shelf::first).min().map_or(0, |first| first - 1))
    }

    fn read(
        &self,
        selection: Selection<'_>,
        after: Offset,
        through: Offset,
        limit: usize,
    ) -> io::Result<Older> {
        let takes = |topic: &str| selection.matches(topic);
        let wanted = Wanted {
            after: after.0,
            through: through.0,
            takes: &takes,
            marks: None,
            limit,
            bytes: READ_BYTES,
            look: LOOK_BYTES,
        };
        let found = self.found(selection, wanted)?;
        if let Some(hole) = &found.hole {
            tracing::error!(file = %hole.path, at = hole.at, after = hole.after, "{hole}; it is skipped");
        }
        let events = found.events.into_iter().map(|event| Arc::new(Encoded::new(event))).collect();
        let resumes_after = found.resumes_after.map(Offset);
        Ok(Older { events, through: Offset(found.through), resumes_after })
    }

    fn before_newest(&self, selection: Selection<'_>, through: Offset, count: usize) -> io::Result<Newest> {
        let takes = |topic: &str| selection.matches(topic);
        let named = self.named(selection);
        let marks = named.as_deref().map(marks_of);
        // The last segment of each shelf that may hold some of the events.
        let mut last = Vec::new();
        for shelf in self.shelves() {
            let mut segments = shelf.segments();
            segments.retain(|segment| {
                let index = segment.index();
                let may_hold = named.as_ref().is_none_or(|topics| {
                    index.has_hole || index.range_of(topics).is_some_and(|(lowest, _)| lowest <= through.0)
                });
                may_hold && segment.base() < through.0
            });
            last.extend(segments.pop());
        }
        // The search ends at the highest base of these segments: below it, segments that are not among them may hold
        // events too.
        let Some(after) = last.iter().map(|segment| segment.base()).max() else {
            return Ok(Newest { before: through, count: 0, is_all: true });
        };
        let wanted = Wanted {
            after,
            through: through.0,
            takes: &takes,
            marks: marks.as_deref(),
            limit: count,
            bytes: usize::MAX,
            look: u64::MAX,
        };
        let mut newest: Vec<u64> = Vec::new();
        for segment in last {
            let range = named.as_ref().and_then(|topics| segment.index().range_of(topics));
            let (lowest, highest) = range.unwrap_or((0, u64::MAX));
            let wanted = Wanted {
                after: after.max(lowest.saturating_sub(1)),
                through: through.0.min(highest),
                ..wanted
            };
            // Unreadable data is skipped here; readers meet it when they read on, and get a `reset` then.
            newest.extend(segment.newest_offsets(wanted)?);
        }
        newest.sort_unstable_by(|a, b| b.cmp(a));
        newest.truncate(count);
        let before = newest.last().filter(|_| newest.len() == count).map_or(after, |oldest| oldest - 1);
        Ok(Newest { before: Offset(before), count: newest.len(), is_all: false })
    }

    fn latest(
        &self,
        selection: Selection<'_>,
        after: Offset,
        through: Offset,
        limit: usize,
    ) -> io::Result<Older> {
        let (newest, mut looked) = self.newest(selection, after.0, through.0, limit);
        let mut events: Vec<Arc<Encoded>> = Vec::new();
        let mut bytes = 0;
        // A few at a time, because their size is only known once they are read.
        'read: for some in newest.chunks(AT_ONCE) {
            for event in self.events_at(some)? {
                if bytes >= READ_BYTES {
                    looked = event.cursor.offset.0 - 1;
                    break 'read;
                }
                bytes += event.data.len();
                events.push(Arc::new(Encoded::new(event)));
            }
        }
        Ok(Older { events, through: Offset(looked), resumes_after: None })
    }

    fn stock(&self, topic: &Topic) -> Option<Stock> {
        let Known { events, last } = self.catalogue().get(topic)?;
        let first = self.shelves().iter().flat_map(Shelf::segments).filter_map(|segment| {
            let index = segment.index();
            index.topics.get(topic).map(|Held { first, .. }| *first)
        });
        Some(Stock { events, first: Offset(first.min()?), last: Offset(last) })
    }

    fn names_after(&self, name: Option<&Topic>, limit: usize) -> Vec<Topic> {
        self.catalogue().names_after(name).take(limit).cloned().collect()
    }
}

fn marks_of(topics: &[Topic]) -> Vec<Mark> {
    topics.iter().map(|topic| Mark::of(topic.as_str())).collect()
}

/// A buffer that keeps the last `count` items pushed, in order.
pub(super) struct Last<T> {
    kept: VecDeque<T>,
    count: usize,
}

impl<T> Last<T> {
    /// Creates a buffer for `count` items.
    pub(super) const fn of(count: usize) -> Self {
        Self { kept: VecDeque::new(), count }
    }

    /// Adds an item, and removes the oldest if the buffer is full.
    pub(super) fn push(&mut self, one: T) {
        if self.kept.len() == self.count {
            self.kept.pop_front();
        }
        if self.count > 0 {
            self.kept.push_back(one);
        }
    }

    /// Returns the items, oldest first.
    pub(super) fn into_vec(self) -> Vec<T> {
        self.kept.into()
    }
}
