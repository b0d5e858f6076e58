//! Shadow cost: the cost of a recorded slice of a topic, computed for all four techniques.

use super::{Constants, TechniqueConstants};
use crate::Technique;

/// A recorded event: its time and its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Past {
    /// Time of publication, in seconds from any origin; not before that of the previous event.
    pub at_s: f64,
    /// Bytes of the event's JSON with its envelope, without the framing of a technique.
    pub bytes: f64,
}

/// The cost that one technique would have had for one client over the slice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shadow {
    /// Number of polls; 1, the opening, for streams and sockets.
    pub requests: u64,
    /// Number of polls that would have brought nothing.
    pub empty: u64,
    /// Bytes of both directions together.
    pub bytes: f64,
    /// Mean wait of an event from its publication to the poll that brings it, in seconds; the network's time comes on
    /// top.
    pub mean_wait_s: f64,
    /// Wait of the event that would have waited longest, in seconds.
    pub longest_wait_s: f64,
}

/// Computes the cost of each technique, by [`Technique::index`], for one client that was connected from `from_s` to
/// `until_s` and got every event in between. Polls begin at `from_s`: short ones come every `poll_s`; long ones are
/// held for up to `hold_s`, answered with the first event, and repeated at once.
pub fn shadow(
    events: &[Past],
    from_s: f64,
    until_s: f64,
    poll_s: f64,
    hold_s: f64,
    constants: &Constants,
) -> [Shadow; 4] {
    let (poll_s, hold_s) = (poll_s.max(0.001), hold_s.max(0.001));
    Technique::ALL.map(|technique| match technique {
        Technique::ShortPoll => short_poll(events, from_s, until_s, poll_s, constants),
        Technique::LongPoll => long_poll(events, from_s, until_s, hold_s, constants),
        Technique::Sse | Technique::Websocket => stream(events, until_s - from_s, technique, constants),
    })
}

fn short_poll(events: &[Past], from_s: f64, until_s: f64, poll_s: f64, constants: &Constants) -> Shadow {
    let mut ledger = Ledger::of(Technique::ShortPoll, constants);
    let mut rest = events;
    let mut asked_s = from_s;
    while asked_s < until_s {
        asked_s += poll_s;
        let (due, later) = rest.split_at(rest.partition_point(|event| event.at_s <= asked_s));
        rest = later;
        ledger.answer(due, asked_s);
    }
    ledger.done()
}

fn long_poll(events: &[Past], from_s: f64, until_s: f64, hold_s: f64, constants: &Constants) -> Shadow {
    let mut ledger = Ledger::of(Technique::LongPoll, constants);
    let mut rest = events;
    let mut asked_s = from_s;
    while asked_s < until_s {
        let end_s = asked_s + hold_s;
        let answered_s = rest.first().map_or(end_s, |first| first.at_s.max(asked_s).min(end_s));
        // Events of the same moment share an answer.
        let (due, later) = rest.split_at(rest.partition_point(|event| event.at_s <= answered_s));
        rest = later;
        ledger.answer(due, answered_s);
        // Time may stand still for one round, if events were due already; `rest` is shorter then, so the loop ends.
        asked_s = answered_s;
    }
    ledger.done()
}

fn stream(events: &[Past], seconds: f64, technique: Technique, constants: &Constants) -> Shadow {
    let own = constants.of(technique);
    let around = around(own, constants);
    let payload: f64 = events.iter().map(|event| event.bytes + around).sum();
    let opening = own.request_up_bytes + own.response_head_bytes;
    let bytes = opening + payload + own.keepalive_bytes_per_s * seconds.max(0.0);
    Shadow { requests: 1, bytes, ..Shadow::default() }
}

/// Returns the bytes of a technique's framing around an event's JSON. The measured constant includes the envelope.
fn around(own: &TechniqueConstants, constants: &Constants) -> f64 {
    (own.framing_per_event_bytes - constants.envelope_bytes()).max(0.0)
}

