//! Where events are that the tail does not hold any more.

use std::{fmt, io};

use fourways_shared::{Filter, Offset, Topic};
use smallvec::SmallVec;

use super::Selection;
use crate::log::{encoding::Encoded, sync::Arc};

/// Older events. Reads block, on a disk: they are not for a thread that serves.
pub trait Archive: fmt::Debug + Send + Sync {
    /// Up to where events that a filter takes may have been let go: for each part of the archive, 0 where none of them
    /// is kept.
    fn floors(&self, filter: &Filter) -> Floors;

    /// Up to here nothing that a filter takes is kept.
    fn lowest(&self, filter: &Filter) -> Offset;

    /// The offset before the oldest event of all.
    fn earliest(&self) -> Offset;

    /// At most `limit` events of these topics after one offset and up to another, in order. It may be fewer though
    /// there are more: [`Older::through`] says how far it looked.
    ///
    /// # Errors
    /// If the disk fails.
    fn read(
        &self,
        selection: Selection<'_>,
        after: Offset,
        through: Offset,
        limit: usize,
    ) -> io::Result<Older>;

    /// Where the newest `count` events of these topics up to `through` begin, as far as one look at a part goes.
    ///
    /// # Errors
    /// If the disk fails.
    fn before_newest(&self, selection: Selection<'_>, through: Offset, count: usize) -> io::Result<Newest>;

    /// Of each of these topics the newest event after one offset and up to another, in order, at most `limit` of them;
    /// as for [`Self::read`] it may be fewer.
    ///
    /// # Errors
    /// If the disk fails.
    fn latest(
        &self,
        selection: Selection<'_>,
        after: Offset,
        through: Offset,
        limit: usize,
    ) -> io::Result<Older>;

    /// What is held of a topic, without a look at the disk.
    fn stock(&self, topic: &Topic) -> Option<Stock>;

    /// The first `limit` topics behind a name, in the order of names.
    fn names_after(&self, name: Option<&Topic>, limit: usize) -> Vec<Topic>;
}

/// Offsets up to which events may have been let go, one for each part of the log that lets go by itself: what one has
/// let go says nothing about another.
pub type Floors = SmallVec<[u64; 1]>;

/// What is held of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    /// How many events.
    pub events: u64,
    /// The oldest.
    pub first: Offset,
    /// The newest.
    pub last: Offset,
}

/// What a look for the newest events found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The offset before the oldest that was found, or before all that was looked at.
    pub before: Offset,
    /// How many were found.
    pub count: usize,
    /// There is nothing further back.
    pub is_all: bool,
}

/// What a read found.
#[derive(Debug)]
pub struct Older {
    /// In order.
    pub events: Vec<Arc<Encoded>>,
    /// There is nothing more up to here.
    pub through: Offset,
    /// What follows can't be read; it goes on after this offset.
    pub resumes_after: Option<Offset>,
}
