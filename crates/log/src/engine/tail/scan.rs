//! Reading in the order of the log, for patterns: their indices hold the newest events only.
//!
//! A scan goes a piece at a time. Nobody can publish during a piece, so it is short, however many events there are
//! and however few of them match.

use std::{collections::vec_deque, iter::Peekable};

use fourways_shared::{Filter, Offset};
use smallvec::SmallVec;

use super::{
    Tail,
    patterns::Patterns,
    trim::{LogEntry, RetainedLog},
};
use crate::{
    encoding::Encoded,
    engine::{Floors, RetentionRule},
    sync::{Arc, lock},
};

/// Number of events in a piece at most.
const LOOK: usize = 2048;

/// A request for events in the order of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    /// Topics and patterns that are wanted.
    pub(crate) filters: &'a [Filter],
    /// Offset after which the scan begins.
    pub(crate) after: u64,
    /// Offset up to which the scan goes, included.
    pub(crate) through: u64,
    /// Number of events wanted at most.
    pub(crate) limit: usize,
    /// If given, only events that are the newest of their topic up to this offset are wanted.
    pub(crate) newest_through: Option<u64>,
    /// Only events that are in memory alone are wanted.
    pub(crate) is_volatile: bool,
}

/// The progress of a search for the newest events, which goes backwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seek {
    /// Number of events still to be found.
    pub(crate) count: usize,
    /// Offset down to which everything was examined: the search goes on with the events up to it, and a reader begins
    /// after it.
    pub(crate) after: u64,
    /// Offset at which the search ends: events up to it are not examined.
    pub(crate) floor: u64,
    /// No event above `floor` is left to examine.
    pub(crate) is_over: bool,
}

impl Tail {
    /// Returns, for each rule, the offset up to which its events in the filter are gone for good; 0 for a rule that
    /// can't match or whose events are in the archive.
    pub(super) fn gone(&self, order: &RetainedLog, filter: &Filter) -> Floors {
        let gone = order.lines.iter().zip(&self.rules).map(|(line, rule)| match &self.archive {
            _ if !rule.filter.overlaps(filter) => 0,
            _ if rule.is_volatile => line.gone_through.max(self.volatile_floor),
            None => line.gone_through,
            Some(_) => 0,
        });
        gone.collect()
    }

    /// Returns the offset after which no event of these topics is in the archive alone.
    pub(crate) fn in_memory_after(&self, filters: &[Filter]) -> u64 {
        if self.archive.is_none() {
            return 0;
        }
        let order = lock(&self.order);
        let meets = |rule: &RetentionRule| filters.iter().any(|filter| rule.filter.overlaps(filter));
        let lines = order.lines.iter().zip(&self.rules);
        let lines = lines.filter(|(_, rule)| !rule.is_volatile && meets(rule));
        lines.map(|(line, _)| line.gone_through).max().unwrap_or(0)
    }

    /// Returns the offset before the oldest event in memory whose rule may match the filter; `None` if there is none.
    pub(crate) fn first_in_memory(&self, filter: &Filter) -> Option<u64> {
        let order = lock(&self.order);
        let lines = order.lines.iter().zip(&self.rules);
        let lines = lines.filter(|(line, rule)| !line.events.is_empty() && rule.filter.overlaps(filter));
        lines.map(|(line, _)| line.first() - 1).min()
    }

    /// Returns the events of one piece, in order, and the offset up to which it was examined.
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

    /// Searches one piece backwards from `seek.after`, until enough events are found or memory ends.
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

/// The events of several rules, merged into the order of the log.
struct Merged<'a>(SmallVec<[Peekable<vec_deque::Iter<'a, LogEntry>>; 4]>);

impl<'a> Merged<'a> {
    fn next_through(&mut self, through: u64) -> Option<&'a LogEntry> {
        let nearest = self.0.iter_mut().filter_map(|line| Some((line.peek()?.event.offset(), line)));
        let (offset, line) = nearest.min_by_key(|(offset, _)| *offset)?;
        if offset > through { None } else { line.next() }
    }
}
