//! One technique's stream, as far as it has come: counters, latencies, and the material for drawing it.

use std::{collections::VecDeque, rc::Rc};

use fourways_shared::{
    Cursor, Technique,
    lab::Split,
    measure::{ClockOffset, Ledger, Percentiles},
    time::ms_of_us,
};

use super::{
    held::Held,
    record::{Link, Note, Record, RecordKind, split},
};

/// Number of records kept at most, for the list of events and for the times of polls.
const MAX_RECORDS: usize = 1400;
/// Number of events in the kept records at most, unless the newest record alone has more.
const MAX_RECORD_EVENTS: usize = 3000;
/// Number of marks kept at most, for drawing.
const MAX_MARKS: usize = 6000;
/// Number of spans and of repeats kept at most, for drawing.
const MAX_SPANS: usize = 1500;
/// Number of deliveries in the recent percentiles: p50 and p95 cover the last ones only, so that they follow when a
/// setting is changed.
const RECENT: usize = 200;

/// The stream of one technique, updated with each note that the stream sends. All that the lane keeps is bounded.
#[derive(Debug)]
pub struct Lane {
    pub technique: Technique,
    pub link: Link,
    /// Latest records, oldest first.
    pub records: VecDeque<Rc<Record>>,
    /// Deliveries of the latest new events, oldest first.
    pub marks: VecDeque<Mark>,
    /// Latest activity on the wire, oldest first.
    pub spans: VecDeque<Span>,
    /// Latest repeated deliveries, oldest first: offset, and time by the server's clock in milliseconds.
    pub repeats: VecDeque<(u64, f64)>,
    pub counters: Counters,
    pub ledger: Ledger,
    /// Latency of all events delivered live.
    pub latency: Percentiles,
    /// Cursor up to which the stream has seen everything.
    pub cursor: Option<Cursor>,
    /// Name of the server that answered last, if several share the log.
    pub node: Option<String>,
    /// Number of milliseconds to add to the page's clock to get the server's, as of the last note.
    pub offset_ms: f64,
    /// Time at which the newest delivered event was published, by the server's clock, in milliseconds since the Unix
    /// epoch.
    pub newest_ms: Option<f64>,
    /// Time at which the stream was first asked for, by the server's clock: an event published earlier was replayed,
    /// not delivered live.
    began_ms: Option<f64>,
    recent_ms: VecDeque<f64>,
    /// Events that are still to be reported to the delivery ledger.
    pub held: Held,
    record_events: usize,
}

/// The delivery of an event. Both times are by the server's clock, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    pub offset: u64,
    pub published_ms: f64,
    pub delivered_ms: f64,
}

/// Activity on the wire over a time: a poll, a held request, an open connection. Times are by the server's clock, in
/// milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub from_ms: f64,
    pub to_ms: f64,
    pub kind: RecordKind,
}

/// Totals of a lane, as far as the page can see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Number of polls, or of streams opened.
    pub requests: u64,
    /// Number of polls that brought no event.
    pub empty: u64,
    /// Number of new events.
    pub events: u64,
    pub frames_up: u64,
    pub frames_down: u64,
    /// Number of times that the connection was lost.
    pub reconnects: u64,
    /// Bytes sent, by class.
    pub up: Split,
    /// Bytes received, by class.
    pub down: Split,
}

impl Lane {
    /// Creates an empty lane whose connection is closed.
    pub fn new(technique: Technique) -> Self {
        Self {
            technique,
            link: Link::Closed,
            records: VecDeque::new(),
            marks: VecDeque::new(),
            spans: VecDeque::new(),
            repeats: VecDeque::new(),
            counters: Counters::default(),
            ledger: Ledger::default(),
            latency: Percentiles::default(),
            cursor: None,
            node: None,
            offset_ms: 0.0,
            newest_ms: None,
            began_ms: None,
            recent_ms: VecDeque::with_capacity(RECENT),
            held: Held::default(),
            record_events: 0,
        }
    }

    /// Updates the lane with a note of its stream. `clock` converts the page's times to the server's.
    pub fn observe(&mut self, note: Note, clock: ClockOffset) {
        self.offset_ms = clock.offset_ms;
        match note {
            Note::Link(link) => self.turn(link, clock),
            Note::Record(record) => self.take(*record, clock),
        }
    }

