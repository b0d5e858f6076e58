//! `GET /metrics`: the server's metrics for Prometheus (`OpenMetrics` 1.0). Labels are techniques, reasons and limits,
//! but never topics, whose number has no bound.

mod order;

use std::{fmt, fs, sync::Arc};

use actix_web::{HttpResponse, http::header, web};
use fourways_log::engine::{BOUNDS_US, OrderFigures, Reads, Tail, Times};
use fourways_shared::{Code, Technique, time::s_of_us};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use crate::{
    access::{Grant, limits::Usage},
    problem::Failure,
    worker::Worker,
};

/// Returns all metrics as text.
///
/// # Errors
/// 403 without the right to operate the server.
pub async fn handle(grant: Grant, worker: web::Data<Worker>) -> Result<HttpResponse, Failure> {
    grant.may_operate()?;
    let mut registry = Registry::default();
    let readings = Readings {
        tail: worker.tail(),
        order: worker.engine.order(),
        usage: Arc::clone(&worker.usage),
        drains: worker.drain.is_on(),
    };
    registry.register_collector(Box::new(readings));
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(text))
}

#[derive(Debug)]
struct Readings {
    tail: Arc<Tail>,
    order: Option<OrderFigures>,
    usage: Arc<Usage>,
    drains: bool,
}

/// A function that selects one counter from a technique's reads.
type OfReads = fn(&Reads) -> u64;

const COUNTERS: [(&str, &str, OfReads); 5] = [
    (
        "fourways_subscriptions",
        "Subscriptions begun: polls, streams, and subscribe commands on sockets",
        |reads| reads.begun,
    ),
    ("fourways_resumes", "Subscriptions begun with a cursor", |reads| reads.resumed),
    ("fourways_delivered_events", "Events given to connections", |reads| reads.events),
    (
        "fourways_caught_up_events",
        "Delivered events that were published before their subscription began",
        |reads| reads.caught_up,
    ),
    ("fourways_empty_answers", "Polls that were answered without an event", |reads| reads.empty),
];

const REASONS: [&str; 3] = ["epoch", "retention", "lag"];

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let reads = Technique::ALL.map(|technique| (technique, self.tail.meters().reads(technique)));
        let label = |technique: Technique| [("technique", technique.name())];
        for (name, help, of) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (technique, reads) in &reads {
                ConstCounter::new(of(reads)).encode(family.encode_family(&label(*technique))?)?;
            }
        }
        let help = "Bytes given to connections: poll bodies, stream blocks, frames";
        let mut family =
            encoder.encode_descriptor("fourways_delivered", help, Some(&Unit::Bytes), MetricType::Counter)?;
        for (technique, reads) in &reads {
            ConstCounter::new(reads.bytes).encode(family.encode_family(&label(*technique))?)?;
        }
        let mut family = encoder.encode_descriptor(
            "fourways_resets",
            "Resets that readers were sent",
            None,
            MetricType::Counter,
        )?;
        for (technique, reads) in &reads {
            for (reason, count) in REASONS.iter().zip(reads.resets) {
                let labels = [("technique", technique.name()), ("reason", *reason)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "fourways_open_subscriptions",
            "Subscriptions open now",
            None,
            MetricType::Gauge,
        )?;
        for (technique, reads) in &reads {
            ConstGauge::new(reads.open).encode(family.encode_family(&label(*technique))?)?;
        }
        let help = "Time from publish until the newest event of each batch was given to its connection";
        let mut family = encoder.encode_descriptor(
            "fourways_delivery_lag",
            help,
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (technique, reads) in &reads {
            histogram(family.encode_family(&label(*technique))?, reads.lag)?;
        }
        self.encode_log(&mut encoder)?;
        if let Some(order) = &self.order {
            order::encode(&mut encoder, order)?;
        }
        self.encode_usage(&mut encoder)?;
        encode_process(&mut encoder)
    }
}

impl Readings {
    fn encode_log(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let meters = self.tail.meters();
        for (name, help, times) in [
            (
                "fourways_publish",
                "Time from the arrival of a publish until it is acknowledged",
                meters.publish.read(),
            ),
            ("fourways_fsync", "Time of each sync of the log to the disk", meters.fsync.read()),
        ] {
            histogram(
                encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?,
                times,
            )?;
        }
        let offsets = [
            ("fourways_log_head_offset", "Offset of the newest event", self.tail.head()),
            (
                "fourways_log_earliest_offset",
                "Offset before the oldest event that is kept",
                self.tail.earliest(),
            ),
        ];
        for (name, help, offset) in offsets {
            gauge(encoder, name, help, i64::try_from(offset.0).unwrap_or(i64::MAX))?;
        }
        Ok(())
    }

    fn encode_usage(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let state = self.usage.state();
        for (name, help, count) in [
            ("fourways_open_connections", "Connections open now", state.connections),
            ("fourways_held_polls", "Long polls held now", state.held_polls),
            (
                "fourways_draining",
                "1 while the server drains its connections before it stops",
                usize::from(self.drains),
            ),
        ] {
            gauge(encoder, name, help, i64::try_from(count).unwrap_or(i64::MAX))?;
        }
        let mut family = encoder.encode_descriptor(
            "fourways_limited",
            "Requests, connections and publishes refused because of a limit",
            None,
            MetricType::Counter,
        )?;
        let mut refused: Vec<_> = state.refused.into_iter().collect();
        refused.sort_unstable();
        for (limit, count) in refused {
            ConstCounter::new(count).encode(family.encode_family(&[("limit", limit)])?)?;
        }
        Ok(())
    }
}

type NoLabels = [(&'static str, &'static str); 0];

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn histogram(mut encoder: MetricEncoder<'_>, times: Times) -> fmt::Result {
    let bounds = BOUNDS_US.iter().map(|us| s_of_us(*us)).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(times.buckets).collect();
    let count = times.buckets.iter().sum();
    encoder.encode_histogram::<NoLabels>(s_of_us(times.sum_us), count, &buckets, None)
}

/// Writes the metrics of the process, under the names that Prometheus' own client libraries use.
fn encode_process(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    // `VmRSS:      1234 kB` (proc_pid_status(5)): unlike the pages of `statm`, it does not depend on the page size.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| {
        let kib = line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim();
        kib.parse::<i64>().ok().map(|kib| kib * 1024)
    });
    let files = fs::read_dir("/proc/self/fd").map(|files| i64::try_from(files.count()).unwrap_or(i64::MAX));
    if let Some(bytes) = resident {
        gauge(encoder, "process_resident_memory_bytes", "Resident memory", bytes)?;
    }
    if let Ok(count) = files {
        gauge(encoder, "process_open_fds", "Open file descriptors", count)?;
    }
    Ok(())
}
