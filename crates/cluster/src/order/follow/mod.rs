//! Decides what to do with each message that a consumer of the stream delivers. Pure: no I/O and no clock.
//!
//! JetStream is not believed. A consumer may be made anew from its first start, be placed on a replica that lacks
//! messages, or begin in a stream that was restored from a backup. So every message is compared with the one before:
//!
//! - The consumer's own numbers have no gap; otherwise messages were lost on the way, and the consumer is made anew.
//! - Each consumer begins with the newest event that the node has, which must be the same.
//! - A gap in the stream's numbers is asked of the stream's leader: the messages were deleted, or the replica lacks them.
//! - The messages of an atomic batch are held until the last has come.

use std::{cmp::Ordering, mem};

/// A message as the consumer delivered it. `T` is what the node makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivered<T> {
    /// Number of the message in the stream: its offset.
    pub(crate) offset: u64,
    /// Number of the message among all that the consumer delivered, from 1 on.
    pub(crate) consumer: u64,
    /// The atomic batch that the message belongs to.
    pub(crate) batch: Option<Batch>,
    /// The event, or whatever else the message holds.
    pub(crate) item: T,
}

/// The place of a message in an atomic batch (ADR-50).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Id of the batch.
    pub(crate) id: Box<str>,
    /// The message is the last of its batch.
    pub(crate) is_last: bool,
}

/// A message that the stream's leader returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked<T> {
    /// Number of the message in the stream.
    pub(crate) offset: u64,
    /// The atomic batch that the message belongs to.
    pub(crate) batch: Option<Batch>,
    /// The event, or whatever else the message holds.
    pub(crate) item: T,
}

/// The result of one input: appends to keep, and what to do after that.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step<T> {
    /// Appends to keep, in this order. There may be none.
    pub(crate) keep: Vec<Vec<T>>,
    /// The next thing to do.
    pub(crate) next: Next,
}

/// The next thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Take the next message or heartbeat of the consumer.
    GoOn,
    /// Ask the leader for its first message from this offset on, and pass it to [`Follow::answer`] before anything else.
    Ask {
        /// Offset to ask from.
        from: u64,
    },
    /// Make the consumer anew.
    Remake(Why),
    /// The stream has another event at this offset than the node.
    Contradiction {
        /// Offset of the event.
        offset: u64,
    },
}

impl<T> From<Next> for Step<T> {
    fn from(next: Next) -> Self {
        Self { keep: Vec::new(), next }
    }
}

/// The reason to make a consumer anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Why {
    /// Messages were lost between the server and the node, or came twice.
    Gap,
    /// The replica behind the consumer lacked messages, which were taken from the leader.
    Replica,
    /// The consumer delivered a message that the leader does not have.
    Leader,
    /// Neither a message nor a heartbeat came for too long.
    Quiet,
    /// The server ended the consumer.
    Ended,
}

impl Why {
    /// Every reason, for lists.
    pub(crate) const ALL: [Self; 5] = [Self::Gap, Self::Replica, Self::Leader, Self::Quiet, Self::Ended];

    /// Returns the name of the reason in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Replica => "replica",
            Self::Leader => "leader",
            Self::Quiet => "quiet",
            Self::Ended => "ended",
        }
    }
}

/// The state of following one consumer.
#[derive(Debug)]
pub(crate) struct Follow<T> {
    /// Offset of the last message that was kept, skipped or held.
    head: u64,
    /// Number that the consumer gave its last message.
    consumer: u64,
    /// The newest event that the node has, until the stream's event at its offset was compared with it.
    newest: Option<(u64, T)>,
    /// The messages of a batch whose last message has not come.
    held: Vec<T>,
    batch: Option<Box<str>>,
    /// A message after a gap, while the leader is asked about the gap.
    waiting: Option<Delivered<T>>,
    /// The head when the leader last had more, and the offset up to which the leader is asked for it, once it is.
    stood_at: Option<u64>,
    missing_through: Option<u64>,
    /// Messages that the replica lacked were taken from the leader.
    is_replica_damaged: bool,
    /// Number of gaps that the leader had, too.
    holes: u64,
}

impl<T: PartialEq> Follow<T> {
    /// Begins with a new consumer. The node has everything up to `head`. `newest` is the newest event that it has to
    /// compare, with its offset; the consumer begins there, or after `head` if there is none.
    pub(crate) const fn new(head: u64, newest: Option<(u64, T)>) -> Self {
        Self {
            head,
            consumer: 0,
            newest,
            held: Vec::new(),
            batch: None,
            waiting: None,
            stood_at: None,
            missing_through: None,
            is_replica_damaged: false,
            holes: 0,
        }
    }

    /// Returns the offset at which the consumer begins.
    pub(crate) fn begins_at(&self) -> u64 {
        self.newest.as_ref().map_or(self.head + 1, |(offset, _)| *offset)
    }

    /// Returns the offset of the last message that was looked at.
    pub(crate) const fn head(&self) -> u64 {
        self.head
    }

    /// Returns the number of gaps in the stream's numbers that the leader has, too.
    pub(crate) const fn holes(&self) -> u64 {
        self.holes
    }

