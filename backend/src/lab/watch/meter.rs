//! The meter of a visitor's exchange: it counts the parts, and makes wire records of them if the page watches.

use std::sync::Arc;

use fourways_shared::{
    Technique,
    lab::{Part, Split, Unit, WireRecord},
};

use super::dissect::Sink;
use crate::{clock, lab::visitors::Visitor};

/// The meter of one exchange at a time: of a connection with HTTP/1.1, of a stream with HTTP/2.
pub(super) struct Meter {
    visitor: Arc<Visitor>,
    connection: u32,
    technique: Technique,
    n: u32,
    up: Side,
    down: Side,
    status: u16,
    is_told: bool,
}

#[derive(Default)]
struct Side {
    /// Record of the current unit; `None` if the page does not watch.
    record: Option<WireRecord>,
    /// Bytes of the exchange so far; those of an empty poll are moved to the counts of empty polls.
    spent: Split,
}

impl Meter {
    pub(super) fn new(visitor: Arc<Visitor>, connection: u32) -> Self {
        Self {
            visitor,
            connection,
            technique: Technique::ShortPoll,
            n: 0,
            up: Side::default(),
            down: Side::default(),
            status: 0,
            is_told: false,
        }
    }

    /// Begins a request: resets the meter, and counts the request and a new connection.
    pub(super) fn begin(&mut self, technique: Technique, n: u32, is_new_connection: bool) {
        (self.technique, self.n) = (technique, n);
        (self.up, self.down) = (Side::default(), Side::default());
        (self.status, self.is_told) = (0, false);
        self.visitor.count(technique, |counts| {
            counts.requests += 1;
            counts.connections += u64::from(is_new_connection);
        });
    }

    /// Returns the sink for bytes that were read from the client.
    pub(super) const fn up(&mut self) -> Half<'_> {
        Half { meter: self, is_up: true }
    }

    /// Returns the sink for bytes that were written to the client.
    pub(super) const fn down(&mut self) -> Half<'_> {
        Half { meter: self, is_up: false }
    }

    /// Adds the text of a compressed head to the record of the current unit.
    pub(super) fn decoded(&mut self, is_up: bool, text: &str) {
        let side = if is_up { &mut self.up } else { &mut self.down };
        if let Some(record) = &mut side.record {
            record.decoded = Some(text.to_owned());
        }
    }

    /// Ends the exchange once its answer is whole. The bytes of a poll without an event are counted as those of an
    /// empty poll, headers included.
    pub(super) fn is_over(&mut self) {
        let is_poll = matches!(self.technique, Technique::ShortPoll | Technique::LongPoll);
        let is_empty = matches!(self.status, 200 | 204 | 304) && self.down.spent.payload == 0;
        if std::mem::replace(&mut self.is_told, true) || !is_poll || !is_empty {
            return;
        }
        let (up, down) = (self.up.spent, self.down.spent);
        self.visitor.count(self.technique, |counts| {
            // The counts may have been reset to zero since the request began.
            let take = |from: &mut Split, what: Split| {
                from.headers = from.headers.saturating_sub(what.headers);
                from.framing = from.framing.saturating_sub(what.framing);
            };
            take(&mut counts.up, up);
            take(&mut counts.down, down);
            counts.empty += 1;
            counts.empty_up += up.total();
            counts.empty_down += down.total();
        });
    }

    /// Records that a fault cut the connection.
    pub(super) fn cut(&mut self) {
        self.down.record = None;
        self.down().end(Unit::Cut, 0);
    }
}

/// One direction of a meter.
pub(super) struct Half<'a> {
    meter: &'a mut Meter,
    is_up: bool,
}

impl Half<'_> {
    fn begun(&self) -> WireRecord {
        let Meter { technique, n, connection, .. } = *self.meter;
        let mut record = WireRecord::new(technique, n, connection, self.is_up);
        record.at_us = clock::now_us();
        record
    }

    const fn side(&mut self) -> &mut Side {
        if self.is_up { &mut self.meter.up } else { &mut self.meter.down }
    }
}

impl Sink for Half<'_> {
    fn part(&mut self, part: Part, bytes: &[u8]) {
        let (class, length, is_up) = (part.class(), bytes.len() as u64, self.is_up);
        let technique = self.meter.technique;
        self.meter.visitor.count(technique, |counts| {
            if is_up { counts.up.add(class, length) } else { counts.down.add(class, length) }
        });
        let begun = self.meter.visitor.is_watched(technique).then(|| self.begun());
        let side = self.side();
        side.spent.add(class, length);
        if side.record.is_none() {
            side.record = begun;
        }
        if let Some(record) = &mut side.record {
            record.push(part, bytes);
        }
    }

    fn end(&mut self, unit: Unit, code: u16) {
        if unit == Unit::Response {
            self.meter.status = code;
        }
        let record = self.side().record.take();
        if self.meter.visitor.is_watched(self.meter.technique) {
            let mut record = record.unwrap_or_else(|| self.begun());
            (record.unit, record.code) = (unit, code);
            self.meter.visitor.record(record);
        }
    }
}
