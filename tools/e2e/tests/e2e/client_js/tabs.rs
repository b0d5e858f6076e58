//! One stream for all tabs of an origin.

use anyhow::Context as _;
use fourways_e2e::{Browser, Server, run};
use serde_json::{Value, json};
use thirtyfour::WindowHandle;

use super::{begin, publish};
use crate::operate::{SECRET, token};

/// Returns the number of open subscriptions by a technique, those to patterns included.
async fn open(server: &Server, technique: &str) -> anyhow::Result<u64> {
    let text = reqwest::get(format!("{}/metrics", server.url())).await?.text().await?;
    let name = format!("fourways_open_subscriptions{{technique=\"{technique}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    Ok(value.context("no such metric")?.parse()?)
}

/// More tabs than a browser opens connections to a server over HTTP/1.1: all stay fresh by one stream, and when the tab
/// that holds it goes, another takes over and nothing is missed.
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
        // The first tab holds the stream, and is closed while events come.
        browser.driver.switch_to_window(tabs[0].clone()).await?;
        publish(&server, 21..=25).await?;
        browser.driver.close_window().await?;
        publish(&server, 26..=40).await?;
        for tab in &tabs[1..] {
            browser.driver.switch_to_window(tab.clone()).await?;
            browser.ask_when("return seen;", &[], |said| *said == all(40)).await?;
        }
        anyhow::ensure!(open(&server, "sse").await? == 1, "one stream for those that are left");
        // A tab that comes late and asks for everything gets the events that the others had.
        browser.go("/nowhere").await?;
        begin(&browser, &server.url(), &json!({ "techniques": ["sse"], "after": "earliest" })).await?;
        browser.ask_when("return seen;", &[], |said| *said == all(40)).await?;
        publish(&server, 41..=45).await?;
        browser.ask_when("return seen;", &[], |said| *said == all(45)).await?;
        browser.close().await
    });
}

/// Opens one tab per set of options in the browser's window, one after the other, with a reader in each.
async fn tabs(browser: &Browser, server: &Server, options: &[Value]) -> anyhow::Result<Vec<WindowHandle>> {
    let mut tabs = vec![browser.driver.window().await?];
    for _ in 1..options.len() {
        tabs.push(browser.driver.new_tab().await?);
    }
    for (tab, options) in tabs.iter().zip(options) {
        browser.driver.switch_to_window(tab.clone()).await?;
        browser.go("/nowhere").await?;
        begin(browser, &server.url(), options).await?;
        browser.ask_when("return states.length;", &[], |said| *said != json!(0)).await?;
    }
    Ok(tabs)
}

async fn have_seen(browser: &Browser, tabs: &[WindowHandle], last: i64) -> anyhow::Result<()> {
    let all = json!((1..=last).collect::<Vec<i64>>());
    for tab in tabs {
        browser.driver.switch_to_window(tab.clone()).await?;
        browser.ask_when("return seen;", &[], |said| *said == all).await?;
    }
    Ok(())
}

/// The first tab holds the stream. While it is frozen, as by a breakpoint or a dialog, or shows another page and is
/// kept for the way back, it holds no other tab up; and it has everything when it is there again.
#[test]
fn a_leading_tab_that_is_frozen_or_shows_another_page_holds_up_nobody() {
    run(async || {
        let server = Server::with(&["--heartbeat", "1s"])?;
        let browser = Browser::with_tabs(&server.url(), 1000).await?;
        let tabs =
            tabs(&browser, &server, &vec![json!({ "techniques": ["websocket"], "tabMs": 1000 }); 3]).await?;
        publish(&server, 1..=5).await?;
        have_seen(&browser, &tabs, 5).await?;
        browser.driver.switch_to_window(tabs[0].clone()).await?;
        let frozen = json!({ "state": "frozen" });
        browser.driver.cdp().send_raw("Page.setWebLifecycleState", frozen).await?;
        publish(&server, 6..=10).await?;
        have_seen(&browser, &tabs[1..], 10).await?;
        browser.driver.switch_to_window(tabs[0].clone()).await?;
        browser.driver.cdp().send_raw("Page.setWebLifecycleState", json!({ "state": "active" })).await?;
        have_seen(&browser, &tabs, 10).await?;
        // Each tab in turn shows another page, whichever leads now.
        for (at, tab) in tabs.iter().enumerate() {
            let before = 10 + 10 * i64::try_from(at)?;
            browser.driver.switch_to_window(tab.clone()).await?;
            browser.go("/healthz").await?;
            publish(&server, before + 1..=before + 10).await?;
            let others: Vec<_> = tabs.iter().filter(|other| *other != tab).cloned().collect();
            have_seen(&browser, &others, before + 10).await?;
            browser.driver.switch_to_window(tab.clone()).await?;
            browser.driver.back().await?;
            if browser.ask("return typeof seen;", &[]).await? == json!("undefined") {
                // The page was not kept, so its reader begins anew, with everything.
                browser.go("/nowhere").await?;
                begin(&browser, &server.url(), &json!({ "after": "earliest" })).await?;
            }
            have_seen(&browser, &tabs, before + 10).await?;
        }
        browser.close().await
    });
}

/// A tab gets the events that its own token grants; a tab that is refused is told so, and leaves the others their
/// stream.
#[test]
fn tabs_share_a_stream_only_with_those_who_may_hear_the_same() {
    run(async || {
        let folder = tempfile::tempdir()?;
        let secret = folder.path().join("secret");
        std::fs::write(&secret, SECRET)?;
        let server = Server::with(&["--token-key", &format!("HS256:{}", secret.display())])?;
        let of = |subject: &str, topics: &[&str]| {
            let rights = json!({ "subscribe": topics, "publish": ["js.*"] });
            token(&json!({ "sub": subject, "exp": 4_000_000_000_u64, "fourways": rights }))
        };
        let (ada, bob, eve) = (of("ada", &["js.*"]), of("bob", &["js.*"]), of("eve", &["chat.*"]));
        let browser = Browser::with_tabs(&server.url(), 1000).await?;
        let of = |token: &str| json!({ "techniques": ["websocket"], "token": token });
        // The tab without the right comes first.
        let all = tabs(&browser, &server, &[of(&eve), of(&ada), of(&bob), of(&ada)]).await?;
        browser.driver.switch_to_window(all[0].clone()).await?;
        let told = browser.ask_when("return states;", &[], |said| said.to_string().contains("error")).await?;
        anyhow::ensure!(told[0] == json!("null stopped"), "{told}");
        for (tab, state) in all[1..].iter().zip(["websocket open", "websocket open", "websocket shared"]) {
            browser.driver.switch_to_window(tab.clone()).await?;
            browser.ask_when("return states.at(-1);", &[], |said| *said == json!(state)).await?;
        }
        for number in 1..=5 {
            let url = format!("{}/v1/topics/js.a/events", server.url());
            let publish = reqwest::Client::new().post(url).bearer_auth(&ada);
            let publish = publish.header("Content-Type", "application/json").body(number.to_string());
            publish.send().await?.error_for_status()?;
        }
        have_seen(&browser, &all[1..], 5).await?;
        browser.driver.switch_to_window(all[0].clone()).await?;
        anyhow::ensure!(browser.ask("return seen;", &[]).await? == json!([]), "eve hears nothing");
        browser.close().await
    });
}
