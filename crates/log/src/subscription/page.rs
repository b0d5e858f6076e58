//! Reads for a poll: all events that exist now, up to a limit, without waiting for more.

use std::{future::poll_fn, task::Poll};

use super::{Batch, Subscription, memory::POLL_BYTES};

/// Most pieces of the log that are scanned for one answer: some 30,000 events.
const MAX_PIECES: usize = 16;

impl Subscription {
    /// Returns a batch of the events that exist now, archived ones included. Waits for the archive, and for nothing
    /// else. `None` means nothing was found so far; [`Self::has_more`] says whether the search has reached the head.
    pub async fn now(&mut self, limit: usize) -> Option<Batch> {
        let mut pieces = 0;
        poll_fn(|cx| match self.poll_next(cx, limit) {
            Poll::Ready(batch) => Poll::Ready(Some(batch)),
            Poll::Pending if self.reading.is_some() || self.seek.is_some() => Poll::Pending,
            Poll::Pending if self.has_yielded && pieces < MAX_PIECES => {
                pieces += 1;
                Poll::Pending
            }
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Returns `first`, or else the batch of [`Self::now`], extended until the answer is full or there is no more: the
    /// answer to a poll does not depend on the pieces in which the log was read.
    pub async fn page(&mut self, first: Option<Batch>, limit: usize) -> Option<Batch> {
        let mut page = match first {
            Some(first) => first,
            None => self.now(limit).await?,
        };
        let mut bytes = page.bytes();
        while page.events.len() < limit
            && bytes < POLL_BYTES
            && self.pending_reset.is_none()
            && self.has_more()
        {
            let before = self.cursor();
            let Some(next) = self.now(limit - page.events.len()).await else { break };
            if let Some(reset) = next.reset {
                // The reset belongs after the events so far, so it begins the next answer.
                self.position = reset.cursor.offset.0;
                self.pending_reset = Some((reset, before));
                self.count_seen();
                break;
            }
            bytes += next.bytes();
            page.events.extend(next.events);
        }
        Some(page)
    }
}
