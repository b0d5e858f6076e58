//! The streams that a page owns: open connections, their notes, and the lanes made of them.
//!
//! Arrivals go from the browser's callback into a bounded buffer and from there into the lanes once per frame: signals
//! conflate, so an event never travels through one.

pub(crate) mod feed;
pub(crate) mod health;
pub(crate) mod lab;
pub(crate) mod live;
pub(crate) mod outbox;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use fourways_model::{
    feed::Feed,
    lane::Lane,
    record::{Link, Note, RecordKind},
    wire::{Entry, Wire},
};
use fourways_shared::{
    Technique, Topic,
    account::Account,
    lab::{Counts, LabCommand},
    measure::ClockOffset,
};
use leptos::prelude::*;

use self::lab::Lab;
use crate::delivery::{self, Handle, Label, Request, publish::PublishOutcome};

/// Number of notes buffered at most: a hidden tab gets no frames, so the buffer is drained when it is full.
const MAX_PENDING: usize = 2000;

/// The streams of a page, which owns them: they close when it is left. Copies share the same streams.
#[derive(Clone, Copy)]
pub(crate) struct Streams {
    inner: StoredValue<Inner, LocalStorage>,
    clock: RwSignal<ClockOffset>,
    lab: Lab,
}

struct Inner {
    state: Rc<RefCell<StreamState>>,
    handles: [Option<Handle>; 4],
    labels: [Label; 4],
    twin: Option<Handle>,
    /// Number of the run that the reports of each technique to the ledger are of: its streams have cursors of their own.
    runs: [u32; 4],
    topics: [Vec<Topic>; 4],
}

struct StreamState {
    pending: Vec<(Technique, Note)>,
    lanes: [Lane; 4],
    feed: Feed,
    /// Lane of an unlabelled stream, which no fault touches.
    twin: Option<Lane>,
    /// The watched technique, with the units of its wire.
    wire: Option<(Technique, Wire)>,
}

impl Streams {
    /// Creates the streams without opening any. With `watched`, the wire of that technique is kept.
    pub(crate) fn new(clock: RwSignal<ClockOffset>, watched: Option<Technique>) -> Self {
        let lab = expect_context::<Lab>();
        lab.watch(watched);
        let state = StreamState {
            pending: Vec::new(),
            lanes: Technique::ALL.map(Lane::new),
            feed: Feed::default(),
            twin: None,
            wire: watched.map(|technique| (technique, Wire::default())),
        };
        let inner = Inner {
            state: Rc::new(RefCell::new(state)),
            handles: [None, None, None, None],
            labels: Technique::ALL.map(|_| Label::new(lab.id)),
            twin: None,
            runs: Technique::ALL.map(|_| lab.next_run()),
            topics: Default::default(),
        };
        Self { inner: StoredValue::new_local(inner), clock, lab }
    }

    /// Sets all counts to zero, here and at the server; resolves when that is done, or the server is not there in time.
    pub(crate) async fn fresh(self) {
        self.lab.zeroed(&Technique::ALL).await;
        self.clear();
    }

    /// Returns the page's visit to the server's lab.
    pub(crate) const fn lab(&self) -> Lab {
        self.lab
    }

    /// Returns the server's counts for a technique; `None` while its channel is closed.
    pub(crate) fn counts(&self, technique: Technique) -> Option<Counts> {
        self.lab.is_open.get().then(|| self.lab.counts.get()[technique.index()])
    }

    /// Opens a stream in place of the technique's previous one.
    pub(crate) fn open(&self, technique: Technique, request: Request) {
        let at = technique.index();
        let kept = self.inner.try_with_value(|inner| (Rc::clone(&inner.state), inner.labels[at].clone()));
        let Some((state, label)) = kept else { return };
        self.close(technique);
        let (clock, lab) = (self.clock, self.lab);
        let sink = Rc::new(move |note| {
            let mut state = state.borrow_mut();
            state.pending.push((technique, note));
            if state.pending.len() >= MAX_PENDING {
                state.drain(clock.try_get_untracked().unwrap_or_default(), lab);
            }
        });
        self.inner.try_update_value(|inner| inner.topics[at].clone_from(&request.topics));
        let request = Request { label: Some(label), ..request };
        let handle = delivery::open(technique, request, sink);
        self.inner.try_update_value(|inner| inner.handles[technique.index()] = Some(handle));
    }

    /// Closes the stream of a technique; its lane stays.
    pub(crate) fn close(&self, technique: Technique) {
        self.drain();
        // The handle is dropped outside of the update, so that closing it may call back.
        let handle = self.inner.try_update_value(|inner| inner.handles[technique.index()].take());
        drop(handle);
        self.inner.try_with_value(|inner| {
            inner.state.borrow_mut().lanes[technique.index()].link = Link::Closed;
        });
    }

    /// Closes all four streams; the lanes stay.
    pub(crate) fn close_all(&self) {
        for technique in Technique::ALL {
            self.close(technique);
        }
    }

    /// Begins all lanes, the feed and the wire anew, in a new run.
    pub(crate) fn clear(&self) {
        let runs = Technique::ALL.map(|_| self.lab.next_run());
        self.inner.try_update_value(|inner| inner.runs = runs);
        self.inner.try_with_value(|inner| {
            let mut state = inner.state.borrow_mut();
            state.pending.clear();
            state.lanes = Technique::ALL.map(Lane::new);
            state.feed = Feed::default();
            state.wire = state.wire.take().map(|(technique, _)| (technique, Wire::default()));
        });
        drop(self.lab.take_records());
    }

