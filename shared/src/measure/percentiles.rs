//! Percentiles of durations, from an HDR histogram.

use hdrhistogram::Histogram;

/// The distribution of durations of up to an hour, with three significant digits, in bounded memory.
#[derive(Clone, Debug)]
pub struct Percentiles {
    micros: Option<Histogram<u64>>,
}

impl Default for Percentiles {
    fn default() -> Self {
        // `None` can't happen: the bounds are constants that the library accepts.
        Self { micros: Histogram::new_with_bounds(1, 3_600_000_000, 3).ok() }
    }
}

impl Percentiles {
    /// Adds a duration in milliseconds; below 1 µs it counts as 1 µs, and above an hour as an hour.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the histogram's range"
    )]
    pub fn record_ms(&mut self, ms: f64) {
        if let Some(micros) = &mut self.micros {
            micros.saturating_record((ms * 1000.0).clamp(1.0, 3.6e9) as u64);
        }
    }

    /// Returns the number of durations that were added.
    pub fn count(&self) -> u64 {
        self.micros.as_ref().map_or(0, Histogram::len)
    }

    /// Returns the quantile (0 to 1) in milliseconds: the duration that this share stays at or below. `None` if there
    /// are none.
    #[expect(clippy::cast_precision_loss, reason = "at most 3.6e9")]
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let micros = self.micros.as_ref().filter(|micros| !micros.is_empty())?;
        Some(micros.value_at_quantile(quantile) as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_true_to_three_digits() {
        let mut percentiles = Percentiles::default();
        assert_eq!(percentiles.quantile_ms(0.5), None);
        for ms in 1..=1000_u32 {
            percentiles.record_ms(f64::from(ms));
        }
        for (quantile, expected) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = percentiles.quantile_ms(quantile).unwrap();
            assert!((found / expected - 1.0).abs() < 0.002, "{quantile}: {found}");
        }
    }
}
