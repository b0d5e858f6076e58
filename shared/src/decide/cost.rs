//! The cost model: what each technique costs a server under a load.

use super::{
    Constants,
    asking::{Asking, HEARTBEAT_S, KEEP_ALIVE_S},
    processor::cores,
};
use crate::Technique;

/// A load in numbers. Every number is finite and not negative; times are above zero.
///
/// Events come to each client as a Poisson process: independent of each other, at a steady mean rate. Bursts make
/// polls cheaper than the model says, since more events share an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Number of clients at once.
    pub clients: u32,
    /// Events a second to each client; λ in the formulas.
    pub events_per_s: f64,
    /// Bytes of the payload of one event or send.
    pub payload_bytes: f64,
    /// Time from one short poll to the next, in seconds; less than a millisecond counts as a millisecond.
    pub poll_s: f64,
    /// Time for which a long poll is held at most, in seconds; less than a millisecond counts as a millisecond.
    pub hold_s: f64,
    /// Sends a second from each client.
    pub sends_per_s: f64,
    /// Time for which a stream or socket stays open before it is opened again, in seconds; less than a millisecond
    /// counts as a millisecond.
    pub lifetime_s: f64,
    /// True if payloads are bytes, which all techniques but WebSocket carry as base64 inside JSON.
    pub binary: bool,
}

impl Load {
    /// Assumed size of a payload: about that of the events in the lab's default feed and in the cost table.
    pub const PAYLOAD_BYTES: f64 = 100.0;
    /// Assumed hold time: the default of the server's `--max-wait`, in seconds.
    pub const HOLD_S: f64 = 25.0;
    /// Assumed lifetime: a page stays open, or a network stays the same, for half an hour, in seconds.
    pub const LIFETIME_S: f64 = 1800.0;
}

/// The total cost of one technique for all clients of a [`Load`] together, averaged over time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Requests a second: polls, openings, and the POSTs that carry sends. A send on a socket is not a request.
    pub requests_per_s: f64,
    /// Bytes a second from the server to clients, including heartbeats.
    pub down_bytes_per_s: f64,
    /// Bytes a second from clients to the server.
    pub up_bytes_per_s: f64,
    /// Number of open connections, busy or idle. A short poll's connection is kept alive for 75 s, so with a shorter
    /// interval it is always open, though idle nearly all of the time.
    pub held_connections: f64,
    /// Memory of the server for those connections, in bytes; the server itself and its log come on top.
    pub memory_bytes: f64,
    /// Number of busy processor cores, of the kind that the constants were measured on.
    pub cores: f64,
}

impl Cost {
    /// Returns the bytes a second of both directions together.
    pub fn bandwidth(&self) -> f64 {
        self.down_bytes_per_s + self.up_bytes_per_s
    }
}

