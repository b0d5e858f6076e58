//! The use cases between browsers, by each technique, through a restart of the server.
//!
//! `talk` has the use cases of several people together, `shop` those that serve one visitor, `watch` those that are
//! only looked at.

mod shop;
mod talk;
mod watch;

use anyhow::Context as _;
use fourways_e2e::{Browser, Server};
use serde_json::{Value, json};

pub(crate) const TECHNIQUES: [&str; 4] = ["short-polling", "long-polling", "sse", "websocket"];

/// Script that returns the texts of all elements that a selector finds.
pub(crate) const LIST: &str =
    "return [...document.querySelectorAll(arguments[0])].map(element => element.textContent.trim());";

pub(crate) async fn list_when(
    browser: &Browser,
    css: &str,
    wanted: impl Fn(&[String]) -> bool,
) -> anyhow::Result<Vec<String>> {
    let texts = |said: &Value| -> Vec<String> {
        said.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let said = browser.ask_when(LIST, &[json!(css)], |said| wanted(&texts(said))).await?;
    Ok(texts(&said))
}

/// Waits until the stream is open, or between two polls.
pub(crate) async fn is_open(browser: &Browser) -> anyhow::Result<()> {
    browser.text_when(".demo [data-testid=link]", |text| matches!(text, "open" | "between polls")).await?;
    Ok(())
}

/// A log on disk, with servers on it, one after the other, at the same address.
pub(crate) struct Restarted {
    folder: tempfile::TempDir,
    server: Option<Server>,
    address: String,
}

impl Restarted {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = Server::on_disk(folder.path())?;
        let address = server.url().trim_start_matches("http://").to_owned();
        Ok(Self { folder, server: Some(server), address })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.server.take().context("it runs")?;
        Ok(())
    }

    pub(crate) fn again(&mut self) -> anyhow::Result<()> {
        self.server = Some(Server::on_disk_at(&self.address, self.folder.path())?);
        Ok(())
    }
}

/// Returns the data of the events on the topics of a filter, up to a thousand.
pub(crate) async fn published(log: &Restarted, filter: &str) -> anyhow::Result<Vec<Value>> {
    let url = format!("{}/v1/events?topic={filter}&after=earliest&limit=1000", log.url());
    let body: Value = serde_json::from_str(&reqwest::get(url).await?.error_for_status()?.text().await?)?;
    Ok(body["events"].as_array().context("events")?.iter().map(|event| event["data"].clone()).collect())
}
