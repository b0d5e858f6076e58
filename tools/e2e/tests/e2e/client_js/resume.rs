//! A killed server and a dead connection: the reader resumes where it was.

use anyhow::Context as _;
use fourways_e2e::{Fault, FaultyProxy, Server, run};
use serde_json::json;

use super::{Reader, publish};

/// Checks that a reader resumes after the server was killed and started again.
async fn resumes(technique: &str, in_page: bool) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::on_disk(folder.path())?;
    let options = json!({ "after": "earliest", "techniques": [technique] });
    let url = server.url();
    let reader =
        if in_page { Reader::page(&url, &options).await? } else { Reader::node(&url, &options).await? };
    publish(&server, 1..=10).await?;
    reader.has_seen_to(10).await?;
    let address = server.kill();
    let server = Server::on_disk_at(&address, folder.path())?;
    publish(&server, 11..=30).await?;
    reader.has_seen_to(30).await?;
    let told = reader.told().await?;
    anyhow::ensure!(!told["states"].to_string().contains("reset"), "{told}");
    reader.end().await
}

/// Checks that a connection that is dead and not closed is found by its heartbeats, and that the missed events come
/// over another one.
async fn outlives_a_death(technique: &str, in_page: bool) -> anyhow::Result<()> {
    let server = Server::with(&["--heartbeat", "1s"])?;
    let path = FaultyProxy::before(&server.address, Fault::Dies)?;
    let options = json!({ "after": "earliest", "techniques": [technique] });
    let reader = if in_page {
        Reader::page(&path.url, &options).await?
    } else {
        Reader::node(&path.url, &options).await?
    };
    publish(&server, 1..=5).await?;
    reader.has_seen_to(5).await?;
    path.die();
    publish(&server, 6..=10).await?;
    reader.has_seen_to(10).await?;
    reader.end().await
}

#[test]
fn a_death_without_a_word_is_found() {
    run(async || {
        for technique in ["websocket", "sse"] {
            outlives_a_death(technique, true).await.context(technique)?;
            outlives_a_death(technique, false).await.context(technique)?;
        }
        Ok(())
    });
}

#[test]
fn every_technique_resumes_over_a_kill_in_a_page() {
    run(async || {
        for technique in ["websocket", "sse", "long_poll", "short_poll"] {
            resumes(technique, true).await.context(technique)?;
        }
        Ok(())
    });
}

#[test]
fn every_technique_resumes_over_a_kill_in_node() {
    run(async || {
        for technique in ["websocket", "sse", "long_poll", "short_poll"] {
            resumes(technique, false).await.context(technique)?;
        }
        Ok(())
    });
}

/// A thousand events a second are more than one answer holds of the time between two polls.
#[test]
fn short_polling_keeps_up_with_a_thousand_events_a_second() {
    run(async || {
        const SECONDS: i64 = 10;
        let server = Server::start()?;
        let options = json!({ "after": "earliest", "techniques": ["short_poll"], "pollMs": 5000 });
        let reader = Reader::node(&server.url(), &options).await?;
        let url = format!("{}/v1/topics/js.a/events", server.url());
        let http = reqwest::Client::new();
        for second in 0..SECONDS {
            let lines: Vec<String> =
                (1000 * second + 1..=1000 * second + 1000).map(|n| n.to_string()).collect();
            let request =
                http.post(&url).header("Content-Type", "application/x-ndjson").body(lines.join("\n"));
            request.send().await?.error_for_status()?;
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        reader.has_seen_to(1000 * SECONDS).await?;
        reader.end().await
    });
}