    /// Publishes a text over the technique's own connection. Returns false if that connection can't send, or is not
    /// open.
    pub(crate) fn publish(&self, technique: Technique, topic: &Topic, text: &str) -> bool {
        let is_out = Rc::new(Cell::new(true));
        let on_outcome = {
            let is_out = Rc::clone(&is_out);
            Box::new(move |outcome| is_out.set(outcome != PublishOutcome::Lost))
        };
        let json = serde_json::to_string(text).unwrap_or_default();
        let send = |inner: &Inner| match &inner.handles[technique.index()] {
            Some(handle) => handle.send(topic, &json, None, on_outcome),
            None => on_outcome(PublishOutcome::Lost),
        };
        self.inner.try_with_value(send);
        is_out.get()
    }

    /// Moves the notes that came since the last frame into the lanes.
    pub(crate) fn drain(&self) {
        let clock = self.clock.try_get_untracked().unwrap_or_default();
        self.inner.try_with_value(|inner| inner.state.borrow_mut().drain(clock, self.lab));
    }

    /// Returns the account that the server's ledger gives of this run by a technique, once there is one.
    pub(crate) fn account(&self, technique: Technique) -> Option<Account> {
        let (run, whose, account) = self.lab.account.get()?;
        let own = self.inner.try_with_value(|inner| inner.runs[technique.index()])?;
        ((run, whose) == (own, technique)).then_some(account)
    }

    /// Reports to the server's ledger the events that arrived by a technique since the last report.
    pub(crate) fn report(&self, technique: Technique) {
        if !self.lab.is_open.get_untracked() {
            return;
        }
        let command = self.inner.try_with_value(|inner| {
            let at = technique.index();
            let (after, through, held) = inner.state.borrow_mut().lanes[at].held.report()?;
            let topics = inner.topics[at].clone();
            Some(LabCommand::Held { run: inner.runs[at], technique, topics, after, through, held })
        });
        if let Some(command) = command.flatten() {
            self.lab.tell(&command);
        }
    }

    /// Calls `look` with the lanes and the feed; returns `None` after the page is gone.
    pub(crate) fn view<T>(&self, look: impl FnOnce(&[Lane; 4], &Feed) -> T) -> Option<T> {
        self.inner.try_with_value(|inner| {
            let state = inner.state.borrow();
            look(&state.lanes, &state.feed)
        })
    }

    /// Calls `look` with the lane of a technique; returns `None` after the page is gone.
    pub(crate) fn lane<T>(&self, technique: Technique, look: impl FnOnce(&Lane) -> T) -> Option<T> {
        self.view(|lanes, _| look(&lanes[technique.index()]))
    }
}

impl Streams {
    /// Opens a second stream of the same kind that no fault touches and no figure contains.
    pub(crate) fn open_twin(&self, technique: Technique, request: Request) {
        let Some(state) = self.inner.try_with_value(|inner| Rc::clone(&inner.state)) else { return };
        state.borrow_mut().twin = Some(Lane::new(technique));
        let clock = self.clock;
        let sink = Rc::new(move |note| {
            if let Some(twin) = &mut state.borrow_mut().twin {
                twin.observe(note, clock.try_get_untracked().unwrap_or_default());
            }
        });
        let handle = delivery::open(technique, request, sink);
        self.inner.try_update_value(|inner| inner.twin = Some(handle));
    }

    /// Calls `look` with the lane of the twin; returns `None` without a twin.
    pub(crate) fn twin<T>(&self, look: impl FnOnce(&Lane) -> T) -> Option<T> {
        self.inner.try_with_value(|inner| inner.state.borrow().twin.as_ref().map(look)).flatten()
    }

    /// Closes the twin and discards its lane.
    pub(crate) fn close_twin(&self) {
        let handle = self.inner.try_update_value(|inner| inner.twin.take());
        drop(handle);
        self.inner.try_with_value(|inner| inner.state.borrow_mut().twin = None);
    }

    /// Calls `look` with the wire of the watched technique; `look` may change its filter.
    pub(crate) fn wire<T>(&self, look: impl FnOnce(&mut Wire) -> T) -> Option<T> {
        let look = |inner: &Inner| inner.state.borrow_mut().wire.as_mut().map(|(_, wire)| look(wire));
        self.inner.try_with_value(look).flatten()
    }

    /// Calls `look` with the lane and the wire of the watched technique, and with the feed.
    pub(crate) fn watched<T>(&self, look: impl FnOnce(&Lane, &Wire, &Feed) -> T) -> Option<T> {
        let look = |inner: &Inner| {
            let state = inner.state.borrow();
            let (technique, wire) = state.wire.as_ref()?;
            Some(look(&state.lanes[technique.index()], wire, &state.feed))
        };
        self.inner.try_with_value(look).flatten()
    }
}

impl StreamState {
    fn drain(&mut self, clock: ClockOffset, lab: Lab) {
        let is_told = lab.is_open.try_get_untracked().unwrap_or(false);
        for (technique, note) in self.pending.drain(..) {
            self.feed.observe(&note);
            if let (Some((watched, wire)), Note::Record(record)) = (&mut self.wire, &note)
                && *watched == technique
            {
                // While the server reports its records, the page adds only failures, which the server may never have
                // seen.
                let is_failure = record.kind == RecordKind::Failed;
                let entries = Entry::of_page(record, clock.offset_ms).into_iter();
                entries
                    .filter(|entry| !is_told || (is_failure && entry.failure.is_some()))
                    .for_each(|entry| wire.push(entry));
            }
            self.lanes[technique.index()].observe(note, clock);
        }
        if let Some((watched, wire)) = &mut self.wire {
            let records = lab.take_records().into_iter().filter(|record| record.technique == *watched);
            records.for_each(|record| wire.push(Entry::of_server(record)));
        }
    }
}
