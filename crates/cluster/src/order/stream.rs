//! The stream that keeps the order: its settings, its identity, and its messages as the leader has them.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{
        self, Context,
        stream::{Config, Info, RawMessageErrorKind, StorageType, Stream},
    },
};
use bytes::Bytes;
use fourways_log::engine::RetentionRule;
use fourways_shared::{Cursor, Epoch, Offset, time::micros};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    audit,
    bucket::{Bucket, Unwritten},
};

use super::{
    follow::Asked,
    settings::{OrderError, START_PATIENCE},
    wire::{self, Item, Subjects},
};

/// Time within which a repeated message is recognised by JetStream. Servers know the keys of older ones themselves.
const DUPLICATES: Duration = Duration::from_mins(1);
/// Share of the longest retention that the stream keeps longer, so that a server that was away still finds what it lacks.
const MARGIN: u64 = 4;
/// Time for which events of volatile topics are in the stream.
pub(super) const VOLATILE: Duration = Duration::from_mins(1);
/// Key of the log's life in its bucket.
const LIFE: &str = "life";
/// Time between two attempts while a cluster starts.
const RETRY: Duration = Duration::from_millis(200);
/// Time within which the leader must answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The stream of one log, and the bucket that holds its life. Cheap to clone; each clone asks over the same connection.
#[derive(Clone, Debug)]
pub(super) struct Order {
    stream: Stream,
    bucket: Bucket,
    subjects: Subjects,
    name: String,
}

/// The identity and extent of the log, as the leader told them at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Epoch of the log: another for each stream, and for each life of one.
    pub(super) epoch: Epoch,
    /// Offset of the oldest message, or the one after the last if there is none.
    pub(super) first: u64,
    /// Offset of the last message that was stored; 0 before the first.
    pub(super) last: u64,
    /// Revision of the bucket's entry that holds the life.
    revision: u64,
}

impl Order {
    /// Opens the stream and the bucket, and makes them if there are none. Tries for as long as `patience` says.
    ///
    /// # Errors
    /// If JetStream refuses, or the stream has settings that lose or change events.
    pub(super) async fn open(
        client: &Client,
        log: &str,
        rules: &[RetentionRule],
        patience: Duration,
    ) -> Result<Self, OrderError> {
        let mut context = jetstream::new(client.clone());
        context.set_timeout(PATIENCE);
        let subjects = Subjects::of(log);
        let replicas = if client.server_info().cluster.is_some() { 3 } else { 1 };
        let stream = stream(&context, log, &subjects, rules, replicas, patience).await?;
        let bucket = Bucket::open(&context, log, replicas, patience).await;
        let bucket = bucket.map_err(|why| OrderError::Refused("the bucket of the log's life", why))?;
        Ok(Self { stream, bucket, subjects, name: log.to_owned() })
    }

    /// Returns the subjects of the log.
    pub(super) const fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// Returns the bucket of the log.
    pub(super) const fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Returns the stream.
    pub(super) const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Asks for the identity and extent of the log until the leader answers, for as long as a start waits.
    ///
    /// # Errors
    /// As for [`Self::identity`].
    pub(super) async fn first_identity(&self) -> Result<Identity, OrderError> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            match self.identity().await {
                Ok(identity) => return Ok(identity),
                Err(why) if Instant::now() > deadline => {
                    return Err(OrderError::Refused("the log's identity", why));
                }
                // A cluster that has just started has no leader yet.
                Err(_) => sleep(RETRY).await,
            }
        }
    }

    /// Asks the leader for the identity and extent of the log.
    ///
    /// # Errors
    /// If the leader does not answer, or the stream is gone; the text says which.
    pub(super) async fn identity(&self) -> Result<Identity, String> {
        let ask = async {
            let info = self.stream.get_info().await.map_err(|error| error.to_string())?;
            let (life, revision) = match self.bucket.read(LIFE).await? {
                Some(entry) => (entry.value, entry.revision),
                None => {
                    let life = fresh_life()?;
                    let revision = self.bucket.write(LIFE, life.clone(), None).await;
                    // If another server was faster, the next look finds its life.
                    (life, revision.map_err(|unwritten| format!("the log's life: {unwritten:?}"))?)
                }
            };
            Ok(self.identity_of(&info, &life, revision))
        };
        timeout(2 * PATIENCE, ask).await.map_err(|_| "the stream's leader does not answer".to_owned())?
    }

    fn identity_of(&self, info: &Info, life: &[u8], revision: u64) -> Identity {
        let mut hash = Sha256::new();
        hash.update(self.name.as_bytes());
        hash.update(info.created.unix_timestamp_nanos().to_le_bytes());
        hash.update(life);
        let bits = hash.finalize().iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        Identity {
            epoch: Epoch::from_bits(bits),
            first: info.state.first_sequence.max(1),
            last: info.state.last_sequence,
            revision,
        }
    }

    /// Begins another life of the log, so that every server begins its copy anew. Nothing happens if another server did
    /// so since `known`.
    ///
    /// # Errors
    /// If the bucket does not answer.
    pub(super) async fn begin_another_life(&self, known: Identity) -> Result<(), String> {
        let life = fresh_life()?;
        match self.bucket.write(LIFE, life, Some(known.revision)).await {
            Ok(_) | Err(Unwritten::Outdated) => Ok(()),
            Err(Unwritten::Unknown(why)) => Err(why),
        }
    }

    /// Returns the hash of a block of the log as the leader has it; `None` if the leader does not have all its events.
    ///
    /// # Errors
    /// If the leader does not answer.
    pub(super) async fn hash(&self, block: u64, epoch: Epoch) -> Result<Option<u64>, String> {
        let (mut hash, from) = (0, block * audit::BLOCK + 1);
        for offset in from..from + audit::BLOCK {
            let asked = self.first_from(offset, epoch).await?;
            let Some(Asked { item: Item { event: Some(event), .. }, .. }) = asked else { return Ok(None) };
            if event.cursor.offset.0 != offset {
                return Ok(None);
            }
            hash = audit::hash_of(hash, &event);
        }
        Ok(Some(hash))
    }

    /// Asks the leader for its first message from an offset on; `None` if it has none.
    ///
    /// # Errors
    /// If the leader does not answer.
    pub(super) async fn first_from(&self, from: u64, epoch: Epoch) -> Result<Option<Asked<Item>>, String> {
        let ask = self.stream.raw_message_builder().sequence(from).next_by_subject(">").send();
        let message = match timeout(PATIENCE, ask).await {
            Err(_) => return Err("the stream's leader does not answer".to_owned()),
            Ok(Err(error)) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => return Ok(None),
            Ok(Err(error)) => return Err(error.to_string()),
            Ok(Ok(message)) => message,
        };
        let headers = Some(&message.headers);
        let cursor = Cursor { epoch, offset: Offset(message.sequence) };
        let time = micros_of(message.time.unix_timestamp_nanos());
        let item = wire::decode(&self.subjects, &message.subject, headers, &message.payload, cursor, time);
        Ok(Some(Asked { offset: message.sequence, batch: wire::batch(headers), item }))
    }
}

