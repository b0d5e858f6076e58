//! Reads of events that are no longer in memory: from the archive, on a thread that may block.

use std::io;

use fourways_shared::{Filter, Offset, ResetReason};
use smallvec::SmallVec;

use super::{Batch, Read, Subscription};
use crate::{
    encoding::Encoded,
    engine::{Archive, Newest, Scan, Selection, Tail},
    sync::Arc,
};

impl Subscription {
    pub(super) fn read_older(&mut self, through: u64, limit: usize) {
        // Events that are in memory are read there, not from the archive.
        let through = if self.has_pattern() { through.min(self.in_memory()) } else { through };
        let (after, through) = (Offset(self.position), Offset(through.min(self.until)));
        let is_latest = self.is_latest();
        self.read(move |archive, selection| {
            let older = if is_latest {
                archive.latest(selection, after, through, limit)
            } else {
                archive.read(selection, after, through, limit)
            };
            older.map(Read::Older)
        });
    }

    /// Starts a search of the archive for the offset at which the newest `count` events that are not in memory begin.
    pub(super) fn begin_older(&mut self, count: usize) {
        let through = Offset(self.in_memory().min(self.until));
        // A safe position until the search ends: a reader that reconnects before then gets too much, and misses
        // nothing.
        self.position = self.lowest().min(through.0);
        let Some(archive) = self.tail.archive().cloned() else { return };
        let filters: Arc<[Filter]> = self.topics().cloned().collect();
        let tail = Arc::clone(&self.tail);
        self.reading = Some(Box::pin(async move {
            let (mut before, mut left) = (through, count);
            // One part of the archive per permit, so that other readers get theirs in between.
            while left > 0 {
                let (archive, filters) = (Arc::clone(&archive), Arc::clone(&filters));
                let look = move || archive.before_newest(Selection(&filters), before, left);
                let Newest { before: reached, count, is_all } = in_turn(&tail, look).await?;
                (before, left) = (reached, left - count.min(left));
                if is_all {
                    break;
                }
            }
            Ok(Read::Begin(before))
        }));
    }

    /// Starts a read of the archive, on a thread that may block.
    fn read(&mut self, read: impl FnOnce(&dyn Archive, Selection<'_>) -> io::Result<Read> + Send + 'static) {
        let Some(archive) = self.tail.archive().cloned() else { return };
        let filters: Vec<Filter> = self.topics().cloned().collect();
        let tail = Arc::clone(&self.tail);
        self.reading =
            Some(Box::pin(async move { in_turn(&tail, move || read(&*archive, Selection(&filters))).await }));
    }

    /// Takes in the result of a read, and returns its events, if any.
    pub(super) fn take(&mut self, read: io::Result<Read>, limit: usize) -> Option<Batch> {
        let mut batch = Batch::default();
        match read {
            Ok(Read::Begin(offset)) => self.position = offset.0,
            // The archive dropped events while it was read, so the first ones may be missing from the result.
            Ok(Read::Older(_)) if !self.is_latest() && self.has_lost() => {
                let before = self.cursor();
                self.pending_reset = Some((Box::new(self.break_off(ResetReason::Retention, None)), before));
            }
            Ok(Read::Older(older)) => {
                // Leaves out topics that were unsubscribed during the read.
                let wanted = |event: &Arc<Encoded>| {
                    self.topics
                        .iter()
                        .any(|topic_cursor| topic_cursor.topic.name().matches(event.event().topic.as_str()))
                };
                batch.events = older.events.into_iter().filter(wanted).collect();
                let through = self.add_volatile(&mut batch, older.through.0, limit);
                self.position = through;
                if batch.events.len() > limit {
                    batch.events.truncate(limit);
                    self.position = batch.events.last().map_or(self.position, |last| last.offset());
                }
                if let Some(resumes) = older.resumes_after.filter(|_| self.position == older.through.0) {
                    let before = self.cursor();
                    self.position = resumes.0;
                    self.pending_reset = Some((Box::new(self.reset(ResetReason::Retention, None)), before));
                }
            }
            Err(error) => {
                tracing::error!(%error, "archived events can't be read; the reader continues with those in memory");
                let before = self.cursor();
                self.position = self.in_memory();
                self.pending_reset = Some((Box::new(self.reset(ResetReason::Retention, None)), before));
            }
        }
        self.count_seen();
        (!batch.events.is_empty()).then_some(batch)
    }

    /// Merges in the events of volatile topics up to `through`, which the archive does not hold. Returns the offset up
    /// to which the batch is complete.
    fn add_volatile(&self, batch: &mut Batch, through: u64, limit: usize) -> u64 {
        let volatile =
            || self.topics.iter().filter(|topic_cursor| self.tail.is_volatile(topic_cursor.topic.name()));
        let filters: SmallVec<[Filter; 1]> =
            volatile().map(|topic_cursor| topic_cursor.topic.name().clone()).collect();
        if filters.is_empty() {
            return through;
        }
        let (events, looked) = self.tail.scan(Scan {
            filters: &filters,
            after: self.position,
            through,
            limit,
            newest_through: self.is_latest().then(|| self.tail.head().0.min(self.until)),
            is_volatile: true,
        });
        batch.events.retain(|event| event.offset() <= looked.0);
        batch.events.extend(events);
        batch.events.sort_unstable_by_key(|event| event.offset());
        looked.0
    }
}

/// Runs blocking work on another thread, once it has a permit of the tail: the permits bound how many archive reads run
/// at once, so that the workers keep their share of the machine.
async fn in_turn<T: Send + 'static>(
    tail: &Tail,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let turn = tail.archive_turn().await;
    let work = move || {
        let _turn = turn;
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
