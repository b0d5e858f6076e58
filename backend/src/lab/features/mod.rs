//! The server's halves of the lab's nine features, each a state machine over events: it hears what is published, its own
//! words included, and says what follows. Its state is what it heard and nothing else, so it is the same after a restart;
//! what it does, any program could do with a subscription and a publish.
//!
//! The chat has no half here: a log of messages is all that it needs.

pub mod code;
mod host;
mod notices;
mod orders;
mod pointers;
mod score;
mod texts;
mod trades;
mod uploads;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use fourways_shared::{After, Data, Event, EventId, EventName, Filter, Topic, feature};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;

use crate::log::{
    engine::{Append, Clock as _, Draft, Engine, Key, SystemClock, Tail},
    subscription::{Batch, Subscription},
};

/// How long after its last reader a topic still counts as read: longer than a short poll's usual pause.
const GRACE: Duration = Duration::from_secs(12);
/// How long to wait after the log refused.
const REFUSED: Duration = Duration::from_secs(1);
/// Longest sleep, so that nothing depends on a wake-up alone.
const IDLE: Duration = Duration::from_secs(1);

/// A feature's half on the server.
trait Machine {
    /// What it hears, from the oldest that is kept.
    fn reads(&self) -> Vec<Filter>;

    /// Takes an event that came at this time, in the order of the log. Its own come here too, and only here does it learn of
    /// them.
    fn hear(&mut self, event: &Event, at_us: u64);

    /// What is to be said at this time, which never goes back, and in how long to ask again if nothing is heard. It is not
    /// asked while there is something to hear.
    fn due(&mut self, now_us: u64, readers: &mut Readers) -> Due;
}

/// What a machine wants.
#[derive(Default)]
struct Due {
    says: Vec<Say>,
    again: Option<Duration>,
}

/// Something to publish.
struct Say {
    topic: Topic,
    data: Data,
    /// So that it is said once, and believed.
    key: Option<EventId>,
}

impl Say {
    /// `None` for a topic that can't be.
    fn of<T: Serialize>(topic: Option<Topic>, said: &T) -> Option<Self> {
        Some(Self { topic: topic?, data: Data::json(said), key: None })
    }

    /// Said once on its topic, and known by its key for the server's word.
    fn once(mut self, key: &str) -> Self {
        self.key = format!("{}{key}", EventId::SERVER).parse().ok();
        self
    }
}

/// Who reads what a machine would say; saying it to nobody is not worth it.
struct Readers {
    tail: Arc<Tail>,
    seen: HashMap<Topic, (u32, Option<Instant>)>,
}

impl Readers {
    /// Somebody reads the topic, or did until a moment ago.
    fn has(&mut self, topic: &Topic) -> bool {
        let begun = self.tail.reads_begun(topic);
        let seen = self.seen.entry(topic.clone()).or_default();
        if seen.0 != begun || self.tail.is_read(topic) {
            *seen = (begun, Some(Instant::now()));
        }
        seen.1.is_some_and(|at| at.elapsed() < GRACE)
    }
}

/// Each of them, to be run until it is dropped. They are apart, so that one that fails takes no other with it.
pub fn all(engine: &Arc<dyn Engine>) -> [LocalBoxFuture<'static, ()>; 8] {
    [
        Box::pin(drive(Arc::clone(engine), host::Host::default())),
        Box::pin(drive(Arc::clone(engine), notices::Notices::default())),
        Box::pin(drive(Arc::clone(engine), orders::Orders::default())),
        Box::pin(drive(Arc::clone(engine), pointers::Pointers::default())),
        Box::pin(drive(Arc::clone(engine), score::Score::default())),
        Box::pin(drive(Arc::clone(engine), texts::Texts::default())),
        Box::pin(drive(Arc::clone(engine), trades::Trades::default())),
        Box::pin(drive(Arc::clone(engine), uploads::Uploads::default())),
    ]
}

async fn drive(engine: Arc<dyn Engine>, mut machine: impl Machine) {
    let tail = engine.tail();
    let mut log = Subscription::of_server(tail, &machine.reads(), After::Earliest);
    let mut readers = Readers { tail: Arc::clone(tail), seen: HashMap::new() };
    let mut is_answered = true;
    let time = Time::begin();
    // What was published before this: how long ago is what the system's clock says, but not after now.
    let before = tail.head();
    let hear = |machine: &mut _, batch: &Batch| {
        for event in &batch.events {
            let event = event.event();
            let now_us = time.now_us();
            let is_old = event.cursor.offset <= before;
            Machine::hear(machine, event, if is_old { event.published_at_us.min(now_us) } else { now_us });
        }
        !batch.events.is_empty()
    };
    loop {
        while log.has_more() {
            let Some(batch) = log.now(256).await else { continue };
            is_answered |= hear(&mut machine, &batch);
        }
        if !is_answered {
            // What it said is known, and yet it did not hear of it: saying it at once again would not help.
            tokio::time::sleep(REFUSED).await;
        }
        let Due { says, again } = machine.due(time.now_us(), &mut readers);
        let has_said = !says.is_empty();
        is_answered = says.iter().all(|say| say.key.is_none());
        for Say { topic, data, key } in says {
            let drafts = vec![Draft { name: EventName::DEFAULT, data }];
            let key = key.map(|id| Key { id, by: None });
            if let Err(error) = engine.append(Append { topic, drafts, key }).await {
                // It is due again: what was not heard was not said.
                tracing::warn!(%error, "a feature could not say what it had to");
                tokio::time::sleep(REFUSED).await;
                break;
            }
        }
        if !has_said || again.is_some() {
            let deadline = Instant::now() + again.unwrap_or(IDLE).min(IDLE);
            if let Some(batch) = log.next(256, deadline).await {
                is_answered |= hear(&mut machine, &batch);
            }
        }
    }
}

/// A pattern, as a machine names what it hears.
fn filter(text: &str) -> Option<Filter> {
    text.parse().ok()
}

/// The time that machines go by: the system's when they began, and from there on what has passed, so that a clock that is
/// set neither halts them nor has them make up for what never was.
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

/// Time until then; none if it has passed.
const fn until(then_us: u64, now_us: u64) -> Duration {
    Duration::from_micros(then_us.saturating_sub(now_us))
}

/// The visitor that a topic `feature.NAME.VISITOR…` belongs to.
fn visitor<'a>(topic: &'a Topic, name: &str) -> Option<&'a str> {
    feature::rest(topic, name)?.split('.').next()
}

#[cfg(test)]
mod tests;
