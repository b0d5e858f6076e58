//! `fourways subscribe`: prints what arrives, and resumes after a broken connection.

use std::{
    io::{self, Write as _},
    num::NonZeroU32,
    ops::ControlFlow,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use fourways_client::{Arrival, Subscriber, Target};
use fourways_shared::{After, Data, Event, Policy, Technique, Topic};

/// What `fourways subscribe` can be told.
#[derive(Args, Debug)]
pub struct Subscribe {
    /// Topic to read; may be given several times.
    #[arg(long, required = true)]
    topic: Vec<Topic>,

    /// Technique to read by: sse, websocket, long-poll or short-poll.
    #[arg(long, default_value = "sse")]
    by: Technique,

    /// Where to begin: a cursor, or earliest. Without it, with the next event.
    #[arg(long, conflicts_with = "last")]
    after: Option<After>,

    /// Begin with the newest N events.
    #[arg(long, value_name = "N")]
    last: Option<NonZeroU32>,

    /// What to do with a backlog: all, or latest for only the newest event of each topic.
    #[arg(long, default_value = "all")]
    policy: Policy,

    /// Stop after so many events.
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Print whole events, not only their data.
    #[arg(long)]
    events: bool,

    /// Seconds between short polls.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    interval: f64,

    /// Server to read from.
    #[arg(long, env = "FOURWAYS_SERVER", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    server: String,

    /// Token to show, where the server asks for one. Better in the environment than on the command line, which others
    /// may see.
    #[arg(long, env = "FOURWAYS_TOKEN", hide_env_values = true, value_name = "JWT")]
    token: Option<String>,
}

/// Prints until told to stop: events on standard output, one a line, what happened to the connection on standard error.
///
/// # Errors
/// If the server refuses for good, or standard output is gone.
pub async fn run(subscribe: Subscribe) -> anyhow::Result<()> {
    let mut target = Target::new(&subscribe.server, subscribe.topic)?;
    target = target.policy(subscribe.policy).token(subscribe.token.as_deref());
    target.poll_interval = Duration::try_from_secs_f64(subscribe.interval).context("interval is no time")?;
    let after = subscribe.after.or(subscribe.last.map(After::Last)).unwrap_or_default();
    let mut left = subscribe.count;
    let mut outcome = Ok(());
    Subscriber::new(target, after)
        .run(subscribe.by, |arrival| {
            match arrival {
                Arrival::Event(event) => {
                    if let Err(error) = print(&event, subscribe.events) {
                        // The reader of a pipe that has seen enough is no failure.
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

fn print(event: &Event, whole: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match &event.data {
        _ if whole => serde_json::to_writer(&mut out, event)?,
        Data::Bytes(bytes) => out.write_all(bytes)?,
        Data::Json(raw) | Data::Text(raw) => match serde_json::from_str::<String>(raw.get()) {
            Ok(text) => out.write_all(text.as_bytes())?,
            Err(_) => out.write_all(raw.get().as_bytes())?,
        },
    }
    out.write_all(b"\n")?;
    out.flush()
}
