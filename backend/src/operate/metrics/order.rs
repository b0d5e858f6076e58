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
        (
            "fourways_audited_blocks",
            "Blocks that were compared with the order, because another server has them otherwise",
            order.audited,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prometheus_client::{collector::Collector, encoding::text, registry::Registry};
    use serde_json::Value;

    use super::*;

    #[derive(Debug)]
    struct Figures(OrderFigures);

    impl Collector for Figures {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            super::encode(&mut encoder, &self.0)
        }
    }

    /// Returns the words of a query that are names of metrics.
    fn names(query: &str) -> impl Iterator<Item = &str> {
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| word.starts_with("fourways_"))
    }

    #[test]
    fn the_dashboard_shows_every_metric_of_the_order_and_asks_for_no_other() {
        let mut registry = Registry::default();
        let figures = OrderFigures { remade: vec![("asleep", 1)], ..OrderFigures::default() };
        registry.register_collector(Box::new(Figures(figures)));
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let known: BTreeSet<&str> = samples.flat_map(names).collect();
        let dashboard: Value = serde_json::from_str(include_str!("../../../../deploy/grafana.json")).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let row = panels.iter().find(|panel| panel["type"] == "row").unwrap();
        let own = row["panels"].as_array().unwrap();
        let targets = own.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
        let asked: BTreeSet<&str> =
            targets.flat_map(|target| names(target["expr"].as_str().unwrap())).collect();
        assert_eq!(asked, known);
        assert!(own.iter().all(|panel| panel["description"].is_string()), "each panel says what it shows");
        let ids: BTreeSet<u64> =
            panels.iter().chain(own).map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len() + own.len(), "no two panels have the same id");
    }
}
