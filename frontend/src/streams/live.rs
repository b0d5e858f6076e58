//! The base of every use case: a stream that can be switched from one technique to another while it runs. Publishing is
//! in `outbox`.
//!
//! Events are handed over in batches, once per animation frame, or at once while the tab is hidden and gets no frames.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use fourways_model::{
    lane::Lane,
    record::{Link, Note, RecordKind},
};
use fourways_shared::{
    After, Cursor, Event, Policy, PollBody, Technique, Topic,
    decide::Past,
    measure::ClockOffset,
    time::{ms_of_us, s_of_us},
    use_case,
};
use leptos::prelude::*;

use super::{
    health::Health,
    lab::Lab,
    outbox::{Outbox, WayUp},
};
use crate::{
    browser::{clock, frame::Frames, page, task, wake},
    components::change::Change as _,
    delivery::{
        self, Handle, Label, Request,
        operate::{self, Refused},
    },
};

/// Longest time that the server may hold a long poll, in seconds.
const HOLD_S: f64 = 20.0;
/// Number of past events kept to work out the costs of the other techniques.
const MAX_PAST: usize = 2_000;
/// Wait between two attempts, at first and at most, in milliseconds.
const RETRY_MS: (f64, f64) = (250.0, 4_000.0);

/// Topics that a use case reads, and how.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) topics: Vec<Topic>,
    pub(crate) begin: Begin,
    pub(crate) policy: Policy,
    /// Pause between the answer to a short poll and the next request, in milliseconds.
    pub(crate) poll_ms: f64,
    /// True for CBOR over WebSocket.
    pub(crate) is_binary: bool,
}

/// Position at which a use case begins to read.
#[derive(Clone)]
pub(crate) enum Begin {
    /// The given position.
    After(After),
    /// The cursor that the newest event of a topic names; that event is handed over first. Without one, the earliest
    /// retained event.
    State(Topic, fn(&Event) -> Option<Cursor>),
    /// The newest N events of one of the topics, then everything that follows on all of them: what a late joiner needs,
    /// without a gap between the two.
    Last(Topic, u32),
}

impl Plan {
    /// Returns a plan for all retained events of these topics, and everything that follows.
    pub(crate) fn all_of(topics: impl IntoIterator<Item = Option<Topic>>) -> Self {
        Self {
            topics: topics.into_iter().flatten().collect(),
            begin: Begin::After(After::Earliest),
            policy: Policy::All,
            poll_ms: 2_000.0,
            is_binary: false,
        }
    }
}

/// The stream and the outbox of a use case. The page owns them, and they close when it is left; copies share them.
#[derive(Clone, Copy)]
pub(crate) struct Live {
    pub(crate) technique: RwSignal<Technique>,
    /// Counts up with each batch, and every 400 ms, for figures of the stream to follow.
    pub(crate) tick: RwSignal<u32>,
    pub(crate) link: RwSignal<Link>,
    /// Events that the use case publishes.
    pub(crate) outbox: Outbox,
    clock: RwSignal<ClockOffset>,
    inner: StoredValue<Inner, LocalStorage>,
}

type Hear = Rc<dyn Fn(&[Event])>;

struct Inner {
    plan: Plan,
    hear: Hear,
    on_reset: Rc<dyn Fn()>,
    state: Rc<RefCell<LiveState>>,
    /// Shared while something is sent over it, because callbacks during the send must be able to borrow this value.
    handle: Option<Rc<Handle>>,
    labels: [Label; 4],
    /// Number of the current stream; notes of earlier streams are ignored.
    run: u32,
    /// Time since which the stream has been silent, in milliseconds; `None` once it has brought something.
    silent_since_ms: Option<f64>,
    opened_ms: f64,
    _frames: Frames,
}

struct LiveState {
    pending: Vec<Event>,
    lanes: [Lane; 4],
    past: VecDeque<Past>,
    cursor: Option<Cursor>,
    run: u32,
}

