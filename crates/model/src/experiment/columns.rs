//! The figures of a technique's result, each in one place for the page's table, the report and the CSV.

use super::run::TechniqueResult;
use crate::format::{bytes, duration_or_dash, fixed};

/// A figure of a technique's result. A new figure is one more entry of [`COLUMNS`].
pub struct Column {
    /// Heading of the tables.
    pub heading: &'static str,
    /// Name in the CSV, with the unit unless the figure is a count.
    pub name: &'static str,
    /// True if the page's table, which has little room, shows the figure too.
    pub is_on_page: bool,
    /// True if any value but zero is a fault.
    pub is_fault: bool,
    value: fn(&TechniqueResult) -> Value,
}

enum Value {
    Count(u64),
    Bytes(u64),
    BytesPerEvent(Option<f64>),
    Milliseconds(Option<f64>),
}

/// All figures, in the order in which they are shown.
pub const COLUMNS: &[Column] = &[
    Column::page("Delivered", "delivered", |result| Value::Count(result.delivered)),
    Column::page("Lost", "lost", |result| Value::Count(result.lost)).fault(),
    Column::page("Repeated", "repeated", |result| Value::Count(result.repeated)).fault(),
    Column::file("Out of order", "disordered", |result| Value::Count(result.disordered)).fault(),
    Column::file("Resets", "resets", |result| Value::Count(result.resets)),
    Column::page("Cuts", "reconnects", |result| Value::Count(result.reconnects)),
    Column::page("Requests", "requests", |result| Value::Count(result.counts.requests)),
    Column::page("Empty", "empty", |result| Value::Count(result.counts.empty)),
    Column::page("p50", "p50_us", |result| Value::Milliseconds(result.quantile_ms(0.5))),
    Column::page("p95", "p95_us", |result| Value::Milliseconds(result.quantile_ms(0.95))),
    Column::page("p99", "p99_us", |result| Value::Milliseconds(result.quantile_ms(0.99))),
    Column::file("Bytes up", "up_bytes", |result| Value::Bytes(result.counts.total_up())),
    Column::file("Bytes down", "down_bytes", |result| Value::Bytes(result.counts.total_down())),
    Column::file("Payload", "payload_bytes", |result| {
        Value::Bytes(result.counts.up.payload + result.counts.down.payload)
    }),
    Column::file("Framing", "framing_bytes", |result| {
        Value::Bytes(result.counts.up.framing + result.counts.down.framing)
    }),
    Column::file("Headers", "header_bytes", |result| {
        Value::Bytes(result.counts.up.headers + result.counts.down.headers)
    }),
    Column::file("Empty polls", "empty_bytes", |result| {
        Value::Bytes(result.counts.empty_up + result.counts.empty_down)
    }),
    Column::page("Bytes/event", "bytes_per_event", |result| Value::BytesPerEvent(result.bytes_per_event())),
];

impl Column {
    const fn file(heading: &'static str, name: &'static str, value: fn(&TechniqueResult) -> Value) -> Self {
        Self { heading, name, is_on_page: false, is_fault: false, value }
    }

    const fn page(heading: &'static str, name: &'static str, value: fn(&TechniqueResult) -> Value) -> Self {
        Self { is_on_page: true, ..Self::file(heading, name, value) }
    }

    const fn fault(self) -> Self {
        Self { is_fault: true, ..self }
    }

    /// Returns the figure for people, with its unit; a dash where nothing was delivered.
    pub fn text(&self, result: &TechniqueResult) -> String {
        match (self.value)(result) {
            Value::Count(count) => count.to_string(),
            Value::Bytes(count) => bytes(count),
            Value::BytesPerEvent(each) => each.map_or("–".to_owned(), |each| fixed(each, 0) + " B"),
            Value::Milliseconds(ms) => duration_or_dash(ms),
        }
    }

    /// Returns the figure for a spreadsheet, in the unit that the name says; empty where nothing was delivered.
    pub fn csv(&self, result: &TechniqueResult) -> String {
        match (self.value)(result) {
            Value::Count(count) | Value::Bytes(count) => count.to_string(),
            Value::BytesPerEvent(each) => each.map_or(String::new(), |each| fixed(each, 0)),
            Value::Milliseconds(ms) => ms.map_or(String::new(), |ms| fixed(ms * 1000.0, 0)),
        }
    }

    /// True if the figure says that something went wrong.
    pub fn is_bad(&self, result: &TechniqueResult) -> bool {
        self.is_fault && matches!((self.value)(result), Value::Count(1..))
    }
}