/// Returns the microseconds of a time in nanoseconds since the Unix epoch; 0 before it.
pub(super) fn micros_of(nanos: i128) -> u64 {
    u64::try_from(nanos / 1000).unwrap_or(0)
}

fn fresh_life() -> Result<Bytes, String> {
    let life = getrandom::u64().map_err(|error| error.to_string())?;
    Ok(format!("{life:016x}").into())
}

async fn stream(
    context: &Context,
    log: &str,
    subjects: &Subjects,
    rules: &[RetentionRule],
    replicas: usize,
    patience: Duration,
) -> Result<Stream, OrderError> {
    let longest = rules.iter().map(|rule| rule.retention.age).max().unwrap_or_default();
    let bytes: u64 = rules.iter().map(|rule| rule.retention.bytes).fold(0, u64::saturating_add);
    let wanted = Config {
        name: log.to_owned(),
        description: Some("The ordered log of Fourways".to_owned()),
        subjects: vec![subjects.all()],
        num_replicas: replicas,
        storage: StorageType::File,
        max_age: longest + longest / u32::try_from(MARGIN).unwrap_or(4),
        max_bytes: i64::try_from(bytes.saturating_add(bytes / MARGIN)).unwrap_or(-1),
        duplicate_window: DUPLICATES.min(longest),
        allow_direct: true,
        allow_atomic_publish: true,
        allow_message_ttl: true,
        ..Config::default()
    };
    let deadline = Instant::now() + patience;
    let stream = loop {
        // A cluster that has just started has no leader yet.
        match context.get_or_create_stream(wanted.clone()).await {
            Ok(stream) => break stream,
            Err(error) if Instant::now() > deadline => {
                return Err(OrderError::Refused("the stream", error.to_string()));
            }
            Err(_) => sleep(RETRY).await,
        }
    };
    let have = stream.cached_info().config.clone();
    let bad = |what: String, mend: &str| Err(OrderError::Stream(log.to_owned(), what, mend.to_owned()));
    if have.subjects != wanted.subjects {
        let mend =
            format!("use another --log-name, or `nats stream edit {log} --subjects '{}'`", subjects.all());
        return bad(format!("the subjects {:?}", have.subjects), &mend);
    }
    if have.mirror.is_some() || have.sources.as_ref().is_some_and(|sources| !sources.is_empty()) {
        return bad(
            "a mirror or a source".to_owned(),
            "events of other streams would get into the log; make it anew",
        );
    }
    if have.storage != StorageType::File {
        return bad("no file storage".to_owned(), "it would be lost with the servers' memory; make it anew");
    }
    if !have.allow_atomic_publish || !have.allow_message_ttl {
        let mend = format!("`nats stream edit {log} --allow-batch --allow-msg-ttl`");
        return bad("no atomic batches, or no message TTL".to_owned(), &mend);
    }
    if have.num_replicas < replicas {
        let mend = format!("`nats stream edit {log} --replicas {replicas}`");
        return bad(format!("{} replicas", have.num_replicas), &mend);
    }
    if have.duplicate_window < wanted.duplicate_window {
        let mend = format!("`nats stream edit {log} --dupe-window {}s`", DUPLICATES.as_secs());
        return bad(format!("a duplicate window of {} s", have.duplicate_window.as_secs()), &mend);
    }
    let is_less = |have: i64, wanted: i64| have > 0 && (wanted < 0 || have < wanted);
    if !have.max_age.is_zero() && have.max_age < longest {
        let mend = format!("`nats stream edit {log} --max-age {}s`", wanted.max_age.as_secs());
        return bad(format!("an age limit of {} s, less than the retention", have.max_age.as_secs()), &mend);
    }
    if is_less(have.max_bytes, i64::try_from(bytes).unwrap_or(-1)) {
        let mend = format!("`nats stream edit {log} --max-bytes {}`", wanted.max_bytes);
        return bad(format!("a limit of {} bytes, less than the retention", have.max_bytes), &mend);
    }
    if replicas == 1 {
        tracing::warn!(
            "one NATS server keeps the log: if it is lost, so is every event; a cluster has three"
        );
    }
    Ok(stream)
}

/// Returns the time from which the age of an event counts, if it was published at this time.
pub(super) fn age_of(published_at_us: u64, now: std::time::SystemTime) -> Duration {
    let now_us = micros(now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default());
    Duration::from_micros(now_us.saturating_sub(published_at_us))
}
