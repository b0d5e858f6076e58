//! What one machine measured, for the cost model to scale up.

use serde::{Deserialize, Serialize};

use super::Rest;
use crate::Technique;

/// The measured constants of the four techniques. A command measures and writes them; nobody types them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constants {
    /// The day, as in `2026-08-30`.
    pub measured_on: String,
    /// Processor, cores, system: one line for people.
    pub machine: String,
    /// What its processor loses by resting.
    pub rest: Rest,
    /// By [`Technique::index`].
    pub techniques: [TechniqueConstants; 4],
}

impl Constants {
    /// Those of one technique.
    pub const fn of(&self, technique: Technique) -> &TechniqueConstants {
        &self.techniques[technique.index()]
    }

    /// The JSON around an event's payload: what a WebSocket frame has of it beside its own four bytes (RFC 6455 5.2, from
    /// 126 bytes on).
    pub fn envelope_bytes(&self) -> f64 {
        (self.of(Technique::Websocket).framing_per_event_bytes - 4.0).max(0.0)
    }
}

/// What one technique costs. Every number is finite and not negative.
///
/// Bytes are those that HTTP and WebSocket write, with TLS, TCP and IP left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TechniqueConstants {
    /// Request line and headers: of one poll that brings events; for SSE and WebSocket, of the opening.
    pub request_up_bytes: f64,
    /// Status line and headers of the answer to it, and what of the body is there once however many events it has.
    pub response_head_bytes: f64,
    /// What one event takes beyond its payload: the JSON around it, chunk, SSE fields, frame header.
    pub framing_per_event_bytes: f64,
    /// The whole request of a poll that brings nothing; 0 where nothing is polled.
    pub empty_up_bytes: f64,
    /// The whole answer to it, `304` or `204`; 0 where nothing is polled.
    pub empty_down_bytes: f64,
    /// Heartbeats of one open connection, both ways together; 0 for polls.
    pub keepalive_bytes_per_s: f64,
    /// Processor time of the server, in microseconds: of a request that brings events, without those; for SSE and
    /// WebSocket, of the opening.
    pub cpu_us_per_request: f64,
    /// The same for each event delivered.
    pub cpu_us_per_delivery: f64,
    /// The same for a poll that brings nothing; 0 where nothing is polled.
    pub cpu_us_empty: f64,
    /// What each event delivered takes more of a server that has rested; for long polling, each poll that brings
    /// events. Several clients get an event together, so it is a rest for all of them.
    pub cpu_us_cold: f64,
    /// The same as `cpu_us_per_request` for one send of a client and its answer: a POST, or a message on a WebSocket.
    pub cpu_us_per_send: f64,
    /// The same for one heartbeat, and on a WebSocket the client's answer to it; 0 for polls.
    pub cpu_us_per_beat: f64,
    /// What a rest costs the opening of a stream or socket and its closing, as a multiple of what it costs a poll; 0 for
    /// polls.
    pub rest_per_opening: f64,
    /// The same for a send.
    pub rest_per_send: f64,
    /// The same for a heartbeat. Each connection has its own time for it, so each wakes the server.
    pub rest_per_beat: f64,
    /// Memory of the server for one connection that has been in use for a while, is open and quiet. For short polling:
    /// one that is kept alive between two polls. The kernel's part is not in it.
    pub memory_per_held_connection_bytes: f64,
    /// The same for the connection that sends go by; 0 where they need none of their own.
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
