//! Sends what is to be published until the server has it, once.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use fourways_client::{Publisher, RequestError};
use fourways_shared::{Advice, Cursor, backoff::Backoff};

/// The server knows a key again for five minutes; behind that, what it may have and did not say could be there twice.
const KNOWN: Duration = Duration::from_mins(4);
/// How often in a row a server may say "too much" to several lines before they are cut in two.
const TOO_MUCH: u32 = 2;

/// A line with its number, as JSON.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) json: String,
}

/// What became of lines.
#[derive(Debug)]
pub(super) enum Outcome {
    /// They are in the log.
    Published { events: u64, cursor: Cursor },
    /// The server takes every line but this.
    Refused { line: Numbered, why: String },
    /// The server takes none.
    Stopped(String),
}

/// Sends, in order.
pub(super) struct Sender {
    publisher: Publisher,
    /// Of this run.
    run: u64,
    sent: u64,
}

impl Sender {
    pub(super) const fn new(publisher: Publisher, run: u64) -> Self {
        Self { publisher, run, sent: 0 }
    }

    /// Sends lines; each outcome is of those that come next, in order.
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

    /// Sends bytes as one event.
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

    /// Asks again with the same key, until there is an answer that will not change.
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
                        // Cut in two they have other keys: only where it is certain that they are not there.
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
                    tracing::warn!(%error, wait_ms = wait.as_millis(), "not published yet; trying again");
                    wait
                }
            };
            if began.elapsed() > KNOWN && !is_certain && !std::mem::replace(&mut has_warned, true) {
                tracing::warn!(
                    "the server forgets keys after five minutes: {events} events may be there twice"
                );
            }
            tokio::time::sleep(wait).await;
        }
    }
}

enum Answer {
    /// It has all of them.
    Has(Cursor),
    /// It would take fewer at once.
    Smaller,
    /// It takes none of them, ever.
    Never(u16, String),
}

/// Whether a refusal is about what was sent, and not about who sends it or where to.
const fn is_lines_fault(status: u16) -> bool {
    matches!(status, 400 | 413 | 415 | 422)
}
