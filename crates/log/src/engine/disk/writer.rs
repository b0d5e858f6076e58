//! The one thread that numbers and writes the log.
//!
//! Appends that arrive while the disk is busy wait and are then committed together: the slower the disk, the more
//! appends share an fsync.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError},
};

use fourways_shared::{Cursor, Event};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::keeper::{Blocks, Keeper};
use crate::engine::{
    Append, EngineError,
    sequence::{Numbered, Sequence},
};

/// An append, and the channel on which its publisher waits.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) append: Append,
    pub(super) answer: oneshot::Sender<Result<Vec<Cursor>, EngineError>>,
    /// Permit for the queue's space, returned once the append is answered.
    pub(super) room: OwnedSemaphorePermit,
}

/// A message to the writer.
#[derive(Debug)]
pub(super) enum WriterMessage {
    /// Keep an append.
    Keep(Job),
    /// Drop now what retention no longer keeps.
    Sweep,
    /// End after everything before it.
    Close,
}

/// Number of offsets that are reserved at once, so that the file is written once for them all and not for each event.
const RESERVE: u64 = 1 << 16;

/// The state of the thread that numbers, writes, syncs and answers appends, and that sweeps.
///
/// The thread owns it; nothing else numbers events or changes files. It runs until [`WriterMessage::Close`], or until the
/// engine is gone.
#[derive(Debug)]
pub(super) struct Writer {
    keeper: Keeper,
    sequence: Sequence,
    reserved: u64,
    jobs: Receiver<WriterMessage>,
    is_closing: bool,
}

/// An append that is part of a commit.
struct Taken {
    answer: oneshot::Sender<Result<Vec<Cursor>, EngineError>>,
    _room: OwnedSemaphorePermit,
    cursors: Result<Vec<Cursor>, EngineError>,
    events: Vec<Event>,
}

impl Writer {
    pub(super) const fn new(keeper: Keeper, sequence: Sequence, jobs: Receiver<WriterMessage>) -> Self {
        let reserved = sequence.head();
        Self { keeper, sequence, reserved, jobs, is_closing: false }
    }

    /// Runs until it is told to close, or nobody can append any more; then syncs, and records a clean stop.
    pub(super) fn run(mut self) {
        while !self.is_closing {
            match self.jobs.recv_timeout(self.keeper.next_duty()) {
                Ok(WriterMessage::Keep(job)) => self.commit(job),
                Ok(WriterMessage::Sweep) => self.keeper.sweep(self.sequence.head()),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(WriterMessage::Close) | Err(RecvTimeoutError::Disconnected) => break,
            }
            self.keeper.do_duties(self.sequence.head());
            self.sequence.forget_keys(self.keeper.tail().ages().now());
        }
        let closed = self
            .keeper
            .sync()
            .and_then(|()| self.keeper.store().reserve(self.sequence.head()))
            .and_then(|()| self.keeper.write_stopped());
        if let Err(error) = closed {
            tracing::error!(%error, "the log could not be closed cleanly");
        }
    }

    /// Keeps an append and those that wait behind it, all with one sync, and answers them.
    fn commit(&mut self, first: Job) {
        if self.keeper.is_broken() {
            let why = "the disk has failed; the server accepts events again after a restart";
            // A publisher that has gone needs no answer.
            drop(first.answer.send(Err(EngineError::Unavailable(why.to_owned()))));
            return;
        }
        let mark = self.sequence.mark();
        let ages = self.keeper.tail().ages();
        let (wall_us, now) = (ages.wall_us(), ages.now());
        let mut taken = Vec::new();
        let mut blocks = Blocks::default();
        let mut next = Some(first);
        let mut is_sweep_due = false;
        while let Some(Job { append, answer, room }) = next {
            let (cursors, events) = match self.sequence.number(append, wall_us, now) {
                Ok(Numbered::Before(cursors)) => (Ok(cursors), Vec::new()),
                Ok(Numbered::New(events)) => (Ok(events.iter().map(|event| event.cursor).collect()), events),
                Err(error) => (Err(error), Vec::new()),
            };
            blocks.add(self.keeper.rules(), &events);
            taken.push(Taken { answer, _room: room, cursors, events });
            next = match if blocks.are_full() { None } else { self.jobs.try_recv().ok() } {
                Some(WriterMessage::Keep(job)) => Some(job),
                Some(WriterMessage::Sweep) => {
                    is_sweep_due = true;
                    None
                }
                Some(WriterMessage::Close) => {
                    self.is_closing = true;
                    None
                }
                None => None,
            };
        }
        let head = offset_before(&taken, self.sequence.head());
        match self.reserve().and_then(|()| self.keeper.keep(blocks, now, now.us, head)) {
            Ok(()) => {
                self.keeper.count(taken.iter().map(|taken| taken.events.as_slice()));
                for Taken { answer, cursors, events, .. } in taken {
                    self.keeper.tail().put(events);
                    // A publisher that has gone needs no answer.
                    drop(answer.send(cursors));
                }
            }
            Err(error) => {
                self.sequence.roll_back(mark);
                tracing::error!(%error, appends = taken.len(), "the log can't be written");
                for Taken { answer, .. } in taken {
                    drop(answer.send(Err(EngineError::of_disk(&error))));
                }
            }
        }
        if is_sweep_due {
            self.keeper.sweep(self.sequence.head());
        }
    }

    /// Records that the offsets assigned so far may be in use, and many more, so that the file is rarely written.
    fn reserve(&mut self) -> io::Result<()> {
        let head = self.sequence.head();
        if head > self.reserved {
            self.keeper.store().reserve(head + RESERVE)?;
            self.reserved = head + RESERVE;
        }
        Ok(())
    }
}

/// Returns the offset before the first event of a commit.
fn offset_before(taken: &[Taken], head: u64) -> u64 {
    let first = taken.iter().find_map(|taken| taken.events.first());
    first.map_or(head, |event| event.cursor.offset.0 - 1)
}
