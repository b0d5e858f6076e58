//! The wire as files: complete, of the size that the page shows, and without the secrets of the page.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use fourways_e2e::{Browser, DEADLINE, Server, TECHNIQUES, run};
use serde_json::{Value, json};

use super::{COUNT, MATCHING, flow};

/// Script that returns the bytes that the page shows, and the words on who counted them.
const BYTES: &str = "
    const stats = [...document.querySelectorAll('.stat')];
    const stat = stats.find(stat => stat.textContent.startsWith('Bytes ↓'));
    return [stat.querySelector('dt').textContent, stat.querySelector('dd').textContent];";
/// Script that keeps the addresses of the page's sockets.
const KEEP_ADDRESSES: &str = "
    const Real = WebSocket;
    window.opened = [];
    window.WebSocket = class extends Real {
        constructor(...given) { super(...given); opened.push(String(given[0])); }
    };";
/// Script that returns the page's own id, which is in the address of its channel to the server.
const LAB_ID: &str =
    "return opened.map(address => /[?&]lab=([a-z2-9]{16})/.exec(address)?.[1]).find(id => id)";

#[test]
fn short_polling_can_be_taken_along() {
    take_along(0);
}

#[test]
fn long_polling_can_be_taken_along() {
    take_along(1);
}

#[test]
fn sse_can_be_taken_along() {
    take_along(2);
}

#[test]
fn websocket_can_be_taken_along() {
    take_along(3);
}

fn take_along(at: usize) {
    run(async || {
        let (technique, path) = TECHNIQUES[at];
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.before_load(KEEP_ADDRESSES).await?;
        let folder = Folder::new(technique)?;
        let allowed = json!({ "behavior": "allow", "downloadPath": folder.0 });
        browser.driver.cdp().send_raw("Browser.setDownloadBehavior", allowed).await?;
        flow(&browser, path, 60).await?;
        // The stream is closed, so that page and files speak of the same units.
        browser.click("[data-testid=close]").await?;
        let began = Instant::now();
        let (har, ndjson, lines, delivered) = loop {
            browser.settled(MATCHING).await?;
            let delivered: usize = browser.settled(COUNT).await?.parse()?;
            folder.empty()?;
            browser.click("[data-testid=har]").await?;
            browser.click("[data-testid=ndjson]").await?;
            let (har, ndjson) = (folder.file("fourways.har").await?, folder.file("fourways.ndjson").await?);
            let lines = ndjson.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
            let said = browser.ask(BYTES, &[]).await?;
            let (down, up) = (sum(&lines, "down"), sum(&lines, "up"));
            if is_said(&said, down, up) {
                break (har, ndjson, lines, delivered);
            }
            // On a busy machine the server may count the last answer after the files were saved.
            ensure!(
                began.elapsed() < DEADLINE,
                "the file has {down} B down and {up} B up, the page says {said}"
            );
        };

        let id = browser.ask(LAB_ID, &[]).await?;
        let id = id.as_str().context("the page has an id")?;
        ensure!(!har.contains(id) && !ndjson.contains(id), "who has the file could break the page's streams");
        ensure!(ndjson.contains("lab=****************."), "and it is hidden, not gone: {ndjson}");

        let har: Value = serde_json::from_str(&har)?;
        is_har(&har)?;
        has_all(&har, technique, &lines, delivered)?;
        browser.close().await
    });
}

/// Returns the sum of the bytes of one direction in the file.
fn sum(lines: &[Value], direction: &str) -> f64 {
    let bytes = lines.iter().filter(|line| line["direction"] == direction).map(|line| &line["bytes"]);
    let bytes = bytes.flat_map(|bytes| ["headers", "framing", "payload"].map(|part| &bytes[part]));
    bytes.filter_map(Value::as_f64).sum()
}

/// True if the page shows these bytes, to within one per cent, and says that the server has counted them.
fn is_said(said: &Value, down: f64, up: f64) -> bool {
    let near = |figure: Option<f64>, sum: f64| figure.is_some_and(|f| (f - sum).abs() <= sum / 100.0);
    let figures = said[1].as_str().and_then(|figures| figures.split_once(" / "));
    said[0].as_str().is_some_and(|who| who.ends_with("counted at the server"))
        && figures.is_some_and(|(d, u)| near(bytes_of(d), down) && near(bytes_of(u), up))
}

/// Parses a size, as in `6.42 kB`, into bytes.
fn bytes_of(text: &str) -> Option<f64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let number: f64 = number.parse().ok()?;
    let scale = match unit {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        _ => return None,
    };
    Some(number * scale)
}