/// Projects the cost of each technique under a load, by [`Technique::index`].
///
/// For each client, with the rates of full and empty requests that `asking.rs` derives:
///
/// - down = full · head + empty · empty answer + λ · (payload + framing) + heartbeats + sends · answer to a send
/// - up = full · request + empty · empty request + sends · send
/// - busy processor = full · request + empty · empty + λ · delivery + heartbeats · heartbeat + sends · send; for the
///   extra cost of waking from idle, see [`super::Rest`]
///
/// All costs but the processor's are proportional to the number of clients. The work that is done once for an event
/// (numbering, encoding) is left out, and so are the handshakes of TCP and TLS. An event goes to all clients at once,
/// so it wakes the server once for all of them; polls, openings, heartbeats and sends come one by one.
pub fn project(load: &Load, constants: &Constants) -> [Cost; 4] {
    Technique::ALL.map(|technique| {
        let own = constants.of(technique);
        let asks = Asking::of(technique, load);
        let send = Sending::of(technique, load, constants);
        let (clients, events, sends) = (f64::from(load.clients), load.events_per_s, load.sends_per_s);
        let down = asks.full_per_s * own.response_head_bytes
            + asks.empty_per_s * own.empty_down_bytes
            + events * (carried(technique, load) + own.framing_per_event_bytes)
            + asks.beats_per_s * HEARTBEAT_S * own.keepalive_bytes_per_s
            + sends * send.down_bytes;
        let up = asks.full_per_s * own.request_up_bytes
            + asks.empty_per_s * own.empty_up_bytes
            + sends * send.up_bytes;
        let (is_stream, is_long_poll) = (technique.is_stream(), technique == Technique::LongPoll);
        let busy_us = asks.full_per_s * own.cpu_us_per_request
            + asks.empty_per_s * own.cpu_us_empty
            + events * own.cpu_us_per_delivery
            + asks.beats_per_s * own.cpu_us_per_beat
            + sends * own.cpu_us_per_send;
        // Held polls that one event answers together also ask again together, so none of them wakes the server alone.
        let (alone, weighted) = match (is_stream, is_long_poll) {
            (true, _) => (
                asks.full_per_s + asks.beats_per_s,
                asks.full_per_s * own.rest_per_opening + asks.beats_per_s * own.rest_per_beat,
            ),
            (_, true) => (0.0, 0.0),
            _ => (asks.full_per_s + asks.empty_per_s, asks.full_per_s + asks.empty_per_s),
        };
        let cold = if is_stream { events } else { asks.full_per_s };
        let each_us = constants.rest.each_us(clients * (alone + sends));
        let rest_us = clients * ((weighted + sends * own.rest_per_send) * each_us + cold * own.cpu_us_cold);
        // A send that needs a connection of its own keeps it alive for as long as a poll does.
        let senders = if sends > 0.0 { (KEEP_ALIVE_S * sends).min(1.0) } else { 0.0 };
        let senders = if own.memory_per_sender_bytes > 0.0 { senders } else { 0.0 };
        Cost {
            requests_per_s: clients * (asks.full_per_s + asks.empty_per_s + sends * send.requests),
            down_bytes_per_s: clients * down,
            up_bytes_per_s: clients * up,
            held_connections: clients * (asks.open + senders),
            memory_bytes: clients
                * (asks.open * own.memory_per_held_connection_bytes + senders * own.memory_per_sender_bytes),
            cores: cores(clients * busy_us, rest_us),
        }
    })
}

/// The cost of one send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    requests: f64,
    up_bytes: f64,
    down_bytes: f64,
}

/// Bytes of the mask that each frame of a client has (RFC 6455 5.3).
const MASK_BYTES: f64 = 4.0;

impl Sending {
    /// Returns the cost of a send beside events of this technique. On a WebSocket it is a masked frame with the framing
    /// of an event, answered by a frame without payload. Otherwise it is a POST, assumed to have the head of a short
    /// poll's request and answer, whichever technique delivers the events.
    pub(super) fn of(technique: Technique, load: &Load, constants: &Constants) -> Self {
        if technique == Technique::Websocket {
            let own = constants.of(technique);
            Self {
                requests: 0.0,
                up_bytes: load.payload_bytes + own.framing_per_event_bytes + MASK_BYTES,
                down_bytes: own.framing_per_event_bytes,
            }
        } else {
            let plain = constants.of(Technique::ShortPoll);
            Self {
                requests: 1.0,
                up_bytes: load.payload_bytes + plain.request_up_bytes,
                down_bytes: plain.response_head_bytes,
            }
        }
    }

    /// Returns the bytes of the send and its answer together.
    pub(super) fn bytes(&self) -> f64 {
        self.up_bytes + self.down_bytes
    }
}

