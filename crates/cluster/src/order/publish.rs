//! Publishing to the stream: each append is one message or one atomic batch, sent until it is acknowledged.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::{Client, HeaderMap, Request};
use bytes::Bytes;
use fourways_log::engine::{Append, EngineError, Key, RetentionRule};
use fourways_shared::Topic;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    stream::VOLATILE,
    wire::{self, Subjects},
};

/// Time for which an append is sent again until it is acknowledged. An election of the stream's leader takes 4 to 9 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Time after which an append without an answer is sent again.
const ANSWER: Duration = Duration::from_secs(2);
/// Time between two attempts of an append that was refused.
const RETRY: Duration = Duration::from_millis(100);
/// Number of messages in an atomic batch at most, as NATS has it unless it is set otherwise.
pub(super) const MAX_BATCH: usize = 1000;
/// Error code of an atomic batch in which a message repeats an earlier one.
const REPEATED_IN_BATCH: u64 = 10_201;
/// Error codes of a stream that is full: by bytes, by messages, or because the servers' storage is.
const FULL: [u64; 3] = [10_077, 10_047, 10_023];

/// The way to the stream. Shared by all publishers; the lock is never held across an `.await`.
#[derive(Debug)]
pub(super) struct Publisher {
    client: Client,
    subjects: Subjects,
    rules: Vec<RetentionRule>,
    /// Beginning of the ids of appends without a key, so that those that are sent again are recognised.
    prefix: String,
    next: AtomicU64,
    /// The ids of the batches that were sent and are not answered yet, and the offsets of their last events, once the
    /// follower has seen them. As many as there are batches on their way. The lock is held for a few instructions.
    places: Mutex<HashMap<Box<str>, Option<u64>>>,
    pub(super) counts: Counts,
}

/// Counters of appends.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Number of times that a message or batch was sent again.
    pub(super) retries: AtomicU64,
    /// Number of appends that had been stored before.
    pub(super) duplicates: AtomicU64,
    /// Number of appends that wait for an answer now.
    pub(super) waiting: AtomicU64,
}

/// The place of an append in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// Offset of its first event; `None` if only the append's key can tell.
    pub(super) first: Option<u64>,
    /// The append had been stored before, perhaps with other events.
    pub(super) is_repeat: bool,
}

/// The stream's answer to a message or batch.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// The outcome of one attempt.
enum Attempt {
    Stored(Stored),
    /// A batch was stored before; the stream does not say where.
    Repeated,
    /// Nobody knows whether it was stored.
    Unknown(String),
    Failed(EngineError),
}

impl Publisher {
    pub(super) fn new(
        client: Client,
        subjects: Subjects,
        rules: Vec<RetentionRule>,
    ) -> std::io::Result<Arc<Self>> {
        let random = getrandom::u64().map_err(|error| std::io::Error::other(error.to_string()))?;
        let prefix = format!("{random:016x}");
        let (next, places, counts) = (AtomicU64::new(0), Mutex::default(), Counts::default());
        Ok(Arc::new(Self { client, subjects, rules, prefix, next, places, counts }))
    }

    /// Sends an append until it is acknowledged, and returns its place.
    ///
    /// # Errors
    /// [`EngineError::TooMany`] beyond [`MAX_BATCH`] events; [`EngineError::Full`] if the stream is full;
    /// [`EngineError::Unknown`] if it was not acknowledged in time.
    pub(super) async fn publish(&self, append: &Append) -> Result<Stored, EngineError> {
        if append.drafts.len() > MAX_BATCH {
            return Err(EngineError::TooMany(MAX_BATCH));
        }
        let deadline = Instant::now() + PATIENCE;
        let id = match &append.key {
            Some(key) => message_id(&append.topic, key),
            None => format!("{}-{}", self.prefix, self.next.fetch_add(1, Relaxed)),
        };
        let _waiting = Waiting::begin(&self.counts.waiting);
        let mut sent = Sent { places: &self.places, ids: Vec::new() };
        let mut last = String::new();
        let mut is_repeated = false;
        for attempt in 0.. {
            if attempt > 0 {
                self.counts.retries.fetch_add(1, Relaxed);
            }
            if !is_repeated {
                match self.attempt(append, &id, &mut sent, deadline).await {
                    Attempt::Stored(stored) => {
                        self.counts.duplicates.fetch_add(u64::from(stored.is_repeat), Relaxed);
                        return Ok(stored);
                    }
                    Attempt::Repeated => is_repeated = true,
                    Attempt::Unknown(why) => last = why,
                    Attempt::Failed(error) => return Err(error),
                }
            }
            if is_repeated && append.key.is_some() {
                self.counts.duplicates.fetch_add(1, Relaxed);
                return Ok(Stored { first: None, is_repeat: true });
            }
            // One of the batches that were sent before may have been stored without an answer.
            if let Some(end) = sent.place() {
                self.counts.duplicates.fetch_add(1, Relaxed);
                return Ok(Stored { first: Some(end + 1 - append.drafts.len() as u64), is_repeat: true });
            }
            if Instant::now() + RETRY >= deadline {
                break;
            }
            sleep(RETRY).await;
        }
        Err(EngineError::Unknown(format!(
            "NATS did not acknowledge the events within {} s ({last})",
            PATIENCE.as_secs()
        )))
    }