/// Checks that the file has the members that HAR 1.2 requires, each of its kind.
fn is_har(har: &Value) -> anyhow::Result<()> {
    ensure!(har["log"]["version"] == "1.2", "its version is {}", har["log"]["version"]);
    for name in ["name", "version"] {
        ensure!(har["log"]["creator"][name].is_string(), "no creator.{name}");
    }
    for entry in har["log"]["entries"].as_array().context("no entries")? {
        let has = |names: &[&str], is: fn(&Value) -> bool| {
            let missing = names.iter().find(|name| !entry.pointer(name).is_some_and(is));
            missing.map_or(Ok(()), |name| Err(anyhow::anyhow!("{name} is missing in {entry}")))
        };
        has(&["/request/method", "/request/url", "/request/httpVersion"], Value::is_string)?;
        has(&["/response/statusText", "/response/httpVersion", "/response/redirectURL"], Value::is_string)?;
        has(&["/startedDateTime", "/response/content/mimeType"], Value::is_string)?;
        has(&["/request/cookies", "/request/headers", "/request/queryString"], Value::is_array)?;
        has(&["/response/cookies", "/response/headers"], Value::is_array)?;
        has(&["/request/headersSize", "/request/bodySize"], Value::is_number)?;
        has(&["/response/status", "/response/headersSize", "/response/bodySize"], Value::is_number)?;
        has(&["/response/content/size", "/time"], Value::is_number)?;
        has(&["/timings/send", "/timings/wait", "/timings/receive"], Value::is_number)?;
        has(&["/cache"], Value::is_object)?;
    }
    Ok(())
}

/// Checks that every request of the lines has its entry, with the status of its answer; and that the entries carry all
/// events that the page has had, where tools look for them.
fn has_all(har: &Value, technique: &str, lines: &[Value], delivered: usize) -> anyhow::Result<()> {
    let entries = har["log"]["entries"].as_array().context("no entries")?;
    let of_unit = |unit: &'static str| lines.iter().filter(move |line| line["unit"] == unit);
    for request in of_unit("request") {
        let entry = entries.iter().find(|entry| entry["_n"] == request["n"]);
        let entry = entry.with_context(|| format!("no entry for {request}"))?;
        if let Some(response) = of_unit("response").find(|line| line["n"] == request["n"]) {
            ensure!(entry["response"]["status"] == response["code"], "{response} is not in {entry}");
        }
        let scheme = if technique == "websocket" { "ws://" } else { "http://" };
        let url = entry["request"]["url"].as_str().unwrap_or_default();
        ensure!(url.starts_with(scheme) && entry["_technique"] == technique, "{entry}");
    }
    let events: usize = match technique {
        "websocket" => {
            let messages: Vec<&Value> =
                entries.iter().filter_map(|entry| entry["_webSocketMessages"].as_array()).flatten().collect();
            ensure!(messages.len() == of_unit("frame").count(), "not every frame is a message");
            messages.into_iter().filter(|message| is_event(&message["data"])).count()
        }
        "sse" => {
            let messages = entries.iter().filter_map(|entry| entry["_eventSourceMessages"].as_array());
            messages.flatten().filter(|message| is_event(&message["data"])).count()
        }
        _ => {
            let bodies = entries.iter().filter_map(|entry| entry["response"]["content"]["text"].as_str());
            let bodies = bodies.filter_map(|body| serde_json::from_str::<Value>(body).ok());
            bodies.map(|body| body["events"].as_array().map_or(0, Vec::len)).sum()
        }
    };
    ensure!(events >= delivered, "{events} events in the entries, {delivered} on the page");
    Ok(())
}

fn is_event(data: &Value) -> bool {
    let data = data.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    data.is_some_and(|data| data["type"] == "event")
}

/// The folder into which a test's browser downloads; removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("fourways-e2e-{}-{name}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn empty(&self) -> anyhow::Result<()> {
        for file in fs::read_dir(&self.0)? {
            fs::remove_file(file?.path())?;
        }
        Ok(())
    }

    /// Returns a file once it is whole: until then Chromium gives it another name.
    async fn file(&self, name: &str) -> anyhow::Result<String> {
        let began = Instant::now();
        loop {
            if let Ok(text) = fs::read_to_string(self.0.join(name))
                && !text.is_empty()
            {
                return Ok(text);
            }
            ensure!(began.elapsed() < DEADLINE, "{name} was not downloaded");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that can't be removed stays in the system's temporary folder.
        drop(fs::remove_dir_all(&self.0));
    }
}
