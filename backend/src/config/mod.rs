//! The settings of `fourways serve`, each with its unit, default and reason. The doc comments of the flags are the text
//! of `--help` and of `docs/fourways.toml`.

mod log;
mod order;

use std::{path::PathBuf, str::FromStr};

use clap::Args;
use fourways_log::engine::LagRule;

pub use self::{log::LogFlags, order::OrderFlags};
use crate::{
    access::{keys::KeySource, limits::Limits, origin::Origin},
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

    /// Run the server's side of the lab's use cases (orders, live score, trading and so on), on the topics use-case.>
    /// [default: on without --token-key, otherwise off]
    #[arg(long, env = "FOURWAYS_USE_CASES", value_enum, value_name = "SWITCH")]
    pub use_cases: Option<Switch>,

    /// Serve the lab from this folder instead of from the binary, and read each file again for each request. For
    /// development of the lab.
    #[arg(long, env = "FOURWAYS_APP", value_name = "FOLDER")]
    pub app: Option<PathBuf>,

    /// Let visitors of the lab kill this server, to watch what its clients do. `cargo xtask cluster` sets this; a server
    /// that anybody depends on should not.
    #[arg(long, env = "FOURWAYS_LAB_KILL")]
    pub lab_kill: bool,

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

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap prints a flattened field's doc as the group's help")]
    pub order: OrderFlags,
}

/// A built-in source of events, which needs no publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// CPU, memory, load and network of this machine, on host.cpu, host.memory, host.load and host.network.
    Host,
    /// No built-in source.
    None,
}

/// Whether the use cases run; without it, access decides.
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

fn source_rate(text: &str) -> Result<f64, String> {
    let rate = f64::from_str(text).map_err(|_| "a number is expected".to_owned())?;
    if (0.1..=100.0).contains(&rate) { Ok(rate) } else { Err("allowed are 0.1 to 100".to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;
    use fourways_log::engine::{Durability, Retention, RetentionRule};

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
        let of = |topic: &str| &rules[RetentionRule::index_of(&rules, &topic.parse().unwrap())];
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
