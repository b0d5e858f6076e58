//! What is retained, in the order of the log, and letting it go.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::{Tail, TopicTail};
use crate::{
    encoding::Encoded,
    engine::{Retention, micros},
    sync::{Arc, Ordering, PoisonError},
};

/// The retained events in the order of the log, a line for each retention rule.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) lines: Vec<Line>,
}

/// The retained events of one retention rule.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) events: VecDeque<Placed>,
    pub(super) bytes: u64,
}

/// An event, and every index that it is in: its topic's, and those of patterns that somebody reads.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) event: Arc<Encoded>,
    pub(super) indices: SmallVec<[Arc<TopicTail>; 1]>,
}

impl Line {
    /// The offset of the oldest; the largest number if there is none.
    fn first(&self) -> u64 {
        self.events.front().map_or(u64::MAX, |placed| placed.event.offset())
    }
}

impl Tail {
    pub(super) fn trim(&self, order: &mut Order, now: u64) {
        let mut is_less = false;
        for (line, rule) in order.lines.iter_mut().zip(&self.rules) {
            let Retention { events, bytes, age } = rule.retention;
            let oldest = now.saturating_sub(micros(age));
            while let Some(Placed { event, .. }) = line.events.front() {
                let is_kept = line.events.len() <= events
                    && line.bytes <= bytes
                    && event.event().published_at_us >= oldest;
                if is_kept {
                    break;
                }
                self.let_go(line);
                is_less = true;
            }
        }
        while self.is_over_cap(order) {
            let oldest =
                order.lines.iter_mut().filter(|line| !line.events.is_empty()).min_by_key(|line| line.first());
            let Some(line) = oldest else { break };
            self.let_go(line);
            is_less = true;
        }
        if is_less {
            let first = order.lines.iter().map(Line::first).min().unwrap_or(u64::MAX);
            let head = self.head.load(Ordering::SeqCst);
            self.earliest.store((first - 1).min(head), Ordering::SeqCst);
        }
    }

    fn is_over_cap(&self, order: &Order) -> bool {
        let events: usize = order.lines.iter().map(|line| line.events.len()).sum();
        let bytes: u64 = order.lines.iter().map(|line| line.bytes).sum();
        events > self.cap.events || bytes > self.cap.bytes
    }

    fn let_go(&self, line: &mut Line) {
        let Some(Placed { event, indices }) = line.events.pop_front() else { return };
        line.bytes -= event.retained_bytes();
        for index in indices {
            let is_empty = {
                let mut log = index.log.write().unwrap_or_else(PoisonError::into_inner);
                // A view that nobody reads any more holds nothing.
                if log.events.front().is_some_and(|first| first.offset() == event.offset()) {
                    log.events.pop_front();
                }
                log.trimmed += 1;
                log.trimmed_through = event.offset();
                log.events.is_empty()
            };
            if is_empty {
                self.forget(index);
            }
        }
    }
}