impl Live {
    /// Opens the stream by the technique, and again when another one is chosen. `hear` is given every event once and in
    /// order; `on_reset` is called when continuity broke and the shown state must be rebuilt from the events that
    /// follow.
    pub(crate) fn open(
        technique: RwSignal<Technique>,
        plan: Plan,
        hear: impl Fn(&[Event]) + 'static,
        on_reset: impl Fn() + 'static,
    ) -> Self {
        let lab = expect_context::<Lab>();
        let state = LiveState {
            pending: Vec::new(),
            lanes: Technique::ALL.map(Lane::new),
            past: VecDeque::new(),
            cursor: None,
            run: 0,
        };
        let slot = Rc::new(RefCell::new(None::<Self>));
        let frames = {
            let slot = Rc::clone(&slot);
            Frames::start(move || {
                if let Some(live) = *slot.borrow() {
                    live.drain();
                }
            })
        };
        let inner = Inner {
            plan,
            hear: Rc::new(hear),
            on_reset: Rc::new(on_reset),
            state: Rc::new(RefCell::new(state)),
            handle: None,
            labels: Technique::ALL.map(|_| Label::new(lab.id)),
            run: 0,
            silent_since_ms: None,
            opened_ms: clock::now_ms(),
            _frames: frames,
        };
        let inner = StoredValue::new_local(inner);
        let outbox = Outbox::new(move || match technique.try_get_untracked() {
            Some(Technique::Websocket) => {
                WayUp::Socket(inner.try_with_value(|inner| inner.handle.clone()).flatten())
            }
            _ => WayUp::Request,
        });
        let live = Self {
            technique,
            tick: RwSignal::new(0),
            link: RwSignal::new(Link::Closed),
            outbox,
            clock: expect_context::<Health>().clock,
            inner,
        };
        *slot.borrow_mut() = Some(live);
        lab.tell(&fourways_shared::lab::LabCommand::Zero(Technique::ALL.to_vec()));
        Effect::new(move |_| {
            technique.track();
            live.reopen();
        });
        let beat = set_interval_with_handle(
            move || {
                live.tick.change(|tick| *tick += 1);
            },
            std::time::Duration::from_millis(400),
        );
        on_cleanup(move || {
            if let Ok(beat) = beat {
                beat.clear();
            }
            let handle = live.inner.try_update_value(|inner| inner.handle.take());
            drop(handle);
        });
        live
    }

    /// Reads by another plan from now on.
    pub(crate) fn change(self, plan: Plan) {
        self.inner.try_update_value(|inner| {
            inner.plan = plan;
            let mut state = inner.state.borrow_mut();
            (state.cursor, state.pending) = (None, Vec::new());
        });
        self.reopen();
    }

    fn reopen(self) {
        let technique = self.technique.get_untracked();
        // Events of the old stream are handed over before its successor begins.
        self.drain();
        let begun = self.inner.try_update_value(|inner| {
            inner.run += 1;
            inner.state.borrow_mut().run = inner.run;
            let cursor = inner.state.borrow().cursor;
            (inner.handle.take(), inner.plan.begin.clone(), cursor, inner.run)
        });
        let Some((old, begin, cursor, run)) = begun else { return };
        drop(old);
        match (cursor, begin) {
            (Some(cursor), _) => self.stream(technique, After::Cursor(cursor)),
            (None, Begin::After(after)) => self.stream(technique, after),
            (None, Begin::Last(topic, count)) => self.begin(run, technique, topic, count, None),
            (None, Begin::State(topic, cursor_of)) => self.begin(run, technique, topic, 1, Some(cursor_of)),
        }
    }

    /// Reads the newest events of a topic, then streams the events that follow them, or that follow the cursor that `cursor_of`
    /// finds in the last of them.
    fn begin(
        self,
        run: u32,
        technique: Technique,
        topic: Topic,
        count: u32,
        cursor_of: Option<fn(&Event) -> Option<Cursor>>,
    ) {
        task::spawn(async move {
            let address = format!("/v1/events?topic={topic}&last={count}");
            let mut wait_ms = RETRY_MS.0;
            let say = |link| drop(self.link.try_set(link));
            say(Link::Opening);
            for attempt in 1.. {
                let body = operate::get::<PollBody>(&address).await;
                if self.inner.try_with_value(|inner| inner.run) != Some(run) {
                    return;
                }
                let why = match body {
                    Ok(PollBody { events, cursor, .. }) => {
                        let after = match cursor_of {
                            None => After::Cursor(cursor),
                            Some(cursor_of) => {
                                events.last().and_then(cursor_of).map_or(After::Earliest, After::Cursor)
                            }
                        };
                        let cursor = if let After::Cursor(cursor) = after { Some(cursor) } else { None };
                        self.take(run, events, cursor);
                        return self.stream(technique, after);
                    }
                    Err(Refused::Unauthorized { status, words }) => {
                        return say(Link::Stopped { why: format!("{status} {words}") });
                    }
                    Err(Refused::Other(why)) => why,
                };
                say(Link::Waiting { until_ms: Some(clock::now_ms() + wait_ms), attempt, why });
                wake::sleep(wait_ms).await;
                wait_ms = (wait_ms * 2.0).min(RETRY_MS.1);
            }
        });
    }

    fn stream(self, technique: Technique, after: After) {
        let opened = self.inner.try_update_value(|inner| {
            let Plan { topics, policy, poll_ms, is_binary, .. } = inner.plan.clone();
            let label = Some(inner.labels[technique.index()].clone());
            inner.silent_since_ms = Some(clock::now_ms());
            let request = Request { topics, after, poll_ms, hold_s: HOLD_S, policy, is_binary, label };
            (request, inner.run)
        });
        let Some((request, run)) = opened else { return };
        let handle = delivery::open(technique, request, Rc::new(move |note| self.note(run, technique, note)));
        self.inner.try_update_value(|inner| inner.handle = Some(Rc::new(handle)));
        self.outbox.send_all();
    }

