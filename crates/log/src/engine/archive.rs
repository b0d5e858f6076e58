//! The archive: events that are kept, but are no longer in the tail's memory.

use std::{fmt, io};

use fourways_shared::{Filter, Offset, Topic};
use smallvec::SmallVec;

use super::Selection;
use crate::{encoding::Encoded, sync::Arc};

/// The older part of a log: every event that retention keeps and the tail no longer has in memory.
///
/// An engine that keeps events outside memory hands its archive to the tail when the log opens. It holds every event
/// that is not volatile, from before `Tail::put` gets the event until retention drops it. So archive and memory
/// overlap, and the tail may drop any event from memory at any time. Volatile events are in memory only. The tail and
/// running reads share the archive in an `Arc`; all methods are called from several threads at once.
///
/// # Which methods may block
/// [`read`](Self::read), [`before_newest`](Self::before_newest) and [`latest`](Self::latest) may: they run on a
/// blocking thread, at most workers + 1 at a time. A call should end soon all the same, with less
/// than was asked for if need be: the reader goes on from there and lets others in between.
///
/// [`floors`](Self::floors), [`lowest`](Self::lowest), [`earliest`](Self::earliest), [`stock`](Self::stock) and
/// [`names_after`](Self::names_after) are synchronous and called often by threads that serve connections, the last
/// two under a lock of the tail. They must answer from memory, without disk or network, and must not call the tail.
/// An archive on another machine keeps its floors, its topics and their counts in memory and updates them in the
/// background.
///
/// # Dropping events
/// A floor rises before the first event that it covers disappears, and never falls. A subscription looks at the
/// floors after each read: if one has passed its cursor, the read may lack events, so it is thrown away and the
/// reader gets a `reset`. In the other order readers would lose events without being told.
///
/// # Ranges and progress
/// A range begins after `after` and ends with `through`, which is never above the tail's head. Answers are in the
/// order of offsets and carry cursors of the tail's epoch. Every answer must get further than the question; otherwise
/// the reader asks the same question forever.
///
/// # Errors
/// An error costs readers everything between their cursor and the oldest event in memory: they get a `reset` and go
/// on there. So an archive should retry before it fails.
pub trait Archive: fmt::Debug + Send + Sync {
    /// Returns, for each part of the archive, the offset up to which events that the filter matches may have been
    /// dropped. A part is what drops events by itself, such as all events of one retention rule.
    ///
    /// The number and the order of the parts are the same for every call and every filter; a part that can't hold a
    /// topic of the filter answers 0.
    fn floors(&self, filter: &Filter) -> Floors;

    /// Returns an offset up to which no event that the filter matches is kept: the lowest floor of the parts that may
    /// hold its topics, 0 if there is no such part.
    fn lowest(&self, filter: &Filter) -> Offset;

    /// Returns the offset before the oldest event of all topics; 0 if the archive is empty.
    fn earliest(&self) -> Offset;

    /// Returns events of these topics after `after` and up to `through`, in order, at most `limit` of them.
    ///
    /// The answer may hold fewer though there are more: [`Older::through`] is the offset up to which it is complete.
    /// Either that or [`Older::resumes_after`] is above `after`.
    ///
    /// # Errors
    /// If the archive can't be read. Damaged data is not an error: see [`Older::resumes_after`].
    fn read(
        &self,
        selection: Selection<'_>,
        after: Offset,
        through: Offset,
        limit: usize,
    ) -> io::Result<Older>;

    /// Looks backwards from `through` for the newest `count` events of these topics, as far as one look goes.
    ///
    /// The reader asks again with [`Newest::before`] as `through` until it has enough; `before` is below `through`
    /// unless [`Newest::is_all`].
    ///
    /// # Errors
    /// If the archive can't be read.
    fn before_newest(&self, selection: Selection<'_>, through: Offset, count: usize) -> io::Result<Newest>;

    /// Returns the newest event of each of these topics whose newest event lies after `after` and up to `through`, in
    /// order, at most `limit` of them. A topic with a newer event is left out: that event is in memory, or in the
    /// next range.
    ///
    /// The answer may hold fewer though there are more, as with [`read`](Self::read).
    ///
    /// # Errors
    /// If the archive can't be read.
    fn latest(
        &self,
        selection: Selection<'_>,
        after: Offset,
        through: Offset,
        limit: usize,
    ) -> io::Result<Older>;

    /// Returns which events of a topic are kept; `None` if there are none. From memory.
    fn stock(&self, topic: &Topic) -> Option<Stock>;

    /// Returns the first `limit` topics whose names come after `name`, in the order of names: fewer only if there are
    /// no more. From memory.
    fn names_after(&self, name: Option<&Topic>, limit: usize) -> Vec<Topic>;
}

/// Offsets up to which events may have been dropped, one for each part of the log that drops events by itself. One
/// part's floor says nothing about another part.
pub type Floors = SmallVec<[u64; 1]>;

/// The events that are kept of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    /// Number of the topic's events.
    pub events: u64,
    /// Offset of the topic's oldest event.
    pub first: Offset,
    /// Offset of the topic's newest event.
    pub last: Offset,
}

/// Result of one look backwards for the newest events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Offset to look on from: the one before the oldest event, if enough were found, or the one down to which
    /// everything was examined.
    pub before: Offset,
    /// Number of events found above `before`.
    pub count: usize,
    /// The archive holds no event further back.
    pub is_all: bool,
}

/// Result of one read.
#[derive(Debug)]
pub struct Older {
    /// The events, in the order of offsets.
    pub events: Vec<Arc<Encoded>>,
    /// Offset up to which the read is complete: `events` has everything that was wanted up to here.
    pub through: Offset,
    /// Offset to go on after, if the events right after `through` are lost because their data is damaged. The reader
    /// gets a `reset`.
    pub resumes_after: Option<Offset>,
}
