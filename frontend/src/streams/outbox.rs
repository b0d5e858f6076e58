//! Publishing by a use case: once and in order through the outbox, or at once and without waiting for the outcome.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use fourways_shared::{EventId, Topic, use_case};
use leptos::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    browser::{clock, page, task, timer, wake},
    delivery::{
        Handle, operate,
        publish::{self, PublishOutcome},
    },
};

/// Wait between two attempts, at first and at most, in milliseconds.
const RETRY_MS: (f64, f64) = (250.0, 4_000.0);
/// Number of unconfirmed events that may be in flight at once; more are discarded.
const MAX_IN_FLIGHT: u32 = 4;

/// Events of a page that are still to be sent, and counts of those that were. The page owns the outbox; copies share it.
#[derive(Clone, Copy)]
pub(crate) struct Outbox {
    /// Number of unsent events.
    pub(crate) unsent: RwSignal<usize>,
    /// The server's last refusal of something that was sent.
    pub(crate) refused: RwSignal<String>,
    inner: StoredValue<Inner, LocalStorage>,
}

/// Way by which an event is sent now.
pub(crate) enum WayUp {
    /// A request of its own.
    Request,
    /// The socket of the stream; `None` while there is none.
    Socket(Option<Rc<Handle>>),
}

struct Inner {
    unsent: VecDeque<Unsent>,
    way_up: Rc<dyn Fn() -> WayUp>,
    /// Storage key under which the outbox outlives the page.
    kept_as: Option<String>,
    is_sending: bool,
    in_flight: u32,
    sent: u64,
}

/// An event that is to be published.
#[derive(Clone, Serialize, Deserialize)]
struct Unsent {
    topic: Topic,
    json: String,
    id: EventId,
    /// Time of the first attempt, by the page's clock, in milliseconds.
    #[serde(default)]
    tried_ms: Option<f64>,
}

impl Outbox {
    /// Creates an empty outbox, which asks `way_up` before each event how to send it.
    pub(crate) fn new(way_up: impl Fn() -> WayUp + 'static) -> Self {
        let inner = Inner {
            unsent: VecDeque::new(),
            way_up: Rc::new(way_up),
            kept_as: None,
            is_sending: false,
            in_flight: 0,
            sent: 0,
        };
        Self {
            unsent: RwSignal::new(0),
            refused: RwSignal::new(String::new()),
            inner: StoredValue::new_local(inner),
        }
    }

    /// Keeps unsent events beyond the page, under a key of this window that begins with `name`. Events that other
    /// windows of this browser have left are sent now; if such a window is still open, both send them, and their keys
    /// keep them from being stored twice.
    pub(crate) fn keep(self, name: &str) {
        let own = format!("{name}-{}", page::id());
        let left = page::take_kept(&format!("{name}-"));
        let left = left.iter().filter_map(|text| serde_json::from_str::<Vec<Unsent>>(text).ok()).flatten();
        self.inner.try_update_value(|inner| {
            inner.kept_as = Some(own);
            inner.unsent.extend(left);
        });
        self.save();
        self.send_all();
    }

    /// Publishes an event once and in order, as soon as possible. Returns the key, which comes back as the id of the
    /// event.
    pub(crate) fn publish<T: Serialize>(self, topic: Option<Topic>, message: &T) -> Option<EventId> {
        let id: EventId = format!("{}-{}", page::id(), page::random_id()).parse().ok()?;
        let unsent = Unsent { topic: topic?, json: use_case::write(message), id: id.clone(), tried_ms: None };
        self.inner.try_update_value(|inner| inner.unsent.push_back(unsent));
        self.save();
        self.send_all();
        Some(id)
    }

    /// Returns the unsent events of a topic with their keys, oldest first.
    pub(crate) fn waiting<T: DeserializeOwned>(self, topic: &Topic) -> Vec<(EventId, T)> {
        let read = |unsent: &Unsent| Some((unsent.id.clone(), serde_json::from_str(&unsent.json).ok()?));
        let own = |unsent: &&Unsent| unsent.topic == *topic;
        self.inner
            .try_with_value(|inner| inner.unsent.iter().filter(own).filter_map(read).collect())
            .unwrap_or_default()
    }

    /// Returns the number of events that were published.
    pub(crate) fn sent(self) -> u64 {
        self.inner.try_with_value(|inner| inner.sent).unwrap_or_default()
    }

