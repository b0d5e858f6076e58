//! The server as its own process, so that it can be killed.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::DEADLINE;

/// A running `fourways serve`; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// `127.0.0.1:port`
    pub address: String,
}

impl Server {
    /// Starts it on this address; port 0 takes a free one.
    ///
    /// # Errors
    /// If it does not say where it listens.
    pub fn start(address: &str) -> anyhow::Result<Self> {
        Self::with(address, &[])
    }

    /// The same with these flags more.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn with(address: &str, flags: &[&str]) -> anyhow::Result<Self> {
        Self::run(address, &[&["--memory"], flags].concat())
    }

    /// With its log in a folder, over restarts.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn on_disk(address: &str, folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.to_str().context("a folder whose name is no text")?;
        Self::run(address, &["--data", folder])
    }

    fn run(address: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let binary = std::env::var_os("FOURWAYS_BINARY")
            .context("FOURWAYS_BINARY is not set: run `cargo xtask test`")?;
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", address, "--source-rate", "4"]).args(flags).stderr(Stdio::piped());
        let mut child = command.spawn().context("the server could not be started")?;
        let lines = BufReader::new(child.stderr.take().context("no standard error")?);
        let mut lines = lines.lines();
        let found =
            lines.by_ref().map_while(Result::ok).find_map(|line| line.split("://").nth(1).map(str::to_owned));
        // The pipe is emptied until the server ends, so that it never blocks on it.
        std::thread::spawn(move || lines.for_each(drop));
        match found {
            Some(address) => Ok(Self { child, address }),
            None => bail!("the server ended: {:?}", child.wait()),
        }
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Kills it as `kill -9` does.
    ///
    /// # Errors
    /// If it was gone already.
    pub fn kill(mut self) -> anyhow::Result<String> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.address.clone())
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

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
