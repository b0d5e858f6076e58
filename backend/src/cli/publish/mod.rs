//! `fourways publish`: publishes each line of standard input as an event.

mod batch;
mod lines;

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use fourways_client::Publisher;
use fourways_shared::{Cursor, Topic};
use tokio::io::BufReader;

use self::{
    batch::{Numbered, Outcome, Sender},
    lines::{Held, Line},
};
use super::server::ServerFlags;

/// Arguments of `fourways publish`.
#[derive(Args, Debug)]
pub struct Publish {
    /// Topic to publish to.
    #[arg(long)]
    topic: Topic,

    /// Publish each line as the JSON value that it is. Without it, each line is a text.
    #[arg(long)]
    json: bool,

    /// Action for a line that can't be published as it is: not UTF-8, not JSON under --json, too long, or refused.
    #[arg(long, value_enum, default_value_t = OnBad::Skip, value_name = "WHAT")]
    on_bad: OnBad,

    #[command(flatten)]
    server: ServerFlags,
}

/// Treatment of a line that can't be published as it is. The line is reported with its number in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnBad {
    /// Skip the line.
    Skip,
    /// Publish the line as bytes, unless it is too long or refused; then skip it.
    Bytes,
    /// End the command, once every line before has been published.
    Stop,
}

/// Number of lines in a request at most. Lines that come at the same time share one request.
const MAX_LINES: usize = 500;
/// Length of a batch, in bytes of JSON, from which on it is sent even if it has fewer lines.
const MAX_BYTES: usize = 256 * 1024;
/// Longest time that a line waits for others to share its request.
const GATHER: Duration = Duration::from_millis(2);
/// Shortest time between two updates of the progress line.
const TELL: Duration = Duration::from_millis(500);
/// Exit code if lines were skipped.
const SKIPPED: u8 = 3;

/// Publishes standard input until it ends, and prints the last cursor. A request that the server can't accept now is
/// repeated with the same idempotency key until it can, so that no event is lost or stored twice. The exit code is 3 if
/// lines were skipped.
///
/// # Errors
/// If the server refuses every line, standard input can't be read, or a bad line stops the command. Every line before
/// that has been published.
pub async fn run(publish: Publish) -> anyhow::Result<ExitCode> {
    let publisher = Publisher::new(publish.server.target()?, publish.topic);
    let run = getrandom::u64().context("the system provides no random numbers")?;
    let mut pipe = Pipe {
        sender: Sender::new(publisher, run),
        on_bad: publish.on_bad,
        batch: Vec::new(),
        bytes: 0,
        tally: Tally::default(),
    };
    let ended = pipe.read(publish.json).await;
    pipe.tally.end();
    ended?;
    if let Some(cursor) = pipe.tally.cursor {
        writeln!(std::io::stdout(), "{cursor}").context("can't write to standard output")?;
    }
    Ok(if pipe.tally.skipped > 0 { ExitCode::from(SKIPPED) } else { ExitCode::SUCCESS })
}

/// The state of one run: the batch that is being gathered, and the counts so far.
struct Pipe {
    sender: Sender,
    on_bad: OnBad,
    batch: Vec<Numbered>,
    bytes: usize,
    tally: Tally,
}

impl Pipe {
    async fn read(&mut self, is_json: bool) -> anyhow::Result<()> {
        let (mut input, mut held) = (BufReader::new(tokio::io::stdin()), Held::default());
        let mut number = 0;
        loop {
            // The first line of a batch is awaited without a limit; those that follow within `GATHER` join it.
            let next = lines::next(&mut input, &mut held, is_json);
            let line = if self.batch.is_empty() {
                next.await
            } else {
                match tokio::time::timeout(GATHER, next).await {
                    Ok(line) => line,
                    Err(_) => {
                        self.flush().await?;
                        continue;
                    }
                }
            };
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    self.flush().await?;
                    return Err(error).context("standard input can't be read");
                }
            };
            let Some(line) = line else { return self.flush().await };
            number += 1;
            match line {
                Line::Blank => {}
                Line::Json(json) => {
                    self.bytes += json.len() + 1;
                    self.batch.push(Numbered { number, json });
                    if self.batch.len() >= MAX_LINES || self.bytes >= MAX_BYTES {
                        self.flush().await?;
                    }
                }
                Line::Bad(why, bytes) => {
                    self.flush().await?;
                    self.bad(number, &why, bytes).await?;
                }
            }
        }
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let (on_bad, tally) = (self.on_bad, &mut self.tally);
        let mut ended = Ok(());
        let told = |outcome| match outcome {
            Outcome::Published { events, cursor } => {
                tally.published(events, cursor);
                true
            }
            Outcome::Refused { line, why } => {
                tally.skip(line.number, &why);
                if on_bad == OnBad::Stop {
                    ended = Err(anyhow::anyhow!("line {}: {why}", line.number));
                }
                on_bad != OnBad::Stop
            }
            Outcome::Stopped(why) => {
                ended = Err(anyhow::anyhow!("the server refused every line: {why}"));
                false
            }
        };
        self.sender.lines(batch, told).await;
        ended
    }

    async fn bad(&mut self, number: u64, why: &str, bytes: Option<Vec<u8>>) -> anyhow::Result<()> {
        match (self.on_bad, bytes) {
            (OnBad::Stop, _) => anyhow::bail!("line {number}: {why}"),
            (OnBad::Bytes, Some(bytes)) => match self.sender.bytes(bytes).await {
                Ok(cursor) => {
                    tracing::warn!("line {number}: {why}; published as bytes");
                    self.tally.published(1, cursor);
                }
                Err(refused) => self.tally.skip(number, &refused),
            },
            _ => self.tally.skip(number, why),
        }
        Ok(())
    }
}

/// The progress of a run, printed on standard error for people.
#[derive(Default)]
struct Tally {
    published: u64,
    skipped: u64,
    cursor: Option<Cursor>,
    told: Option<Instant>,
}

impl Tally {
    fn published(&mut self, events: u64, cursor: Cursor) {
        self.published += events;
        self.cursor = Some(cursor);
        let is_due = self.told.is_none_or(|told| told.elapsed() >= TELL);
        if is_due && std::io::stderr().is_terminal() {
            self.told = Some(Instant::now());
            self.tell("\r", "");
        }
    }

    fn skip(&mut self, number: u64, why: &str) {
        self.skipped += 1;
        tracing::warn!("line {number} is skipped: {why}");
    }

    fn end(&self) {
        self.tell(if self.told.is_some() { "\r" } else { "" }, "\n");
    }

    fn tell(&self, before: &str, after: &str) {
        let skipped = if self.skipped > 0 { format!(", {} skipped", self.skipped) } else { String::new() };
        let cursor = self.cursor.map(|cursor| format!("; at {cursor}")).unwrap_or_default();
        // If standard error is closed, nobody reads the progress.
        drop(write!(std::io::stderr(), "{before}{} published{skipped}{cursor}{after}", self.published));
    }
}
