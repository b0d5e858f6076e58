//! The streams that a page owns: open connections, what they told, and the lanes made of it.
//!
//! Arrivals go from the browser's callback into a bounded buffer and from there into the lanes once per frame: signals
//! conflate, so an event never travels through one.

use std::{cell::RefCell, rc::Rc};

use fourways_shared::{Technique, Topic, measure::ClockOffset};
use leptos::prelude::*;

use crate::{
    delivery::{self, Handle, Request},
    state::{feed::Feed, lane::Lane, record::Note},
};

/// A hidden tab gets no frames: then the buffer is emptied when it is full.
const MAX_PENDING: usize = 2000;

/// A page's streams. Copies are the same; they close when the page goes.
#[derive(Clone, Copy)]
pub(crate) struct Streams {
    inner: StoredValue<Inner, LocalStorage>,
    clock: RwSignal<ClockOffset>,
}

struct Inner {
    told: Rc<RefCell<Told>>,
    handles: [Option<Handle>; 4],
}

struct Told {
    pending: Vec<(Technique, Note)>,
    lanes: [Lane; 4],
    feed: Feed,
}

impl Streams {
    /// None is open.
    pub(crate) fn new(clock: RwSignal<ClockOffset>) -> Self {
        let told = Told { pending: Vec::new(), lanes: Technique::ALL.map(Lane::new), feed: Feed::default() };
        let inner = Inner { told: Rc::new(RefCell::new(told)), handles: [None, None, None, None] };
        Self { inner: StoredValue::new_local(inner), clock }
    }

    /// Opens a stream in place of the technique's old one.
    pub(crate) fn open(&self, technique: Technique, request: Request) {
        let Some(told) = self.inner.try_with_value(|inner| Rc::clone(&inner.told)) else { return };
        self.close(technique);
        let clock = self.clock;
        let sink = Rc::new(move |note| {
            let mut told = told.borrow_mut();
            told.pending.push((technique, note));
            if told.pending.len() >= MAX_PENDING {
                told.drain(clock.try_get_untracked().unwrap_or_default());
            }
        });
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
            inner.told.borrow_mut().lanes[technique.index()].link = crate::state::record::Link::Idle;
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
        self.inner.try_with_value(|inner| {
            let mut told = inner.told.borrow_mut();
            told.pending.clear();
            told.lanes = Technique::ALL.map(Lane::new);
            told.feed = Feed::default();
        });
    }

    /// Publishes over the technique's own connection; see [`Handle::publish`].
    pub(crate) fn publish(&self, technique: Technique, topic: &Topic, text: &str) -> bool {
        let publish =
            |inner: &Inner| inner.handles[technique.index()].as_ref().is_some_and(|h| h.publish(topic, text));
        self.inner.try_with_value(publish).unwrap_or(false)
    }

    /// Takes what came since the last frame into the lanes.
    pub(crate) fn drain(&self) {
        let clock = self.clock.try_get_untracked().unwrap_or_default();
        self.inner.try_with_value(|inner| inner.told.borrow_mut().drain(clock));
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

impl Told {
    fn drain(&mut self, clock: ClockOffset) {
        for (technique, note) in self.pending.drain(..) {
            self.feed.observe(&note);
            self.lanes[technique.index()].observe(note, clock);
        }
    }
}
