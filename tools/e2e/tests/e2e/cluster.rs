//! The overview on three servers of one log: a page and a client of `client.js` go on when a server is killed, and nothing
//! is lost, repeated or reordered.

use std::ops::Range;

use fourways_e2e::{Browser, DEADLINE, Server, run};
use fourways_testkit::{Balancer, Nats, own_address, skipped};
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

/// Publishes the numbers after each of these behind the balancer, each until a server takes it.
async fn publish_all(base: &str, after: Range<u64>) -> anyhow::Result<()> {
    for number in after {
        publish(base, number + 1).await?;
    }
    Ok(())
}

async fn publish(base: &str, number: u64) -> anyhow::Result<()> {
    loop {
        // Another connection each time, which may be to another server.
        let http = reqwest::Client::builder().timeout(DEADLINE).build()?;
        let request = http.post(format!("{base}/v1/topics/counted/events"));
        let request = request.header("Idempotency-Key", format!("n{number}")).body(number.to_string());
        match request.send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            // The server was killed, or is not to be reached yet.
            _ => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
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
        let start = |name: &&str| Server::with(&["--order", &urls, "--node", name, "--lab-kill"]);
        let servers = NAMES.iter().map(start).collect::<anyhow::Result<Vec<_>>>()?;
        let addresses = servers.iter().map(|server| server.address.parse()).collect::<Result<Vec<_>, _>>()?;
        let balancer = Balancer::start((own_address(), 0), &addresses)?;
        let base = format!("http://{}", balancer.address());
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
            publish_all(&base, published..published + EVENTS / 2).await?;
            published += EVENTS / 2;
            browser.click(&format!("[aria-label='Kill the server {victim}']")).await?;
            killed.push(victim);
            publish_all(&base, published..published + EVENTS / 2).await?;
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
