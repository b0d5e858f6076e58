//! Publishing by a use case: once and in order through the outbox, or at once and without waiting for the outcome.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use fourways_shared::{EventId, Technique, Topic, feature};
use leptos::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    live::{Live, RETRY_MS},
    visitor,
};
use crate::{
    browser::{clock, page, task, timer},
    delivery::{
        operate,
        publish::{self, Sent},
    },
};

/// Number of thrown events whose requests may be in flight at once; more are discarded.
const MAX_THROWN: u32 = 4;

/// Events that are still to be sent, and counts of those that were.
#[derive(Default)]
pub(super) struct Outbox {
    letters: VecDeque<Letter>,
    /// Storage key under which the outbox outlives the page.
    kept_as: Option<String>,
    is_sending: bool,
    thrown: u32,
    sent: u64,
}

/// An event that is to be published.
#[derive(Clone, Serialize, Deserialize)]
struct Letter {
    topic: Topic,
    json: String,
    id: EventId,
    /// Time of the first attempt, by the page's clock, in milliseconds.
    #[serde(default)]
    tried_ms: Option<f64>,
}

impl Live {
    /// Keeps unsent events beyond the page, under a key of this window that begins with `name`. Events that other
    /// windows of this browser have left are sent now; if such a window is still open, both send them, and their keys
    /// keep them from being stored twice.
    pub(super) fn keep_outbox(self, name: &str) {
        let own = format!("{name}-{}", visitor::page_id());
        let left = page::take_kept(&format!("{name}-"));
        let left = left.iter().filter_map(|text| serde_json::from_str::<Vec<Letter>>(text).ok()).flatten();
        self.inner.try_update_value(|inner| {
            inner.outbox.kept_as = Some(own);
            inner.outbox.letters.extend(left);
        });
        self.count();
        self.pump();
    }

    /// Publishes an event once and in order, as soon as possible: over the socket where there is one, else by a
    /// request. Returns the key, which comes back as the id of the event.
    pub(super) fn publish<T: Serialize>(self, topic: Option<Topic>, said: &T) -> Option<EventId> {
        let id: EventId = format!("{}-{}", visitor::page_id(), page::random_id()).parse().ok()?;
        let letter = Letter { topic: topic?, json: feature::write(said), id: id.clone(), tried_ms: None };
        self.inner.try_update_value(|inner| inner.outbox.letters.push_back(letter));
        self.count();
        self.pump();
        Some(id)
    }

    /// Returns the unsent events of a topic with their keys, oldest first.
    pub(super) fn waiting<T: DeserializeOwned>(self, topic: &Topic) -> Vec<(EventId, T)> {
        let read = |letter: &Letter| Some((letter.id.clone(), serde_json::from_str(&letter.json).ok()?));
        let own = |letter: &&Letter| letter.topic == *topic;
        self.inner
            .try_with_value(|inner| inner.outbox.letters.iter().filter(own).filter_map(read).collect())
            .unwrap_or_default()
    }

    /// Returns the number of events that were published.
    pub(super) fn sent(self) -> u64 {
        self.inner.try_with_value(|inner| inner.outbox.sent).unwrap_or_default()
    }

    fn count(self) {
        let kept = self.inner.try_with_value(|inner| {
            let Outbox { letters, kept_as, .. } = &inner.outbox;
            let text = kept_as.clone().map(|name| (name, serde_json::to_string(letters).unwrap_or_default()));
            (letters.len(), text)
        });
        let Some((count, text)) = kept else { return };
        match text {
            Some((name, _)) if count == 0 => page::forget(&name),
            Some((name, text)) => page::keep(&name, &text),
            None => {}
        }
        let _gone = self.unsent.try_set(count);
    }