    /// Takes in a message of the consumer.
    pub(crate) fn message(&mut self, message: Delivered<T>) -> Step<T> {
        if message.consumer != self.consumer + 1 {
            return Next::Remake(Why::Gap).into();
        }
        self.consumer = message.consumer;
        self.look(message, Vec::new())
    }

    /// Takes in a heartbeat, with the number of the last message that the consumer has delivered.
    pub(crate) fn heartbeat(&self, consumer: u64) -> Step<T> {
        if consumer == self.consumer { Next::GoOn.into() } else { Next::Remake(Why::Gap).into() }
    }

    /// Takes in the offset of the leader's last message. If the consumer has stood still since the last time though the
    /// leader has more, its replica lacks the end of the stream.
    pub(crate) fn end(&mut self, last: u64) -> Step<T> {
        let stood_at = self.stood_at.replace(self.head);
        if last <= self.head || stood_at != Some(self.head) || self.waiting.is_some() {
            return Next::GoOn.into();
        }
        self.missing_through = Some(last);
        // The newest event is compared with the leader's, if the replica lacks it too.
        Next::Ask { from: self.newest.as_ref().map_or(self.head + 1, |(offset, _)| *offset) }.into()
    }

    /// Takes in the leader's answer: its first message from the offset on that was asked for, if it has any.
    pub(crate) fn answer(&mut self, asked: Option<Asked<T>>) -> Step<T> {
        let Some(message) = self.waiting.take() else { return self.answer_at_end(asked) };
        let Some(Asked { offset, batch, item }) = asked.filter(|asked| asked.offset <= message.offset) else {
            return Next::Remake(Why::Leader).into();
        };
        if offset == message.offset {
            // The leader has nothing in between either. If that is where the newest event was, there is nothing to
            // compare any more.
            self.holes += 1;
            self.newest = None;
            self.head = self.head.max(offset - 1);
            return self.look(message, Vec::new());
        }
        self.is_replica_damaged = true;
        let keep = match self.newest.take() {
            Some((newest, own)) if newest == offset && own != item => {
                return Next::Contradiction { offset }.into();
            }
            _ if offset <= self.head => Vec::new(),
            _ => self.take(offset, batch, item),
        };
        self.look(message, keep)
    }

    /// Takes in an answer about the end of the stream.
    fn answer_at_end(&mut self, asked: Option<Asked<T>>) -> Step<T> {
        let Some(through) = self.missing_through.take() else { return Next::GoOn.into() };
        if let (Some((newest, own)), Some(asked)) = (self.newest.take(), &asked)
            && asked.offset == newest
            && own != asked.item
        {
            return Next::Contradiction { offset: newest }.into();
        }
        let Some(Asked { offset, batch, item }) = asked else {
            // The messages up to the end were deleted, and the last one of a batch may be among them.
            self.head = through;
            self.batch = None;
            let held = mem::take(&mut self.held);
            return Step { keep: if held.is_empty() { Vec::new() } else { vec![held] }, next: Next::GoOn };
        };
        let keep = if offset > self.head { self.take(offset, batch, item) } else { Vec::new() };
        if self.head < through {
            self.missing_through = Some(through);
            return Step { keep, next: Next::Ask { from: self.head + 1 } };
        }
        Step { keep, next: Next::Remake(Why::Replica) }
    }

    /// Looks at a message of the consumer, after these appends.
    fn look(&mut self, message: Delivered<T>, mut keep: Vec<Vec<T>>) -> Step<T> {
        let offset = message.offset;
        if let Some((newest, own)) = &self.newest {
            let from = *newest;
            let next = match offset.cmp(&from) {
                Ordering::Less => Next::Remake(Why::Gap),
                Ordering::Equal if *own != message.item => Next::Contradiction { offset },
                Ordering::Equal => {
                    self.newest = None;
                    Next::GoOn
                }
                Ordering::Greater => {
                    self.waiting = Some(message);
                    Next::Ask { from }
                }
            };
            return Step { keep, next };
        }
        if offset > self.head + 1 {
            self.waiting = Some(message);
            return Step { keep, next: Next::Ask { from: self.head + 1 } };
        }
        if offset > self.head {
            keep.extend(self.take(offset, message.batch, message.item));
        }
        // Not amid a batch: the next consumer would begin before it, and find the same damage again and again.
        let may_remake = self.held.is_empty();
        let next = if may_remake && mem::take(&mut self.is_replica_damaged) {
            Next::Remake(Why::Replica)
        } else {
            Next::GoOn
        };
        Step { keep, next }
    }

    /// Takes the next message of the log; returns the appends that are complete with it.
    fn take(&mut self, offset: u64, batch: Option<Batch>, item: T) -> Vec<Vec<T>> {
        self.head = offset;
        let mut kept = Vec::new();
        let id = batch.as_ref().map(|batch| &batch.id);
        if self.batch.as_ref() != id && !self.held.is_empty() {
            // The last message of the batch before was deleted.
            kept.push(mem::take(&mut self.held));
        }
        match batch {
            Some(Batch { id, is_last: false }) => {
                self.held.push(item);
                self.batch = Some(id);
            }
            Some(Batch { is_last: true, .. }) => {
                self.held.push(item);
                kept.push(mem::take(&mut self.held));
                self.batch = None;
            }
            None => {
                kept.push(vec![item]);
                self.batch = None;
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests;
