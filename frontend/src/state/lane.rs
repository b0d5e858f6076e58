//! One technique's stream, as far as it has come: counters, latencies, and what there is to draw.

use std::{collections::VecDeque, rc::Rc};

use fourways_shared::{
    Cursor, Technique,
    lab::Split,
    measure::{ClockOffset, Ledger, Percentiles},
};

use super::{
    held::Held,
    record::{Link, Note, Outcome, Record, split},
};

/// Records kept for the list of events and for times of polls, and events in them; marks and spans kept for drawing.
const MAX_RECORDS: usize = 1400;
const MAX_RECORD_EVENTS: usize = 3000;
const MAX_MARKS: usize = 6000;
const MAX_SPANS: usize = 1500;
/// p50 and p95 speak of the last deliveries, so that they follow when a setting is changed.
const RECENT: usize = 200;

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) technique: Technique,
    pub(crate) link: Link,
    pub(crate) records: VecDeque<Rc<Record>>,
    pub(crate) marks: VecDeque<Mark>,
    pub(crate) spans: VecDeque<Span>,
    /// Deliveries of what was here before: offset, and when.
    pub(crate) repeats: VecDeque<(u64, f64)>,
    pub(crate) counters: Counters,
    pub(crate) ledger: Ledger,
    pub(crate) latency: Percentiles,
    pub(crate) cursor: Option<Cursor>,
    /// What to add to the page's times to get the server's, as of the last note.
    pub(crate) offset_ms: f64,
    /// When the newest event that is here was published, by the server's clock in milliseconds.
    pub(crate) newest_ms: Option<f64>,
    /// When the stream was first asked for, by the server's clock: what is older was replayed, not delivered live.
    began_ms: Option<f64>,
    recent_ms: VecDeque<f64>,
    /// What the delivery ledger is still to be told of.
    pub(crate) held: Held,
    record_events: usize,
}

/// An event's way: published at, delivered at, both by the server's clock in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) offset: u64,
    pub(crate) published_ms: f64,
    pub(crate) delivered_ms: f64,
}

/// Something on the wire over a time: a poll, a held request, an open connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) from_ms: f64,
    pub(crate) to_ms: f64,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) requests: u64,
    pub(crate) empty: u64,
    pub(crate) events: u64,
    pub(crate) frames_up: u64,
    pub(crate) frames_down: u64,
    pub(crate) reconnects: u64,
    /// As far as the page can see.
    pub(crate) up: Split,
    pub(crate) down: Split,
}

impl Lane {
    pub(crate) fn new(technique: Technique) -> Self {
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
            offset_ms: 0.0,
            newest_ms: None,
            began_ms: None,
            recent_ms: VecDeque::with_capacity(RECENT),
            held: Held::default(),
            record_events: 0,
        }
    }

    /// Takes what the stream told. `clock` turns the page's times into the server's.
    pub(crate) fn observe(&mut self, note: Note, clock: ClockOffset) {
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
            // A stream that ended is a bar that ends; a held poll's own record draws its bar.
            if matches!(self.technique, Technique::Sse | Technique::Websocket) {
                let from_ms = since_ms + clock.offset_ms;
                let to_ms = self.records.back().map_or(from_ms, |record| record.ended_ms + clock.offset_ms);
                push(&mut self.spans, Span { from_ms, to_ms, outcome: Outcome::Failed }, MAX_SPANS);
            }
        }
        self.link = link;
    }

    fn take(&mut self, record: Record, clock: ClockOffset) {
        let Counters { requests, empty, events, frames_up, frames_down, up, down, .. } = &mut self.counters;
        match (record.technique, record.outcome) {
            (_, Outcome::Opened) | (Technique::ShortPoll | Technique::LongPoll, _) => *requests += 1,
            (Technique::Websocket, Outcome::Data | Outcome::Control | Outcome::Empty) => {
                if record.up.is_empty() { *frames_down += 1 } else { *frames_up += 1 }
            }
            _ => {}
        }
        *empty += u64::from(record.outcome == Outcome::Empty);
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
            #[expect(
                clippy::cast_precision_loss,
                reason = "microseconds since 1970 have 51 bits until the year 2106"
            )]
            let published_ms = delivered.event.published_at_us as f64 / 1000.0;
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
            let span = Span {
                from_ms: record.began_ms + clock.offset_ms,
                to_ms: delivered_ms,
                outcome: record.outcome,
            };
            push(&mut self.spans, span, MAX_SPANS);
        }
        self.cursor = record.cursor.or(self.cursor);
        self.record_events += record.events.len();
        self.records.push_back(Rc::new(record));
        // A poll's answer may hold a thousand events.
        while self.records.len() > MAX_RECORDS
            || (self.record_events > MAX_RECORD_EVENTS && self.records.len() > 1)
        {
            let gone = self.records.pop_front();
            self.record_events -= gone.map_or(0, |gone| gone.events.len());
        }
    }

    /// How long an event was on its way; `None` if it was published before the stream was first asked for.
    pub(crate) fn latency_of(&self, mark: &Mark) -> Option<f64> {
        let is_live = self.began_ms.is_some_and(|began_ms| mark.published_ms >= began_ms);
        is_live.then(|| (mark.delivered_ms - mark.published_ms).max(0.0))
    }

    /// The share of the last deliveries that took at most so long; `None` before the first.
    pub(crate) fn recent_quantile_ms(&self, quantile: f64) -> Option<f64> {
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

    /// Bytes of everything on the wire for each delivered event; `None` before the first.
    #[expect(clippy::cast_precision_loss, reason = "a quotient for people")]
    pub(crate) fn bytes_per_event(&self) -> Option<f64> {
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

#[cfg(test)]
pub(crate) mod tests {
    use fourways_shared::{Data, Epoch, Event, EventName, Offset};

    use super::*;
    use fourways_shared::lab::Part;

    use crate::state::record::Delivered;

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
        outcome: Outcome,
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
            ..Record::new(technique, 1, outcome, ended_ms)
        }))
    }

    #[test]
    fn a_lane_counts_what_came_and_how_long_it_took() {
        let mut lane = Lane::new(Technique::ShortPoll);
        let clock = ClockOffset { offset_ms: 5.0, error_ms: 0.0 };
        lane.observe(record(Technique::ShortPoll, Outcome::Empty, 90.0, vec![]), clock);
        let replayed = Mark { offset: 0, published_ms: 50.0, delivered_ms: 95.0 };
        assert_eq!(lane.latency_of(&replayed), None, "a replay is no latency");
        let events = vec![(event(1, 100), true), (event(2, 105), true)];
        lane.observe(record(Technique::ShortPoll, Outcome::Data, 110.0, events), clock);
        lane.observe(record(Technique::ShortPoll, Outcome::Data, 120.0, vec![(event(2, 105), false)]), clock);
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
        lane.observe(record(Technique::Sse, Outcome::Data, 50.0, vec![(event(1, 45), true)]), clock);
        for attempt in 1..3 {
            let waiting = Link::Waiting { until_ms: Some(60.0), attempt, why: "cut".into() };
            lane.observe(Note::Link(waiting), clock);
        }
        assert_eq!(lane.counters.reconnects, 1);
        let bar = lane.spans.iter().find(|span| span.outcome == Outcome::Failed).unwrap();
        assert_eq!((bar.from_ms, bar.to_ms), (10.0, 50.0));
    }
}
