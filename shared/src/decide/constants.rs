//! The constants that were measured on one machine, from which the cost model projects.

use serde::{Deserialize, Serialize};

use super::Rest;
use crate::Technique;

/// The measured constants of the four techniques. `fourways-bench constants` measures and writes them; nobody types
/// them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constants {
    /// Day of the measurement, as in `2026-08-30`.
    pub measured_on: String,
    /// Machine that was measured: processor, cores and system, as one line for people.
    pub machine: String,
    /// Cost of waking the machine's processor when it is idle.
    pub rest: Rest,
    /// Constants of each technique, by [`Technique::index`].
    pub techniques: [TechniqueConstants; 4],
}

impl Constants {
    /// Returns the constants of one technique.
    pub const fn of(&self, technique: Technique) -> &TechniqueConstants {
        &self.techniques[technique.index()]
    }

    /// Returns the bytes of JSON around an event's payload: the framing of an event on a WebSocket, less the four bytes
    /// of the frame's head (RFC 6455 5.2, for 126 bytes and more).
    pub fn envelope_bytes(&self) -> f64 {
        (self.of(Technique::Websocket).framing_per_event_bytes - 4.0).max(0.0)
    }
}

/// The measured costs of one technique. Every number is finite and not negative.
///
/// Bytes are counted as HTTP and WebSocket write them, without TLS, TCP and IP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TechniqueConstants {
    /// Bytes of the request line and headers of a poll that brings events; for SSE and WebSocket, of the opening.
    pub request_up_bytes: f64,
    /// Bytes of the answer to that request without its events: status line, headers, and the part of the body that
    /// does not depend on the number of events.
    pub response_head_bytes: f64,
    /// Bytes of one event beyond its payload: the JSON around it, chunk, SSE fields, frame head.
    pub framing_per_event_bytes: f64,
    /// Bytes of the whole request of a poll that brings nothing; 0 for streams and sockets.
    pub empty_up_bytes: f64,
    /// Bytes of the whole answer to a poll that brings nothing (`304` or `204`); 0 for streams and sockets.
    pub empty_down_bytes: f64,
    /// Bytes a second of the heartbeats of one open connection, both ways together; 0 for polls.
    pub keepalive_bytes_per_s: f64,
    /// Processor time of the server for a request that brings events, without the events, in microseconds; for SSE and
    /// WebSocket, for the opening.
    pub cpu_us_per_request: f64,
    /// Processor time of the server for each event delivered, in microseconds.
    pub cpu_us_per_delivery: f64,
    /// Processor time of the server for a poll that brings nothing, in microseconds; 0 for streams and sockets.
    pub cpu_us_empty: f64,
    /// Extra processor time for each event delivered by a server that was idle, in microseconds; for long polling, for
    /// each poll that brings events. An event goes to several clients together, so one idle time affects all of them.
    pub cpu_us_cold: f64,
    /// Processor time of the server for one send of a client and its answer, in microseconds: a POST, or a message on a
    /// WebSocket.
    pub cpu_us_per_send: f64,
    /// Processor time of the server for one heartbeat, in microseconds, with the client's answer on a WebSocket; 0
    /// for polls.
    pub cpu_us_per_beat: f64,
    /// Cost of waking the server for opening and closing a stream or socket, as a multiple of the cost for a poll; 0
    /// for polls.
    pub rest_per_opening: f64,
    /// Cost of waking the server for a send, as a multiple of the cost for a poll.
    pub rest_per_send: f64,
    /// Cost of waking the server for a heartbeat, as a multiple of the cost for a poll. Each connection has its
    /// heartbeat at its own time, so each heartbeat wakes the server.
    pub rest_per_beat: f64,
    /// Memory of the server for one open connection that was used for a while and is now idle, in bytes and without the
    /// kernel's part. For short polling, a connection that is kept alive between two polls.
    pub memory_per_held_connection_bytes: f64,
    /// Memory of the server for the connection that carries a client's sends, in bytes; 0 if they need none of their
    /// own.
    pub memory_per_sender_bytes: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::fixtures::constants;

    #[test]
    fn constants_survive_their_file() {
        let text = serde_json::to_string(&constants()).unwrap();
        assert_eq!(serde_json::from_str::<Constants>(&text).unwrap(), constants());
        assert_eq!(constants().of(Technique::Sse), &constants().techniques[2]);
    }

    #[test]
    fn a_file_that_lacks_a_number_is_refused() {
        let text = serde_json::to_string(&constants()).unwrap().replacen("cpu_us_empty", "cpu_us_vacant", 1);
        assert!(serde_json::from_str::<Constants>(&text).is_err());
    }
}
