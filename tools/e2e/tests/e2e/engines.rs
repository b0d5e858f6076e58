//! The lab and `client.js` in the two other engines. `cargo xtask engines` installs what this needs; without it these
//! tests report that they were skipped.

use std::io::Write as _;

use anyhow::Context as _;
use fourways_e2e::{Engine, Foreign, Server, run};
use serde_json::json;

use crate::access::PAGES;

/// Script that reads, and keeps the events in `seen` and the states in `states`. `OPTIONS` is replaced.
const READ: &str = "
    const { subscribe } = await import('/client.js');
    Object.assign(window, { seen: [], states: [] });
    window.stream = subscribe('js.*', ({ data }) => window.seen.push(data), {
        tabMs: 1000, pollMs: 200, ...OPTIONS,
        onState: ({ technique, state }) => window.states.push(`${technique} ${state}`),
        onReset: reset => window.states.push(`reset ${reset.reason}`),
        onError: error => window.states.push(`error ${error.message}`),
    });";

/// Runs a test if the engine is installed, or if `FOURWAYS_ENGINES` demands it.
fn with(engine: Engine, test: impl AsyncFnOnce(Server, Foreign) -> anyhow::Result<()>) {
    if !engine.is_there() && std::env::var_os("FOURWAYS_ENGINES").is_none() {
        let said = writeln!(std::io::stderr(), "skipped: {engine:?} or its driver is not on this machine");
        return said.unwrap();
    }
    run(async || {
        let server = Server::with(&["--heartbeat", "1s"])?;
        test(server, Foreign::start(engine).await?).await
    });
}

async fn every_page_opens(server: Server, browser: Foreign) -> anyhow::Result<()> {
    for (page, at_work) in PAGES {
        browser.driver.goto(format!("{}{page}", server.url())).await?;
        browser.find(at_work).await.with_context(|| page)?;
    }
    browser.end().await
}

async fn begin(browser: &Foreign, server: &Server, options: &serde_json::Value) -> anyhow::Result<()> {
    browser.driver.goto(format!("{}/nowhere", server.url())).await?;
    browser.ask(&READ.replace("OPTIONS", &options.to_string())).await?;
    browser.ask_when("return window.states.length;", |count| *count != json!(0)).await?;
    Ok(())
}

async fn publish(server: &Server, numbers: std::ops::RangeInclusive<i64>) -> anyhow::Result<()> {
    for number in numbers {
        server.publish(if number % 3 == 0 { "js.b" } else { "js.a" }, number.to_string()).await?;
    }
    Ok(())
}

async fn has_seen(browser: &Foreign, last: i64) -> anyhow::Result<()> {
    let all = json!((1..=last).collect::<Vec<i64>>());
    browser.ask_when("return window.seen;", |seen| *seen == all).await?;
    Ok(())
}

async fn each_technique_reads(server: Server, browser: Foreign) -> anyhow::Result<()> {
    let mut last = 0;
    for technique in ["websocket", "sse", "long_poll", "short_poll"] {
        begin(&browser, &server, &json!({ "techniques": [technique], "after": "earliest" })).await?;
        browser
            .ask_when("return window.states.at(-1);", |state| *state == json!(format!("{technique} open")))
            .await?;
        publish(&server, last + 1..=last + 10).await?;
        last += 10;
        has_seen(&browser, last).await.with_context(|| technique)?;
        browser.ask("window.stream.close();").await?;
    }
    browser.end().await
}

async fn tabs_hand_the_stream_over(server: Server, browser: Foreign) -> anyhow::Result<()> {
    let mut tabs = vec![browser.driver.window().await?];
    for _ in 1..3 {
        tabs.push(browser.driver.new_tab().await?);
    }
    for tab in &tabs {
        browser.switch(tab).await?;
        begin(&browser, &server, &json!({})).await?;
    }
    let mut last = 0;
    let mut told = async |tabs: &[thirtyfour::WindowHandle]| {
        publish(&server, last + 1..=last + 10).await?;
        last += 10;
        for tab in tabs {
            browser.switch(tab).await?;
            has_seen(&browser, last).await?;
        }
        anyhow::Ok(())
    };
    told(&tabs).await.context("all are there")?;
    // The first tab leads, and shows another page.
    browser.switch(&tabs[0]).await?;
    browser.driver.goto(format!("{}/healthz", server.url())).await?;
    told(&tabs[1..]).await.context("the first shows another page")?;
    // The second tab leads, and is closed.
    browser.switch(&tabs[1]).await?;
    browser.driver.close_window().await?;
    told(&tabs[2..]).await.context("the second is closed")?;
    browser.end().await
}

#[test]
fn every_page_opens_in_firefox() {
    with(Engine::Gecko, every_page_opens);
}

#[test]
fn every_page_opens_in_webkit() {
    with(Engine::WebKit, every_page_opens);
}

#[test]
fn each_technique_reads_in_firefox() {
    with(Engine::Gecko, each_technique_reads);
}

#[test]
fn each_technique_reads_in_webkit() {
    with(Engine::WebKit, each_technique_reads);
}

#[test]
fn tabs_hand_the_stream_over_in_firefox() {
    with(Engine::Gecko, tabs_hand_the_stream_over);
}

#[test]
fn tabs_hand_the_stream_over_in_webkit() {
    with(Engine::WebKit, tabs_hand_the_stream_over);
}
