//! Publishes to the topic that all clients read, on one connection that stays open.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};

use crate::{
    raw::Wire,
    requests::{self, TOPIC, payload},
    tally::Tally,
};

/// Default size of an event's data, in bytes; the same as `Load::PAYLOAD_BYTES`.
pub(crate) const PAYLOAD: usize = 100;

/// An open connection to publish on. Its requests and bytes are in no load's tally.
#[derive(Debug)]
pub(crate) struct Publisher(Wire);

/// Cursors in a log that was filled so that polls after them return a known number of events.
#[derive(Debug)]
pub(crate) struct Stock {
    /// Cursor that [`Stock::MANY`] events follow.
    pub(crate) before_many: String,
    /// Cursor that one event follows.
    pub(crate) before_one: String,
    /// Cursor that no event follows.
    pub(crate) last: String,
}

impl Stock {
    /// Number of events in a large answer.
    pub(crate) const MANY: usize = 16;
}

impl Publisher {
    /// Connects to the server.
    ///
    /// # Errors
    /// If the server accepts no connection in time.
    pub(crate) async fn open(server: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self(Wire::open(server, Tally::new(0)).await?))
    }

    /// Publishes `count` events of `bytes` bytes in one request, and returns the cursor of the last.
    ///
    /// # Errors
    /// If the server refuses the publish.
    pub(crate) async fn publish(&mut self, count: usize, bytes: usize) -> anyhow::Result<String> {
        let event = payload(bytes);
        let (kind, body) = match count {
            1 => ("application/json", event),
            _ => ("application/x-ndjson", vec![event; count].join("\n")),
        };
        self.0.send(&requests::post(TOPIC, kind, &body)).await?;
        let answer = self.0.answer().await?;
        let text = String::from_utf8_lossy(answer.body());
        ensure!(answer.status == 201, "a publish was refused with {}: {text}", answer.status);
        // The last string of {"cursor":"…"} and of {"cursors":["…","…"]}.
        Ok(text.rsplit('"').nth(1).context("a publish without a cursor")?.to_owned())
    }

    /// Fills the log so that polls return one event, [`Stock::MANY`] or none, depending on their cursor.
    ///
    /// # Errors
    /// If the server refuses a publish.
    pub(crate) async fn stock(&mut self) -> anyhow::Result<Stock> {
        let before_many = self.publish(1, PAYLOAD).await?;
        let before_one = self.publish(Stock::MANY - 1, PAYLOAD).await?;
        let last = self.publish(1, PAYLOAD).await?;
        Ok(Stock { before_many, before_one, last })
    }
}
