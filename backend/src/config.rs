//! The settings of `fourways serve`, each with its unit, default and reason. The doc comments of the flags are the text
//! of `--help` and of `docs/fourways.toml`.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::Args;
use fourways_log::engine::{
    Durability, LagRule, Retention, RetentionRule, RetentionText, TailCap, bytes, duration,
};
use fourways_shared::{Filter, feature};

use crate::{
    access::{keys::KeySource, origin::Origin},
    net::listen::Listen,
    operate::traces::Collector,
};

/// Settings of `fourways serve`. Every flag is also an environment variable.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// File of settings (TOML), named like these flags. Environment variables override the file, flags override both.
    #[arg(long, env = "FOURWAYS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Address and port to listen on; port 0 picks a free port. Use unix:PATH to listen on a Unix socket, for a proxy
    /// on the same machine.
    #[arg(long, env = "FOURWAYS_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
    pub listen: Listen,

    /// Number of worker threads; 0 means one per core.
    #[arg(long, env = "FOURWAYS_WORKERS", default_value_t = 0, value_name = "N")]
    pub workers: usize,

    /// Built-in source of events.
    #[arg(long, env = "FOURWAYS_SOURCE", value_enum, default_value_t = Source::Host)]
    pub source: Source,

    /// Events per second that the built-in source publishes to each of its topics, 0.1 to 100.
    #[arg(long, env = "FOURWAYS_SOURCE_RATE", default_value_t = 1.0, value_name = "PER_SECOND", value_parser = source_rate)]
    pub source_rate: f64,

    /// Run the server's side of the lab's nine use cases (shop, match, exchange and so on), on the topics feature.>
    /// [default: on without --token-key, otherwise off]
    #[arg(long, env = "FOURWAYS_USE_CASES", value_enum, value_name = "SWITCH")]
    pub use_cases: Option<Switch>,

    /// Serve the lab from this folder instead of from the binary, and read each file again for each request. For
    /// development of the lab.
    #[arg(long, env = "FOURWAYS_APP", value_name = "FOLDER")]
    pub app: Option<PathBuf>,

    /// Serve HTTPS, with HTTP/2 for browsers that support it. Without --tls-cert, each start makes a self-signed
    /// certificate for development, which browsers warn about.
    #[arg(long, env = "FOURWAYS_TLS")]
    pub tls: bool,

    /// Certificate chain in PEM; implies --tls.
    #[arg(long, env = "FOURWAYS_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM.
    #[arg(long, env = "FOURWAYS_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// OpenTelemetry collector to send a span to for each request and each append, by OTLP over plain HTTP, as in
    /// <http://127.0.0.1:4318>. `OTEL_TRACES_SAMPLER` reduces how many are sent.
    #[arg(long, env = "FOURWAYS_TRACES", value_name = "URL")]
    pub traces: Option<Collector>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap prints a flattened field's doc as the group's help")]
    pub access: Access,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap prints a flattened field's doc as the group's help")]
    pub limits: Limits,

    /// Action for streams and sockets that lag by more than N events, by topic, as in prices.>=conflate:500. ACTION is
    /// cut (close the connection), skip (continue at the head of the log) or conflate (continue with the newest event
    /// of each topic). The first rule that matches a topic applies; a subscription to several topics gets the rule with
    /// the smallest N. Without a rule, a slow reader lags until retention drops its events.
    #[arg(long, env = "FOURWAYS_LAG", value_name = "PATTERN=ACTION:N", value_delimiter = ';')]
    pub lag: Vec<LagRule>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap prints a flattened field's doc as the group's help")]
    pub log: LogFlags,
}

/// A built-in source of events, which needs no publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// CPU, memory, load and network of this machine, on host.cpu, host.memory, host.load and host.network.
    Host,
    /// No built-in source.
    None,
}

/// A switch whose default depends on other settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// Run the use cases.
    On,
    /// Leave the use cases out.
    Off,
}

