//! The server's side of the lab's use cases. Each is a state machine over the log: it reads events, its own
//! included, and publishes those that follow from them. Its state comes from the events alone, so it is the same after
//! a restart, and any program with a subscription and a publisher could do the same.
//!
//! The chat has no state machine here: a log of messages is all that it needs.
//!
//! A use case has one name in all layers. Its events are in `shared/src/use_case`, its page in
//! `frontend/src/pages/use_cases`, which lists it in `list.rs`; its state machine, if it needs one, is here, in [`all`];
//! and `code.rs` names its files for the page's Code tab.

pub mod code;
mod dashboard;
mod notice;
mod order;
mod pointer;
mod score;
mod text;
mod trade;
mod upload;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fourways_cluster::Peers;
use fourways_shared::{After, Data, Event, EventId, EventName, Filter, Topic, use_case};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;

use fourways_log::{
    engine::{Append, Clock as _, Draft, Engine, Key, SystemClock},
    subscription::{Batch, Reader},
};

use crate::operate::interest::Readers;

/// Pause after the log refused an event, or after a machine did not read back an event that it had published.
const REFUSED: Duration = Duration::from_secs(1);
/// Longest sleep, so that no machine depends on being woken.
const IDLE: Duration = Duration::from_secs(1);

/// The server's side of a use case: a state machine over the log.
trait Machine {
    /// Returns the topics and patterns that the machine reads, from the earliest retained event on.
    fn reads(&self) -> Vec<Filter>;

    /// Applies an event that arrived at this time, in the order of the log. The machine's own events arrive here too,
    /// and only here does it learn that they were published.
    fn apply(&mut self, event: &Event, at_us: u64);

    /// Returns the events to publish at this time, which never goes back, and the time until the next call if no event
    /// arrives. Not called while there are events to read.
    fn due(&mut self, now_us: u64, readers: &mut Readers) -> Due;
}

/// The result of [`Machine::due`]: the events to publish now, and the time until the next call. Without a time, the
/// next call comes at once after events, and otherwise after [`IDLE`].
#[derive(Default)]
struct Due {
    says: Vec<Publication>,
    again: Option<Duration>,
}

/// An event that a machine wants published.
struct Publication {
    topic: Topic,
    data: Data,
    /// Idempotency key, which makes a repeated publish harmless and marks the event as the server's.
    key: Option<EventId>,
}

impl Publication {
    /// Creates an event without a key; `None` without a topic.
    fn of<T: Serialize>(topic: Option<Topic>, said: &T) -> Option<Self> {
        Some(Self { topic: topic?, data: Data::json(said), key: None })
    }

    /// Gives the event a key, so that it is published only once on its topic and readers know it as the server's.
    fn once(mut self, key: &str) -> Self {
        self.key = format!("{}{key}", EventId::SERVER_PREFIX).parse().ok();
        self
    }
}

/// Returns the futures of all machines; each runs until it is dropped. They are separate so that a machine that panics
/// stops no other.
pub(crate) fn all(engine: &Arc<dyn Engine>, peers: Option<&Arc<Peers>>) -> Vec<LocalBoxFuture<'static, ()>> {
    let log = || (Arc::clone(engine), Readers::new(Arc::clone(engine), peers.cloned()));
    vec![
        Box::pin(drive(log(), dashboard::Host::default())),
        Box::pin(drive(log(), notice::Notices::default())),
        Box::pin(drive(log(), order::Orders::default())),
        Box::pin(drive(log(), pointer::Pointers::default())),
        Box::pin(drive(log(), score::Score::default())),
        Box::pin(drive(log(), text::Texts::default())),
        Box::pin(drive(log(), trade::Trades::default())),
        Box::pin(drive(log(), upload::Uploads::default())),
    ]
}

/// Returns the topics on which the machines publish only if somebody reads them.
pub(crate) fn live_topics() -> Vec<Topic> {
    dashboard::live_topics().chain(score::live_topics()).chain(trade::live_topics()).collect()
}

async fn drive((engine, mut readers): (Arc<dyn Engine>, Readers), mut machine: impl Machine) {
    let tail = engine.tail();
    let mut log = Reader::of_server(&tail).read(&machine.reads(), After::Earliest);
    let mut is_answered = true;
    let time = Time::begin();
    // Events up to this offset were published before the start: their time is that of the log, but never in the future.
    let before = tail.head();
    let apply = |machine: &mut _, batch: &Batch| {
        for event in &batch.events {
            let event = event.event();
            let now_us = time.now_us();
            let is_old = event.cursor.offset <= before;
            Machine::apply(machine, event, if is_old { event.published_at_us.min(now_us) } else { now_us });
        }
        !batch.events.is_empty()
    };
    loop {
        while log.has_more() {
            let Some(batch) = log.now(256).await else { continue };
            is_answered |= apply(&mut machine, &batch);
        }
        if !is_answered {
            // The log knows the key of an event that the machine did not read: publishing it at once would not help.
            tokio::time::sleep(REFUSED).await;
        }
        let Due { says, again } = machine.due(time.now_us(), &mut readers);
        let has_said = !says.is_empty();
        is_answered = says.iter().all(|say| say.key.is_none());
        for Publication { topic, data, key } in says {
            let drafts = vec![Draft { name: EventName::DEFAULT, data }];
            let key = key.map(|id| Key { id, by: None });
            if let Err(error) = engine.append(Append { topic, drafts, key }).await {
                // The event is due again: a machine counts an event as published when it has read it.
                tracing::warn!(%error, "a use case could not publish its event");
                tokio::time::sleep(REFUSED).await;
                break;
            }
        }
        if !has_said || again.is_some() {
            let deadline = Instant::now() + again.unwrap_or(IDLE).min(IDLE);
            if let Some(batch) = log.next(256, deadline).await {
                is_answered |= apply(&mut machine, &batch);
            }
        }
    }
}

/// Parses a pattern for [`Machine::reads`].
fn filter(text: &str) -> Option<Filter> {
    text.parse().ok()
}

/// The clock of a machine: the system's time at its start plus the time that has passed since. Setting the system's
/// clock thus neither stops a machine nor makes it catch up on time that never passed.
struct Time {
    began_us: u64,
    clock: SystemClock,
}

impl Time {
    fn begin() -> Self {
        let clock = SystemClock::default();
        Self { began_us: clock.wall_us(), clock }
    }

    fn now_us(&self) -> u64 {
        self.began_us + u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX / 2)
    }
}

/// Returns the time from `now_us` until `then_us`; zero if it has passed.
const fn until(then_us: u64, now_us: u64) -> Duration {
    Duration::from_micros(then_us.saturating_sub(now_us))
}

/// Returns the id of the visitor that a topic `use-case.NAME.VISITOR…` belongs to.
fn visitor<'a>(topic: &'a Topic, name: &str) -> Option<&'a str> {
    use_case::rest(topic, name)?.split('.').next()
}

#[cfg(test)]
mod tests;