    fn turn(&mut self, link: Link, clock: ClockOffset) {
        if matches!(link, Link::Waiting { .. }) && !matches!(self.link, Link::Waiting { .. }) {
            self.counters.reconnects += 1;
        }
        if let (Link::Held { since_ms }, Link::Waiting { .. } | Link::Stopped { .. } | Link::Opening) =
            (&self.link, &link)
        {
            // The bar of a stream ends with the stream; the bar of a held poll comes from its own record.
            if matches!(self.technique, Technique::Sse | Technique::Websocket) {
                let from_ms = since_ms + clock.offset_ms;
                let to_ms = self.records.back().map_or(from_ms, |record| record.ended_ms + clock.offset_ms);
                push(&mut self.spans, Span { from_ms, to_ms, kind: RecordKind::Failed }, MAX_SPANS);
            }
        }
        self.link = link;
    }

    fn take(&mut self, record: Record, clock: ClockOffset) {
        let Counters { requests, empty, events, frames_up, frames_down, up, down, .. } = &mut self.counters;
        match (record.technique, record.kind) {
            (_, RecordKind::Opened) | (Technique::ShortPoll | Technique::LongPoll, _) => *requests += 1,
            (Technique::Websocket, RecordKind::Data | RecordKind::Control | RecordKind::Empty) => {
                if record.up.is_empty() { *frames_down += 1 } else { *frames_up += 1 }
            }
            _ => {}
        }
        *empty += u64::from(record.kind == RecordKind::Empty);
        add(up, split(&record.up));
        add(down, split(&record.down));
        let delivered_ms = record.ended_ms + clock.offset_ms;
        let began_ms = *self.began_ms.get_or_insert(record.began_ms + clock.offset_ms);
        if let Some(reset) = &record.reset {
            self.ledger.reset(reset);
            self.held.begin(reset.cursor);
        }
        if let (Some(cursor), true) = (record.cursor, record.events.is_empty()) {
            self.held.is_at(cursor);
        }
        for delivered in &record.events {
            self.ledger.arrived(delivered.event.cursor);
            self.held.arrived(delivered.event.cursor);
            if !delivered.is_new {
                push(&mut self.repeats, (delivered.event.cursor.offset.0, delivered_ms), MAX_SPANS);
                continue;
            }
            *events += 1;
            let published_ms = ms_of_us(delivered.event.published_at_us);
            if published_ms >= began_ms {
                let latency_ms = clock.latency_ms(published_ms, record.ended_ms);
                self.latency.record_ms(latency_ms);
                push(&mut self.recent_ms, latency_ms, RECENT);
            }
            self.newest_ms = Some(published_ms);
            let mark = Mark { offset: delivered.event.cursor.offset.0, published_ms, delivered_ms };
            push(&mut self.marks, mark, MAX_MARKS);
        }
        if matches!(record.technique, Technique::ShortPoll | Technique::LongPoll) || !record.up.is_empty() {
            let span =
                Span { from_ms: record.began_ms + clock.offset_ms, to_ms: delivered_ms, kind: record.kind };
            push(&mut self.spans, span, MAX_SPANS);
        }
        self.cursor = record.cursor.or(self.cursor);
        if record.node.is_some() {
            self.node.clone_from(&record.node);
        }
        self.record_events += record.events.len();
        self.records.push_back(Rc::new(record));
        // The answer to one poll may hold a thousand events.
        while self.records.len() > MAX_RECORDS
            || (self.record_events > MAX_RECORD_EVENTS && self.records.len() > 1)
        {
            let gone = self.records.pop_front();
            self.record_events -= gone.map_or(0, |gone| gone.events.len());
        }
    }

    /// Returns the latency of an event, in milliseconds; `None` if the event was published before the stream was first
    /// asked for.
    pub fn latency_of(&self, mark: &Mark) -> Option<f64> {
        let is_live = self.began_ms.is_some_and(|began_ms| mark.published_ms >= began_ms);
        is_live.then(|| (mark.delivered_ms - mark.published_ms).max(0.0))
    }

    /// Returns the latency that the given share (0 to 1) of the last 200 deliveries did not exceed, in milliseconds;
    /// `None` before the first.
    pub fn recent_quantile_ms(&self, quantile: f64) -> Option<f64> {
        let mut sorted: Vec<f64> = self.recent_ms.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "at most 200"
        )]
        let at = ((sorted.len() as f64 * quantile).ceil() as usize).saturating_sub(1);
        sorted.get(at).copied()
    }

    /// Returns the number of bytes on the wire, both ways, for each new event; `None` before the first.
    #[expect(clippy::cast_precision_loss, reason = "a quotient for people")]
    pub fn bytes_per_event(&self) -> Option<f64> {
        let Counters { up, down, events, .. } = self.counters;
        (events > 0).then(|| (up.total() + down.total()) as f64 / events as f64)
    }
}