struct Ledger<'a> {
    technique: Technique,
    constants: &'a Constants,
    shadow: Shadow,
    waited_s: f64,
    events: f64,
}

impl<'a> Ledger<'a> {
    fn of(technique: Technique, constants: &'a Constants) -> Self {
        Self { technique, constants, shadow: Shadow::default(), waited_s: 0.0, events: 0.0 }
    }

    fn answer(&mut self, events: &[Past], at_s: f64) {
        let own = self.constants.of(self.technique);
        self.shadow.requests += 1;
        if events.is_empty() {
            self.shadow.empty += 1;
            self.shadow.bytes += own.empty_up_bytes + own.empty_down_bytes;
            return;
        }
        self.shadow.bytes += own.request_up_bytes + own.response_head_bytes;
        for event in events {
            let waited_s = (at_s - event.at_s).max(0.0);
            self.shadow.bytes += event.bytes + around(own, self.constants);
            self.shadow.longest_wait_s = self.shadow.longest_wait_s.max(waited_s);
            self.waited_s += waited_s;
            self.events += 1.0;
        }
    }

    fn done(self) -> Shadow {
        Shadow { mean_wait_s: self.waited_s / self.events.max(1.0), ..self.shadow }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::fixtures::constants;

    fn events(times: &[f64]) -> Vec<Past> {
        times.iter().map(|at_s| Past { at_s: *at_s, bytes: 100.0 }).collect()
    }

    #[test]
    fn a_slice_is_polled_as_often_as_it_is_long() {
        let [short_poll, long_poll, sse, websocket] =
            shadow(&events(&[0.5, 0.6, 7.0]), 0.0, 10.0, 2.0, 4.0, &constants());
        assert_eq!((short_poll.requests, short_poll.empty), (5, 3));
        assert!((short_poll.mean_wait_s - (1.5 + 1.4 + 1.0) / 3.0).abs() < 1e-9);
        assert!((short_poll.longest_wait_s - 1.5).abs() < 1e-9);
        // Long polls: 0 to 0.5, to 0.6, empty to 4.6, to 7, empty to 11.
        assert_eq!((long_poll.requests, long_poll.empty), (5, 2));
        assert!(long_poll.longest_wait_s.abs() < 1e-9);
        assert_eq!((sse.requests, websocket.requests), (1, 1));
        let own = constants();
        let one = own.of(Technique::Sse);
        let bytes = one.request_up_bytes
            + one.response_head_bytes
            + 3.0 * (100.0 + around(one, &own))
            + 10.0 * one.keepalive_bytes_per_s;
        assert!((sse.bytes - bytes).abs() < 1e-6);
    }

    #[test]
    fn an_envelope_is_charged_once() {
        let constants = constants();
        let of = |count: usize| {
            let slice = vec![Past { at_s: 1.0, bytes: 200.0 }; count];
            shadow(&slice, 0.0, 2.0, 2.0, 20.0, &constants)[Technique::Websocket.index()].bytes
        };
        // Each event takes its JSON and a frame head of four bytes.
        assert!((of(11) - of(1) - 10.0 * 204.0).abs() < 1e-6);
    }

    #[test]
    fn every_event_is_answered_once_whatever_the_times() {
        for (poll_s, hold_s) in [(0.1, 0.1), (1.0, 25.0), (30.0, 1.0)] {
            let times: Vec<f64> = (0..200_u32).map(|n| f64::from(n * n % 997) / 10.0).collect();
            let mut times = times;
            times.sort_by(f64::total_cmp);
            let shadows = shadow(&events(&times), 0.0, 100.0, poll_s, hold_s, &constants());
            for (technique, shadow) in Technique::ALL.into_iter().zip(shadows) {
                let own = constants();
                let own = own.of(technique);
                let payload = 200.0 * 100.0 + 200.0 * around(own, &constants());
                assert!(
                    shadow.bytes >= payload && shadow.longest_wait_s <= poll_s + 1e-9,
                    "{technique} {shadow:?}"
                );
            }
        }
    }
}
