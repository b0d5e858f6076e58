//! Sends lines until the server has stored each of them exactly once.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use fourways_client::{Publisher, RequestError};
use fourways_shared::{Advice, Cursor, backoff::Backoff};

/// Time without a definite answer after which a warning is logged. The server remembers an idempotency key for five
/// minutes: a later repeat of a request that was stored, but whose answer was lost, stores its events twice.
const KNOWN: Duration = Duration::from_mins(4);
/// Number of 429 answers to one request of several lines after which the lines are split in two.
const TOO_MUCH: u32 = 2;

/// A line as JSON, with its number in the input, counted from 1.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) json: String,
}

/// The outcome of consecutive lines.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The lines are in the log; the cursor is the last one's.
    Published { events: u64, cursor: Cursor },
    /// The server refuses this line for its content; others may pass.
    Refused { line: Numbered, why: String },
    /// The server refuses every line, for this reason.
    Stopped(String),
}

/// Sends lines in order, one request at a time.
pub(super) struct Sender {
    publisher: Publisher,
    /// Random number of this run, the first part of its idempotency keys.
    run: u64,
    sent: u64,
}

impl Sender {
    pub(super) const fn new(publisher: Publisher, run: u64) -> Self {
        Self { publisher, run, sent: 0 }
    }

    /// Sends lines and passes the outcomes to `told`, in the order of the lines. Stops if `told` returns false or the
    /// server refuses every line, and returns false then.
    pub(super) async fn lines(
        &mut self,
        lines: Vec<Numbered>,
        mut told: impl FnMut(Outcome) -> bool,
    ) -> bool {
        let mut parts = VecDeque::from([lines]);
        while let Some(mut part) = parts.pop_front() {
            match self.part(&part).await {
                Answer::Has(cursor) => {
                    if !told(Outcome::Published { events: part.len() as u64, cursor }) {
                        return false;
                    }
                }
                Answer::Smaller if part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    parts.push_front(second);
                    parts.push_front(part);
                }
                Answer::Smaller => parts.push_front(part),
                Answer::Never(status, why) => match (part.len(), is_lines_fault(status)) {
                    (1, true) => {
                        let Some(line) = part.pop() else { return true };
                        if !told(Outcome::Refused { line, why }) {
                            return false;
                        }
                    }
                    (_, true) => {
                        let second = part.split_off(part.len() / 2);
                        parts.push_front(second);
                        parts.push_front(part);
                    }
                    (_, false) => {
                        told(Outcome::Stopped(why));
                        return false;
                    }
                },
            }
        }
        true
    }

    async fn part(&mut self, lines: &[Numbered]) -> Answer {
        let mut text = String::with_capacity(lines.iter().map(|line| line.json.len() + 1).sum());
        for line in lines {
            text.push_str(&line.json);
            text.push('\n');
        }
        let publisher = self.publisher.clone();
        self.until(lines.len(), async |key| {
            let cursors = publisher.publish_lines(text.clone(), &key).await?;
            cursors.last().copied().ok_or(RequestError::Unreadable)
        })
        .await
    }

    /// Sends bytes as one event, and returns its cursor, or the server's reason for refusing it.
    pub(super) async fn bytes(&mut self, bytes: Vec<u8>) -> Result<Cursor, String> {
        let publisher = self.publisher.clone();
        loop {
            match self.until(1, async |key| publisher.publish_bytes(bytes.clone(), &key).await).await {
                Answer::Has(cursor) => return Ok(cursor),
                Answer::Never(_, why) => return Err(why),
                Answer::Smaller => {}
            }
        }
    }

    /// Repeats a request with the same idempotency key until it gets an answer that will not change.
    async fn until(
        &mut self,
        events: usize,
        ask: impl AsyncFn(String) -> Result<Cursor, RequestError>,
    ) -> Answer {
        self.sent += 1;
        let key = format!("{:x}-{}", self.run, self.sent);
        let mut backoff = Backoff::new(self.run ^ self.sent);
        let (began, mut is_certain, mut too_much, mut has_warned) = (Instant::now(), true, 0, false);
        loop {
            let wait = match ask(key.clone()).await {
                Ok(cursor) => return Answer::Has(cursor),
                Err(RequestError::Refused(refusal)) => match refusal.advice() {
                    Advice::Stop => return Answer::Never(refusal.status, refusal.detail),
                    Advice::Retry(wait) => {
                        too_much += u32::from(refusal.status == 429);
                        // The halves get new keys, so lines are split only if they are certainly not stored.
                        if events > 1 && too_much >= TOO_MUCH && is_certain {
                            tokio::time::sleep(wait).await;
                            return Answer::Smaller;
                        }
                        tracing::info!(status = refusal.status, "{}; waiting", refusal.detail);
                        backoff.next(wait)
                    }
                },
                Err(error) => {
                    is_certain = false;
                    let wait = backoff.next(Duration::ZERO);
                    tracing::warn!(%error, wait_ms = wait.as_millis(), "not published yet; retrying");
                    wait
                }
            };
            if began.elapsed() > KNOWN && !is_certain && !std::mem::replace(&mut has_warned, true) {
                tracing::warn!(
                    "the server forgets idempotency keys after five minutes: {events} events may be stored twice"
                );
            }
            tokio::time::sleep(wait).await;
        }
    }
}

/// The final answer to one request.
enum Answer {
    /// The server has stored all events; this is the last one's cursor.
    Has(Cursor),
    /// The server may accept fewer events at once.
    Smaller,
    /// The server will never accept the request: the status and the reason.
    Never(u16, String),
}

/// True if a refusal is about the content of a request, and not about its sender or its topic.
const fn is_lines_fault(status: u16) -> bool {
    matches!(status, 400 | 413 | 415 | 422)
}
