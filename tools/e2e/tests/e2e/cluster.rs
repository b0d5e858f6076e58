//! The overview on three servers of one log, behind `HAProxy` as in `deploy/cluster`: a page and a client of `client.js` go
//! on when a server is killed, and nothing is lost, repeated or reordered.

use std::{ops::Range, time::Duration};

use fourways_e2e::{Browser, DEADLINE, Proxy, Server, run};
use fourways_testkit::{Nats, skipped};
use serde_json::json;

const NAMES: [&str; 3] = ["athens", "berlin", "cairo"];
/// Number of events that are published over each kill.
const EVENTS: u64 = 20;

/// Script that reads a topic by `client.js` with each technique, and keeps the data of its events.
const READ: &str = "
    const done = arguments[arguments.length - 1];
    window.seen = {};
    import('/client.js').then(({ subscribe }) => {
        for (const technique of ['short_poll', 'long_poll', 'sse', 'websocket']) {
            seen[technique] = [];
            subscribe('counted', ({ data }) => seen[technique].push(data), { techniques: [technique], share: false });
        }
        done();
    });";

/// Returns the server that a lane's stream is from.
async fn server_of(
    browser: &Browser,
    technique: &str,
    is_another: impl Fn(&str) -> bool,
) -> anyhow::Result<String> {
    let css = format!("[data-testid=node-{technique}]");
    let name = |text: &str| text.rsplit(' ').next().unwrap_or_default().to_owned();
    let text = browser
        .text_when(&css, |text| NAMES.contains(&name(text).as_str()) && is_another(&name(text)))
        .await?;
    Ok(name(&text))
}

/// Publishes the numbers after each of these, each to one server after another until one takes it.
async fn publish_all(servers: &[Server], after: Range<u64>) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().timeout(DEADLINE).build()?;
    for number in after.map(|before| before + 1) {
        for server in servers.iter().cycle() {
            let request = http.post(format!("{}/v1/topics/counted/events", server.url()));
            let request = request.header("Idempotency-Key", format!("n{number}")).body(number.to_string());
            match request.send().await {
                Ok(answer) if answer.status().is_success() => break,
                // The server was killed.
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
    Ok(())
}

#[test]
fn a_page_goes_on_when_any_of_three_servers_is_killed() {
    run(async || {
        let Some(binary) = Nats::binary() else {
            skipped("there is no nats-server; `cargo xtask test` installs it");
            return Ok(());
        };
        let nats = Nats::cluster(&binary)?;
        let urls = nats.urls();
        // Visitors come through a proxy, so none of them is on this machine.
        let flags = ["--order", &urls, "--lab-kill", "--open-operator", "--trusted-hops", "1"];
        let start = |name: &&str| Server::with(&[&flags[..], &["--node", name]].concat());
        let servers = NAMES.iter().map(start).collect::<anyhow::Result<Vec<_>>>()?;
        let proxy = Proxy::before_cluster([0, 1, 2].map(|at| servers[at].address.as_str()))?;
        let base = proxy.url.clone();
        let browser = Browser::open(&base, 1440).await?;
        browser.go("/").await?;
        let all_ready =
            |text: &str| NAMES.iter().all(|name| text.contains(name)) && text.matches("ready").count() == 3;
        browser.text_when("[data-testid=nodes]", all_ready).await?;
        browser.driver.execute_async(READ, Vec::new()).await?;
        let mut published = 0;
        let mut killed = Vec::new();
        // Two of the three are killed, the one that serves the socket first.
        for _ in 0..2 {
            let victim = server_of(&browser, "websocket", |name| !killed.contains(&name.to_owned())).await?;
            publish_all(&servers, published..published + EVENTS / 2).await?;
            published += EVENTS / 2;
            browser.click(&format!("[aria-label='Kill the server {victim}']")).await?;
            killed.push(victim);
            publish_all(&servers, published..published + EVENTS / 2).await?;
            published += EVENTS / 2;
            for technique in ["short_poll", "long_poll", "sse", "websocket"] {
                let now = server_of(&browser, technique, |name| !killed.contains(&name.to_owned())).await?;
                assert!(!killed.contains(&now));
                let events = format!("[data-testid=events-{technique}]");
                let before = browser.text_when(&events, |_| true).await?.parse().unwrap_or(0);
                browser.count_above(&events, before).await?;
            }
        }
        let wanted: Vec<u64> = (1..=published).collect();
        let all_seen = |seen: &serde_json::Value| {
            let all = seen.as_object().is_some_and(|seen| seen.len() == 4);
            all && seen.as_object().into_iter().flatten().all(|(_, seen)| *seen == json!(wanted))
        };
        browser.ask_when("return seen;", &[], all_seen).await?;
        // The lanes have broken and come back; the log says what arrived.
        let clean = |text: &str| {
            !text.contains("over 0 reconnects") && text.ends_with(": 0 lost, 0 repeated, 0 reordered")
        };
        browser.text_when("[data-testid=nodes-ledger]", clean).await?;
        browser.close().await
    });
}
