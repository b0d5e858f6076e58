//! The streams that a page owns: open connections, what they told, and the lanes made of it.
//!
//! Arrivals go from the browser's callback into a bounded buffer and from there into the lanes once per frame: signals
//! conflate, so an event never travels through one.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use fourways_shared::{
    After, Policy, Technique, Topic,
    account::Account,
    lab::{Counts, LabCommand},
    measure::ClockOffset,
};
use leptos::prelude::*;

use super::lab::Lab;
use crate::{
    delivery::{self, Handle, Label, Request, publish::Sent},
    state::{
        feed::Feed,
        lane::Lane,
        record::{Link, Note, Outcome},
        wire::{Entry, Wire},
    },
};

/// A hidden tab gets no frames: then the buffer is emptied when it is full.
const MAX_PENDING: usize = 2000;

/// A page's streams. Copies are the same; they close when the page goes.
#[derive(Clone, Copy)]
pub(crate) struct Streams {
    inner: StoredValue<Inner, LocalStorage>,
    clock: RwSignal<ClockOffset>,
    lab: Lab,
}

struct Inner {
    told: Rc<RefCell<Told>>,
    handles: [Option<Handle>; 4],
    labels: [Label; 4],
    twin: Option<Handle>,
    /// The run that the ledger's reports are of.
    run: u32,
    topics: [Vec<Topic>; 4],
}

/// What to read, and how.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) topics: Vec<Topic>,
    pub(crate) after: After,
    /// Time between a short poll's answer and the next.
    pub(crate) poll_ms: f64,
    /// How long a long poll may be held.
    pub(crate) hold_s: f64,
}

struct Told {
    pending: Vec<(Technique, Note)>,
    lanes: [Lane; 4],
    feed: Feed,
    /// What an unlabelled stream told, which no fault touches.
    twin: Option<Lane>,
    /// Of the technique whose wire is looked at.
    wire: Option<(Technique, Wire)>,
}

impl Streams {
    /// None is open. With `watched`, the wire of that technique is kept.
    pub(crate) fn new(clock: RwSignal<ClockOffset>, watched: Option<Technique>) -> Self {
        let lab = expect_context::<Lab>();
        lab.watch(watched);
        let told = Told {
            pending: Vec::new(),
            lanes: Technique::ALL.map(Lane::new),
            feed: Feed::default(),
            twin: None,
            wire: watched.map(|technique| (technique, Wire::default())),
        };
        let inner = Inner {
            told: Rc::new(RefCell::new(told)),
            handles: [None, None, None, None],
            labels: Technique::ALL.map(|_| Label::new(lab.id)),
            twin: None,
            run: lab.next_run(),
            topics: Default::default(),
        };
        Self { inner: StoredValue::new_local(inner), clock, lab }
    }

    /// Counts from zero, here and at the server; resolves when that is done, or the server is not there in time.
    pub(crate) async fn fresh(self) {
        self.lab.zeroed(&Technique::ALL).await;
        self.clear();
    }

    /// The page's visit.
    pub(crate) const fn lab(&self) -> Lab {
        self.lab
    }

    /// What the server counted for a technique; `None` while it can't tell.
    pub(crate) fn counts(&self, technique: Technique) -> Option<Counts> {
        self.lab.is_open.get().then(|| self.lab.counts.get()[technique.index()])
    }

    /// Opens a stream in place of the technique's old one.
    pub(crate) fn open(&self, technique: Technique, ask: Ask) {
        let at = technique.index();
        let kept = self.inner.try_with_value(|inner| (Rc::clone(&inner.told), inner.labels[at].clone()));
        let Some((told, label)) = kept else { return };
        self.close(technique);
        let (clock, lab) = (self.clock, self.lab);
        let sink = Rc::new(move |note| {
            let mut told = told.borrow_mut();
            told.pending.push((technique, note));
            if told.pending.len() >= MAX_PENDING {
                told.drain(clock.try_get_untracked().unwrap_or_default(), lab);
            }
        });
        let Ask { topics, after, poll_ms, hold_s } = ask;
        self.inner.try_update_value(|inner| inner.topics[at].clone_from(&topics));
        let request = Request {
            topics,
            after,
            poll_ms,
            hold_s,
            policy: Policy::All,
            is_binary: false,
            label: Some(label),
        };
        let handle = delivery::open(technique, request, sink);
        self.inner.try_update_value(|inner| inner.handles[technique.index()] = Some(handle));
    }

    /// Closes the technique's stream; its lane stays.
    pub(crate) fn close(&self, technique: Technique) {
        self.drain();
        // Dropped outside of the update: closing calls nothing of ours, but need not be proved here.
        let handle = self.inner.try_update_value(|inner| inner.handles[technique.index()].take());
        drop(handle);
        self.inner.try_with_value(|inner| {
            inner.told.borrow_mut().lanes[technique.index()].link = Link::Closed;
        });
    }

    /// Closes all four; the lanes stay.
    pub(crate) fn close_all(&self) {
        for technique in Technique::ALL {
            self.close(technique);
        }
    }

    /// Begins all counting anew.
    pub(crate) fn clear(&self) {
        let run = self.lab.next_run();
        self.inner.try_update_value(|inner| inner.run = run);
        self.inner.try_with_value(|inner| {
            let mut told = inner.told.borrow_mut();
            told.pending.clear();
            told.lanes = Technique::ALL.map(Lane::new);
            told.feed = Feed::default();
            told.wire = told.wire.take().map(|(technique, _)| (technique, Wire::default()));
        });
        drop(self.lab.take_records());
    }

