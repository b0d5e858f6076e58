//! The settings of the limits. The doc comments of the flags are the text of `--help` and of `docs/fourways.toml`.

use std::time::Duration;

use clap::Args;
use fourways_log::engine::duration;

/// Limits and timeouts, for one client and for all clients together.
#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// Maximum length of a request body or a WebSocket message, in bytes.
    #[arg(long, env = "FOURWAYS_MAX_BODY_BYTES", default_value_t = 1 << 20, value_name = "BYTES")]
    pub max_body_bytes: usize,

    /// Maximum time for the body of a request to arrive.
    #[arg(long, env = "FOURWAYS_BODY_TIMEOUT", default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub body_timeout: Duration,

    /// Maximum time for the head of a request to arrive, and for a TLS handshake.
    #[arg(long, env = "FOURWAYS_HEAD_TIMEOUT", default_value = "5s", value_name = "TIME", value_parser = duration)]
    pub head_timeout: Duration,

    /// Maximum time that a long poll is held. 25 s stays below the 30 s after which common load balancers give up.
    #[arg(long, env = "FOURWAYS_MAX_WAIT", default_value = "25s", value_name = "TIME", value_parser = duration)]
    pub max_wait: Duration,

    /// Interval between heartbeats on SSE and WebSocket. 15 s stays below the 60 s after which common proxies close a
    /// quiet connection, with room for three lost heartbeats.
    #[arg(long, env = "FOURWAYS_HEARTBEAT", default_value = "15s", value_name = "TIME", value_parser = duration)]
    pub heartbeat: Duration,

    /// Maximum time for a client to acknowledge and read the data that was written to it. A slower client's connection
    /// is closed; the client resumes from its cursor. Values above --heartbeat count as --heartbeat.
    #[arg(long, env = "FOURWAYS_WRITE_TIMEOUT", default_value = "15s", value_name = "TIME", value_parser = duration)]
    pub write_timeout: Duration,

    /// Compress events of at least this many bytes, each by itself and once for all clients that accept it: gzip on
    /// SSE, permessage-deflate without context takeover on WebSocket. Without this flag nothing is compressed; it pays
    /// from about 300 bytes. The lab's own streams are never compressed.
    #[arg(long, env = "FOURWAYS_COMPRESS", value_name = "BYTES")]
    pub compress: Option<usize>,

    /// Time that SSE clients are told to wait before they reconnect.
    #[arg(long, env = "FOURWAYS_SSE_RETRY", default_value = "2s", value_name = "TIME", value_parser = duration)]
    pub sse_retry: Duration,

    /// Maximum time for connections to close in order when the server is told to stop.
    #[arg(long, env = "FOURWAYS_DRAIN", default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub drain: Duration,

    /// Maximum number of events in one poll answer, and of last=N.
    #[arg(long, env = "FOURWAYS_MAX_EVENTS", default_value_t = 1000, value_name = "N")]
    pub max_events: usize,

    /// Maximum number of topics and patterns of one connection.
    #[arg(long, env = "FOURWAYS_MAX_TOPICS", default_value_t = 64, value_name = "N")]
    pub max_topics: usize,

    /// Maximum number of different patterns with subscribers at one time, each with an index of its own in memory. One
    /// client gets at most a quarter of them.
    #[arg(long, env = "FOURWAYS_MAX_PATTERNS", default_value_t = 1000, value_name = "N")]
    pub max_patterns: usize,

    /// Maximum number of open connections. Each needs a file descriptor, and many systems allow a process 20,000.
    #[arg(long, env = "FOURWAYS_MAX_CONNECTIONS", default_value_t = 19_000, value_name = "N")]
    pub max_connections: usize,

    /// Maximum number of open connections from one address. Connections from this machine are not counted, and none are
    /// with --trusted-hops.
    #[arg(long, env = "FOURWAYS_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 512, value_name = "N")]
    pub max_connections_per_address: usize,

    /// Maximum number of streams, sockets and held polls from one address, by default a quarter of the default maximum
    /// of connections. Without --trusted-hops, all clients behind a proxy count as one address.
    #[arg(long, env = "FOURWAYS_MAX_HELD_PER_ADDRESS", default_value_t = 4_750, value_name = "N")]
    pub max_held_per_address: usize,

    /// Maximum number of streams, sockets and held polls of one token's subject.
    #[arg(long, env = "FOURWAYS_MAX_HELD_PER_SUBJECT", default_value_t = 64, value_name = "N")]
    pub max_held_per_subject: usize,

    /// Maximum number of long polls held at one time.
    #[arg(long, env = "FOURWAYS_MAX_HELD_POLLS", default_value_t = 19_000, value_name = "N")]
    pub max_held_polls: usize,

    /// Events per second that one client may publish, in bursts of up to four times as many; 0 means no limit.
    #[arg(long, env = "FOURWAYS_PUBLISH_RATE", default_value_t = 5_000, value_name = "PER_SECOND")]
    pub publish_rate: u32,

    /// Number of proxies in front of the server that write X-Forwarded-For. Entries that other machines wrote are not
    /// trusted.
    #[arg(long, env = "FOURWAYS_TRUSTED_HOPS", default_value_t = 0, value_name = "N")]
    pub trusted_hops: usize,
}

impl Default for Limits {
    /// Returns the limits of a server that is started without flags. Environment variables still apply.
    fn default() -> Self {
        #[derive(clap::Parser)]
        struct Flags {
            #[command(flatten)]
            limits: Limits,
        }
        <Flags as clap::Parser>::parse_from(["fourways"]).limits
    }
}