    async fn attempt(&self, append: &Append, id: &str, sent: &mut Sent<'_>, deadline: Instant) -> Attempt {
        let subject = self.subjects.of_topic(&append.topic);
        let is_volatile = self.rules[RetentionRule::index_of(&self.rules, &append.topic)].is_volatile;
        let by = append.key.as_ref().and_then(|key| key.by.as_deref());
        let key = append.key.as_ref().map(|key| (&key.id, by));
        let count = append.drafts.len();
        // A batch's id must differ each time: a batch that was given up half-way is not gone at once.
        let batch = format!("{}-{}", self.prefix, self.next.fetch_add(1, Relaxed));
        if count > 1 {
            sent.add(&batch);
        }
        for (at, draft) in append.drafts.iter().enumerate() {
            let (mut headers, payload) = wire::encode(draft, key);
            if at == 0 {
                wire::put_id(&mut headers, id);
            }
            if is_volatile {
                headers.insert("Nats-TTL", format!("{}s", VOLATILE.as_secs()).as_str());
            }
            if count > 1 {
                wire::put_in_batch(&mut headers, &batch, at + 1, at + 1 == count);
            }
            if at + 1 == count {
                return match self.ask(subject, headers, payload, deadline).await {
                    Err(why) => Attempt::Unknown(why),
                    Ok(answer) => judge(answer, count),
                };
            }
            if let Err(error) = self.client.publish_with_headers(subject.clone(), headers, payload).await {
                return Attempt::Unknown(error.to_string());
            }
        }
        // An append has at least one event.
        Attempt::Failed(EngineError::Unavailable("nothing was to be published".to_owned()))
    }

    /// Records that the batch of this id ends at an offset. The follower calls this with every batch of the stream.
    pub(super) fn placed(&self, batch: &str, last: u64) {
        if !batch.starts_with(&self.prefix) {
            return;
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get_mut(batch) {
            *place = Some(last);
        }
    }

    async fn ask(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
        deadline: Instant,
    ) -> Result<Answer, String> {
        let request = Request::new().headers(headers).payload(payload).timeout(None);
        let until = deadline.min(Instant::now() + ANSWER);
        let answer = timeout_at(until, self.client.send_request(subject, request)).await;
        let answer = answer.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())?;
        serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())
    }
}

fn judge(answer: Answer, count: usize) -> Attempt {
    match answer.error {
        None => {
            // A batch is answered with the place of its last message, a repeated message with that of the first one.
            let before = if answer.duplicate { 0 } else { count as u64 - 1 };
            let first = Some(answer.seq.saturating_sub(before));
            Attempt::Stored(Stored { first, is_repeat: answer.duplicate })
        }
        Some(Refusal { err_code: REPEATED_IN_BATCH, .. }) => Attempt::Repeated,
        Some(Refusal { err_code, .. }) if FULL.contains(&err_code) => Attempt::Failed(EngineError::Full),
        Some(Refusal { err_code, description }) => Attempt::Unknown(format!("{description}, {err_code}")),
    }
}

/// Returns the id by which JetStream recognises an append: of its topic, its key and the key's publisher, because its ids
/// are one space for the whole stream.
fn message_id(topic: &Topic, key: &Key) -> String {
    let mut hash = Sha256::new();
    for part in [topic.as_str(), key.id.as_str(), key.by.as_deref().unwrap_or_default()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize()[..16])
}

/// Returns the hash by which the stream knows a publisher: its name is nobody's business there.
pub(super) fn hash_of(subject: &str) -> Box<str> {
    hex(&Sha256::digest(subject.as_bytes())[..8]).into()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string can't fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

/// The batches that were sent for one append. Dropping it forgets them.
struct Sent<'a> {
    places: &'a Mutex<HashMap<Box<str>, Option<u64>>>,
    ids: Vec<Box<str>>,
}

impl Sent<'_> {
    fn add(&mut self, batch: &str) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).insert(batch.into(), None);
        self.ids.push(batch.into());
    }

    /// Returns the offset of the last event, if one of the batches was seen in the stream.
    fn place(&self) -> Option<u64> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        self.ids.iter().find_map(|id| places.get(id).copied().flatten())
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        for id in &self.ids {
            places.remove(id);
        }
    }
}

/// Counts an append while it waits.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
