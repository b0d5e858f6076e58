//! Prints how many frames a second the overview draws while events arrive on all four lanes.
//!
//! `FOURWAYS_BINARY=target/release/fourways cargo run -p fourways-e2e --bin frames [events a second]`

use std::time::Duration;

use anyhow::Context as _;
use fourways_e2e::{Browser, Server};

/// Counts frames, and the longest pause between two, for five seconds.
const COUNT: &str = "
    const done = arguments[arguments.length - 1];
    let frames = 0, longest = 0, last = performance.now();
    const end = last + 5000;
    requestAnimationFrame(function step(now) {
        frames += 1; longest = Math.max(longest, now - last); last = now;
        if (now < end) requestAnimationFrame(step); else done([frames / 5, longest]);
    });";

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "it prints what it measures")]
async fn main() -> anyhow::Result<()> {
    let rate: u32 =
        std::env::args().nth(1).map_or(Ok(500), |rate| rate.parse()).context("a number of events")?;
    let server = Server::start("127.0.0.1:0")?;
    let url = format!("{}/v1/topics/host.cpu/events", server.url());
    let publishing = tokio::spawn(async move {
        let http = reqwest::Client::new();
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        let lines = "{\"percent\":1.5,\"cores\":[1.0,2.0]}\n".repeat(rate as usize / 50);
        loop {
            ticks.tick().await;
            let request = http.post(&url).header("Content-Type", "application/x-ndjson").body(lines.clone());
            if let Err(error) = request.send().await {
                return error;
            }
        }
    });
    let browser = Browser::open(&server.url(), 1440).await?;
    browser.go("/").await?;
    for technique in ["short_poll", "long_poll", "sse", "websocket"] {
        browser.count_above(&format!("[data-testid=events-{technique}]"), u64::from(rate)).await?;
    }
    let measured = browser.driver.execute_async(COUNT, vec![]).await?;
    let figures = measured.json().as_array().cloned().unwrap_or_default();
    let figure = |at: usize| figures.get(at).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
    println!("{rate} events/s on four lanes: {:.1} frames/s, longest pause {:.0} ms", figure(0), figure(1));
    anyhow::ensure!(!publishing.is_finished(), "publishing ended early");
    publishing.abort();
    browser.close().await
}
