//! The server as its own process, so that it can be killed.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use fourways_testkit::{Process, own_address};
use serde_json::Value;

use crate::DEADLINE;

/// A running `fourways serve` at a loopback address of its own; killed when dropped.
#[derive(Debug)]
pub struct Server {
    process: Process,
    /// As in `127.0.0.1:8080`.
    pub address: String,
}

impl Server {
    /// Starts it with its log in memory.
    ///
    /// # Errors
    /// If it does not say where it listens.
    pub fn start() -> anyhow::Result<Self> {
        Self::with(&[])
    }

    /// The same with these flags more.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn with(flags: &[&str]) -> anyhow::Result<Self> {
        Self::run(None, &[&["--memory"], flags].concat())
    }

    /// The same at an address that an earlier server has left.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn again_at(address: &str) -> anyhow::Result<Self> {
        Self::run(Some(address), &["--memory"])
    }

    /// With its log in a folder, over restarts.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn on_disk(folder: &Path) -> anyhow::Result<Self> {
        Self::run(None, &["--data", name_of(folder)?])
    }

    /// The same at an address that an earlier server has left.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn on_disk_at(address: &str, folder: &Path) -> anyhow::Result<Self> {
        Self::run(Some(address), &["--data", name_of(folder)?])
    }

    /// Starts one with its log in a folder and these flags more, at an address that an earlier server has left, if one is given.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn on_disk_with(address: Option<&str>, folder: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        Self::run(address, &[&["--data", name_of(folder)?], flags].concat())
    }

    /// Has it end in order, waits until it has, and returns its address.
    ///
    /// # Errors
    /// If it does not end.
    pub fn drain(mut self) -> anyhow::Result<String> {
        self.process.terminate()?;
        self.process.ended()?;
        Ok(self.address)
    }

    fn run(address: Option<&str>, flags: &[&str]) -> anyhow::Result<Self> {
        let binary = std::env::var_os("FOURWAYS_BINARY")
            .context("FOURWAYS_BINARY is not set: run `cargo xtask test`")?;
        let free = format!("{}:0", own_address());
        // A binary for tests has no app built in.
        let app = std::env::var("FOURWAYS_APP").ok();
        let app: Vec<&str> = app.as_deref().map_or_else(Vec::new, |folder| vec!["--app", folder]);
        let flags = [&["--source-rate", "4"], app.as_slice(), flags].concat();
        let process = Process::serve_on(binary, address.unwrap_or(&free), &flags)?;
        Ok(Self { address: process.address().to_owned(), process })
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Kills it as `kill -9` does, and returns its address.
    pub fn kill(self) -> String {
        self.process.kill()
    }

    /// Publishes JSON.
    ///
    /// # Errors
    /// If the server does not take it.
    pub async fn publish(&self, topic: &str, json: String) -> anyhow::Result<()> {
        let url = format!("{}/v1/topics/{topic}/events", self.url());
        reqwest::Client::new().post(url).body(json).send().await?.error_for_status()?;
        Ok(())
    }

    /// How many read by each technique, over all topics.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn subscribers(&self, technique: &str) -> anyhow::Result<u64> {
        let listing = self.listing().await?;
        let topics = listing["topics"].as_array().context("no topics")?;
        Ok(topics.iter().filter_map(|topic| topic["subscribers"][technique].as_u64()).sum())
    }

    /// The topic of the page that is open: only it reads one under `lab.`.
    ///
    /// # Errors
    /// If no page is open, or the server does not answer.
    pub async fn lab_topic(&self) -> anyhow::Result<String> {
        let listing = self.listing().await?;
        let topics = listing["topics"].as_array().context("no topics")?;
        let mut names = topics.iter().filter_map(|topic| topic["topic"].as_str());
        names.find(|name| name.starts_with("lab.")).map(str::to_owned).context("no page has a topic")
    }

    /// Has the server publish to a topic under `lab.`, for half a minute unless it is said again.
    ///
    /// # Errors
    /// If the server does not.
    pub async fn feed(&self, topic: &str, events_per_s: u32) -> anyhow::Result<()> {
        let url = format!("{}/v1/lab/feeds/{topic}", self.url());
        let wish = format!("{{\"rate\":{events_per_s},\"bytes\":96}}");
        reqwest::Client::new().put(url).body(wish).send().await?.error_for_status()?;
        Ok(())
    }

    /// The newest offset of the log.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn head(&self) -> anyhow::Result<u64> {
        let listing = self.listing().await?;
        let offset = listing["cursor"].as_str().and_then(|cursor| cursor.split('-').nth(1)?.parse().ok());
        offset.context("a listing without a cursor")
    }

    /// Waits until the log has come so far.
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

    /// Waits until nobody holds a connection any more by the techniques that hold one.
    ///
    /// # Errors
    /// If somebody still does at the deadline.
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