/// Settings of access: tokens, open servers, host names and origins.
#[derive(Args, Clone, Debug)]
pub struct Access {
    /// Key to verify tokens (JWT) with: HS256:FILE, RS256:FILE.pem, ES256:FILE.pem, EdDSA:FILE.pem or jwks:FILE.json.
    /// The file is read again when it changes. A server without a key asks nobody for a token.
    #[arg(long, env = "FOURWAYS_TOKEN_KEYS", value_name = "ALG:FILE", value_delimiter = ',')]
    pub token_key: Vec<KeySource>,

    /// Let a server without a key listen beyond this machine: anybody may then read and publish everything.
    #[arg(long, env = "FOURWAYS_OPEN")]
    pub open: bool,

    /// Let anybody operate a server without a key (list and close connections, read the metrics), not only clients on
    /// this machine.
    #[arg(long, env = "FOURWAYS_OPEN_OPERATOR")]
    pub open_operator: bool,

    /// Host name of this server besides localhost, as in push.test. A server that has no key and listens on this
    /// machine only refuses every other name, because a web page could make its own name point to this machine (DNS
    /// rebinding).
    #[arg(long, env = "FOURWAYS_HOSTS", value_name = "NAME", value_delimiter = ',')]
    pub host: Vec<String>,

    #[allow(clippy::doc_markdown, reason = "printed as help")]
    /// Origin whose pages may use this server besides its own pages, as in https://app.example, or * for any origin.
    #[arg(long, env = "FOURWAYS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub origin: Vec<Origin>,
}

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

    /// Maximum number of different patterns with subscribers at one time, each of which is compared with every event.
    /// One client gets at most a quarter of them.
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

/// Settings of the log: its folder, its durability and its retention.
#[derive(Args, Clone, Debug)]
pub struct LogFlags {
    /// Folder that holds the log.
    #[arg(long, env = "FOURWAYS_DATA", default_value = "fourways-data", value_name = "DIR")]
    pub data: PathBuf,

    /// Keep the log in memory only; it is lost when the server stops.
    #[arg(long, env = "FOURWAYS_MEMORY", conflicts_with = "data")]
    pub memory: bool,

    /// Time of acknowledging a publish. With always, once its events are on the disk (fsync). With interval:TIME, at
    /// once, with an fsync every TIME; if the machine fails (not only this process), the events acknowledged in the
    /// last interval are lost.
    #[arg(long, env = "FOURWAYS_DURABILITY", default_value = "always", value_name = "WHEN", value_parser = durability)]
    pub durability: Durability,

    /// Maximum number of events to keep [default: 100,000 in memory, 10,000,000 on disk].
    #[arg(long, env = "FOURWAYS_RETAIN_EVENTS", value_name = "N")]
    pub retain_events: Option<usize>,

    /// Maximum size of the events to keep [default: 256MiB in memory, 4GiB on disk].
    #[arg(long, env = "FOURWAYS_RETAIN_BYTES", value_name = "BYTES", value_parser = bytes)]
    pub retain_bytes: Option<u64>,

    /// Maximum age of the events to keep [default: 1h in memory, 7d on disk].
    #[arg(long, env = "FOURWAYS_RETAIN_AGE", value_name = "TIME", value_parser = duration)]
    pub retain_age: Option<Duration>,

    /// Retention of the topics that match a pattern, as in orders.>=age:30d,bytes:1GiB,events:1000000 or
    /// typing.*=memory,age:1m. The limits hold for all topics of the pattern together; memory keeps their events off
    /// the disk. The first rule that matches a topic applies. On disk, up to an eighth more is kept.
    #[arg(long, env = "FOURWAYS_RETAIN", value_name = "PATTERN=LIMITS", value_delimiter = ';')]
    pub retain: Vec<RetentionText>,

    /// Maximum number of the newest events to keep in memory too, if the log is on disk.
    #[arg(long, env = "FOURWAYS_TAIL_EVENTS", default_value_t = 100_000, value_name = "N")]
    pub tail_events: usize,

    /// Maximum size of the newest events to keep in memory too, if the log is on disk.
    #[arg(long, env = "FOURWAYS_TAIL_BYTES", default_value = "256MiB", value_name = "BYTES", value_parser = bytes)]
    pub tail_bytes: u64,
}