    fn save(self) {
        let kept = self.inner.try_with_value(|inner| {
            let Inner { unsent, kept_as, .. } = inner;
            let text = kept_as.clone().map(|name| (name, serde_json::to_string(unsent).unwrap_or_default()));
            (unsent.len(), text)
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
    pub(crate) fn send_all(self) {
        let begins = self.inner.try_update_value(|inner| {
            let begins = !inner.is_sending && !inner.unsent.is_empty();
            inner.is_sending |= begins;
            begins
        });
        if begins != Some(true) {
            return;
        }
        task::spawn(async move {
            let mut wait_ms = RETRY_MS.0;
            while let Some(unsent) = self.next() {
                if unsent.tried_ms.is_none() {
                    self.save();
                }
                let outcome = match is_stored(&unsent).await {
                    Some(true) => PublishOutcome::Kept,
                    Some(false) => self.send(&unsent).await,
                    None => PublishOutcome::Lost,
                };
                if outcome == PublishOutcome::Lost {
                    wake::sleep(wait_ms).await;
                    wait_ms = (wait_ms * 2.0).min(RETRY_MS.1);
                    continue;
                }
                wait_ms = RETRY_MS.0;
                self.inner.try_update_value(|inner| {
                    inner.sent += u64::from(outcome == PublishOutcome::Kept);
                    inner.unsent.pop_front()
                });
                if let PublishOutcome::Refused(why) = outcome {
                    let _gone = self.refused.try_set(why);
                }
                self.save();
            }
        });
    }

    /// Returns the oldest unsent event as it was before this attempt; `None` if nothing is left, or the page is gone.
    fn next(self) -> Option<Unsent> {
        let next = self.inner.try_update_value(|inner| {
            let next = inner.unsent.front().cloned();
            inner.is_sending = next.is_some();
            if let Some(first) = inner.unsent.front_mut() {
                first.tried_ms.get_or_insert(clock::now_ms());
            }
            next
        });
        next.flatten()
    }

    async fn send(self, unsent: &Unsent) -> PublishOutcome {
        let handle = match self.way_up() {
            Some(WayUp::Request) => {
                return publish::json(&unsent.topic, &unsent.json, Some(&unsent.id)).await;
            }
            Some(WayUp::Socket(Some(handle))) => handle,
            Some(WayUp::Socket(None)) | None => return PublishOutcome::Lost,
        };
        let answer = Rc::new(RefCell::new(None));
        let told = Rc::clone(&answer);
        let on_outcome = Box::new(move |outcome| *told.borrow_mut() = Some(outcome));
        handle.send(&unsent.topic, &unsent.json, Some(unsent.id.clone()), on_outcome);
        drop(handle);
        // The stream's own watch closes a dead socket, and the callback is then given `PublishOutcome::Lost`.
        while answer.borrow().is_none() {
            if self.inner.try_with_value(|_| ()).is_none() {
                return PublishOutcome::Lost;
            }
            timer::sleep(4.0).await;
        }
        answer.take().unwrap_or(PublishOutcome::Lost)
    }

    fn way_up(self) -> Option<WayUp> {
        let way_up = self.inner.try_with_value(|inner| Rc::clone(&inner.way_up))?;
        Some(way_up())
    }

    /// Publishes an event that is worth nothing a moment later: at once or not at all, and without waiting for the
    /// outcome. A lost event is not sent again.
    pub(crate) fn send_unconfirmed<T: Serialize>(self, topic: Option<&Topic>, message: &T) {
        let Some(topic) = topic.cloned() else { return };
        let may = self.inner.try_update_value(|inner| {
            let may = inner.in_flight < MAX_IN_FLIGHT;
            inner.in_flight += u32::from(may);
            may
        });
        if may != Some(true) {
            return;
        }
        let json = use_case::write(message);
        let landed = move |is_kept: bool| {
            self.inner.try_update_value(|inner| {
                inner.in_flight = inner.in_flight.saturating_sub(1);
                inner.sent += u64::from(is_kept);
            });
        };
        match self.way_up() {
            Some(WayUp::Request) => task::spawn(async move {
                landed(publish::json(&topic, &json, None).await == PublishOutcome::Kept);
            }),
            Some(WayUp::Socket(Some(handle))) => {
                handle.send(&topic, &json, None, Box::new(|_| {}));
                landed(true);
            }
            Some(WayUp::Socket(None)) | None => landed(false),
        }
    }
}

/// Returns true if the event is in the log already; `None` if the log can't be asked now.
///
/// The server forgets keys after five minutes. An event first tried about that long ago may be stored although its
/// answer was lost, and sending it again would store a second one.
async fn is_stored(unsent: &Unsent) -> Option<bool> {
    const DOUBT_MS: f64 = 240_000.0;
    const LOOKED_AT: u32 = 1_000;
    if unsent.tried_ms.is_none_or(|tried_ms| clock::now_ms() - tried_ms < DOUBT_MS) {
        return Some(false);
    }
    let last = operate::last(&unsent.topic, LOOKED_AT).await.ok()?;
    Some(last.iter().any(|event| event.id.as_ref() == Some(&unsent.id)))
}
