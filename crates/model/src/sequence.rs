//! The content of a sequence diagram: each unit of the wire as an arrow between client and server, at its true times.

use fourways_shared::{
    Technique,
    lab::{Class, Unit},
};

use super::{lane::Lane, record::Link, wire::Entry, wire::Wire};

/// Number of units examined for one picture at most; more can't be told apart on any screen.
const MAX_UNITS: usize = 8_000;
/// Longest time before the picture, in milliseconds, at which a poll that is in the picture may have begun.
const LONGEST_HOLD_MS: f64 = 35_000.0;

/// An arrow between client and server, or a bar at the server. All times are by the server's clock, in milliseconds
/// since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrow {
    /// Sequence number of the wire entry that the arrow stands for.
    pub seq: u64,
    pub kind: ArrowKind,
    /// Time at which the unit was at the client; the end of a bar.
    pub client_ms: f64,
    /// Time at which the unit was at the server; the beginning of a bar.
    pub server_ms: f64,
    /// Offset of the last event that the unit brought, and the number of its events.
    pub events: Option<(u64, u32)>,
}

/// Meaning of a [`Arrow`], which decides its look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ArrowKind {
    /// A request from the client.
    Ask,
    /// A WebSocket frame from the client.
    Up,
    /// A unit that brought events.
    Data,
    /// A response that opened a stream.
    Opened,
    /// A unit that brought nothing, or that serves the protocol.
    Empty,
    /// A response that refused the request.
    Refused,
    /// The end of a connection that was cut.
    Lost,
    /// A bar: the server held the request, from `server_ms` to `client_ms`.
    Held,
}

/// Returns the arrows and bars between two times, newest first. `one_way_ms` is the time that an arrow takes where the
/// page can't tell.
pub fn arrows(lane: &Lane, wire: &Wire, one_way_ms: f64, from_ms: f64, until_ms: f64) -> Vec<Arrow> {
    let begin_ms = from_ms - if lane.technique == Technique::LongPoll { LONGEST_HOLD_MS } else { 1_000.0 };
    let recent = wire.entries().rev().take(MAX_UNITS);
    let recent = recent.skip_while(|entry| entry.at_ms > until_ms).take_while(|e| e.at_ms >= begin_ms);
    let mut arrows: Vec<Arrow> = Vec::new();
    // Number of the last request examined, and the time of its answer.
    let mut answered: Option<(u32, f64)> = None;
    // The newest request has no answer in the picture while it is held, or if the answer came after the picture's end.
    let is_out = matches!(lane.link, Link::Held { .. } | Link::Opening)
        || wire.entries().next_back().is_some_and(|entry| entry.at_ms > until_ms);
    for entry in recent {
        let is_poll = matches!(lane.technique, Technique::ShortPoll | Technique::LongPoll);
        let server_ms = entry.at_ms;
        let arrow = |kind, client_ms| Arrow {
            seq: entry.seq,
            kind,
            client_ms,
            server_ms,
            events: entry.events.map(|(_, last, count)| (last, count)),
        };
        match entry.unit {
            Unit::Request => {
                let began_ms = began(lane, entry, one_way_ms);
                let until_ms = match answered {
                    Some((n, at_ms)) => (n == entry.n).then_some(at_ms),
                    None => is_out.then_some(until_ms),
                };
                if let (Some(until_ms), Technique::LongPoll) = (until_ms, lane.technique) {
                    arrows.push(arrow(ArrowKind::Held, until_ms));
                }
                // Any earlier request is over, whether or not its answer is kept.
                answered.get_or_insert((entry.n, server_ms));
                arrows.push(arrow(ArrowKind::Ask, began_ms));
            }
            Unit::Response => {
                answered = Some((entry.n, server_ms));
                let kind = match entry.code {
                    // The entry of its body stands for this response.
                    200 if is_poll && entry.connection.is_some() => continue,
                    200 if is_poll && entry.events.is_some() => ArrowKind::Data,
                    200 | 101 if !is_poll => ArrowKind::Opened,
                    200 | 204 | 304 => ArrowKind::Empty,
                    _ => ArrowKind::Refused,
                };
                arrows.push(arrow(kind, arrived(lane, entry, one_way_ms)));
            }
            Unit::Body | Unit::Event | Unit::Frame | Unit::Comment if !entry.up => {
                let is_data = entry.bytes(Class::Payload) > 0;
                let kind = if is_data { ArrowKind::Data } else { ArrowKind::Empty };
                arrows.push(arrow(kind, arrived(lane, entry, one_way_ms)));
            }
            Unit::Frame => arrows.push(arrow(ArrowKind::Up, server_ms - one_way_ms)),
            Unit::Cut => {
                answered = Some((entry.n, server_ms));
                arrows.push(arrow(ArrowKind::Lost, server_ms + one_way_ms));
            }
            _ => {}
        }
    }
    arrows
}

