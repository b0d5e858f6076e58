//! Numbers inside sentences. They are formatted from whole numbers, because the standard library's exact printing of
//! floating-point numbers would be a twentieth of the app's size.

use std::fmt::{self, Write as _};

/// A number with about two digits of precision below 100 and grouped thousands: `0.017`, `0.35`, `3.1`, `42`, `5,000`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count(pub(super) f64);

/// A threshold: like [`Count`], but a large number keeps only its first two digits (`43,000`), since a threshold is not
/// known more exactly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rough(pub(super) f64);

/// A number of bytes in decimal units, as is usual for networks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes(pub(super) f64);

/// A rate: per second, or per minute if it is less than one a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerSecond(pub(super) f64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut decimals = match self.0 {
            value if value >= 9.95 => 0,
            value if value >= 0.995 => 1,
            value if value >= 0.0995 => 2,
            _ => 3,
        };
        let mut scaled = whole(self.0 * f64::from(10_u32.pow(decimals)));
        while decimals > 0 && scaled.is_multiple_of(10) {
            scaled /= 10;
            decimals -= 1;
        }
        let scale = 10_u64.pow(decimals);
        grouped(scaled / scale, f)?;
        match decimals {
            0 => Ok(()),
            decimals => write!(f, ".{:0width$}", scaled % scale, width = decimals as usize),
        }
    }
}

impl fmt::Display for Rough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unit = 1.0;
        while self.0 / unit >= 99.5 {
            unit *= 10.0;
        }
        let kept = if unit > 1.0 { (self.0 / unit).round() * unit } else { self.0 };
        fmt::Display::fmt(&Count(kept), f)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
        let (scale, unit) = units.into_iter().find(|(scale, _)| self.0 >= *scale).unwrap_or((1.0, "B"));
        write!(f, "{} {unit}", Count(self.0 / scale))
    }
}

impl fmt::Display for PerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 0.995 {
            write!(f, "{} a second", Count(self.0))
        } else {
            write!(f, "{} a minute", Count(self.0 * 60.0))
        }
    }
}

fn grouped(number: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let digits = number.to_string();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            f.write_char(',')?;
        }
        f.write_char(digit)?;
    }
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what both types hold"
)]
fn whole(value: f64) -> u64 {
    value.round().clamp(0.0, 1e15) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (value, expected) in [
            (0.0, "0"),
            (-1.0, "0"),
            (f64::NAN, "0"),
            (0.0166, "0.017"),
            (0.09, "0.09"),
            (0.2, "0.2"),
            (0.999, "1"),
            (3.13, "3.1"),
            (9.94, "9.9"),
            (9.96, "10"),
            (99.6, "100"),
            (999.6, "1,000"),
            (43_217.0, "43,217"),
            (1e7, "10,000,000"),
        ] {
            assert_eq!(Count(value).to_string(), expected, "{value}");
        }
    }

    #[test]
    fn a_threshold_claims_two_digits() {
        for (value, expected) in [
            (0.35, "0.35"),
            (3.13, "3.1"),
            (21.4, "21"),
            (99.6, "100"),
            (43_217.0, "43,000"),
            (9.96e6, "10,000,000"),
        ] {
            assert_eq!(Rough(value).to_string(), expected, "{value}");
        }
    }

    #[test]
    fn units_are_chosen_by_size() {
        for (value, expected) in
            [(0.0, "0 B"), (31.2, "31 B"), (1530.0, "1.5 kB"), (3e6, "3 MB"), (2.5e13, "25 TB")]
        {
            assert_eq!(Bytes(value).to_string(), expected, "{value}");
        }
        assert_eq!(PerSecond(10.0).to_string(), "10 a second");
        assert_eq!(PerSecond(0.2).to_string(), "12 a minute");
    }
}
