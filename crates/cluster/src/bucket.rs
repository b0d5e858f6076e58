//! The bucket of one log: a few entries beside the stream, such as the log's life and the leases.

use std::time::Duration;

use async_nats::jetstream::{
    Context,
    kv::{self, Store},
    stream::RawMessageErrorKind,
};
use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

/// Time within which the leader must answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two attempts while a cluster starts.
const RETRY: Duration = Duration::from_millis(200);

/// The bucket of one log. Cheap to clone; each clone asks over the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Bucket(Store);

/// An entry of the bucket.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) value: Bytes,
    pub(crate) revision: u64,
}

/// The reason why an entry was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unwritten {
    /// Another server wrote it since the revision that is known.
    Outdated,
    /// NATS did not say whether the entry was written; the text says why.
    Unknown(String),
}

impl Bucket {
    /// Opens the bucket of a log, and makes it if there is none. Tries for as long as `patience` says.
    ///
    /// # Errors
    /// If JetStream refuses.
    pub(crate) async fn open(
        context: &Context,
        log: &str,
        replicas: usize,
        patience: Duration,
    ) -> Result<Self, String> {
        let bucket = format!("fourways_{log}");
        let deadline = Instant::now() + patience;
        loop {
            if let Ok(store) = context.get_key_value(&bucket).await {
                return Ok(Self(store));
            }
            let config =
                kv::Config { bucket: bucket.clone(), num_replicas: replicas, ..kv::Config::default() };
            match context.create_key_value(config).await {
                Ok(store) => return Ok(Self(store)),
                Err(error) if Instant::now() > deadline => return Err(error.to_string()),
                Err(_) => sleep(RETRY).await,
            }
        }
    }

    /// Returns an entry as the leader has it; `None` if there is no such entry. The library's own read may be answered by
    /// a replica that is late.
    ///
    /// # Errors
    /// If the leader does not answer.
    pub(crate) async fn read(&self, key: &str) -> Result<Option<Entry>, String> {
        let subject = format!("{}{key}", self.0.prefix);
        let ask = self.0.stream.raw_message_builder().last_by_subject(subject).send();
        match timeout(PATIENCE, ask).await {
            Err(_) => Err("the bucket's leader does not answer".to_owned()),
            Ok(Err(error)) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Ok(Err(error)) => Err(error.to_string()),
            // A mark of deletion.
            Ok(Ok(entry)) if entry.headers.get("KV-Operation").is_some() => Ok(None),
            Ok(Ok(entry)) => Ok(Some(Entry { value: entry.payload, revision: entry.sequence })),
        }
    }

    /// Writes an entry if its revision is still `known` (`None`: if there is no such entry), and returns its new
    /// revision.
    ///
    /// # Errors
    /// See [`Unwritten`].
    pub(crate) async fn write(&self, key: &str, value: Bytes, known: Option<u64>) -> Result<u64, Unwritten> {
        let unwritten = |is_outdated: bool, error: String| {
            if is_outdated { Unwritten::Outdated } else { Unwritten::Unknown(error) }
        };
        let write = async {
            match known {
                Some(known) => self.0.update(key, value, known).await.map_err(|error| {
                    unwritten(error.kind() == kv::UpdateErrorKind::WrongLastRevision, error.to_string())
                }),
                None => self.0.create(key, value).await.map_err(|error| {
                    unwritten(error.kind() == kv::CreateErrorKind::AlreadyExists, error.to_string())
                }),
            }
        };
        let late = || Err(Unwritten::Unknown("the bucket's leader does not answer".to_owned()));
        timeout(PATIENCE, write).await.unwrap_or_else(|_| late())
    }

    /// Erases an entry if its revision is still `known`.
    ///
    /// # Errors
    /// If it was written since, or the leader does not answer.
    pub(crate) async fn erase(&self, key: &str, known: u64) -> Result<(), String> {
        self.0.delete_expect_revision(key, Some(known)).await.map_err(|error| error.to_string())
    }
}
