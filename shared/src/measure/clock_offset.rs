//! The difference between the server's clock and the client's own, estimated as in NTP (RFC 5905, section 8).

/// One request for the server's time and its answer, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct ClockSample {
    /// Client's clock when the request was sent.
    pub sent_ms: f64,
    /// Server's clock when it answered.
    pub server_ms: f64,
    /// Client's clock when the answer arrived.
    pub received_ms: f64,
}

impl ClockSample {
    fn round_trip_ms(&self) -> f64 {
        (self.received_ms - self.sent_ms).max(0.0)
    }
}

/// The estimated offset. It comes from the sample with the shortest round trip, because the error is at most half of
/// that.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClockOffset {
    /// Milliseconds to add to the client's clock to get the server's.
    pub offset_ms: f64,
    /// Largest possible error of the offset in milliseconds, however asymmetric the path is.
    pub error_ms: f64,
}

impl ClockOffset {
    /// Estimates the offset from samples; `None` if there are none.
    pub fn estimate(samples: &[ClockSample]) -> Option<Self> {
        let best = samples.iter().min_by(|a, b| a.round_trip_ms().total_cmp(&b.round_trip_ms()))?;
        let half = best.round_trip_ms() / 2.0;
        Some(Self { offset_ms: best.server_ms - (best.sent_ms + half), error_ms: half })
    }

    /// Returns the milliseconds from a time by the server's clock to one by the client's. Never negative: an event
    /// can't arrive before it was published, so a negative value is an error of the estimate.
    pub fn latency_ms(&self, server_ms: f64, ours_ms: f64) -> f64 {
        (ours_ms + self.offset_ms - server_ms).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_true_offset_is_within_the_error(
            offset in -1e6_f64..1e6, ways in prop::collection::vec((0.0_f64..300.0, 0.0_f64..300.0), 1..8),
        ) {
            let samples: Vec<_> = ways
                .iter()
                .map(|(up, down)| ClockSample { sent_ms: 1e6, server_ms: 1e6 + up + offset, received_ms: 1e6 + up + down })
                .collect();
            let estimate = ClockOffset::estimate(&samples).unwrap();
            prop_assert!((estimate.offset_ms - offset).abs() <= estimate.error_ms + 1e-6);
        }
    }
}