/// Returns the time at which the page made the request, by the server's clock.
fn began(lane: &Lane, entry: &Entry, one_way_ms: f64) -> f64 {
    let record = lane.records.iter().rev().find(|record| record.n == entry.n);
    let began_ms = record.map(|record| record.began_ms + lane.offset_ms);
    // A reconnecting `EventSource` asks again under the same number, so only a record near the entry is its own.
    let is_near = |began_ms: &f64| (0.0..5_000.0).contains(&(entry.at_ms - began_ms));
    began_ms.filter(is_near).unwrap_or(entry.at_ms - one_way_ms)
}

/// Returns the time at which the page received the entry; a guess if the page can't tell.
fn arrived(lane: &Lane, entry: &Entry, one_way_ms: f64) -> f64 {
    entry_arrival(lane, entry).unwrap_or(entry.at_ms + one_way_ms)
}

/// Returns the time at which the page received the entry, by the server's clock; `None` for an entry that a page does
/// not see.
pub fn entry_arrival(lane: &Lane, entry: &Entry) -> Option<f64> {
    if let Some((_, last, _)) = entry.events {
        let at = lane.marks.binary_search_by_key(&last, |mark| mark.offset).ok()?;
        return lane.marks.get(at).map(|mark| mark.delivered_ms);
    }
    let is_answer = matches!(entry.unit, Unit::Response | Unit::Body)
        && matches!(lane.technique, Technique::ShortPoll | Technique::LongPoll);
    let record = lane.records.iter().rev().find(|record| is_answer && record.n == entry.n)?;
    Some(record.ended_ms + lane.offset_ms)
}

/// Returns the times at which each live event was published and was delivered, newest first, for the events delivered
/// since `from_ms`. At the end of such a wait, the lane lags by the length of the wait.
pub fn waits(lane: &Lane, from_ms: f64) -> impl Iterator<Item = (f64, f64)> + '_ {
    let recent = lane.marks.iter().rev().take_while(move |mark| mark.delivered_ms >= from_ms);
    // An event published before the stream was first asked for did not wait for the stream.
    recent.filter(|mark| lane.latency_of(mark).is_some()).map(|mark| (mark.published_ms, mark.delivered_ms))
}

#[cfg(test)]
mod tests {
    use fourways_shared::{lab::Part, measure::ClockOffset};

    use super::*;
    use crate::{
        lane::tests::{event, record},
        record::RecordKind,
        wire::tests::entry,
    };

    fn at(at_ms: f64, entry: Entry) -> Entry {
        Entry { at_ms, ..entry }
    }

