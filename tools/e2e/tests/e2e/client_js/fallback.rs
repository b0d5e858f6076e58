//! A path that does not carry the best technique: the reader falls back to one that the path carries, and climbs again
//! when the path is repaired. The path is a bad proxy, alone or behind each of the real ones, or a real proxy as it is
//! first set up.

use anyhow::Context as _;
use fourways_e2e::{Fault, FaultyProxy, Kind, Proxy, Server, run};
use serde_json::json;

use super::{Reader, publish};

/// Environment in which the reader runs.
#[derive(Clone, Copy, Debug)]
enum From {
    Page,
    Node,
    /// A page that connects by TLS and HTTP/2 through this proxy, which has the bad one behind it.
    PageBehind(Kind),
}

/// Faults of the path, and the technique that each leads to.
const WAYS: [(Fault, &str); 3] =
    [(Fault::BlocksUpgrades, "sse"), (Fault::CutsUpgraded, "sse"), (Fault::BuffersStreams, "long_poll")];

fn last_state(told: &serde_json::Value) -> Option<&str> {
    told["states"].as_array()?.last()?.as_str()
}

async fn falls_back(reader: &Reader, server: &Server, to: &str) -> anyhow::Result<()> {
    publish(server, 1..=5).await?;
    let open = format!("{to} open");
    reader.until(|_, state| state == open).await?;
    publish(server, 6..=20).await?;
    reader.has_seen_to(20).await
}

async fn climbs(reader: &Reader, server: &Server) -> anyhow::Result<()> {
    let mut number = 20;
    loop {
        number += 1;
        publish(server, number..=number).await?;
        let told = reader.told().await?;
        if last_state(&told) == Some("websocket open") {
            break;
        }
        anyhow::ensure!(number < 2000, "it does not climb: {}", told["states"]);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    publish(server, number + 1..=number + 10).await?;
    reader.has_seen_to(number + 10).await
}

async fn falls_back_and_climbs((fault, to): (Fault, &str), from: From) -> anyhow::Result<()> {
    let server = Server::with(&["--heartbeat", "1s"])?;
    let path = FaultyProxy::before(&server.address, fault)?;
    let proxy = match from {
        From::PageBehind(kind) => Some(Proxy::before(kind, path.url.trim_start_matches("http://"))?),
        From::Page | From::Node => None,
    };
    let url = proxy.as_ref().map_or(&path.url, |proxy| &proxy.url);
    let options = json!({ "after": "earliest" });
    let reader = match from {
        From::Node => Reader::node(url, &options).await?,
        From::Page | From::PageBehind(_) => Reader::page(url, &options).await?,
    };
    falls_back(&reader, &server, to).await?;
    path.heal();
    climbs(&reader, &server).await?;
    reader.end().await
}

async fn every_way(from: From) -> anyhow::Result<()> {
    for way in WAYS {
        falls_back_and_climbs(way, from).await.with_context(|| format!("{way:?} {from:?}"))?;
    }
    Ok(())
}

#[test]
fn a_page_falls_back_and_climbs() {
    run(async || every_way(From::Page).await);
}

#[test]
fn node_falls_back_and_climbs() {
    run(async || every_way(From::Node).await);
}

#[test]
fn a_page_behind_nginx_falls_back_and_climbs() {
    run(async || every_way(From::PageBehind(Kind::Nginx)).await);
}

#[test]
fn a_page_behind_caddy_falls_back_and_climbs() {
    run(async || every_way(From::PageBehind(Kind::Caddy)).await);
}

#[test]
fn a_page_behind_haproxy_falls_back_and_climbs() {
    run(async || every_way(From::PageBehind(Kind::Haproxy)).await);
}

/// nginx with nothing but `proxy_pass`, set to buffer whatever the answer asks for: it removes `Upgrade` and holds
/// streams back.
#[test]
fn nginx_as_it_is_first_set_up_leaves_long_polls() {
    run(async || {
        let server = Server::with(&["--heartbeat", "1s"])?;
        let proxy = Proxy::careless(&server.address)?;
        let reader = Reader::page(&proxy.url, &json!({ "after": "earliest" })).await?;
        falls_back(&reader, &server, "long_poll").await.with_context(|| proxy.log())?;
        reader.end().await
    });
}