    /// Publishes a text over the technique's own connection; false if it has none that goes up, or it isn't open.
    pub(crate) fn publish(&self, technique: Technique, topic: &Topic, text: &str) -> bool {
        let is_out = Rc::new(Cell::new(true));
        let told = {
            let is_out = Rc::clone(&is_out);
            Box::new(move |sent| is_out.set(sent != Sent::Lost))
        };
        let json = serde_json::to_string(text).unwrap_or_default();
        let send = |inner: &Inner| match &inner.handles[technique.index()] {
            Some(handle) => handle.send(topic, &json, None, told),
            None => told(Sent::Lost),
        };
        self.inner.try_with_value(send);
        is_out.get()
    }

    /// Takes what came since the last frame into the lanes.
    pub(crate) fn drain(&self) {
        let clock = self.clock.try_get_untracked().unwrap_or_default();
        self.inner.try_with_value(|inner| inner.told.borrow_mut().drain(clock, self.lab));
    }

    /// What the server's ledger says of this run by this technique, as far as was told.
    pub(crate) fn account(&self, technique: Technique) -> Option<Account> {
        let (run, whose, account) = self.lab.account.get()?;
        let own = self.inner.try_with_value(|inner| inner.run)?;
        ((run, whose) == (own, technique)).then_some(account)
    }

    /// Reports to the server's ledger what arrived by this technique since the last time.
    pub(crate) fn report(&self, technique: Technique) {
        if !self.lab.is_open.get_untracked() {
            return;
        }
        let command = self.inner.try_with_value(|inner| {
            let at = technique.index();
            let (after, through, held) = inner.told.borrow_mut().lanes[at].held.report()?;
            let topics = inner.topics[at].clone();
            Some(LabCommand::Held { run: inner.run, technique, topics, after, through, held })
        });
        if let Some(command) = command.flatten() {
            self.lab.tell(&command);
        }
    }

    /// Looks at the lanes and the feed; `None` after the page has gone.
    pub(crate) fn view<T>(&self, look: impl FnOnce(&[Lane; 4], &Feed) -> T) -> Option<T> {
        self.inner.try_with_value(|inner| {
            let told = inner.told.borrow();
            look(&told.lanes, &told.feed)
        })
    }

    /// Looks at one lane.
    pub(crate) fn lane<T>(&self, technique: Technique, look: impl FnOnce(&Lane) -> T) -> Option<T> {
        self.view(|lanes, _| look(&lanes[technique.index()]))
    }
}

impl Streams {
    /// Opens a second stream of the same kind that no fault touches and no figure contains.
    pub(crate) fn open_twin(&self, technique: Technique, ask: Ask) {
        let Some(told) = self.inner.try_with_value(|inner| Rc::clone(&inner.told)) else { return };
        told.borrow_mut().twin = Some(Lane::new(technique));
        let clock = self.clock;
        let sink = Rc::new(move |note| {
            if let Some(twin) = &mut told.borrow_mut().twin {
                twin.observe(note, clock.try_get_untracked().unwrap_or_default());
            }
        });
        let Ask { topics, after, poll_ms, hold_s } = ask;
        let request =
            Request { topics, after, poll_ms, hold_s, policy: Policy::All, is_binary: false, label: None };
        let handle = delivery::open(technique, request, sink);
        self.inner.try_update_value(|inner| inner.twin = Some(handle));
    }

    /// Looks at the twin.
    pub(crate) fn twin<T>(&self, look: impl FnOnce(&Lane) -> T) -> Option<T> {
        self.inner.try_with_value(|inner| inner.told.borrow().twin.as_ref().map(look)).flatten()
    }

    /// Closes the twin, and forgets it.
    pub(crate) fn close_twin(&self) {
        let handle = self.inner.try_update_value(|inner| inner.twin.take());
        drop(handle);
        self.inner.try_with_value(|inner| inner.told.borrow_mut().twin = None);
    }

    /// Looks at the wire, or changes what of it is shown.
    pub(crate) fn wire<T>(&self, look: impl FnOnce(&mut Wire) -> T) -> Option<T> {
        let look = |inner: &Inner| inner.told.borrow_mut().wire.as_mut().map(|(_, wire)| look(wire));
        self.inner.try_with_value(look).flatten()
    }

    /// Looks at the lane and the wire of the technique that is watched.
    pub(crate) fn watched<T>(&self, look: impl FnOnce(&Lane, &Wire, &Feed) -> T) -> Option<T> {
        let look = |inner: &Inner| {
            let told = inner.told.borrow();
            let (technique, wire) = told.wire.as_ref()?;
            Some(look(&told.lanes[technique.index()], wire, &told.feed))
        };
        self.inner.try_with_value(look).flatten()
    }
}

impl Told {
    fn drain(&mut self, clock: ClockOffset, lab: Lab) {
        let is_told = lab.is_open.try_get_untracked().unwrap_or(false);
        for (technique, note) in self.pending.drain(..) {
            self.feed.observe(&note);
            if let (Some((watched, wire)), Note::Record(record)) = (&mut self.wire, &note)
                && *watched == technique
            {
                // What the server tells better is not told twice; what failed it may never have seen.
                let is_failure = record.outcome == Outcome::Failed;
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
