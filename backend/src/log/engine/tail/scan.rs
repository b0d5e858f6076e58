//! Reading by the order of the log: for patterns, whose indices hold no more than the newest events.
//!
//! A piece at a time: while one is looked at nobody can publish, so it is short, however much there is and however
//! little of it is wanted.

use std::{collections::vec_deque, iter::Peekable};

use fourways_shared::{Filter, Offset};
use smallvec::SmallVec;

use super::{
    Tail,
    patterns::Patterns,
    trim::{Order, Placed},
};
use crate::log::{
    encoding::Encoded,
    engine::{Floors, RetentionRule},
    sync::{Arc, lock},
};

/// Most events of a piece.
const LOOK: usize = 2048;

/// What a reader that goes by the order of the log wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    /// Events of these topics,
    pub(crate) filters: &'a [Filter],
    /// after this offset
    pub(crate) after: u64,
    /// and up to this one,
    pub(crate) through: u64,
    /// so many at most;
    pub(crate) limit: usize,
    /// only those that are the newest of their topic up to this offset;
    pub(crate) newest_through: Option<u64>,
    /// only those that are in memory alone.
    pub(crate) is_volatile: bool,
}

/// Where a reader that wants the newest events has got to, from the newest on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seek {
    /// So many are to be found yet,
    pub(crate) count: usize,
    /// after this offset.
    pub(crate) after: u64,
    /// What lies at or before this one is not looked at,
    pub(crate) floor: u64,
    /// and there is nothing more to look at.
    pub(crate) is_over: bool,
}

impl Tail {
    /// Up to where events that a pattern may take were let go, by rule; 0 where they are in the archive.
    pub(super) fn gone(&self, order: &Order, filter: &Filter) -> Floors {
        let gone = order.lines.iter().zip(&self.rules).map(|(line, rule)| match &self.archive {
            _ if !rule.filter.meets(filter) => 0,
            _ if rule.is_volatile => line.gone_through.max(self.volatile_floor),
            None => line.gone_through,
            Some(_) => 0,
        });
        gone.collect()
    }

    /// After this offset nothing of these topics is in the archive alone.
    pub(crate) fn in_memory_after(&self, filters: &[Filter]) -> u64 {
        if self.archive.is_none() {
            return 0;
        }
        let order = lock(&self.order);
        let meets = |rule: &RetentionRule| filters.iter().any(|filter| rule.filter.meets(filter));
        let lines = order.lines.iter().zip(&self.rules);
        let lines = lines.filter(|(_, rule)| !rule.is_volatile && meets(rule));
        lines.map(|(line, _)| line.gone_through).max().unwrap_or(0)
    }

    /// The place before the oldest event in memory that a filter may take; `None` if there is none.
    pub(crate) fn first_in_memory(&self, filter: &Filter) -> Option<u64> {
        let order = lock(&self.order);
        let lines = order.lines.iter().zip(&self.rules);
        let lines = lines.filter(|(line, rule)| !line.events.is_empty() && rule.filter.meets(filter));
        lines.map(|(line, _)| line.first() - 1).min()
    }

    /// Events in order, and up to where it has looked for them.
    pub(crate) fn scan(&self, scan: Scan<'_>) -> (Vec<Arc<Encoded>>, Offset) {
        let patterns: Patterns<()> = scan.filters.iter().collect();
        let (mut found, mut looked) = (Vec::new(), scan.after);
        let order = lock(&self.order);
        if let Some(few) = self.few(scan.filters) {
            return self.scan_few(&few, scan);
        }
        let lines = order.lines.iter().zip(&self.rules);
        let lines = lines.filter(|(_, rule)| rule.is_volatile || !scan.is_volatile);
        let mut merged = Merged(
            lines
                .map(|(line, _)| {
                    let first = line.events.partition_point(|placed| placed.event.offset() <= scan.after);
                    line.events.range(first..).peekable()
                })
                .collect(),
        );
        for _ in 0..LOOK {
            let Some(placed) = merged.next_through(scan.through) else {
                return (found, Offset(scan.through));
            };
            looked = placed.event.offset();
            let is_newest =
                || scan.newest_through.is_none_or(|through| placed.topic.newest_through(through) == looked);
            if patterns.take(placed.topic.name.as_str()) && is_newest() {
                found.push(Arc::clone(&placed.event));
                if found.len() >= scan.limit {
                    break;
                }
            }
        }
        (found, Offset(looked))
    }

    /// Goes back from a place towards the oldest event in memory, until it has found as many as are wanted.
    pub(crate) fn seek(&self, filters: &[Filter], mut seek: Seek) -> Seek {
        let patterns: Patterns<()> = filters.iter().collect();
        let order = lock(&self.order);
        if let Some(few) = self.few(filters) {
            return Self::seek_few(&few, seek);
        }
        let mut lines: SmallVec<[_; 4]> = order
            .lines
            .iter()
            .map(|line| {
                let end = line.events.partition_point(|placed| placed.event.offset() <= seek.after);
                line.events.range(..end).rev().peekable()
            })
            .collect();
        for _ in 0..LOOK {
            let nearest = lines.iter_mut().filter_map(|line| Some((line.peek()?.event.offset(), line)));
            let nearest =
                nearest.max_by_key(|(offset, _)| *offset).filter(|(offset, _)| *offset > seek.floor);
            let Some((_, line)) = nearest else {
                seek.is_over = true;
                return seek;
            };
            let Some(placed) = line.next() else { return seek };
            seek.after = placed.event.offset() - 1;
            seek.count -= usize::from(patterns.take(placed.topic.name.as_str()));
            if seek.count == 0 {
                return seek;
            }
        }
        seek
    }
}

/// The lines of all rules, in the order of the log.
struct Merged<'a>(SmallVec<[Peekable<vec_deque::Iter<'a, Placed>>; 4]>);

impl<'a> Merged<'a> {
    fn next_through(&mut self, through: u64) -> Option<&'a Placed> {
        let nearest = self.0.iter_mut().filter_map(|line| Some((line.peek()?.event.offset(), line)));
        let (offset, line) = nearest.min_by_key(|(offset, _)| *offset)?;
        if offset > through { None } else { line.next() }
    }
}
