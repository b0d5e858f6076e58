//! The server as its own process, so that it can be killed.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use fourways_testkit::{Process, own_address};
use serde_json::Value;

use crate::DEADLINE;

/// A running `fourways serve` at a loopback address of its own; killed when this value is dropped.
#[derive(Debug)]
pub struct Server {
    process: Process,
    /// Address of the server, as in `127.0.0.1:8080`.
    pub address: String,
}

impl Server {
    /// Starts a server with its log in memory.
    ///
    /// # Errors
    /// If the server does not say where it listens.
    pub fn start() -> anyhow::Result<Self> {
        Self::with(&[])
    }

    /// Starts a server with its log in memory, and with these flags more.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn with(flags: &[&str]) -> anyhow::Result<Self> {
        Self::run(None, &[&["--memory"], flags].concat())
    }

    /// Starts a server with its log in memory, at an address that an earlier server has left.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn again_at(address: &str) -> anyhow::Result<Self> {
        Self::run(Some(address), &["--memory"])
    }

    /// Starts a server with its log in a folder, which outlives restarts.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn on_disk(folder: &Path) -> anyhow::Result<Self> {
        Self::run(None, &["--data", name_of(folder)?])
    }

    /// Starts a server with its log in a folder, at an address that an earlier server has left.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn on_disk_at(address: &str, folder: &Path) -> anyhow::Result<Self> {
        Self::run(Some(address), &["--data", name_of(folder)?])
    }

    /// Starts a server with its log in a folder and with these flags more; at an address that an earlier server has
    /// left, if one is given.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn on_disk_with(address: Option<&str>, folder: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        Self::run(address, &[&["--data", name_of(folder)?], flags].concat())
    }

    /// Asks the server to drain, waits until it has ended, and returns its address.
    ///
    /// # Errors
    /// If the server does not end.
    pub fn drain(mut self) -> anyhow::Result<String> {
        self.process.terminate()?;
        self.process.ended()?;
        Ok(self.address)
    }

    fn run(address: Option<&str>, flags: &[&str]) -> anyhow::Result<Self> {
        let binary = std::env::var_os("FOURWAYS_BINARY")
            .context("FOURWAYS_BINARY is not set: run `cargo xtask test`")?;
        let free = format!("{}:0", own_address());
        // A binary built for tests has no built-in app.
        let app = std::env::var("FOURWAYS_APP").ok();
        let app: Vec<&str> = app.as_deref().map_or_else(Vec::new, |folder| vec!["--app", folder]);
        let flags = [&["--source-rate", "4"], app.as_slice(), flags].concat();
        let process = Process::serve_on(binary, address.unwrap_or(&free), &flags)?;
        Ok(Self { address: process.address().to_owned(), process })
    }

    /// Returns the URL of the server, as in `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Kills the server as `kill -9` does, and returns its address.
    pub fn kill(self) -> String {
        self.process.kill()
    }

    /// Publishes JSON to a topic.
    ///
    /// # Errors
    /// If the server does not accept it.
    pub async fn publish(&self, topic: &str, json: String) -> anyhow::Result<()> {
        let url = format!("{}/v1/topics/{topic}/events", self.url());
        reqwest::Client::new().post(url).body(json).send().await?.error_for_status()?;
        Ok(())
    }

    /// Returns the number of subscribers by a technique, over all topics.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn subscribers(&self, technique: &str) -> anyhow::Result<u64> {
        let listing = self.listing().await?;
        let topics = listing["topics"].as_array().context("no topics")?;
        Ok(topics.iter().filter_map(|topic| topic["subscribers"][technique].as_u64()).sum())
    }

    /// Returns the topic of the page that is open: only a page reads a topic under `lab.`.
    ///
    /// # Errors
    /// If no page is open, or the server does not answer.
    pub async fn lab_topic(&self) -> anyhow::Result<String> {
        let listing = self.listing().await?;
        let topics = listing["topics"].as_array().context("no topics")?;
        let mut names = topics.iter().filter_map(|topic| topic["topic"].as_str());
        names.find(|name| name.starts_with("lab.")).map(str::to_owned).context("no page has a topic")
    }

    /// Makes the server publish to a topic under `lab.`, for half a minute unless this is called again.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn feed(&self, topic: &str, events_per_s: u32) -> anyhow::Result<()> {
        let url = format!("{}/v1/lab/feeds/{topic}", self.url());
        let wish = format!("{{\"rate\":{events_per_s},\"bytes\":96}}");
        reqwest::Client::new().put(url).body(wish).send().await?.error_for_status()?;
        Ok(())
    }

    /// Returns the newest offset of the log.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn head(&self) -> anyhow::Result<u64> {
        let listing = self.listing().await?;
        let offset = listing["cursor"].as_str().and_then(|cursor| cursor.split('-').nth(1)?.parse().ok());
        offset.context("a listing without a cursor")
    }

    /// Waits until the log has reached an offset.
    ///
    /// # Errors
    /// If it has not at the deadline.
    pub async fn await_head(&self, offset: u64) -> anyhow::Result<()> {
        let waiting = async {
            while self.head().await.unwrap_or(0) < offset {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.context("nothing more is published")
    }

    /// Waits until no connection is held any more, by any of the techniques that hold one.
    ///
    /// # Errors
    /// If a connection is still held at the deadline.
    pub async fn await_no_subscribers(&self) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                let mut held = 0;
                for technique in ["long_poll", "sse", "websocket"] {
                    held += self.subscribers(technique).await.unwrap_or(1);
                }
                if held == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.context("connections are still held")
    }

    async fn listing(&self) -> anyhow::Result<Value> {
        let listing = reqwest::get(format!("{}/v1/topics", self.url())).await?.bytes().await?;
        Ok(serde_json::from_slice(&listing)?)
    }
}

fn name_of(folder: &Path) -> anyhow::Result<&str> {
    folder.to_str().context("a folder whose name is no text")
}
