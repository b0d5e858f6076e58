//! Counters of reads and writes. Each worker has its own, so that no two workers share a cache line while they
//! deliver.

// The standard atomics, not the model checker's: nothing depends on a counter, and every count would be one more
// interleaving to try.
use std::{
    array,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use fourways_shared::{ResetReason, Technique, time::micros};

use super::{Shard, ages::wall_us};

/// Upper bounds of a histogram's buckets, in microseconds. One more bucket has no bound.
pub const BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000,
    60_000_000,
];

/// A histogram of durations. Any thread may add to it.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Number of durations in each bucket of [`BOUNDS_US`], not cumulative; the last bucket is for those above every
    /// bound.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Adds one duration.
    pub fn observe(&self, time: Duration) {
        self.observe_us(micros(time));
    }

    fn observe_us(&self, us: u64) {
        self.buckets[BOUNDS_US.partition_point(|bound| *bound < us)].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// Returns the number of durations in each bucket, and their sum.
    pub fn read(&self) -> Times {
        Times {
            buckets: array::from_fn(|at| self.buckets[at].load(Relaxed)),
            sum_us: self.sum_us.load(Relaxed),
        }
    }
}

/// The counts of one [`Histogram`], or the sum of several, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Number of durations in each bucket of [`BOUNDS_US`], not cumulative; the last bucket is for those above every
    /// bound.
    pub buckets: [u64; BOUNDS_US.len() + 1],
    /// Sum of all durations, in microseconds.
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

/// Counters of reads by one technique on one worker. Aligned so that no two share a cache line.
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
    /// Counts a subscription that begins; `is_resumed` if it begins at a cursor.
    pub fn begin(&self, is_resumed: bool) {
        self.open.fetch_add(1, Relaxed);
        self.begun.fetch_add(1, Relaxed);
        self.resumed.fetch_add(u64::from(is_resumed), Relaxed);
    }

    /// Counts a subscription that ends.
    pub fn end(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// Counts a batch of events, the newest of which was published at `newest_us`; returns how long ago that was, in
    /// microseconds.
    pub(crate) fn count_batch(&self, events: usize, newest_us: u64) -> u64 {
        let lag_us = wall_us().saturating_sub(newest_us);
        self.events.fetch_add(events as u64, Relaxed);
        self.lag.observe_us(lag_us);
        lag_us
    }

    /// Counts events of a batch that had been published before their subscription began.
    pub(crate) fn caught_up(&self, events: usize) {
        self.caught_up.fetch_add(events as u64, Relaxed);
    }

    /// Counts a `reset` that a reader was given.
    pub(crate) fn reset(&self, reason: ResetReason) {
        self.resets[reason as usize].fetch_add(1, Relaxed);
    }

    /// Counts a poll that was answered without events.
    pub fn count_empty(&self) {
        self.empty.fetch_add(1, Relaxed);
    }

    /// Counts bytes that were handed to a connection: the body of a poll's answer, SSE blocks, or frames.
    pub fn count_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

/// Sums of reads by one technique, over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Number of open subscriptions.
    pub open: i64,
    /// Number of subscriptions that have begun.
    pub begun: u64,
    /// Number of subscriptions that began at a cursor.
    pub resumed: u64,
    /// Number of events handed to connections.
    pub events: u64,
    /// Number of those events that had been published before their subscription began.
    pub caught_up: u64,
    /// Number of bytes handed to connections.
    pub bytes: u64,
    /// Number of polls that were answered without events.
    pub empty: u64,
    /// Number of `reset`s by reason, in the order of [`ResetReason`].
    pub resets: [u64; 3],
    /// Time from the publishing of an event to its delivery to a connection, of the newest event in each batch.
    pub lag: Times,
}

/// Every counter of a log. The tail owns it.
#[derive(Debug)]
pub struct Meters {
    by_shard: Box<[[Meter; 4]]>,
    /// Time from the arrival of a publish request to its acknowledgement.
    pub publish: Histogram,
    /// Time of each flush to the disk (fsync).
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

    /// Returns the figures of one technique's readers in a shard.
    pub fn of(&self, shard: Shard, technique: Technique) -> &Meter {
        &self.by_shard[shard.index()][technique.index()]
    }

    /// Returns the sums over all workers. Reads outside the workers, which are the server's own, are not counted.
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
        for shard in [Shard::DIRECT, Shard::of_worker(0), Shard::of_worker(1)] {
            let meter = meters.of(shard, Technique::Sse);
            meter.begin(shard == Shard::of_worker(0));
            meter.count_batch(3, wall_us());
            meter.count_bytes(100);
            meter.reset(ResetReason::Lag);
        }
        meters.of(Shard::of_worker(0), Technique::Sse).end();
        let reads = meters.reads(Technique::Sse);
        assert_eq!((reads.open, reads.begun, reads.resumed, reads.events, reads.bytes), (1, 2, 1, 6, 200));
        assert_eq!((reads.resets, reads.lag.buckets.iter().sum::<u64>()), ([0, 0, 2], 2));
        assert_eq!(meters.reads(Technique::Websocket), Reads::default());
    }
}
