//! `fourways check`: tests whether SSE, WebSocket and polling work on the path from here to a server, and names what
//! breaks them.
//!
//! `target` finds out what an address serves. `sse`, `websocket` and `poll` send requests over `wire` and record the
//! exchanges; their `judge` modules turn the recordings into findings, and `report` writes those. A judge does no I/O,
//! and a module that sends requests never judges.

pub mod report;
pub mod verdict;

mod body;
mod fix;
mod marks;
mod poll;
mod quiet;
mod recording;
mod request;
mod sse;
mod target;
mod tls;
mod websocket;
mod wire;

use std::{io, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use fourways_shared::Topic;
use reqwest::Url;

use self::{
    report::Report,
    target::{By, Fourways, Publisher, Target},
    verdict::{Finding, Summary},
    wire::Clock,
};
use crate::{cli::server::CredentialFlags, clock};

/// Arguments of `fourways check`.
#[derive(Args, Debug)]
pub struct Check {
    /// Address to check: an SSE stream, a WebSocket or a polled URL; or http://host:port of a Fourways server, to check
    /// all its techniques.
    #[arg(value_name = "URL")]
    url: String,

    /// On a Fourways server: prefix of the topics that the check publishes to, as in T.sse; by default a random one.
    #[arg(long, value_name = "T")]
    topic: Option<Topic>,

    /// Check this technique only. Without it, the check finds out which one the address speaks.
    #[arg(long, value_enum)]
    by: Option<By>,

    /// Time for which quiet connections are watched, in seconds, 5 to 3600. Common proxies close them after 60 s: 75
    /// shows that.
    #[arg(long, default_value_t = 20.0, value_parser = seconds)]
    seconds: f64,

    /// URL where a POST publishes an event to the checked address, so that the check can send events of its own. For a
    /// Fourways server, it can be another http://host:port of the same server, such as the one behind the proxy.
    #[arg(long, value_name = "URL")]
    publish_to: Option<String>,

    #[command(flatten)]
    shown: CredentialFlags,

    /// Print the report as JSON, with all evidence.
    #[arg(long)]
    json: bool,

    /// Write the report as an HTML page, with all evidence, to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Checks an address and prints the findings on standard output. The exit code is 1 if a check failed.
///
/// # Errors
/// If the address is not valid, nothing answers there, or the report can't be written.
pub async fn run(check: Check) -> anyhow::Result<ExitCode> {
    let began_at_us = clock::now_us();
    let (url, by_scheme) = target::parse(&check.url)?;
    let publish_to = match &check.publish_to {
        Some(text) => Some(target::parse(text).context("publish-to")?.0),
        None => None,
    };
    let clock = Clock::start(check.shown.credentials()?.fields());
    let by = check.by.or(by_scheme);
    let topic = check.topic.as_ref().map_or_else(new_topic, ToString::to_string);
    let watch_ms = Duration::from_secs_f64(check.seconds).as_millis();
    let watch_ms = u64::try_from(watch_ms).unwrap_or(u64::MAX);

    let findings = match find(clock, &url, by, topic).await? {
        Target::Fourways(fourways) => {
            Box::pin(of_fourways(&fourways, by, publish_to.as_ref(), clock, watch_ms)).await
        }
        Target::One { url, by } => {
            let publisher = publish_to.map(|address| Publisher::new(clock, address));
            of_one(url, by, publisher, clock, watch_ms).await
        }
    };
    let report = Report {
        limits: limits(&url),
        url: check.url,
        by: concat!("fourways ", env!("CARGO_PKG_VERSION")),
        began_at_us,
        seconds: check.seconds,
        summary: Summary::of(&findings),
        findings,
    };
    if let Some(path) = &check.html {
        std::fs::write(path, report.page()).with_context(|| format!("can't write {}", path.display()))?;
    }
    let mut out = io::stdout().lock();
    let written = if check.json { report.write_json(&mut out) } else { report.write_text(&mut out) };
    match written {
        // A reader that closes the pipe, such as `head`, is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(report.summary.exit_code()),
    }
}

/// Returns a random prefix for topics that nobody else uses. If the system provides no random numbers, checks that run
/// at the same time share their topics; the marks still tell their events apart.
fn new_topic() -> String {
    format!("check.{:x}", getrandom::u64().unwrap_or(1))
}

async fn find(clock: Clock, url: &Url, by: Option<By>, topic: String) -> anyhow::Result<Target> {
    if let Some(fourways) = target::fourways(clock, url, topic).await {
        return Ok(Target::Fourways(fourways));
    }
    let by = match by {
        Some(by) => by,
        None => target::guess(clock, url).await?,
    };
    Ok(Target::One { url: url.clone(), by })
}

/// Checks all techniques of a Fourways server at once, each on topics of its own.
async fn of_fourways(
    fourways: &Fourways,
    only: Option<By>,
    publish_to: Option<&Url>,
    clock: Clock,
    watch_ms: u64,
) -> Vec<Finding> {
    let publisher = |part: &str| Publisher::new(clock, fourways.publish(part, publish_to));
    let is_wanted = |by| only.is_none_or(|only| only == by);
    let sse = async {
        let place = sse::Endpoint {
            live: fourways.read("/v1/stream", "sse", &[]),
            quiet: fourways.read("/v1/stream", "quiet", &[]),
            publisher: Some(publisher("sse")),
        };
        if is_wanted(By::Sse) { sse::check(&place, clock, watch_ms).await } else { Vec::new() }
    };
    let websocket = async {
        let place = websocket::Endpoint {
            live: fourways.read("/v1/ws", "websocket", &[]),
            quiet: fourways.read("/v1/ws", "quiet", &[]),
            publisher: Some(publisher("websocket")),
            is_fourways: true,
        };
        if is_wanted(By::Websocket) { websocket::check(&place, clock, watch_ms).await } else { Vec::new() }
    };
    let polls = async {
        let url = fourways.read("/v1/events", "poll", &[("after", &fourways.cursor)]);
        let known = fourways.read("/v1/events", "poll", &[]);
        let place = poll::Endpoint { url, known, publisher: Some(publisher("poll")) };
        let held = poll::Held {
            quiet: fourways.read("/v1/events", "quiet", &[]),
            live: fourways.read("/v1/events", "held", &[]),
            publisher: publisher("held"),
        };
        if !is_wanted(By::Poll) {
            return Vec::new();
        }
        let (mut findings, held) =
            tokio::join!(poll::check(&place, clock), poll::check_held(&held, clock, watch_ms));
        findings.extend(held);
        findings
    };
    let (sse, websocket, polls) = tokio::join!(sse, websocket, polls);
    [sse, websocket, polls].concat()
}

async fn of_one(url: Url, by: By, publisher: Option<Publisher>, clock: Clock, watch_ms: u64) -> Vec<Finding> {
    match by {
        By::Sse => {
            let place = sse::Endpoint { live: url.clone(), quiet: url, publisher };
            sse::check(&place, clock, watch_ms).await
        }
        By::Websocket => {
            let place = websocket::Endpoint { live: url.clone(), quiet: url, publisher, is_fourways: false };
            websocket::check(&place, clock, watch_ms).await
        }
        By::Poll => poll::check(&poll::Endpoint { known: url.clone(), url, publisher }, clock).await,
    }
}

/// Returns the properties of the path to an address that this check does not see, as sentences.
fn limits(url: &Url) -> Vec<String> {
    if url.scheme() != "https" {
        return Vec::new();
    }
    vec!["the check used HTTP/1.1; what the path does to HTTP/2 was not tried".to_owned()]
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is expected".to_owned())?;
    if (5.0..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("allowed are 5 to 3600".to_owned()) }
}