/// Returns the bytes of a payload inside an event: base64 makes four bytes of three (RFC 4648 4).
fn carried(technique: Technique, load: &Load) -> f64 {
    if load.binary && technique != Technique::Websocket {
        load.payload_bytes * 4.0 / 3.0
    } else {
        load.payload_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{
        Answers,
        fixtures::{constants, every_answer, near, zeros},
    };

    const SHORT: usize = Technique::ShortPoll.index();
    const LONG: usize = Technique::LongPoll.index();
    const SSE: usize = Technique::Sse.index();
    const SOCKET: usize = Technique::Websocket.index();

    fn load() -> Load {
        Load { sends_per_s: 0.0, ..Answers::default().load() }
    }

    fn numbers(cost: &Cost) -> [f64; 6] {
        [
            cost.requests_per_s,
            cost.down_bytes_per_s,
            cost.up_bytes_per_s,
            cost.held_connections,
            cost.memory_bytes,
            cost.cores,
        ]
    }

    /// Returns every load that answers can lead to, and extreme ones that only a caller can make.
    fn loads() -> Vec<Load> {
        let mut loads: Vec<_> = every_answer().iter().map(Answers::load).collect();
        for time in [0.0, 1e-6, 0.1, 600.0, 1e9] {
            for rate in [0.0, f64::MIN_POSITIVE, 1e-9, 1.0, 1e6] {
                let (poll_s, hold_s, lifetime_s) = (time, time, time);
                loads.push(Load {
                    poll_s,
                    hold_s,
                    lifetime_s,
                    events_per_s: rate,
                    sends_per_s: rate,
                    ..load()
                });
            }
        }
        loads
    }

    #[test]
    fn every_cost_is_a_number_and_grows_with_the_clients() {
        for constants in [constants(), zeros()] {
            for load in loads() {
                let mut before = [[0.0; 6]; 4];
                for clients in [0, 1, 70, 5000, 1_000_000, Answers::MAX_CLIENTS, u32::MAX] {
                    let costs = project(&Load { clients, ..load }, &constants);
                    for (before, cost) in before.iter_mut().zip(&costs) {
                        for (before, now) in before.iter_mut().zip(numbers(cost)) {
                            assert!(now.is_finite() && now >= *before, "{cost:?} of {load:?} with {clients}");
                            *before = now;
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn short_polls_come_once_an_interval_whatever_happens() {
        for poll_s in [0.1, 0.7, 1.0, 10.0, 60.0, 600.0] {
            for events_per_s in [0.0, 0.2, 10.0] {
                let costs = project(&Load { events_per_s, poll_s, ..load() }, &constants());
                near(costs[SHORT].requests_per_s, 5000.0 / poll_s);
            }
        }
    }

    #[test]
    fn a_short_poll_answers_with_all_events_since_the_last() {
        let measured = constants();
        let own = measured.of(Technique::ShortPoll);
        let load = Load { clients: 1, poll_s: 10.0, events_per_s: 10.0, ..load() };
        // With a hundred events an answer, next to no poll is empty.
        let down = own.response_head_bytes / 10.0 + 10.0 * (100.0 + own.framing_per_event_bytes);
        near(project(&load, &measured)[SHORT].down_bytes_per_s, down);
    }

    #[test]
    fn connections_are_open_all_the_time_but_for_slow_short_polls() {
        for (poll_s, expected) in [(1.0, 5000.0), (75.0, 5000.0), (300.0, 1250.0)] {
            let costs = project(&Load { poll_s, ..load() }, &constants());
            near(costs[SHORT].held_connections, expected);
            for held in [LONG, SSE, SOCKET] {
                near(costs[held].held_connections, 5000.0);
            }
        }
    }

    #[test]
    fn a_send_is_a_request_but_on_a_socket() {
        let (quiet, talking) = (load(), Load { sends_per_s: 2.0, ..load() });
        let (before, after) = (project(&quiet, &constants()), project(&talking, &constants()));
        for technique in Technique::ALL {
            let [before, after] = [&before, &after].map(|costs| costs[technique.index()]);
            let requests = if technique == Technique::Websocket { 0.0 } else { 10_000.0 };
            near(after.requests_per_s - before.requests_per_s + 1.0, requests + 1.0);
            assert!(
                after.up_bytes_per_s > before.up_bytes_per_s && after.cores > before.cores,
                "{technique}"
            );
        }
    }

    #[test]
    fn bytes_are_a_third_longer_where_they_are_text() {
        let binary = project(&Load { binary: true, ..load() }, &constants());
        for (technique, (text, binary)) in
            Technique::ALL.iter().zip(project(&load(), &constants()).iter().zip(&binary))
        {
            let more = if *technique == Technique::Websocket { 0.0 } else { 5000.0 * 0.2 * 100.0 / 3.0 };
            near(binary.down_bytes_per_s - text.down_bytes_per_s + 1.0, more + 1.0);
        }
    }
}
