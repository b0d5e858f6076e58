//! Counts as numbers to calculate with.

/// Converts a count for calculations with pixels.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) const fn count(items: usize) -> f64 {
    items as f64
}
