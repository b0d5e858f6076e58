//! The steps of the path check, each with a deadline.

use std::{cell::RefCell, rc::Rc};

use fourways_model::{
    path::{HELD_BACK_MS, Hold, Push, Seen, Streams},
    record::{Link, Note},
};
use fourways_shared::{
    After, Technique, Topic,
    measure::{ClockOffset, ClockSample},
};
use leptos::prelude::*;

use super::Step;
use crate::{
    browser::{clock, task, timer},
    components::change::Change as _,
    delivery::{
        self, Handle, Request, lab,
        publish::{self, PublishOutcome},
    },
    streams::{feed::own_topic, health::Health, lab::Lab},
};

const SAMPLES: usize = 8;
const EVENTS: usize = 3;
const OPEN_MS: f64 = 5_000.0;
/// Time that the streams are watched, in milliseconds: longer than the timeouts of proxies that cut early.
const WATCH_MS: f64 = 26_000.0;
const HOLD_S: f64 = 25.0;
/// Number of streams tried at most: nobody needs more.
const MOST_STREAMS: usize = 12;
/// A stream that does not open within this time, in milliseconds, waits for another to end.
const STREAM_MS: f64 = 1_500.0;

/// Runs all steps; the page may be left meanwhile.
pub(super) async fn check(health: Health, lab: Lab, seen: RwSignal<Seen>, step: RwSignal<Option<Step>>) {
    let server = lab.since();
    let say = move |share, words| {
        let _gone = step.try_set(Some(Step { share, words }));
    };
    let tell = move |change: &dyn Fn(&mut Seen)| {
        seen.change(|seen| change(seen));
    };
    let samples = samples().await;
    let round_trip_ms =
        samples.iter().map(|sample| sample.received_ms - sample.sent_ms).fold(f64::INFINITY, f64::min);
    let offset = ClockOffset::estimate(&samples);
    tell(&|seen| {
        seen.round_trip_ms = Some(round_trip_ms).filter(|ms| ms.is_finite());
        seen.clock_error_ms = offset.map(|offset| offset.error_ms);
        seen.protocol =
            Some(health.protocol.try_get_untracked().unwrap_or_default()).filter(|p| !p.is_empty());
    });
    say(0.05, "short polling");
    let asked_ms = clock::now_ms();
    let is_answered = lab::held(&own_topic(), 0.0).await.is_some();
    let took_ms = clock::now_ms() - asked_ms;
    tell(&|seen| seen.short_poll_ms = is_answered.then_some(took_ms));

    say(0.1, "holding a poll, opening a stream and a socket");
    let (sse, websocket) = (Probe::open(Technique::Sse), Probe::open(Technique::Websocket));
    let held = Rc::new(RefCell::new(None));
    {
        let held = Rc::clone(&held);
        task::spawn(async move {
            let asked_ms = clock::now_ms();
            let status = lab::held(&own_topic(), HOLD_S).await.unwrap_or(0);
            *held.borrow_mut() = Some((status, clock::now_ms() - asked_ms));
        });
    }
    let began_ms = clock::now_ms();
    sse.send_events().await;
    websocket.send_events().await;
    let woken_ms = wake().await;
    while clock::now_ms() - began_ms < WATCH_MS {
        let spent = (clock::now_ms() - began_ms) / WATCH_MS;
        say(0.15 + 0.65 * spent, "watching whether anything is cut");
        // Intermediate results are shown as they come.
        tell(&|seen| {
            seen.sse = Some(sse.push());
            seen.websocket = Some(websocket.push());
        });
        if seen.try_get_untracked().is_none() {
            return;
        }
        timer::sleep(300.0).await;
    }
    let deadline_ms = clock::now_ms() + 8_000.0;
    while held.borrow().is_none() && clock::now_ms() < deadline_ms {
        timer::sleep(100.0).await;
    }
    let (status, held_ms) = held.borrow().unwrap_or((0, clock::now_ms() - began_ms));
    tell(&|seen| seen.long_poll = Some(Hold { asked_ms: HOLD_S * 1000.0, held_ms, status, woken_ms }));
    drop((sse, websocket));
    say(0.85, "opening streams until one waits");
    let streams =
        wall(|count| tell(&|seen| seen.streams = Some(Streams { open: count, tried: MOST_STREAMS }))).await;
    tell(&|seen| seen.streams = Some(streams));
    // No proxy is to blame for what a restart of the server broke.
    if server.is_some() && lab.since() != server {
        tell(&|seen| *seen = Seen { was_restarted: true, ..Seen::default() });
    }
}

async fn samples() -> Vec<ClockSample> {
    let mut samples = Vec::new();
    for _ in 0..SAMPLES {
        samples.extend(lab::clock_sample().await);
        timer::sleep(50.0).await;
    }
    samples
}

