//! `fourways subscribe`: prints the events that arrive, and resumes after a broken connection.

use std::{
    io::{self, Write as _},
    num::NonZeroU32,
    ops::ControlFlow,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use fourways_client::{Arrival, Subscriber};
use fourways_shared::{After, Event, Filter, Policy, Technique};

use super::{server::ServerFlags, show};

/// Arguments of `fourways subscribe`.
#[derive(Args, Debug)]
pub struct Subscribe {
    /// Topic or pattern to read, such as chat.* or orders.>; can be given more than once.
    #[arg(long, required = true)]
    topic: Vec<Filter>,

    /// Technique to read by: sse, websocket, long-poll or short-poll.
    #[arg(long, default_value = "sse")]
    by: Technique,

    /// Cursor to start after, or earliest. Without it, reading starts with the next event.
    #[arg(long, conflicts_with = "last")]
    after: Option<After>,

    /// Start with the newest N events.
    #[arg(long, value_name = "N")]
    last: Option<NonZeroU32>,

    /// Events of a backlog to send: all, or latest for only the newest event of each topic.
    #[arg(long, default_value = "all")]
    policy: Policy,

    /// Stop after N events.
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Print whole events as JSON, for programs, instead of only their data, for people.
    #[arg(long)]
    events: bool,

    /// Seconds between short polls.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    interval: f64,

    #[command(flatten)]
    server: ServerFlags,
}

/// Prints events on standard output, one a line, and the fate of the connection on standard error, until `--count`
/// events have come or the reader of standard output leaves.
///
/// # Errors
/// If the interval is not a valid time, the server refuses for good, or standard output can't be written.
pub async fn run(subscribe: Subscribe) -> anyhow::Result<()> {
    let mut target = subscribe.server.target()?.with_filters(subscribe.topic).policy(subscribe.policy);
    target.poll_interval = Duration::try_from_secs_f64(subscribe.interval).context("invalid --interval")?;
    let after = subscribe.after.or(subscribe.last.map(After::Last)).unwrap_or_default();
    let mut left = subscribe.count;
    let mut outcome = Ok(());
    Subscriber::new(target, after)
        .run(subscribe.by, |arrival| {
            match arrival {
                Arrival::Event(event) => {
                    if let Err(error) = print(&event, subscribe.events) {
                        // A reader that closes the pipe, such as `head`, is no failure.
                        if error.kind() != io::ErrorKind::BrokenPipe {
                            outcome = Err(error.into());
                        }
                        return ControlFlow::Break(());
                    }
                    left = left.map(|left| left.saturating_sub(1));
                    if left == Some(0) {
                        return ControlFlow::Break(());
                    }
                }
                Arrival::Reset(reset) => {
                    let missed = reset.missed.map_or("unknown".to_owned(), |missed| missed.to_string());
                    tracing::warn!(reason = ?reset.reason, missed, cursor = %reset.cursor, "continuity broke");
                }
                Arrival::Lost { detail, wait: Some(wait) } => {
                    tracing::warn!(wait_ms = wait.as_millis(), "connection lost: {detail}; resuming");
                }
                Arrival::Lost { detail, wait: None } => outcome = Err(anyhow::anyhow!("the server refused: {detail}")),
                Arrival::Opened | Arrival::Position(_) => {}
            }
            ControlFlow::Continue(())
        })
        .await;
    outcome
}

fn print(event: &Event, is_whole: bool) -> io::Result<()> {
    let mut line = if is_whole { show::event(event) } else { show::data(&event.data) };
    line.push('\n');
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}