    #[test]
    fn a_held_poll_is_a_request_a_bar_and_an_answer() {
        let mut lane = Lane::new(Technique::LongPoll);
        lane.observe(
            record(Technique::LongPoll, RecordKind::Data, 2_000.0, vec![(event(5, 1_999), true)]),
            ClockOffset::default(),
        );
        let mut wire = Wire::default();
        wire.push(at(1_001.0, entry(Unit::Request, true, &[(Part::StartLine, "GET")])));
        wire.push(at(
            1_991.0,
            Entry { code: 200, ..entry(Unit::Response, false, &[(Part::StartLine, "HTTP")]) },
        ));
        wire.push(at(
            1_991.0,
            Entry { events: Some((5, 5, 1)), ..entry(Unit::Body, false, &[(Part::Payload, "{}")]) },
        ));
        let arrows = arrows(&lane, &wire, 2.0, 0.0, 5_000.0);
        let kinds: Vec<_> = arrows.iter().map(|arrow| arrow.kind).collect();
        assert_eq!(kinds, [ArrowKind::Data, ArrowKind::Held, ArrowKind::Ask]);
        assert_eq!(
            (arrows[0].server_ms, arrows[0].client_ms, arrows[0].events),
            (1_991.0, 2_000.0, Some((5, 1)))
        );
        assert_eq!((arrows[1].server_ms, arrows[1].client_ms), (1_001.0, 1_991.0));
        assert_eq!(waits(&lane, 0.0).collect::<Vec<_>>(), [(1_999.0, 2_000.0)]);
    }

    #[test]
    fn a_request_that_is_held_grows_until_it_is_answered() {
        let mut lane = Lane::new(Technique::LongPoll);
        let mut wire = Wire::default();
        wire.push(at(1_000.0, entry(Unit::Request, true, &[(Part::StartLine, "GET")])));
        let held = |lane: &Lane, wire: &Wire, until_ms| {
            let arrows = arrows(lane, wire, 2.0, 0.0, until_ms);
            arrows
                .iter()
                .find(|arrow| arrow.kind == ArrowKind::Held)
                .map(|arrow| (arrow.server_ms, arrow.client_ms))
        };
        assert_eq!(held(&lane, &wire, 3_000.0), None, "the stream is closed");
        lane.link = Link::Held { since_ms: 999.0 };
        assert_eq!(held(&lane, &wire, 3_000.0), Some((1_000.0, 3_000.0)));
        assert_eq!(held(&lane, &wire, 9_000.0), Some((1_000.0, 9_000.0)));
        wire.push(at(
            9_500.0,
            Entry { code: 204, ..entry(Unit::Response, false, &[(Part::StartLine, "HTTP")]) },
        ));
        assert_eq!(held(&lane, &wire, 20_000.0), Some((1_000.0, 9_500.0)));
        // The picture was paused before the answer came.
        assert_eq!(held(&lane, &wire, 3_000.0), Some((1_000.0, 3_000.0)));
        wire.push(at(20_000.0, Entry { n: 2, ..entry(Unit::Request, true, &[(Part::StartLine, "GET")]) }));
        wire.push(at(21_000.0, Entry { n: 2, ..entry(Unit::Cut, false, &[]) }));
        lane.link = Link::Waiting { until_ms: None, attempt: 1, why: String::new() };
        assert_eq!(held(&lane, &wire, 30_000.0), Some((20_000.0, 21_000.0)), "until the connection was cut");
    }

    #[test]
    fn what_the_page_cannot_tell_is_guessed_from_the_round_trip() {
        let lane = Lane::new(Technique::Websocket);
        let mut wire = Wire::default();
        wire.push(at(10.0, Entry { code: 9, ..entry(Unit::Frame, false, &[(Part::FrameHead, "x")]) }));
        wire.push(at(20.0, Entry { code: 10, ..entry(Unit::Frame, true, &[(Part::FrameHead, "x")]) }));
        wire.push(at(30.0, entry(Unit::Cut, false, &[])));
        let arrows = arrows(&lane, &wire, 2.0, 0.0, 25.0);
        assert_eq!(arrows.len(), 2, "the future is not shown");
        assert_eq!((arrows[0].kind, arrows[0].client_ms), (ArrowKind::Up, 18.0));
        assert_eq!((arrows[1].kind, arrows[1].client_ms), (ArrowKind::Empty, 12.0));
    }
}
