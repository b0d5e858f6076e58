//! Figures as text, for people.
//!
//! Decimals are made from whole numbers: the standard library prints every floating-point number exactly, and the code
//! for that would be a twentieth of the app.

/// Formats a number with `decimals` digits after the point, at most 3, rounded half away from zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people stay far below 2^53"
)]
pub fn fixed(value: f64, decimals: u32) -> String {
    let scale = 10_u64.pow(decimals);
    let scaled = (value.abs() * f64::from(10_u32.pow(decimals))).round() as u64;
    let sign = if value < 0.0 && scaled > 0 { "-" } else { "" };
    let (whole, rest) = (scaled / scale, scaled % scale);
    match decimals {
        0 => format!("{sign}{whole}"),
        decimals => format!("{sign}{whole}.{rest:0width$}", width = decimals as usize),
    }
}

/// Formats a setting as a person would type it: up to three decimals, no zeros at the end.
pub fn plain(value: f64) -> String {
    let text = fixed(value, 3);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Formats thousandths as a person would type them: `250` gives `0.25`.
pub fn plain_milli(milli: u32) -> String {
    plain(f64::from(milli) / 1000.0)
}

/// Parses a typed number into thousandths; further digits are cut off. Returns `None` if the text is not a number or
/// the number is too large.
pub fn milli(text: &str) -> Option<u32> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{rest:0<3}");
    let rest = digits.get(..3).filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let is_whole = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
    whole.parse::<u32>().ok().filter(|_| is_whole)?.checked_mul(1000)?.checked_add(rest.parse().ok()?)
}

/// Formats a duration given in milliseconds as number and unit, apart so that the unit can be set smaller.
pub fn duration_parts(ms: f64) -> (String, &'static str) {
    match ms {
        ms if ms < 10.0 => (fixed(ms, 1), "ms"),
        ms if ms < 999.5 => (fixed(ms, 0), "ms"),
        ms if ms < 60_000.0 => (fixed(ms / 1000.0, 2), "s"),
        ms => (fixed(ms / 60_000.0, 1), "min"),
    }
}

/// Formats a duration given in milliseconds: `24 ms`, `1.00 s`.
pub fn duration(ms: f64) -> String {
    let (number, unit) = duration_parts(ms);
    format!("{number} {unit}")
}

/// Formats a duration given in milliseconds; `None` gives a dash.
pub fn duration_or_dash(ms: Option<f64>) -> String {
    ms.map_or_else(|| "–".to_owned(), duration)
}

/// Formats a number of bytes in decimal units, as networks count.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(count: u64) -> String {
    let count_f = count as f64;
    match count {
        0..1000 => format!("{count} B"),
        1000..10_000 => fixed(count_f / 1e3, 2) + " kB",
        10_000..1_000_000 => fixed(count_f / 1e3, 1) + " kB",
        1_000_000..1_000_000_000 => fixed(count_f / 1e6, 2) + " MB",
        _ => fixed(count_f / 1e9, 2) + " GB",
    }
}

/// Formats a number in groups of three digits.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats `count` with the form of the noun that agrees with it.
pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Formats the time of day in UTC, to the millisecond, of a time in milliseconds since the Unix epoch.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of day in milliseconds")]
pub fn time_of_day(ms: f64) -> String {
    let ms = ms.rem_euclid(86_400_000.0) as u32;
    let (seconds, rest) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}.{rest:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_those_of_the_standard_library() {
        for value in [0.0, 0.05, 0.25, 0.999, 1.005, 9.96, -3.21, 1234.5678, 999_999.949] {
            assert_eq!(fixed(value, 3), format!("{value:.3}"));
        }
        assert_eq!([fixed(0.6, 0), fixed(99.95, 1), fixed(-0.01, 1)], ["1", "100.0", "0.0"]);
        assert_eq!([plain(2.0), plain(0.25), plain(10.5), plain(100.0)], ["2", "0.25", "10.5", "100"]);
    }

    #[test]
    fn thousandths_are_read_as_they_are_written() {
        for value in [0, 1, 25, 250, 1000, 66_700, 4_000_000] {
            assert_eq!(milli(&plain_milli(value)), Some(value));
        }
        assert_eq!([milli("1.23456"), milli("007")], [Some(1234), Some(7000)]);
        assert_eq!(
            [milli(""), milli(".5"), milli("1.x"), milli("-1"), milli("5000000"), milli("1e3")],
            [None; 6]
        );
    }

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
        assert_eq!([grouped(7), grouped(1000), grouped(12_345_678)], ["7", "1,000", "12,345,678"]);
        assert_eq!([plural(1, "event", "events"), plural(0, "event", "events")], ["1 event", "0 events"]);
    }
}
