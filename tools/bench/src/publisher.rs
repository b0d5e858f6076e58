//! Publishes to the topic that everybody reads, on one connection that stays open.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};

use crate::{
    raw::Wire,
    requests::{self, TOPIC, payload},
    tally::Tally,
};

/// Bytes of an event's data where nothing else is said: as `Load::PAYLOAD_BYTES`.
pub(crate) const PAYLOAD: usize = 100;

/// An open connection; its requests and bytes are in no load's tally.
#[derive(Debug)]
pub(crate) struct Publisher(Wire);

/// Places in a log that was filled for polls of a known size.
#[derive(Debug)]
pub(crate) struct Stock {
    /// [`Stock::MANY`] events follow.
    pub(crate) before_many: String,
    /// One event follows.
    pub(crate) before_one: String,
    /// Nothing follows.
    pub(crate) last: String,
}

impl Stock {
    /// How many events a large answer has.
    pub(crate) const MANY: usize = 16;
}

impl Publisher {
    /// Connects.
    ///
    /// # Errors
    /// If nobody accepts.
    pub(crate) async fn open(server: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self(Wire::open(server, Tally::new(0)).await?))
    }

    /// Publishes so many events of so many bytes, at once; the place of the last.
    ///
    /// # Errors
    /// If the server refuses.
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
        // The last text of {"cursor":"…"} and of {"cursors":["…","…"]}.
        Ok(text.rsplit('"').nth(1).context("a publish without a cursor")?.to_owned())
    }

    /// Fills the log for polls that find something.
    ///
    /// # Errors
    /// If the server refuses.
    pub(crate) async fn stock(&mut self) -> anyhow::Result<Stock> {
        let before_many = self.publish(1, PAYLOAD).await?;
        let before_one = self.publish(Stock::MANY - 1, PAYLOAD).await?;
        let last = self.publish(1, PAYLOAD).await?;
        Ok(Stock { before_many, before_one, last })
    }
}