impl LogFlags {
    /// Returns the retention rules in order; the last applies to every topic that no other rule matches.
    pub fn rules(&self) -> Vec<RetentionRule> {
        let rest = if self.memory {
            Retention::default()
        } else {
            Retention { events: 10_000_000, bytes: 4 << 30, age: Duration::from_hours(7 * 24) }
        };
        let rest = Retention {
            events: self.retain_events.unwrap_or(rest.events),
            bytes: self.retain_bytes.unwrap_or(rest.bytes),
            age: self.retain_age.unwrap_or(rest.age),
        };
        let mut rules: Vec<RetentionRule> = self.retain.iter().map(|text| text.rule(rest)).collect();
        if !self.memory {
            // The lab's own events and the figures of this machine are worth nothing tomorrow: they stay off the disk.
            let own = Retention::default();
            rules.extend(
                OWN_TOPICS
                    .iter()
                    .filter_map(|filter| filter.parse().ok())
                    .map(|filter: Filter| RetentionRule { filter, retention: own, is_volatile: true }),
            );
        }
        rules.push(RetentionRule::for_all(rest));
        rules
    }

    /// Returns how much of a log on disk is kept in memory too.
    pub const fn cap(&self) -> TailCap {
        TailCap { events: self.tail_events, bytes: self.tail_bytes }
    }
}

/// Topics to which the server itself publishes.
const OWN_TOPICS: [&str; 4] = ["lab.>", "host.*", "presence.>", feature::LIVE];

impl Config {
    /// Returns the number of worker threads: as set, or one per core.
    pub fn workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            given => given,
        }
    }

    /// Returns the IP address that the server listens on, as text; `localhost` for a Unix socket.
    pub fn host(&self) -> String {
        match &self.listen {
            Listen::Tcp(address) => address.ip().to_string(),
            Listen::Unix(_) => "localhost".to_owned(),
        }
    }

    /// True if the server runs its side of the use cases: as set, or by default if it asks nobody for a token.
    pub fn has_use_cases(&self) -> bool {
        self.use_cases.map_or(self.access.token_key.is_empty(), |switch| switch == Switch::On)
    }

    /// True if the server speaks HTTPS.
    pub const fn is_tls(&self) -> bool {
        self.tls || self.tls_cert.is_some()
    }
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

fn durability(text: &str) -> Result<Durability, String> {
    match text.split_once(':') {
        None if text == "always" => Ok(Durability::Always),
        Some(("interval", every)) => duration(every).map(Durability::Interval),
        _ => Err("allowed are always and interval:TIME, as in interval:50ms".to_owned()),
    }
}

fn source_rate(text: &str) -> Result<f64, String> {
    let rate = f64::from_str(text).map_err(|_| "a number is expected".to_owned())?;
    if (0.1..=100.0).contains(&rate) { Ok(rate) } else { Err("allowed are 0.1 to 100".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        config: Config,
    }

    fn config(flags: &[&str]) -> Result<Config, clap::Error> {
        Flags::try_parse_from(["fourways"].iter().chain(flags)).map(|flags| flags.config)
    }

    #[test]
    fn every_topic_has_one_rule() {
        let config =
            config(&["--retain", "orders.>=age:30d", "--retain", "typing.*=memory", "--retain-events", "9"]);
        let rules = config.unwrap().log.rules();
        let of = |topic: &str| &rules[RetentionRule::place(&rules, &topic.parse().unwrap())];
        assert_eq!(
            of("orders.1").retention,
            Retention { age: Duration::from_hours(720), ..of("x").retention }
        );
        assert!(of("typing.1").is_volatile && of("lab.a.b").is_volatile && !of("x").is_volatile);
        assert_eq!((of("x").retention.events, of("orders.1").retention.events), (9, 9));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            &["--durability", "sometimes"][..],
            &["--durability", "interval:0ms"],
            &["--memory", "--data", "x"],
            &["--token-key", "HS256"],
            &["--token-key", "none:x"],
            &["--origin", "app.example"],
            &["--retain", "orders"],
            &["--heartbeat", "0"],
            &["--source-rate", "1000"],
        ] {
            assert!(config(wrong).is_err(), "{wrong:?}");
        }
        let interval = config(&["--durability", "interval:50ms"]).unwrap().log.durability;
        assert_eq!(interval, Durability::Interval(Duration::from_millis(50)));
    }
}
