//! The state of the connection to the server.

/// State of the connection to the server.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// The server has not answered yet.
    Asking,
    Connected {
        round_trip_ms: f64,
    },
    Reconnecting {
        attempt: u32,
        until_ms: f64,
    },
}

impl State {
    /// Returns the last round trip, in milliseconds; `None` while the server does not answer.
    pub const fn round_trip_ms(&self) -> Option<f64> {
        match self {
            Self::Connected { round_trip_ms } => Some(*round_trip_ms),
            Self::Asking | Self::Reconnecting { .. } => None,
        }
    }
}
