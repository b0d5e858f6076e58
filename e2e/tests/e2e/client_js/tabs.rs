//! One stream for all tabs of an origin.

use anyhow::Context as _;
use fourways_e2e::{Browser, Server, run};
use serde_json::json;

use super::{begin, publish};

/// How many subscriptions there are by a technique, to patterns too.
async fn open(server: &Server, technique: &str) -> anyhow::Result<u64> {
    let text = reqwest::get(format!("{}/metrics", server.url())).await?.text().await?;
    let name = format!("fourways_open_subscriptions{{technique=\"{technique}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    Ok(value.context("no such metric")?.parse()?)
}

/// More tabs than a browser opens connections to a server on HTTP/1.1: all stay fresh by one stream, and when the tab that
/// holds it goes, another takes over and nothing is missed.
#[test]
fn ten_tabs_share_one_stream_and_hand_it_over() {
    run(async || {
        const TABS: usize = 10;
        let server = Server::with(&["--heartbeat", "1s"])?;
        let browser = Browser::open(&server.url(), 1000).await?;
        let options = json!({ "techniques": ["sse"] });
        let mut tabs = vec![browser.driver.window().await?];
        for _ in 1..TABS {
            tabs.push(browser.driver.new_tab().await?);
        }
        for tab in &tabs {
            browser.driver.switch_to_window(tab.clone()).await?;
            browser.go("/nowhere").await?;
            begin(&browser, &server.url(), &options).await?;
            let is_on = "return states.some(state => ['sse open', 'sse shared'].includes(state));";
            browser.ask_when(is_on, &[], |said| *said == json!(true)).await?;
        }
        anyhow::ensure!(open(&server, "sse").await? == 1, "one stream for all");
        publish(&server, 1..=20).await?;
        let all = |last: i64| json!((1..=last).collect::<Vec<i64>>());
        for tab in &tabs {
            browser.driver.switch_to_window(tab.clone()).await?;
            browser.ask_when("return seen;", &[], |said| *said == all(20)).await?;
        }
        // The first holds the stream; it closes while events come.
        browser.driver.switch_to_window(tabs[0].clone()).await?;
        publish(&server, 21..=25).await?;
        browser.driver.close_window().await?;
        publish(&server, 26..=40).await?;
        for tab in &tabs[1..] {
            browser.driver.switch_to_window(tab.clone()).await?;
            browser.ask_when("return seen;", &[], |said| *said == all(40)).await?;
        }
        anyhow::ensure!(open(&server, "sse").await? == 1, "one stream for those that are left");
        // One that comes late and asks for everything gets what the others had.
        browser.go("/nowhere").await?;
        begin(&browser, &server.url(), &json!({ "techniques": ["sse"], "after": "earliest" })).await?;
        browser.ask_when("return seen;", &[], |said| *said == all(40)).await?;
        publish(&server, 41..=45).await?;
        browser.ask_when("return seen;", &[], |said| *said == all(45)).await?;
        browser.close().await
    });
}
