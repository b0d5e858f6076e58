//! `fourways publish`: each line of standard input is an event.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use fourways_client::{Publisher, RequestError, Target};
use fourways_shared::{Topic, backoff::Backoff};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// What `fourways publish` can be told.
#[derive(Args, Debug)]
pub struct Publish {
    /// Topic to publish to.
    #[arg(long)]
    topic: Topic,

    /// Lines are JSON values, published as they are. Without it each line is a text.
    #[arg(long)]
    json: bool,

    /// Server to publish to.
    #[arg(long, env = "FOURWAYS_SERVER", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    server: String,

    /// Token to show, where the server asks for one. Better in the environment than on the command line, which others
    /// may see.
    #[arg(long, env = "FOURWAYS_TOKEN", hide_env_values = true, value_name = "JWT")]
    token: Option<String>,
}

/// Lines that are there at the same time go in one request, at most so many or so many bytes.
const MAX_LINES: usize = 500;
const MAX_BYTES: usize = 256 * 1024;

/// Publishes until standard input ends. A server that can't be reached is tried again, with the same idempotency key,
/// so that nothing is lost and nothing is there twice.
///
/// # Errors
/// If the server refuses a line, or standard input can't be read.
pub async fn run(publish: Publish) -> anyhow::Result<()> {
    let target = Target::new(&publish.server, Vec::new())?.token(publish.token.as_deref());
    let publisher = Publisher::new(target, publish.topic);
    let run_id = getrandom::u64().context("the system has no randomness")?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (mut batch, mut batch_number) = (String::new(), 0_u64);
    let mut count = 0;
    loop {
        // The first line is waited for; those that are there already ride along.
        let line = if batch.is_empty() {
            lines.next_line().await
        } else {
            match tokio::time::timeout(Duration::from_millis(2), lines.next_line()).await {
                Ok(line) => line,
                Err(_) => {
                    batch_number += 1;
                    send(&publisher, std::mem::take(&mut batch), &format!("{run_id:x}-{batch_number}"))
                        .await?;
                    count = 0;
                    continue;
                }
            }
        };
        let line = line.context("standard input can't be read")?;
        if let Some(line) = &line {
            if publish.json {
                if !line.trim().is_empty() {
                    batch.push_str(line);
                    batch.push('\n');
                }
            } else {
                batch.push_str(&serde_json::to_string(line)?);
                batch.push('\n');
            }
            count += 1;
        }
        if !batch.is_empty() && (line.is_none() || count >= MAX_LINES || batch.len() >= MAX_BYTES) {
            batch_number += 1;
            send(&publisher, std::mem::take(&mut batch), &format!("{run_id:x}-{batch_number}")).await?;
            count = 0;
        }
        if line.is_none() {
            return Ok(());
        }
    }
}

async fn send(publisher: &Publisher, lines: String, key: &str) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(getrandom::u64().unwrap_or(1));
    loop {
        match publisher.publish_lines(lines.clone(), key).await {
            Ok(_) => return Ok(()),
            Err(RequestError::Refused(problem)) if problem.status < 500 => {
                anyhow::bail!("the server refused it: {}", problem.detail)
            }
            Err(error) => {
                let wait = backoff.next(Duration::ZERO);
                tracing::warn!(%error, wait_ms = wait.as_millis(), "not published yet; trying again");
                tokio::time::sleep(wait).await;
            }
        }
    }
}
