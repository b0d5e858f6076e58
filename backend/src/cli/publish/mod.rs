//! `fourways publish`: each line of standard input is an event.

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

/// What `fourways publish` can be told.
#[derive(Args, Debug)]
pub struct Publish {
    /// Topic to publish to.
    #[arg(long)]
    topic: Topic,

    /// Lines are JSON values, published as they are. Without it each line is a text.
    #[arg(long)]
    json: bool,

    /// What to do with a line that can't be published as it should be: not UTF-8, not JSON where it has to be, too long.
    #[arg(long, value_enum, default_value_t = OnBad::Skip, value_name = "WHAT")]
    on_bad: OnBad,

    #[command(flatten)]
    server: ServerFlags,
}

/// What becomes of a bad line. It is reported with its number in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnBad {
    /// Nothing.
    Skip,
    /// It is published as bytes, unless it is too long.
    Bytes,
    /// It ends the command, once all before it have arrived.
    Stop,
}

/// Lines that are there at the same time go in one request, at most so many or so many bytes.
const MAX_LINES: usize = 500;
const MAX_BYTES: usize = 256 * 1024;
/// How long a line waits for others.
const GATHER: Duration = Duration::from_millis(2);
/// Between two lines of progress.
const TELL: Duration = Duration::from_millis(500);
/// The exit code where lines were skipped.
const SKIPPED: u8 = 3;

/// Publishes until standard input ends, and prints the last cursor. What the server can't take now is tried again with the same
/// idempotency key until it can, so that nothing is lost and nothing is there twice. Ends with 3 if lines were skipped.
///
/// # Errors
/// If the server takes nothing, standard input can't be read, or a bad line is to end it. Everything before that has arrived.
pub async fn run(publish: Publish) -> anyhow::Result<ExitCode> {
    let publisher = Publisher::new(publish.server.target()?, publish.topic);
    let run = getrandom::u64().context("the system has no randomness")?;
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
        writeln!(std::io::stdout(), "{cursor}").context("standard output is gone")?;
    }
    Ok(if pipe.tally.skipped > 0 { ExitCode::from(SKIPPED) } else { ExitCode::SUCCESS })
}

/// Lines on their way.
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
            // The first line is waited for; those that are there already ride along.
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
                ended = Err(anyhow::anyhow!("the server refused it: {why}"));
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

/// How far it is, for people.
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
        // Nobody is there to read it, then.
        drop(write!(std::io::stderr(), "{before}{} published{skipped}{cursor}{after}", self.published));
    }
}