    /// Sends the unsent events one after the other until none is left.
    pub(super) fn pump(self) {
        let begins = self.inner.try_update_value(|inner| {
            let outbox = &mut inner.outbox;
            let begins = !outbox.is_sending && !outbox.letters.is_empty();
            outbox.is_sending |= begins;
            begins
        });
        if begins != Some(true) {
            return;
        }
        task::spawn(async move {
            let mut wait_ms = RETRY_MS.0;
            loop {
                let next = self.inner.try_update_value(|inner| {
                    let next = inner.outbox.letters.front().cloned();
                    inner.outbox.is_sending = next.is_some();
                    if let Some(first) = inner.outbox.letters.front_mut() {
                        first.tried_ms.get_or_insert(clock::now_ms());
                    }
                    next
                });
                let Some(Some(letter)) = next else { return };
                if letter.tried_ms.is_none() {
                    self.count();
                }
                let sent = match has_arrived(&letter).await {
                    Some(true) => Sent::Kept,
                    Some(false) => self.send(&letter).await,
                    None => Sent::Lost,
                };
                let is_kept = matches!(sent, Sent::Kept);
                match sent {
                    Sent::Lost => {
                        timer::sleep(wait_ms).await;
                        wait_ms = (wait_ms * 2.0).min(RETRY_MS.1);
                        continue;
                    }
                    Sent::Kept => {}
                    Sent::Refused(why) => {
                        let _gone = self.refused.try_set(why);
                    }
                }
                wait_ms = RETRY_MS.0;
                self.inner.try_update_value(|inner| {
                    inner.outbox.sent += u64::from(is_kept);
                    inner.outbox.letters.pop_front()
                });
                self.count();
            }
        });
    }

    async fn send(self, letter: &Letter) -> Sent {
        if self.technique.try_get_untracked() != Some(Technique::Websocket) {
            return publish::json(&letter.topic, &letter.json, Some(&letter.id)).await;
        }
        let Some(handle) = self.way_up() else { return Sent::Lost };
        let answer = Rc::new(RefCell::new(None));
        let told = Rc::clone(&answer);
        let told = Box::new(move |sent| *told.borrow_mut() = Some(sent));
        handle.send(&letter.topic, &letter.json, Some(letter.id.clone()), told);
        drop(handle);
        // The stream's own watch closes a dead socket, and the callback is then given `Sent::Lost`.
        while answer.borrow().is_none() {
            if self.inner.try_with_value(|_| ()).is_none() {
                return Sent::Lost;
            }
            timer::sleep(4.0).await;
        }
        answer.take().unwrap_or(Sent::Lost)
    }

    /// Publishes an event that is worth nothing a moment later: at once or not at all, and without waiting for the
    /// outcome.
    pub(super) fn throw<T: Serialize>(self, topic: Option<&Topic>, said: &T) {
        let Some(topic) = topic.cloned() else { return };
        let may = self.inner.try_update_value(|inner| {
            let may = inner.outbox.thrown < MAX_THROWN;
            inner.outbox.thrown += u32::from(may);
            may
        });
        if may != Some(true) {
            return;
        }
        let json = feature::write(said);
        let landed = move || {
            self.inner.try_update_value(|inner| {
                inner.outbox.thrown = inner.outbox.thrown.saturating_sub(1);
            });
        };
        if self.technique.try_get_untracked() == Some(Technique::Websocket) {
            if let Some(handle) = self.way_up() {
                handle.send(&topic, &json, None, Box::new(|_| {}));
                self.inner.try_update_value(|inner| inner.outbox.sent += 1);
            }
            return landed();
        }
        task::spawn(async move {
            // A lost event is not sent again.
            let is_kept = matches!(publish::json(&topic, &json, None).await, Sent::Kept);
            self.inner.try_update_value(|inner| inner.outbox.sent += u64::from(is_kept));
            landed();
        });
    }
}

/// Returns true if the event is in the log already; `None` if the log can't be asked now.
///
/// The server forgets keys after five minutes. An event first tried about that long ago may be stored although its
/// answer was lost, and sending it again would store a second one.
async fn has_arrived(letter: &Letter) -> Option<bool> {
    const DOUBT_MS: f64 = 240_000.0;
    const LOOKED_AT: u32 = 1_000;
    if letter.tried_ms.is_none_or(|tried_ms| clock::now_ms() - tried_ms < DOUBT_MS) {
        return Some(false);
    }
    let last = operate::last(&letter.topic, LOOKED_AT).await.ok()?;
    Some(last.iter().any(|event| event.id.as_ref() == Some(&letter.id)))
}