const fn add(sum: &mut Split, more: Split) {
    sum.headers += more.headers;
    sum.framing += more.framing;
    sum.payload += more.payload;
}

fn push<T>(queue: &mut VecDeque<T>, item: T, limit: usize) {
    if queue.len() == limit {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Builders of events and records, shared with the tests of other modules.
#[cfg(test)]
pub(crate) mod tests {
    use fourways_shared::{Data, Epoch, Event, EventName, Offset};

    use super::*;
    use fourways_shared::lab::Part;

    use crate::record::Delivered;

    pub(crate) fn event(offset: u64, published_ms: u64) -> Event {
        Event {
            topic: "a".parse().unwrap(),
            cursor: Cursor { epoch: Epoch::from_bits(1), offset: Offset(offset) },
            name: EventName::DEFAULT,
            id: None,
            published_at_us: published_ms * 1000,
            data: Data::text("x"),
        }
    }

    pub(crate) fn record(
        technique: Technique,
        kind: RecordKind,
        ended_ms: f64,
        events: Vec<(Event, bool)>,
    ) -> Note {
        Note::Record(Box::new(Record {
            code: 200,
            began_ms: ended_ms - 1.0,
            up: vec![(Part::Headers, vec![0; 10])],
            down: vec![(Part::Headers, vec![0; 20]), (Part::Payload, vec![0; 30])],
            cursor: events.last().map(|(event, _)| event.cursor),
            events: events.into_iter().map(|(event, is_new)| Delivered { event, is_new }).collect(),
            ..Record::new(technique, 1, kind, ended_ms)
        }))
    }

    #[test]
    fn a_lane_counts_what_came_and_how_long_it_took() {
        let mut lane = Lane::new(Technique::ShortPoll);
        let clock = ClockOffset { offset_ms: 5.0, error_ms: 0.0 };
        lane.observe(record(Technique::ShortPoll, RecordKind::Empty, 90.0, vec![]), clock);
        let replayed = Mark { offset: 0, published_ms: 50.0, delivered_ms: 95.0 };
        assert_eq!(lane.latency_of(&replayed), None, "a replay is no latency");
        let events = vec![(event(1, 100), true), (event(2, 105), true)];
        lane.observe(record(Technique::ShortPoll, RecordKind::Data, 110.0, events), clock);
        lane.observe(
            record(Technique::ShortPoll, RecordKind::Data, 120.0, vec![(event(2, 105), false)]),
            clock,
        );
        assert_eq!((lane.counters.requests, lane.counters.empty, lane.counters.events), (3, 1, 2));
        assert_eq!((lane.ledger.delivered, lane.ledger.repeated), (2, 1));
        assert_eq!(lane.recent_quantile_ms(0.5), Some(10.0));
        assert_eq!(lane.recent_quantile_ms(1.0), Some(15.0));
        assert_eq!(lane.newest_ms, Some(105.0));
        assert_eq!(lane.bytes_per_event(), Some(90.0));
        assert_eq!((lane.marks.len(), lane.spans.len(), lane.records.len()), (2, 3, 3));
        assert_eq!(lane.repeats, [(2, 125.0)]);
    }

    #[test]
    fn a_lost_connection_is_counted_once_and_ends_its_bar() {
        let mut lane = Lane::new(Technique::Sse);
        let clock = ClockOffset::default();
        lane.observe(Note::Link(Link::Held { since_ms: 10.0 }), clock);
        lane.observe(record(Technique::Sse, RecordKind::Data, 50.0, vec![(event(1, 45), true)]), clock);
        for attempt in 1..3 {
            let waiting = Link::Waiting { until_ms: Some(60.0), attempt, why: "cut".into() };
            lane.observe(Note::Link(waiting), clock);
        }
        assert_eq!(lane.counters.reconnects, 1);
        let bar = lane.spans.iter().find(|span| span.kind == RecordKind::Failed).unwrap();
        assert_eq!((bar.from_ms, bar.to_ms), (10.0, 50.0));
    }
}
