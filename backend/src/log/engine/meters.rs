//! What was read and written, counted: for each worker apart, so that no two share a cache line on the way of a delivery.

// Not the model checker's: every count would be one more interleaving to try, of what nothing depends on.
use std::{
    array,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use fourways_shared::{ResetReason, Technique};

use super::ages::wall_us;

/// Upper bounds of the buckets of a histogram, in microseconds; one more has no bound.
pub const BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000,
    60_000_000,
];

/// Times, in buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    /// By [`BOUNDS_US`], not summed up; the last is of those above all.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// One more.
    pub fn observe(&self, time: Duration) {
        self.observe_us(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    fn observe_us(&self, us: u64) {
        self.buckets[BOUNDS_US.partition_point(|bound| *bound < us)].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// How many there are in each bucket, and their sum in microseconds.
    pub fn read(&self) -> Times {
        Times {
            buckets: array::from_fn(|at| self.buckets[at].load(Relaxed)),
            sum_us: self.sum_us.load(Relaxed),
        }
    }
}

/// What a [`Histogram`] held at one moment, or several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// As in [`Histogram`].
    pub buckets: [u64; BOUNDS_US.len() + 1],
    /// In microseconds.
    pub sum_us: u64,
}

impl Times {
    fn add(&mut self, other: Self) {
        for (own, other) in self.buckets.iter_mut().zip(other.buckets) {
            *own += other;
        }
        self.sum_us += other.sum_us;
    }
}

/// Reads by one technique, on one worker.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Meter {
    open: AtomicI64,
    begun: AtomicU64,
    resumed: AtomicU64,
    events: AtomicU64,
    caught_up: AtomicU64,
    bytes: AtomicU64,
    empty: AtomicU64,
    resets: [AtomicU64; 3],
    lag: Histogram,
}

impl Meter {
    /// A subscription began; with a cursor it resumes.
    pub(crate) fn begin(&self, is_resumed: bool) {
        self.open.fetch_add(1, Relaxed);
        self.begun.fetch_add(1, Relaxed);
        self.resumed.fetch_add(u64::from(is_resumed), Relaxed);
    }

    /// It ended.
    pub(crate) fn end(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// It gave events, of which the newest was published then; how long ago that is, in microseconds.
    pub(crate) fn gave(&self, events: usize, newest_us: u64) -> u64 {
        let lag_us = wall_us().saturating_sub(newest_us);
        self.events.fetch_add(events as u64, Relaxed);
        self.lag.observe_us(lag_us);
        lag_us
    }

    /// Of these, so many had been published before it began.
    pub(crate) fn caught_up(&self, events: usize) {
        self.caught_up.fetch_add(events as u64, Relaxed);
    }

    /// It told of a break.
    pub(crate) fn reset(&self, reason: ResetReason) {
        self.resets[reason as usize].fetch_add(1, Relaxed);
    }

    /// A poll brought nothing.
    pub(crate) fn empty(&self) {
        self.empty.fetch_add(1, Relaxed);
    }

    /// So many bytes were given to the connection: of a poll's body, of blocks or frames.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

/// Reads by one technique, on all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Subscriptions that are open now.
    pub open: i64,
    /// Subscriptions that began.
    pub begun: u64,
    /// Of these, with a cursor.
    pub resumed: u64,
    /// Events that were given.
    pub events: u64,
    /// Of these, published before their subscription began.
    pub caught_up: u64,
    /// Bytes that were given.
    pub bytes: u64,
    /// Polls that brought nothing.
    pub empty: u64,
    /// Breaks, by [`ResetReason`] in its order.
    pub resets: [u64; 3],
    /// From publish until an event was given to its connection; of each batch the newest.
    pub lag: Times,
}

/// Everything that is counted of a log.
#[derive(Debug)]
pub struct Meters {
    by_shard: Box<[[Meter; 4]]>,
    /// From a publish's arrival until it is acknowledged.
    pub publish: Histogram,
    /// Each flush to the disk.
    pub fsync: Histogram,
}

impl Meters {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            by_shard: (0..shards).map(|_| Default::default()).collect(),
            publish: Histogram::default(),
            fsync: Histogram::default(),
        }
    }

    pub(crate) fn of(&self, shard: usize, technique: Technique) -> &Meter {
        &self.by_shard[shard][technique.index()]
    }

    /// Of all workers together. What the server reads for its own ends, which no worker does, is not among it.
    pub fn reads(&self, technique: Technique) -> Reads {
        let mut all = Reads::default();
        for meter in self.by_shard.iter().skip(1).map(|shard| &shard[technique.index()]) {
            all.open += meter.open.load(Relaxed);
            all.begun += meter.begun.load(Relaxed);
            all.resumed += meter.resumed.load(Relaxed);
            all.events += meter.events.load(Relaxed);
            all.caught_up += meter.caught_up.load(Relaxed);
            all.bytes += meter.bytes.load(Relaxed);
            all.empty += meter.empty.load(Relaxed);
            for (own, other) in all.resets.iter_mut().zip(&meter.resets) {
                *own += other.load(Relaxed);
            }
            all.lag.add(meter.lag.read());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_that_is_not_too_small() {
        let histogram = Histogram::default();
        for us in [0, 100, 101, 60_000_000, 60_000_001] {
            histogram.observe(Duration::from_micros(us));
        }
        let Times { buckets, sum_us } = histogram.read();
        assert_eq!((buckets[0], buckets[1], buckets[13], buckets[14]), (2, 1, 1, 1));
        assert_eq!(sum_us, 120_000_202);
    }

    #[test]
    fn workers_are_summed_up() {
        let meters = Meters::new(3);
        for shard in 0..3 {
            let meter = meters.of(shard, Technique::Sse);
            meter.begin(shard == 1);
            meter.gave(3, wall_us());
            meter.sent(100);
            meter.reset(ResetReason::Lag);
        }
        meters.of(1, Technique::Sse).end();
        let reads = meters.reads(Technique::Sse);
        assert_eq!((reads.open, reads.begun, reads.resumed, reads.events, reads.bytes), (1, 2, 1, 6, 200));
        assert_eq!((reads.resets, reads.lag.buckets.iter().sum::<u64>()), ([0, 0, 2], 2));
        assert_eq!(meters.reads(Technique::Websocket), Reads::default());
    }
}
