//! The settings of a log whose order NATS keeps, and the errors of its start.

use std::{path::PathBuf, time::Duration};

use fourways_log::engine::{Copy, RetentionRule};
use thiserror::Error;

/// The name of a log that was given none.
pub(crate) const USUAL_NAME: &str = "fourways";
/// The oldest version of NATS whose replicas were seen to keep every acknowledged message, quickly.
pub(super) const OLDEST: (i64, i64, i64) = (2, 15, 0);
/// Time for which a start waits for NATS.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(30);

/// The settings of a log whose order NATS keeps.
#[derive(Clone, Debug)]
pub struct OrderSettings {
    /// Addresses of the NATS servers, as in `nats://a:4222`; at least one.
    pub servers: Vec<String>,
    /// File with the credentials (a JWT and a seed) of this server's user.
    pub credentials: Option<PathBuf>,
    /// File with the certificates of the authorities that sign the NATS servers' certificates, in PEM; the system's
    /// without it.
    pub ca: Option<PathBuf>,
    /// Name of the log: of its stream, and of the subjects that belong to it.
    pub log: String,
    /// Name of this server among those that follow the log.
    pub node: String,
    /// Addresses of the NATS servers' monitors, as in `http://a:8222`, where `sync_interval` can be seen.
    pub monitors: Vec<String>,
    /// Size of the largest message that is to be published, in bytes.
    pub max_bytes: usize,
    /// The place where this server keeps its copy.
    pub copy: Copy,
    /// Retention rules; the last applies to every topic that no other rule matches.
    pub rules: Vec<RetentionRule>,
    /// Number of threads that serve.
    pub workers: usize,
}

/// The reason why the log of a cluster can't be opened. Each says what to do.
#[derive(Debug, Error)]
pub enum OrderError {
    /// An address can't be read.
    #[error("{:?} is not the address of a NATS server; one looks like nats://a:4222", without_password(.0))]
    Address(String),
    /// A file with credentials or certificates can't be read.
    #[error("can't read {path}: {1}", path = .0.display())]
    File(PathBuf, std::io::Error),
    /// The name of the log has characters that a stream's name can't have.
    #[error("{0:?} can't be the name of a log; allowed are 1 to 32 characters of a-z 0-9 _ -, but not fw")]
    LogName(String),
    /// The name of the server has characters that a header or a table can't show.
    #[error("{0:?} can't be the name of a server; allowed are 1 to 64 characters of a-z A-Z 0-9 . _ -")]
    NodeName(String),
    /// No NATS server answers.
    #[error("no NATS server answers at {0} ({1}); start NATS, or correct --order")]
    Unreachable(String, String),
    /// A NATS server is too old.
    #[error(
        "the NATS server {0} has version {1}, which can lose or reorder acknowledged events; use {oldest}.{minor} or newer",
        oldest = OLDEST.0,
        minor = OLDEST.1
    )]
    Version(String, String),
    /// JetStream is not on.
    #[error(
        "JetStream is not on for this user: add `jetstream {{ store_dir: \"/var/lib/nats\", sync_interval: always }}` to nats.conf ({0})"
    )]
    NoJetStream(String),
    /// JetStream does not answer: its servers elect a leader, or too few of them run.
    #[error("JetStream does not answer ({0}); most of the NATS servers must run")]
    Leaderless(String),
    /// A NATS server acknowledges messages before they are on its disk.
    #[error(
        "the NATS server {0} acknowledges before it syncs, so that a power failure loses acknowledged events: add \
         `sync_interval: always` to jetstream in nats.conf"
    )]
    Unsynced(String),
    /// A monitor does not tell what it is asked.
    #[error("the NATS monitor {0} does not answer ({1}); correct --nats-monitor")]
    Monitor(String, String),
    /// Messages of the size that may be published are too large for NATS.
    #[error(
        "NATS takes messages of {0} bytes, and {1} are needed for --max-body-bytes: add `max_payload: {1}` to nats.conf"
    )]
    Payload(usize, usize),
    /// The stream exists, with a setting that loses or changes events.
    #[error("the stream {0} has {1}: {2}")]
    Stream(String, String, String),
    /// JetStream refused something else.
    #[error("NATS refused {0}: {1}")]
    Refused(&'static str, String),
    /// The copy can't be opened.
    #[error("can't open the copy of the log: {0}")]
    Copy(#[from] std::io::Error),
}

/// Returns an address without the name and the password in it, so that it can be shown.
pub fn without_password(address: &str) -> String {
    let begin = address.find("://").map_or(0, |at| at + 3);
    let end = address[begin..].find('/').map_or(address.len(), |at| begin + at);
    match address[begin..end].rfind('@') {
        Some(at) => format!("{}…{}", &address[..begin], &address[begin + at..]),
        None => address.to_owned(),
    }
}

impl OrderError {
    /// True if the same settings may work in a moment, because nothing is wrong with them.
    pub(super) const fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(..) | Self::Leaderless(_) | Self::Refused(..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (address, shown) in [
            ("nats://node:s3cret@a:4222", "nats://…@a:4222"),
            ("node:s3c@ret@a:4222", "…@a:4222"),
            ("nats://a:4222", "nats://a:4222"),
            ("http://a/b@c", "http://a/b@c"),
        ] {
            assert_eq!(without_password(address), shown);
        }
        let error = OrderError::Address("nats://node:s3cret@:no:port".to_owned());
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
