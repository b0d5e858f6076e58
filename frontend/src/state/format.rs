//! Figures for people.

/// A number with its unit, apart so that the unit can be set smaller.
pub(crate) fn duration_parts(ms: f64) -> (String, &'static str) {
    match ms {
        ms if ms < 10.0 => (format!("{ms:.1}"), "ms"),
        ms if ms < 999.5 => (format!("{ms:.0}"), "ms"),
        ms if ms < 60_000.0 => (format!("{:.2}", ms / 1000.0), "s"),
        ms => (format!("{:.1}", ms / 60_000.0), "min"),
    }
}

pub(crate) fn duration(ms: f64) -> String {
    let (number, unit) = duration_parts(ms);
    format!("{number} {unit}")
}

pub(crate) fn duration_or_dash(ms: Option<f64>) -> String {
    ms.map_or_else(|| "–".to_owned(), duration)
}

/// Bytes in decimal units, as networks count.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(count: u64) -> String {
    let count_f = count as f64;
    match count {
        0..1000 => format!("{count} B"),
        1000..10_000 => format!("{:.2} kB", count_f / 1e3),
        10_000..1_000_000 => format!("{:.1} kB", count_f / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} MB", count_f / 1e6),
        _ => format!("{:.2} GB", count_f / 1e9),
    }
}

/// `count` with a noun that agrees with it.
pub(crate) fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The time of day of a page's time, in UTC, to the millisecond.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of day in milliseconds")]
pub(crate) fn time_of_day(ms: f64) -> String {
    let ms = ms.rem_euclid(86_400_000.0) as u32;
    let (seconds, rest) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}.{rest:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        assert_eq!(
            [duration(0.84), duration(24.4), duration(999.6), duration(61_000.0)],
            ["0.8 ms", "24 ms", "1.00 s", "1.0 min"]
        );
        assert_eq!(
            [bytes(999), bytes(1000), bytes(24_500), bytes(3_000_000)],
            ["999 B", "1.00 kB", "24.5 kB", "3.00 MB"]
        );
        assert_eq!(time_of_day(1_763_870_400_123.0), "04:00:00.123");
        assert_eq!([plural(1, "event", "events"), plural(0, "event", "events")], ["1 event", "0 events"]);
    }
}
