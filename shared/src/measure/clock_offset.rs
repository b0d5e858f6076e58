//! The difference between the server's clock and ours, as NTP estimates it (RFC 5905, section 8).

/// One question and answer about the time, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct ClockSample {
    /// Our clock when we asked.
    pub sent_ms: f64,
    /// The server's clock when it answered.
    pub server_ms: f64,
    /// Our clock when the answer came.
    pub received_ms: f64,
}

impl ClockSample {
    fn round_trip_ms(&self) -> f64 {
        (self.received_ms - self.sent_ms).max(0.0)
    }
}

/// The estimate: from the sample with the smallest round trip, since its error can be at most half of that.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClockOffset {
    /// What to add to our clock to get the server's.
    pub offset_ms: f64,
    /// The true offset is at most this far away, whatever the asymmetry of the path.
    pub error_ms: f64,
}

impl ClockOffset {
    /// The estimate from these samples; `None` without any.
    pub fn estimate(samples: &[ClockSample]) -> Option<Self> {
        let best = samples.iter().min_by(|a, b| a.round_trip_ms().total_cmp(&b.round_trip_ms()))?;
        let half = best.round_trip_ms() / 2.0;
        Some(Self { offset_ms: best.server_ms - (best.sent_ms + half), error_ms: half })
    }

    /// One way from a server's instant to ours, in milliseconds; never negative, since no answer precedes its question.
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
