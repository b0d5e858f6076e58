//! Prints how many frames a second the app draws: on the overview while events arrive on all four lanes, in a sequence
//! diagram at 200 events a second, with twenty pointers at 30 Hz, with twelve charts at 10 Hz, at 200 prices a second,
//! and in the wire inspector while it is scrolled through 100,000 rows.
//!
//! `FOURWAYS_BINARY=target/release/fourways cargo run -p fourways-e2e --bin frames [events a second]`

use std::time::Duration;

use anyhow::Context as _;
use fourways_e2e::{Browser, Server};

/// Script that counts the frames of five seconds, and finds the longest pause between two.
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
    fourways_e2e::ready();
    let rate: u32 =
        std::env::args().nth(1).map_or(Ok(500), |rate| rate.parse()).context("a number of events")?;
    let server = Server::start()?;
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
    println!("{rate} events/s on four lanes: {}", frames(&browser).await?);
    anyhow::ensure!(!publishing.is_finished(), "publishing ended early");
    publishing.abort();
    for path in ["/sse", "/websocket"] {
        browser.go(path).await?;
        browser.slide("Event rate", "200/s").await?;
        browser.count_above("[data-testid=count]", 2_400).await?;
        println!("{path}, 200 arrows/s over 12 s: {}", frames(&browser).await?);
    }
    println!("20 pointers at 30 Hz: {}", pointers(&server, &browser).await?);
    browser.go("/use-cases/dashboard").await?;
    browser.choose("Figures a second", "10").await?;
    browser.count_above("[data-testid=updates]", 30).await?;
    println!("12 charts at 10 Hz: {}", frames(&browser).await?);
    browser.go("/use-cases/trade").await?;
    browser.choose("Prices a second", "200").await?;
    browser.count_above("[data-testid=updates]", 600).await?;
    println!("200 prices/s: {}", frames(&browser).await?);
    println!("{ROWS} rows of the wire, scrolled: {}", scrolled(&server, &browser).await?);
    browser.close().await
}

/// Counts frames while twenty other pointers move over the field.
async fn pointers(server: &Server, browser: &Browser) -> anyhow::Result<String> {
    let url = format!("{}/v1/topics/use-case.live.pointer/events", server.url());
    let moving = tokio::spawn(async move {
        let http = reqwest::Client::new();
        let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / 30));
        for n in 0_u32.. {
            ticks.tick().await;
            let line = |who: u32| {
                let place = |speed: u32| f64::from((n * speed + who * 50) % 1_000) / 1_000.0;
                format!("{{\"who\":\"p{who}\",\"name\":\"P{who}\",\"x\":{},\"y\":{}}}\n", place(7), place(3))
            };
            let lines: String = (0..20).map(line).collect();
            let request = http.post(&url).header("Content-Type", "application/x-ndjson").body(lines);
            if request.send().await.is_err() {
                return;
            }
        }
    });
    browser.go("/use-cases/pointer").await?;
    browser.text_when("[data-testid=pointers]", |text| text.contains("P19")).await?;
    let measured = frames(browser).await;
    anyhow::ensure!(!moving.is_finished(), "moving ended early");
    moving.abort();
    measured
}

const ROWS: u64 = 100_000;
/// Rate at which the table is filled, in events a second: slow enough that no wire record is left out.
const ROWS_PER_S: u64 = 4_000;
/// Script that scrolls two rows further on every frame: 120 rows a second, as fast as anybody turns a wheel.
const SCROLL: &str = "
    const list = document.querySelector('.wire .scroll');
    requestAnimationFrame(function roll() {
        list.scrollTop += 50;
        requestAnimationFrame(roll);
    });";

/// Fills the table, then counts frames while it is scrolled.
async fn scrolled(server: &Server, browser: &Browser) -> anyhow::Result<String> {
    browser.go("/sse").await?;
    browser.count_above("[data-testid=count]", 0).await?;
    let http = reqwest::Client::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let lines = "{\"percent\":1.5,\"cores\":[1.0,2.0]}\n".repeat(usize::try_from(ROWS_PER_S / 10)?);
    for _ in 0..ROWS * 10 / ROWS_PER_S {
        ticks.tick().await;
        let url = format!("{}/v1/topics/host.cpu/events", server.url());
        let request = http.post(url).header("Content-Type", "application/x-ndjson").body(lines.clone());
        request.send().await?.error_for_status()?;
    }
    let is_full =
        |text: &str| text.split(' ').next().and_then(|n| n.parse().ok()).is_some_and(|n: u64| n >= ROWS);
    browser.text_when("[data-testid=matching]", is_full).await?;
    browser.driver.execute(SCROLL, vec![]).await?;
    frames(browser).await
}

/// Measures the frames a second over five seconds, and the longest pause.
async fn frames(browser: &Browser) -> anyhow::Result<String> {
    let measured = browser.driver.execute_async(COUNT, vec![]).await?;
    let figures = measured.json().as_array().cloned().unwrap_or_default();
    let figure = |at: usize| figures.get(at).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
    Ok(format!("{:.1} frames/s, longest pause {:.0} ms", figure(0), figure(1)))
}
