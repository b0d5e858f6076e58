//! Metrics of a log whose order is decided elsewhere.

use std::fmt;

use fourways_log::engine::OrderFigures;
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// Writes the metrics of following the order.
pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, order: &OrderFigures) -> fmt::Result {
    let help = "Events that are known to exist and can't be read here yet";
    let missing = i64::try_from(order.missing).unwrap_or(i64::MAX);
    super::gauge(encoder, "fourways_follow_lag_events", help, missing)?;
    let help = "Time since everything could last be read here";
    let seconds = ConstGauge::new(order.behind.as_secs_f64());
    let behind =
        encoder.encode_descriptor("fourways_follow_lag", help, Some(&Unit::Seconds), MetricType::Gauge)?;
    seconds.encode(behind)?;
    let help = "Appends that wait for the order now";
    super::gauge(encoder, "fourways_append_held", help, i64::try_from(order.waiting).unwrap_or(i64::MAX))?;
    for (name, help, count) in [
        ("fourways_followed_events", "Events that were followed", order.followed),
        ("fourways_follow_holes", "Gaps in the offsets that the order has, too", order.holes),
        (
            "fourways_diverged",
            "Times that the order contradicted this server's copy, so that the log began anew",
            order.diverged,
        ),
        ("fourways_append_retries", "Times that an append was sent to the order again", order.retries),
        (
            "fourways_append_duplicates",
            "Appends that had been kept before they were sent again",
            order.duplicates,
        ),
    ] {
        let counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(count).encode(counter)?;
    }
    let help = "Times that following the order began again";
    let mut family = encoder.encode_descriptor("fourways_follow_remade", help, None, MetricType::Counter)?;
    for (why, count) in &order.remade {
        ConstCounter::new(*count).encode(family.encode_family(&[("why", *why)])?)?;
    }
    Ok(())
}
