//! The age clock, by which retention decides how old an event is. It does not depend on the system clock being right.
//!
//! The system clock says when an event was published, but may be wrong, be set, or jump. Ages are therefore measured
//! on a clock of their own, whose time is stored with the events. It advances with the monotonic clock, and at a
//! start continues at the time where the log ended, because nobody can know whether the system clock is right about
//! the time that the server was off. Once the system clock has agreed with the monotonic clock for an hour
//! ([`TRUST`]), the time off is added to the age of everything that was kept at the start. So no event is dropped
//! because a clock was ahead, and none is kept forever because of it; events that became too old while the server was
//! off are dropped an hour late at most.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::micros;
use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering};

/// The clocks that a log uses. Tests replace them.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the time of the system clock, in microseconds since the Unix epoch. It may be wrong, and may go
    /// backwards.
    fn wall_us(&self) -> u64;

    /// Returns how long this clock has run. It never goes backwards.
    fn elapsed(&self) -> Duration;
}

/// The clocks of the operating system: its time of day, and its monotonic clock since this value was made.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn wall_us(&self) -> u64 {
        wall_us()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Returns the time of the operating system's clock, in microseconds since the Unix epoch.
pub(super) fn wall_us() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Time for which the system clock must agree with the monotonic clock before the time that the server was off is
/// believed.
const TRUST: Duration = Duration::from_hours(1);
/// Largest deviation of the system clock from the monotonic clock; beyond it, the system clock was set in between.
const SLACK: Duration = Duration::from_mins(1);

/// The age clock, in microseconds since the Unix epoch as far as that is known.
///
/// The tail owns it, and engines read it through the tail. No lock: the start is fixed, and the rest is atomic.
#[derive(Debug)]
pub(super) struct Ages {
    clock: Arc<dyn Clock>,
    start: Start,
    /// Time that the server was off before this start, as far as it counts: 0 until [`Ages::settle`] believes it.
    off_us: AtomicU64,
    /// True once [`Ages::settle`] has decided whether the time off counts.
    is_settled: AtomicBool,
}

#[derive(Debug)]
struct Start {
    /// Age clock at the start. Everything that was kept by then arrived at this time or before, everything later
    /// after it.
    now_us: u64,
    /// System clock at the start.
    wall_us: u64,
    /// Time between the end of the log and the start, by the system clock.
    off_us: u64,
    /// Monotonic clock at the start.
    ran: Duration,
}

/// The moment a log ended: the arrival of its last event, or its last clean stop, whichever is later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    /// The moment by the system clock.
    pub(super) wall_us: u64,
    /// The moment by the age clock.
    pub(super) arrived_us: u64,
}

/// One reading of the age clock, for any number of ages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// The reading, in microseconds.
    pub(super) us: u64,
    start_us: u64,
    off_us: u64,
    said_off_us: u64,
}

impl Now {
    /// A reading in a log without a past.
    #[cfg(test)]
    pub(super) const fn of_test(us: u64) -> Self {
        Self { us, start_us: 0, off_us: 0, said_off_us: 0 }
    }

    /// Returns the age of an event that arrived at `arrived_us`.
    pub(super) const fn age_us(self, arrived_us: u64) -> u64 {
        self.age(arrived_us, self.off_us)
    }

    /// Returns the age that such an event has if the system clock was right at the start: the longest possible.
    pub(super) const fn most_age_us(self, arrived_us: u64) -> u64 {
        self.age(arrived_us, self.said_off_us)
    }

    const fn age(self, arrived_us: u64, off_us: u64) -> u64 {
        let off_us = if arrived_us <= self.start_us { off_us } else { 0 };
        self.us.saturating_sub(arrived_us).saturating_add(off_us)
    }
}

impl Ages {
    /// Continues at the time where a log ended; without `last`, begins at the system clock's time.
    pub(super) fn new(clock: Arc<dyn Clock>, last: Option<Last>) -> Self {
        let (wall_us, ran) = (clock.wall_us(), clock.elapsed());
        let now_us = last.map_or(wall_us, |last| last.arrived_us);
        let off_us = last.map_or(0, |last| wall_us.saturating_sub(last.wall_us));
        let start = Start { now_us, wall_us, off_us, ran };
        Self { clock, start, off_us: AtomicU64::new(0), is_settled: AtomicBool::new(false) }
    }

    /// Returns the time of the system clock.
    pub(super) fn wall_us(&self) -> u64 {
        self.clock.wall_us()
    }

    /// Reads the clock. A reading is always after the start, and never before an earlier reading.
    pub(super) fn now(&self) -> Now {
        let us = self.start.now_us + 1 + micros(self.ran());
        let Start { now_us: start_us, off_us: said_off_us, .. } = self.start;
        Now { us, start_us, off_us: self.off_us.load(Ordering::SeqCst), said_off_us }
    }

    /// Limits an arrival time that was read back at the start to the start: such an event can't have arrived later.
    pub(super) fn then_us(&self, arrived_us: u64) -> u64 {
        arrived_us.min(self.start.now_us)
    }

    /// Decides, once the server has run long enough, whether the time that it was off counts. To be called regularly.
    pub(super) fn settle(&self) {
        let ran = self.ran();
        if ran < TRUST || self.is_settled.swap(true, Ordering::SeqCst) {
            return;
        }
        let expected_us = self.start.wall_us + micros(ran);
        if self.clock.wall_us().abs_diff(expected_us) <= micros(SLACK) {
            self.off_us.store(self.start.off_us, Ordering::SeqCst);
        }
    }

    fn ran(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.start.ran)
    }
}
