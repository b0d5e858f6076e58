//! The units of a chart's values, and the way values are written.

use crate::format::{bytes, duration, fixed, plain};

/// Unit of a chart's values, which decides how values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Milliseconds,
    Seconds,
    Bytes,
    BytesPerSecond,
    Count,
    PerSecond,
    /// A percentile as `1 / (1 - p)`, so that p90, p99 and p99.9 are the decades of a log scale. See [`rank`].
    Rank,
}

/// Returns the position of a share (0 to 1) on an axis with [`Unit::Rank`]: 0.95 is at 20.
pub fn rank(share: f64) -> f64 {
    1.0 / (1.0 - share.min(0.999_99))
}

impl Unit {
    /// Formats a round value, for a label of an axis.
    pub fn tick(self, value: f64) -> String {
        match self {
            Self::Milliseconds if value < 1e3 => plain(value) + " ms",
            Self::Milliseconds if value < 6e4 => plain(value / 1e3) + " s",
            Self::Milliseconds => plain(value / 6e4) + " min",
            Self::Seconds => plain(value) + " s",
            Self::Bytes if value < 1e3 => plain(value) + " B",
            Self::Bytes if value < 1e6 => plain(value / 1e3) + " kB",
            Self::Bytes if value < 1e9 => plain(value / 1e6) + " MB",
            Self::Bytes => plain(value / 1e9) + " GB",
            Self::BytesPerSecond => Self::Bytes.tick(value) + "/s",
            Self::Count => three(value),
            Self::PerSecond => three(value) + "/s",
            Self::Rank if value <= 1.0 => "min".to_owned(),
            Self::Rank => format!("p{}", plain(100.0 - 100.0 / value)),
        }
    }

    /// Formats a measured value with three digits.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Milliseconds => duration(value),
            Self::Seconds => fixed(value, 1) + " s",
            Self::Bytes => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "bytes, far below 2^64"
                )]
                let whole = value.round() as u64;
                bytes(whole)
            }
            Self::BytesPerSecond => Self::Bytes.show(value) + "/s",
            Self::Count | Self::PerSecond => self.tick(value),
            Self::Rank if value <= 1.0 => self.tick(value),
            Self::Rank => format!("p{}", plain_to(100.0 - 100.0 / value, 2)),
        }
    }
}

/// Formats a number with three digits and a letter: 278, 1.33k, 5M.
fn three(value: f64) -> String {
    let (value, letter) = match value {
        value if value < 999.5 => (value, ""),
        value if value < 999.5e3 => (value / 1e3, "k"),
        value if value < 999.5e6 => (value / 1e6, "M"),
        value => (value / 1e9, "G"),
    };
    let decimals = match value {
        value if value < 0.1 => 3,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    plain_to(value, decimals) + letter
}

/// Formats a number with at most `decimals` decimals and no zeros at the end.
fn plain_to(value: f64, decimals: u32) -> String {
    let text = fixed(value, decimals);
    if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_three_digits() {
        let counts = [0.002_78, 2.78, 270.0, 1333.0, 5000.0, 999_600.0].map(|value| Unit::Count.show(value));
        assert_eq!(counts, ["0.003", "2.78", "270", "1.33k", "5k", "1M"]);
        assert_eq!(Unit::BytesPerSecond.show(126_000.0), "126.0 kB/s");
        assert_eq!([Unit::Rank.show(rank(0.95)), Unit::Rank.show(rank(0.9325))], ["p95", "p93.25"]);
    }
}
