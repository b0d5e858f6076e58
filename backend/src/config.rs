//! Every setting: its unit, its default, its reason.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::Args;
use fourways_shared::{Filter, feature};

use crate::{
    access::{keys::KeySource, origin::Origin},
    log::engine::{Durability, LagRule, Retention, RetentionRule, RetentionText, TailCap, bytes, duration},
    net::listen::Listen,
    operate::traces::Collector,
};

/// What `fourways serve` can be told. Every flag is also an environment variable.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// A file of settings (TOML), by the names of these flags; the environment wins over it, and flags over both.
    #[arg(long, env = "FOURWAYS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Address and port to listen on, port 0 takes a free one; or unix:PATH, for a proxy on the same machine.
    #[arg(long, env = "FOURWAYS_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
    pub listen: Listen,

    /// Worker threads; 0 means one for each core.
    #[arg(long, env = "FOURWAYS_WORKERS", default_value_t = 0, value_name = "N")]
    pub workers: usize,

    /// Built-in source of events.
    #[arg(long, env = "FOURWAYS_SOURCE", value_enum, default_value_t = Source::Host)]
    pub source: Source,

    /// Events a second that the source publishes to each of its topics, 0.1 to 100.
    #[arg(long, env = "FOURWAYS_SOURCE_RATE", default_value_t = 1.0, value_name = "PER_SECOND", value_parser = source_rate)]
    pub source_rate: f64,

    /// The server's halves of the lab's nine use cases: the shop, the match, the exchange and so on, on topics below
    /// feature. [default: on where nobody is asked for a token]
    #[arg(long, env = "FOURWAYS_USE_CASES", value_enum, value_name = "SWITCH")]
    pub use_cases: Option<Switch>,

    /// Serve the lab from this folder, read again for each request, instead of the one that is built in: for working
    /// on it.
    #[arg(long, env = "FOURWAYS_APP", value_name = "FOLDER")]
    pub app: Option<PathBuf>,

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

    /// An OpenTelemetry collector that takes OTLP over plain HTTP, as in <http://127.0.0.1:4318>: it is sent a span for each
    /// request and each append. `OTEL_TRACES_SAMPLER` thins them out.
    #[arg(long, env = "FOURWAYS_TRACES", value_name = "URL")]
    pub traces: Option<Collector>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap prints a flattened field's doc as the group's help")]
    pub access: Access,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap prints a flattened field's doc as the group's help")]
    pub limits: Limits,

    /// What is done to a stream or socket that falls behind, by topic, as in prices.>=conflate:500: cut ends its
    /// connection, skip goes on at the head, conflate with the newest of each topic, once more than so many events are
    /// pending. The first that fits a topic counts. Without a rule it only lags, as far as events are kept.
    #[arg(long, env = "FOURWAYS_LAG", value_name = "PATTERN=ACTION:N", value_delimiter = ';')]
    pub lag: Vec<LagRule>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap prints a flattened field's doc as the group's help")]
    pub log: LogFlags,
}

/// A source of events that needs no publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// This machine's CPU, memory, load and network, on host.cpu, host.memory, host.load, host.network.
    Host,
    /// None.
    None,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// There.
    On,
    /// Not there.
    Off,
}

/// Who gets in.
#[derive(Args, Clone, Debug)]
pub struct Access {
    /// A key that tokens (JWT) are verified with: HS256:FILE, RS256:FILE.pem, ES256:FILE.pem, EdDSA:FILE.pem or
    /// jwks:FILE.json. Read again when the file changes. Without one nobody is asked for a token.
    #[arg(long, env = "FOURWAYS_TOKEN_KEYS", value_name = "ALG:FILE", value_delimiter = ',')]
    pub token_key: Vec<KeySource>,

    /// Listen beyond this machine though there is no key, so that anybody may read and publish everything.
    #[arg(long, env = "FOURWAYS_OPEN")]
    pub open: bool,

    /// Where there is no key, let everybody see and end connections and read the metrics, not only who is on this machine.
    #[arg(long, env = "FOURWAYS_OPEN_OPERATOR")]
    pub open_operator: bool,

    /// A name that this server is called by beside localhost, as in push.test. A server without a key that listens on this
    /// machine alone answers to no other: a page could have its own name lead here (DNS rebinding).
    #[arg(long, env = "FOURWAYS_HOSTS", value_name = "NAME", value_delimiter = ',')]
    pub host: Vec<String>,