    fn note(self, run: u32, technique: Technique, note: Note) {
        let clock = self.clock.try_get_untracked().unwrap_or_default();
        let mut events = Vec::new();
        let mut cursor = None;
        self.track_silence(&note);
        match &note {
            Note::Link(link) => {
                let is_open = matches!(link, Link::Held { .. });
                let _gone = self.link.try_set(link.clone());
                if is_open {
                    self.outbox.send_all();
                }
            }
            Note::Record(record) => {
                cursor = record.cursor;
                events = record
                    .events
                    .iter()
                    .filter(|event| event.is_new)
                    .map(|event| event.event.clone())
                    .collect();
                if record.reset.is_some() {
                    // The shown state may lack events: it is rebuilt from those that are handed over from here on.
                    self.drain();
                    if let Some(on_reset) = self.inner.try_with_value(|inner| Rc::clone(&inner.on_reset)) {
                        on_reset();
                    }
                }
            }
        }
        if let Some(state) = self.inner.try_with_value(|inner| Rc::clone(&inner.state)) {
            state.borrow_mut().lanes[technique.index()].observe(note, clock);
        }
        self.take(run, events, cursor);
    }

    /// Ends the measured silence on a sign of life or a refusal, and starts it again when the stream has to reconnect.
    fn track_silence(self, note: &Note) {
        let since_ms = match note {
            Note::Link(Link::Waiting { .. }) => Some(clock::now_ms()),
            Note::Link(Link::Stopped { .. }) => None,
            Note::Record(record) if matches!(record.kind, RecordKind::Data | RecordKind::Control) => None,
            _ => return,
        };
        self.inner.try_update_value(|inner| {
            inner.silent_since_ms = inner.silent_since_ms.and(since_ms);
        });
    }

    fn take(self, run: u32, events: Vec<Event>, cursor: Option<Cursor>) {
        let Some(state) = self.inner.try_with_value(|inner| Rc::clone(&inner.state)) else { return };
        {
            let mut state = state.borrow_mut();
            if state.run != run {
                return;
            }
            for event in &events {
                let past = Past { at_s: s_of_us(event.published_at_us), bytes: size(event) };
                if state.past.len() == MAX_PAST {
                    state.past.pop_front();
                }
                state.past.push_back(past);
            }
            state.pending.extend(events);
            state.cursor = cursor.or(state.cursor);
        }
        if page::is_hidden() {
            self.drain();
        }
    }

    /// Hands over the events that have come.
    fn drain(self) {
        let taken = self.inner.try_with_value(|inner| {
            let events = std::mem::take(&mut inner.state.borrow_mut().pending);
            (events, Rc::clone(&inner.hear))
        });
        let Some((events, hear)) = taken.filter(|(events, _)| !events.is_empty()) else { return };
        hear(&events);
        self.tick.change(|tick| *tick += 1);
    }

    /// Returns the milliseconds to add to the page's time to get the server's.
    pub(crate) fn offset_ms(self) -> f64 {
        self.clock.try_get_untracked().unwrap_or_default().offset_ms
    }

    /// Calls `look` with the lane of a technique; returns `None` after the page is gone.
    pub(crate) fn lane<T>(self, technique: Technique, look: impl FnOnce(&Lane) -> T) -> Option<T> {
        self.inner.try_with_value(|inner| look(&inner.state.borrow().lanes[technique.index()]))
    }

    /// Returns the last events that were published since the page opened, each with the bytes of its whole JSON.
    pub(crate) fn past(self) -> Vec<Past> {
        let opened_s = s_of_us(self.opened_us());
        let past = |inner: &Inner| {
            inner.state.borrow().past.iter().copied().filter(|past| past.at_s >= opened_s).collect()
        };
        self.inner.try_with_value(past).unwrap_or_default()
    }

    /// Returns the time at which the page opened, by the server's clock, in microseconds since 1970; older events were
    /// replayed.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "microseconds since 1970")]
    pub(crate) fn opened_us(self) -> u64 {
        let opened_ms = self.inner.try_with_value(|inner| inner.opened_ms).unwrap_or_default();
        let offset_ms = self.clock.try_get_untracked().unwrap_or_default().offset_ms;
        ((opened_ms + offset_ms) * 1000.0) as u64
    }

    /// Returns the poll interval of the stream, in seconds.
    pub(crate) fn poll_s(self) -> f64 {
        self.inner.try_with_value(|inner| inner.plan.poll_ms / 1000.0).unwrap_or(2.0)
    }

    /// Returns the time for which the stream has been open, or has tried to open, without bringing anything or being
    /// refused, in milliseconds.
    pub(crate) fn silence_ms(self) -> f64 {
        let since_ms = self.inner.try_with_value(|inner| inner.silent_since_ms).flatten();
        since_ms.map_or(0.0, |since_ms| clock::now_ms() - since_ms)
    }
}

/// Returns the bytes of the event's JSON, envelope and all, whatever encoding it came in.
#[expect(clippy::cast_precision_loss, reason = "an event has a megabyte at most")]
fn size(event: &Event) -> f64 {
    use_case::write(event).len() as f64
}

/// Returns the time since an event was published, by the server's clock, in milliseconds.
pub(crate) fn age_ms(live: Live, event: &Event) -> f64 {
    (clock::now_ms() + live.offset_ms() - ms_of_us(event.published_at_us)).max(0.0)
}
