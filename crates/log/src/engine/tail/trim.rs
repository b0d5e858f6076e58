//! The events in memory in the order of the log, and dropping the oldest.

use std::collections::VecDeque;

use super::{Tail, TopicTail};
use crate::{
    encoding::Encoded,
    engine::{Now, Retention, micros},
    sync::{Arc, Ordering, PoisonError},
};

/// The events in memory in the order of the log, a line for each retention rule.
#[derive(Debug, Default)]
pub(super) struct RetainedLog {
    pub(super) lines: Vec<RuleLog>,
}

/// The events in memory that belong to one retention rule, in the order of the log.
#[derive(Debug, Default)]
pub(super) struct RuleLog {
    pub(super) events: VecDeque<LogEntry>,
    pub(super) bytes: u64,
    /// Offset of the last event of this rule that was dropped from memory.
    pub(super) gone_through: u64,
}

/// An event, and the index of its topic.
#[derive(Debug)]
pub(super) struct LogEntry {
    pub(super) event: Arc<Encoded>,
    /// Time from which the event's age counts, by [`Ages`](crate::engine::Ages).
    pub(super) since_us: u64,
    pub(super) topic: Arc<TopicTail>,
}

impl RuleLog {
    /// Returns the offset of the oldest event; the largest number if there is none.
    pub(super) fn first(&self) -> u64 {
        self.events.front().map_or(u64::MAX, |placed| placed.event.offset())
    }
}

impl Tail {
    /// Drops the events that exceed a limit of their rule or of the tail, at most `most` of them. True if there may
    /// be more.
    pub(super) fn trim(&self, order: &mut RetainedLog, now: Now, most: usize) -> bool {
        let mut left = most;
        for (place, (line, rule)) in order.lines.iter_mut().zip(&self.rules).enumerate() {
            let Retention { events, bytes, age } = rule.retention;
            while let Some(LogEntry { since_us, .. }) = line.events.front() {
                let is_kept = line.events.len() <= events
                    && line.bytes <= bytes
                    && now.age_us(*since_us) <= micros(age);
                if is_kept || left == 0 {
                    break;
                }
                self.let_go(line, place);
                left -= 1;
            }
        }
        while left > 0 && self.is_over_cap(order) {
            let lines = order.lines.iter_mut().enumerate().filter(|(_, line)| !line.events.is_empty());
            let Some((place, line)) = lines.min_by_key(|(_, line)| line.first()) else { break };
            self.let_go(line, place);
            left -= 1;
        }
        if left < most {
            let first = order.lines.iter().map(RuleLog::first).min().unwrap_or(u64::MAX);
            let head = self.head.load(Ordering::SeqCst);
            self.earliest.store((first - 1).min(head), Ordering::SeqCst);
        }
        left == 0
    }

    fn is_over_cap(&self, order: &RetainedLog) -> bool {
        let events: usize = order.lines.iter().map(|line| line.events.len()).sum();
        let bytes: u64 = order.lines.iter().map(|line| line.bytes).sum();
        events > self.cap.events || bytes > self.cap.bytes
    }

    fn let_go(&self, line: &mut RuleLog, place: usize) {
        let Some(LogEntry { event, topic, .. }) = line.events.pop_front() else { return };
        line.bytes -= event.retained_bytes();
        line.gone_through = event.offset();
        // An event that is in the archive too is not lost with this.
        let is_gone = self.archive.is_none() || self.rules[place].is_volatile;
        let rule = is_gone.then_some(place);
        self.views.read().unwrap_or_else(PoisonError::into_inner).taking(topic.name.as_str(), |view| {
            view.let_go(event.offset(), rule);
        });
        if topic.let_go(event.offset(), Some(0)) {
            self.forget(topic);
        }
    }
}