    #[allow(clippy::doc_markdown, reason = "printed as help")]
    /// An origin whose pages may use this server beside its own, as in https://app.example, or * for any.
    #[arg(long, env = "FOURWAYS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub origin: Vec<Origin>,
}

/// What one client may ask for, and all of them together.
#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// Longest request body and WebSocket message, in bytes.
    #[arg(long, env = "FOURWAYS_MAX_BODY_BYTES", default_value_t = 1 << 20, value_name = "BYTES")]
    pub max_body_bytes: usize,

    /// Longest time that a request's body may take to arrive.
    #[arg(long, env = "FOURWAYS_BODY_TIMEOUT", default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub body_timeout: Duration,

    /// Longest time that a request's head, and a TLS handshake, may take to arrive.
    #[arg(long, env = "FOURWAYS_HEAD_TIMEOUT", default_value = "5s", value_name = "TIME", value_parser = duration)]
    pub head_timeout: Duration,

    /// Longest time that a poll is held. 25 s stays under the 30 s at which common load balancers give up.
    #[arg(long, env = "FOURWAYS_MAX_WAIT", default_value = "25s", value_name = "TIME", value_parser = duration)]
    pub max_wait: Duration,

    /// Time between heartbeats on SSE and WebSocket. 15 s stays under the 60 s after which common proxies cut a quiet
    /// connection, with room for three to be lost.
    #[arg(long, env = "FOURWAYS_HEARTBEAT", default_value = "15s", value_name = "TIME", value_parser = duration)]
    pub heartbeat: Duration,

    /// How long a client may leave what was written to it unacknowledged, or not read it, before it is cut. It resumes
    /// by its cursor. Longer than the time between heartbeats counts as that.
    #[arg(long, env = "FOURWAYS_WRITE_TIMEOUT", default_value = "15s", value_name = "TIME", value_parser = duration)]
    pub write_timeout: Duration,

    /// Compresses events of at least so many bytes, each by itself and once for all, for clients that take it: gzip on SSE,
    /// permessage-deflate without context takeover on WebSocket. Off without it; from about 300 bytes it pays. The lab's own
    /// streams are never compressed.
    #[arg(long, env = "FOURWAYS_COMPRESS", value_name = "BYTES")]
    pub compress: Option<usize>,

    /// What SSE clients are told to wait before they reconnect.
    #[arg(long, env = "FOURWAYS_SSE_RETRY", default_value = "2s", value_name = "TIME", value_parser = duration)]
    pub sse_retry: Duration,

    /// Longest time that connections get to end in order when the server is told to stop.
    #[arg(long, env = "FOURWAYS_DRAIN", default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub drain: Duration,

    /// Most events in one answer.
    #[arg(long, env = "FOURWAYS_MAX_EVENTS", default_value_t = 1000, value_name = "N")]
    pub max_events: usize,

    /// Most topics of one connection.
    #[arg(long, env = "FOURWAYS_MAX_TOPICS", default_value_t = 64, value_name = "N")]
    pub max_topics: usize,

    /// Most different patterns that are subscribed to at once, by all: each is compared with every event.
    #[arg(long, env = "FOURWAYS_MAX_PATTERNS", default_value_t = 1000, value_name = "N")]
    pub max_patterns: usize,

    /// Most connections in all. Each takes a file, of which a process has 20,000 on many systems.
    #[arg(long, env = "FOURWAYS_MAX_CONNECTIONS", default_value_t = 19_000, value_name = "N")]
    pub max_connections: usize,

    /// Most connections of one address; this machine's own, and a trusted proxy's, are not counted.
    #[arg(long, env = "FOURWAYS_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 512, value_name = "N")]
    pub max_connections_per_address: usize,

    /// Most streams, sockets and held polls of one address: a quarter of what there is room for, unless more is said. A proxy on
    /// another machine is one address; see trusted-hops.
    #[arg(long, env = "FOURWAYS_MAX_HELD_PER_ADDRESS", default_value_t = 4_750, value_name = "N")]
    pub max_held_per_address: usize,

    /// Most streams, sockets and held polls of one token's subject.
    #[arg(long, env = "FOURWAYS_MAX_HELD_PER_SUBJECT", default_value_t = 64, value_name = "N")]
    pub max_held_per_subject: usize,

    /// Most polls held at once, in all.
    #[arg(long, env = "FOURWAYS_MAX_HELD_POLLS", default_value_t = 19_000, value_name = "N")]
    pub max_held_polls: usize,

    /// Events a second that one client may publish, and four times as many at once; 0 is without limit.
    #[arg(long, env = "FOURWAYS_PUBLISH_RATE", default_value_t = 5_000, value_name = "PER_SECOND")]
    pub publish_rate: u32,

    /// How many proxies stand before the server and write X-Forwarded-For; what they did not write is not believed.
    #[arg(long, env = "FOURWAYS_TRUSTED_HOPS", default_value_t = 0, value_name = "N")]
    pub trusted_hops: usize,
}

