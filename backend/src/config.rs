//! Every limit: its unit, its default, its reason.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;

use crate::engine::Retention;

/// What `fourways serve` can be told. Every flag is also an environment variable.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, env = "FOURWAYS_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
    pub listen: SocketAddr,

    /// Worker threads; 0 means one for each core.
    #[arg(long, env = "FOURWAYS_WORKERS", default_value_t = 0, value_name = "N")]
    pub workers: usize,

    /// Built-in source of events.
    #[arg(long, env = "FOURWAYS_SOURCE", value_enum, default_value_t = Source::Host)]
    pub source: Source,

    /// Events a second that the source publishes to each of its topics, 0.1 to 100.
    #[arg(long, env = "FOURWAYS_SOURCE_RATE", default_value_t = 1.0, value_name = "PER_SECOND", value_parser = source_rate)]
    pub source_rate: f64,

    /// Serve HTTPS, with HTTP/2 for browsers that speak it. Without --tls-cert a certificate is made for development:
    /// browsers warn of it.
    #[arg(long, env = "FOURWAYS_TLS")]
    pub tls: bool,

    /// Certificate chain in PEM; turns --tls on.
    #[arg(long, env = "FOURWAYS_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Its private key in PEM.
    #[arg(long, env = "FOURWAYS_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap prints a flattened field's doc as the group's help")]
    pub limits: Limits,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap prints a flattened field's doc as the group's help")]
    pub retention: RetentionFlags,
}

/// A source of events that needs no publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// This machine's CPU, memory, load and network, on host.cpu, host.memory, host.load, host.network.
    Host,
    /// None.
    None,
}

/// What one client may ask for.
#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// Longest request body and WebSocket message, in bytes.
    #[arg(long, env = "FOURWAYS_MAX_BODY_BYTES", default_value_t = 1 << 20, value_name = "BYTES")]
    pub max_body_bytes: usize,

    /// Longest time that a poll is held, in seconds. 25 stays under the 30 s at which common load balancers give up.
    #[arg(long, env = "FOURWAYS_MAX_WAIT", default_value = "25", value_name = "SECONDS", value_parser = seconds)]
    pub max_wait: Duration,

    /// Time between heartbeats on SSE and WebSocket, in seconds. 15 stays under the 60 s after which common proxies
    /// cut a quiet connection, with room for three to be lost.
    #[arg(long, env = "FOURWAYS_HEARTBEAT", default_value = "15", value_name = "SECONDS", value_parser = seconds)]
    pub heartbeat: Duration,

    /// What SSE clients are told to wait before they reconnect, in seconds.
    #[arg(long, env = "FOURWAYS_SSE_RETRY", default_value = "2", value_name = "SECONDS", value_parser = seconds)]
    pub sse_retry: Duration,

    /// Most events in one answer.
    #[arg(long, env = "FOURWAYS_MAX_EVENTS", default_value_t = 1000, value_name = "N")]
    pub max_events: usize,

    /// Most topics of one connection.
    #[arg(long, env = "FOURWAYS_MAX_TOPICS", default_value_t = 64, value_name = "N")]
    pub max_topics: usize,
}

/// How much of the log is kept.
#[derive(Args, Clone, Debug)]
pub struct RetentionFlags {
    /// Keep at most this many events.
    #[arg(long, env = "FOURWAYS_RETAIN_EVENTS", default_value_t = Retention::default().events, value_name = "N")]
    pub retain_events: usize,

    /// Keep at most this many bytes of events.
    #[arg(long, env = "FOURWAYS_RETAIN_BYTES", default_value_t = Retention::default().bytes, value_name = "BYTES")]
    pub retain_bytes: u64,

    /// Keep no event longer than this, in seconds.
    #[arg(long, env = "FOURWAYS_RETAIN_AGE", default_value = "3600", value_name = "SECONDS", value_parser = seconds)]
    pub retain_age: Duration,
}

impl RetentionFlags {
    /// As the engine takes it.
    pub const fn retention(&self) -> Retention {
        Retention { events: self.retain_events, bytes: self.retain_bytes, age: self.retain_age }
    }
}

impl Config {
    /// How many workers there will be.
    pub fn workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            given => given,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is expected".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| *duration > Duration::ZERO)
        .ok_or_else(|| "a number of seconds above 0 is expected".to_owned())
}

fn source_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a number is expected".to_owned())?;
    if (0.1..=100.0).contains(&rate) { Ok(rate) } else { Err("allowed are 0.1 to 100".to_owned()) }
}
