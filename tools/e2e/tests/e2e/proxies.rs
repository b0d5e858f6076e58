//! The configurations in `deploy/`, in the real programs: all four techniques pass, with TLS and HTTP/2, and resume.

use anyhow::Context as _;
use fourways_e2e::{Browser, Kind, Proxy, Server, run};
use serde_json::json;

/// Script that reads by each technique, by `client.js`, and keeps the events under its name.
const READ: &str = "
    const done = arguments[arguments.length - 1];
    window.seen = { websocket: [], sse: [], long_poll: [], short_poll: [] };
    window.refused = [];
    import('/client.js').then(({ subscribe }) => {
        for (const technique of Object.keys(seen))
            subscribe('px.a', ({ data }) => seen[technique].push(data), {
                after: 'earliest', techniques: [technique], share: false, pollMs: 200,
                onError: error => refused.push(error.message), onReset: reset => refused.push(reset.reason),
            });
        done();
    });";
/// Script that returns the protocol over which the module came.
const PROTOCOL: &str = "return performance.getEntriesByType('resource')
    .find(entry => entry.name.endsWith('/client.js')).nextHopProtocol;";

async fn publish(server: &Server, numbers: std::ops::RangeInclusive<i64>) -> anyhow::Result<()> {
    for number in numbers {
        server.publish("px.a", number.to_string()).await?;
    }
    Ok(())
}

async fn each_has(browser: &Browser, last: i64) -> anyhow::Result<()> {
    let all: Vec<i64> = (1..=last).collect();
    let expected = json!({ "websocket": all, "sse": all, "long_poll": all, "short_poll": all });
    browser.ask_when("return seen;", &[], |seen| *seen == expected).await?;
    let refused = browser.ask("return refused;", &[]).await?;
    anyhow::ensure!(refused == json!([]), "{refused}");
    Ok(())
}

async fn carries_all_four(kind: Kind) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::on_disk(folder.path())?;
    let proxy = Proxy::before(kind, &server.address)?;
    let browser = Browser::open(&proxy.url, 1000).await?;
    browser.go("/nowhere").await?;
    browser.driver.execute_async(READ, Vec::new()).await?;
    publish(&server, 1..=10).await?;
    each_has(&browser, 10).await.with_context(|| proxy.log())?;
    // One event while all readers wait: no answer is held back until more events come.
    publish(&server, 11..=11).await?;
    each_has(&browser, 11).await.with_context(|| proxy.log())?;
    let protocol = browser.ask(PROTOCOL, &[]).await?;
    anyhow::ensure!(protocol == json!("h2"), "{protocol}");
    let address = server.kill();
    let server = Server::on_disk_at(&address, folder.path())?;
    publish(&server, 12..=30).await?;
    each_has(&browser, 30).await.with_context(|| proxy.log())?;
    browser.close().await
}

#[test]
fn nginx_carries_all_four_over_tls_and_http2() {
    run(async || carries_all_four(Kind::Nginx).await);
}

#[test]
fn caddy_carries_all_four_over_tls_and_http2() {
    run(async || carries_all_four(Kind::Caddy).await);
}

#[test]
fn haproxy_carries_all_four_over_tls_and_http2() {
    run(async || carries_all_four(Kind::Haproxy).await);
}