/// Measures how long an event takes to wake a held poll, in milliseconds; `None` if it does not in time.
async fn wake() -> Option<f64> {
    let topic = own_topic();
    let answered = Rc::new(RefCell::new(None));
    {
        let (topic, answered) = (topic.clone(), Rc::clone(&answered));
        task::spawn(async move {
            if lab::held(&topic, 10.0).await == Some(200) {
                *answered.borrow_mut() = Some(clock::now_ms());
            }
        });
    }
    // Time for the poll to arrive: without it the event would get there first.
    timer::sleep(400.0).await;
    let sent_ms = clock::now_ms();
    publish::text(&topic, "wake").await.kept().ok()?;
    let deadline_ms = sent_ms + HELD_BACK_MS;
    while clock::now_ms() < deadline_ms {
        if let Some(at_ms) = *answered.borrow() {
            return Some((at_ms - sent_ms).max(0.0));
        }
        timer::sleep(5.0).await;
    }
    None
}

/// Opens streams until one does not open, and calls `tell` with the number of those that did.
async fn wall(tell: impl Fn(usize)) -> Streams {
    let mut open: Vec<Probe> = Vec::new();
    while open.len() < MOST_STREAMS {
        let probe = Probe::open(Technique::Sse);
        if !probe.is_open_within(STREAM_MS).await {
            break;
        }
        open.push(probe);
        tell(open.len());
    }
    Streams { open: open.len(), tried: MOST_STREAMS }
}

/// A stream of its own topic. Dropping the value closes the stream.
struct Probe {
    topic: Topic,
    asked_ms: f64,
    noted: Rc<RefCell<Noted>>,
    sent: RefCell<Vec<(f64, Option<f64>)>>,
    _handle: Handle,
}

#[derive(Default)]
struct Noted {
    opened_ms: Option<f64>,
    cut_ms: Option<f64>,
    events: usize,
    newest_ms: f64,
}

impl Probe {
    fn open(technique: Technique) -> Self {
        let topic = own_topic();
        let noted = Rc::new(RefCell::new(Noted::default()));
        let sink = {
            let noted = Rc::clone(&noted);
            Rc::new(move |note| {
                let mut noted = noted.borrow_mut();
                match note {
                    Note::Link(Link::Held { since_ms }) => {
                        noted.opened_ms = noted.opened_ms.or(Some(since_ms));
                    }
                    Note::Link(Link::Waiting { .. } | Link::Stopped { .. }) if noted.opened_ms.is_some() => {
                        noted.cut_ms = noted.cut_ms.or(Some(clock::now_ms()));
                    }
                    Note::Record(record) if !record.events.is_empty() => {
                        noted.events += record.events.len();
                        noted.newest_ms = record.ended_ms;
                    }
                    _ => {}
                }
            })
        };
        let request = Request { poll_ms: 0.0, hold_s: 0.0, ..Request::of(vec![topic.clone()], After::Head) };
        let handle = delivery::open(technique, request, sink);
        Self { topic, asked_ms: clock::now_ms(), noted, sent: RefCell::default(), _handle: handle }
    }

    async fn is_open_within(&self, ms: f64) -> bool {
        let deadline_ms = self.asked_ms + ms;
        while self.noted.borrow().opened_ms.is_none() && clock::now_ms() < deadline_ms {
            timer::sleep(10.0).await;
        }
        self.noted.borrow().opened_ms.is_some()
    }

    /// Publishes one event after the other, each when the one before has arrived or is overdue.
    async fn send_events(&self) {
        if !self.is_open_within(OPEN_MS).await {
            return;
        }
        for n in 1..=EVENTS {
            let sent_ms = clock::now_ms();
            if publish::text(&self.topic, "path").await != PublishOutcome::Kept {
                return;
            }
            while self.noted.borrow().events < n && clock::now_ms() < sent_ms + HELD_BACK_MS {
                timer::sleep(5.0).await;
            }
            let is_here = self.noted.borrow().events >= n;
            let took_ms = is_here.then(|| (self.noted.borrow().newest_ms - sent_ms).max(0.0));
            self.sent.borrow_mut().push((sent_ms, took_ms));
        }
    }

    fn push(&self) -> Push {
        let noted = self.noted.borrow();
        let sent = self.sent.borrow();
        Push {
            opened_ms: noted.opened_ms.map(|at_ms| (at_ms - self.asked_ms).max(0.0)),
            took_ms: sent.iter().filter_map(|(_, took_ms)| *took_ms).collect(),
            held_back: sent.iter().filter(|(_, took_ms)| took_ms.is_none()).count(),
            cut_ms: noted.cut_ms.zip(noted.opened_ms).map(|(cut_ms, opened_ms)| cut_ms - opened_ms),
            watched_ms: noted.opened_ms.map_or(0.0, |opened_ms| clock::now_ms() - opened_ms),
        }
    }
}