/// Where the log is, and how much of it is kept.
#[derive(Args, Clone, Debug)]
pub struct LogFlags {
    /// Folder of the log.
    #[arg(long, env = "FOURWAYS_DATA", default_value = "fourways-data", value_name = "DIR")]
    pub data: PathBuf,

    /// Keep the log in memory alone: it is lost with the server.
    #[arg(long, env = "FOURWAYS_MEMORY", conflicts_with = "data")]
    pub memory: bool,

    /// When a publish is acknowledged: always, once it is on the disk (fsync); or interval:TIME, at once, and the disk
    /// gets it so often. With an interval, what was acknowledged in the last one is lost if the machine (not only this
    /// process) fails.
    #[arg(long, env = "FOURWAYS_DURABILITY", default_value = "always", value_name = "WHEN", value_parser = durability)]
    pub durability: Durability,

    /// Keep at most this many events [default: 100,000 in memory, 10,000,000 on disk].
    #[arg(long, env = "FOURWAYS_RETAIN_EVENTS", value_name = "N")]
    pub retain_events: Option<usize>,

    /// Keep at most this many bytes of events [default: 256MiB in memory, 4GiB on disk].
    #[arg(long, env = "FOURWAYS_RETAIN_BYTES", value_name = "BYTES", value_parser = bytes)]
    pub retain_bytes: Option<u64>,

    /// Keep no event longer than this [default: 1h in memory, 7d on disk].
    #[arg(long, env = "FOURWAYS_RETAIN_AGE", value_name = "TIME", value_parser = duration)]
    pub retain_age: Option<Duration>,

    /// Other limits for some topics, all of them together, as in orders.>=age:30d,bytes:1GiB,events:1000000 or
    /// typing.*=memory,age:1m; the first that fits a topic counts. On disk, up to an eighth more is kept.
    #[arg(long, env = "FOURWAYS_RETAIN", value_name = "PATTERN=LIMITS", value_delimiter = ';')]
    pub retain: Vec<RetentionText>,

    /// Keep at most this many of the newest events in memory too, where the log is on disk.
    #[arg(long, env = "FOURWAYS_TAIL_EVENTS", default_value_t = 100_000, value_name = "N")]
    pub tail_events: usize,

    /// And at most this many bytes of them.
    #[arg(long, env = "FOURWAYS_TAIL_BYTES", default_value = "256MiB", value_name = "BYTES", value_parser = bytes)]
    pub tail_bytes: u64,
}

impl LogFlags {
    /// The rules of retention, the last for all that no other takes.
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
            // The lab's own events and this machine's figures are worth nothing tomorrow.
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

    /// How much of a log on disk is in memory too.
    pub const fn cap(&self) -> TailCap {
        TailCap { events: self.tail_events, bytes: self.tail_bytes }
    }
}

/// What the server publishes itself.
const OWN_TOPICS: [&str; 4] = ["lab.>", "host.*", "presence.>", feature::LIVE];

impl Config {
    /// How many workers there will be.
    pub fn workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            given => given,
        }
    }

    /// The address that it listens on, as a name.
    pub fn host(&self) -> String {
        match &self.listen {
            Listen::Tcp(address) => address.ip().to_string(),
            Listen::Unix(_) => "localhost".to_owned(),
        }
    }

    /// The use cases are played.
    pub fn has_use_cases(&self) -> bool {
        self.use_cases.map_or(self.access.token_key.is_empty(), |switch| switch == Switch::On)
    }

    /// It speaks HTTPS.
    pub const fn is_tls(&self) -> bool {
        self.tls || self.tls_cert.is_some()
    }
}

impl Default for Limits {
    /// Those of a server that was told nothing.
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
        _ => Err("allowed are always, and interval: with a time, as in interval:50ms".to_owned()),
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
