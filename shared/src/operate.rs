//! The answers for operators: the list of `GET /v1/connections` and the result of `POST /v1/rehearsal`.

use serde::{Deserialize, Serialize};

use crate::{Filter, Technique};

/// The list of open connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connections {
    /// Number of all open connections, listed or not.
    pub total: usize,
    /// The oldest connections, up to the limit of one answer from each server.
    pub connections: Vec<ConnectionState>,
    /// Number of servers that share the log; `None` for a server that decides the order itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nodes: Option<usize>,
    /// Number of those servers whose connections are in the answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answered: Option<usize>,
}

/// The servers that share the log, `GET /v1/nodes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodes {
    /// The servers, the one that answers first; none if it decides the order itself.
    pub nodes: Vec<Node>,
}

/// The state of one server among those that share a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Id of the server, which ends with its process.
    pub id: String,
    /// Name of the server.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Epoch of the log that the server follows.
    pub epoch: String,
    /// Offset of the newest event that can be read there.
    pub head: u64,
    /// Number of open connections.
    pub connections: u64,
    /// Number of open streams, sockets and held polls.
    pub subscribers: u64,
    /// True if everything that was published can be read there.
    pub is_ready: bool,
    /// True if the server is stopping.
    pub is_draining: bool,
    /// True for the server that answers.
    pub is_this: bool,
}

/// The state of one open connection: a held poll, a stream or a socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectionState {
    /// Id of the connection, by which an operator can close it.
    pub id: u64,
    /// Id of the server that has the connection, if several servers share the log. To close the connection, the two ids
    /// are joined by a hyphen: `node-id`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub node: Option<String>,
    /// Technique of the connection.
    pub technique: Technique,
    /// Subject of the token that opened the connection; `None` without a token or a subject.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<Box<str>>,
    /// Topics and patterns to which the connection is subscribed now.
    pub topics: Vec<Filter>,
    /// Time since the connection was opened, in milliseconds.
    pub age_ms: u64,
    /// Number of events sent on the connection.
    pub events: u64,
    /// Number of bytes sent on the connection: blocks of a stream, frames of a socket.
    pub bytes: u64,
    /// Time from publishing the last event to sending it on the connection, in microseconds; `None` before the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lag_us: Option<u64>,
}

/// The result of a rehearsed deploy, `POST /v1/rehearsal`: the server tells every stream and socket to reconnect, as a
/// server that shuts down does, and goes on running.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// Number of streams and sockets that were told to reconnect.
    pub told: usize,
    /// Number of streams and sockets that were opened during the rehearsal, new ones included.
    pub came_back: u64,
    /// Number of missed events that streams and sockets were sent during the rehearsal.
    pub caught_up: u64,
    /// Length of a step, in milliseconds.
    pub step_ms: u64,
    /// Expected number of reconnects in each step; the first step begins when the clients are told.
    pub predicted: Vec<f64>,
    /// Number of streams and sockets that were opened in each step.
    pub measured: Vec<u64>,
}

impl Rehearsal {
    /// Returns the peak rates of reconnects, predicted and measured, per second.
    #[expect(clippy::cast_precision_loss, reason = "connections of a process")]
    pub fn peaks_per_s(&self) -> (f64, f64) {
        let steps_a_second = 1000.0 / self.step_ms.max(1) as f64;
        let predicted = self.predicted.iter().copied().fold(0.0, f64::max);
        let measured = self.measured.iter().copied().max().unwrap_or(0);
        (predicted * steps_a_second, measured as f64 * steps_a_second)
    }

    /// Returns the time until as many had reconnected as were told to, in milliseconds; `None` if fewer did.
    pub fn all_back_ms(&self) -> Option<u64> {
        let mut sum = 0;
        let at = self.measured.iter().position(|count| {
            sum += count;
            sum >= self.told as u64
        });
        at.map(|at| (at as u64 + 1) * self.step_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rehearsal_sums_up() {
        let rehearsal = Rehearsal {
            told: 10,
            came_back: 12,
            caught_up: 3,
            step_ms: 250,
            predicted: vec![0.0, 5.0, 5.0, 0.0],
            measured: vec![0, 4, 6, 2],
        };
        assert_eq!(rehearsal.peaks_per_s(), (20.0, 24.0));
        assert_eq!(rehearsal.all_back_ms(), Some(750));
        assert_eq!(Rehearsal { told: 13, ..rehearsal }.all_back_ms(), None);
    }
}
