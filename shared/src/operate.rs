//! What an operator sees: `GET /v1/connections`.

use serde::{Deserialize, Serialize};

use crate::{Filter, Technique};

/// Everything that is held open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connections {
    /// How many there are.
    pub total: usize,
    /// The oldest of them, as many as one answer lists.
    pub connections: Vec<ConnectionState>,
}

/// A held poll, a stream or a socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectionState {
    /// To cut it by.
    pub id: u64,
    /// By which technique.
    pub technique: Technique,
    /// Whose token opened it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<Box<str>>,
    /// What it reads now.
    pub topics: Vec<Filter>,
    /// How long it has been open, in milliseconds.
    pub age_ms: u64,
    /// Events that it was given.
    pub events: u64,
    /// Bytes that it was given: blocks of a stream, frames of a socket.
    pub bytes: u64,
    /// From publish until its last event was given to it, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lag_us: Option<u64>,
}

/// What came of a rehearsed deploy, `POST /v1/rehearsal`: every stream and socket was told to come back, as when the server
/// ends, and the server went on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// How many were told.
    pub told: usize,
    /// How many streams and sockets were opened while it was watched.
    pub came_back: u64,
    /// Events that they had missed, and were given.
    pub caught_up: u64,
    /// How long each step is, in milliseconds.
    pub step_ms: u64,
    /// How many were expected in each step from the moment they were told.
    pub predicted: Vec<f64>,
    /// How many came.
    pub measured: Vec<u64>,
}

impl Rehearsal {
    /// The most in one step, a second: predicted and measured.
    #[expect(clippy::cast_precision_loss, reason = "connections of a process")]
    pub fn peaks_per_s(&self) -> (f64, f64) {
        let steps_a_second = 1000.0 / self.step_ms.max(1) as f64;
        let predicted = self.predicted.iter().copied().fold(0.0, f64::max);
        let measured = self.measured.iter().copied().max().unwrap_or(0);
        (predicted * steps_a_second, measured as f64 * steps_a_second)
    }

    /// Milliseconds until as many had come back as were told; `None` if they have not.
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
