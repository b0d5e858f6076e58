//! The settings of the log.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use fourways_log::engine::{
    Durability, Retention, RetentionRule, RetentionText, Storage, TailCap, bytes, duration,
};
use fourways_shared::{Filter, use_case};

/// Settings of the log: its folder, its durability and its retention.
#[derive(Args, Clone, Debug)]
pub struct LogFlags {
    /// Folder that holds the log.
    #[arg(long, env = "FOURWAYS_DATA", default_value = "fourways-data", value_name = "DIR")]
    pub data: PathBuf,

    /// Keep the log in memory only; it is lost when the server stops.
    #[arg(long, env = "FOURWAYS_MEMORY", conflicts_with = "data")]
    pub memory: bool,

    /// Time of acknowledging a publish. With always, once its events are on the disk (fsync). With interval:TIME, at
    /// once, with an fsync every TIME; if the machine fails (not only this process), the events acknowledged in the
    /// last interval are lost.
    #[arg(long, env = "FOURWAYS_DURABILITY", default_value = "always", value_name = "WHEN", value_parser = durability)]
    pub durability: Durability,

    /// Maximum number of events to keep [default: 100,000 in memory, 10,000,000 on disk].
    #[arg(long, env = "FOURWAYS_RETAIN_EVENTS", value_name = "N")]
    pub retain_events: Option<usize>,

    /// Maximum size of the events to keep [default: 256MiB in memory, 4GiB on disk].
    #[arg(long, env = "FOURWAYS_RETAIN_BYTES", value_name = "BYTES", value_parser = bytes)]
    pub retain_bytes: Option<u64>,

    /// Maximum age of the events to keep [default: 1h in memory, 7d on disk].
    #[arg(long, env = "FOURWAYS_RETAIN_AGE", value_name = "TIME", value_parser = duration)]
    pub retain_age: Option<Duration>,

    /// Retention of the topics that match a pattern, as in orders.>=age:30d,bytes:1GiB,events:1000000 or
    /// typing.*=memory,age:1m. The limits hold for all topics of the pattern together; memory keeps their events off
    /// the disk. The first rule that matches a topic applies. On disk, up to an eighth more is kept.
    #[arg(long, env = "FOURWAYS_RETAIN", value_name = "PATTERN=LIMITS", value_delimiter = ';')]
    pub retain: Vec<RetentionText>,

    /// Maximum number of the newest events to keep in memory too, if the log is on disk.
    #[arg(long, env = "FOURWAYS_TAIL_EVENTS", default_value_t = 100_000, value_name = "N")]
    pub tail_events: usize,

    /// Maximum size of the newest events to keep in memory too, if the log is on disk.
    #[arg(long, env = "FOURWAYS_TAIL_BYTES", default_value = "256MiB", value_name = "BYTES", value_parser = bytes)]
    pub tail_bytes: u64,
}

impl LogFlags {
    /// Returns the retention rules in order; the last applies to every topic that no other rule matches.
    pub fn rules(&self) -> Vec<RetentionRule> {
        let is_disk = !self.memory;
        let rest = if is_disk {
            Retention { events: 10_000_000, bytes: 4 << 30, age: Duration::from_hours(7 * 24) }
        } else {
            Retention::default()
        };
        let rest = Retention {
            events: self.retain_events.unwrap_or(rest.events),
            bytes: self.retain_bytes.unwrap_or(rest.bytes),
            age: self.retain_age.unwrap_or(rest.age),
        };
        let mut rules: Vec<RetentionRule> = self.retain.iter().map(|text| text.rule(rest)).collect();
        if is_disk {
            // The lab's own events and the figures of this machine are worth nothing tomorrow: they stay off the disk.
            let own = Retention::default();
            rules.extend(
                OWN_TOPICS
                    .iter()
                    .filter_map(|filter| filter.parse().ok())
                    .map(|filter: Filter| RetentionRule { filter, retention: own, is_volatile: true }),
            );
        }
        rules.push(RetentionRule::for_all(rest));
        rules
    }

    /// Returns the place where the log is kept.
    pub fn storage(&self) -> Storage {
        if self.memory {
            return Storage::Memory;
        }
        let cap = TailCap { events: self.tail_events, bytes: self.tail_bytes };
        Storage::Disk { folder: self.data.clone(), durability: self.durability, cap }
    }
}

/// Topics to which the server itself publishes.
const OWN_TOPICS: [&str; 4] = ["lab.>", "host.*", "presence.>", use_case::LIVE];

fn durability(text: &str) -> Result<Durability, String> {
    match text.split_once(':') {
        None if text == "always" => Ok(Durability::Always),
        Some(("interval", every)) => duration(every).map(Durability::Interval),
        _ => Err("allowed are always and interval:TIME, as in interval:50ms".to_owned()),
    }
}
