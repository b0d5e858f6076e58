//! The time by which the age of events is measured. It does not depend on the system's clock being right.
//!
//! The system's clock says when an event was published, and may be wrong, be set, or jump. What is let go for its age must not
//! depend on it, so ages are measured by a time of their own, which is kept with the events. It runs with the monotonic clock, and at a
//! start it goes on where the log ended: whether the clock is right about how long the server was off can't be known. Once the clock has
//! stood by that for an hour ([`TRUST`]), the time off counts too, for what was there at the start. So nothing is let go because a clock was ahead, and nothing
//! is kept for ever because it was; at most an hour late is let go what a stop has made old.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::micros;
use crate::log::sync::{Arc, AtomicBool, AtomicU64, Ordering};

/// The clocks that the log goes by.
pub trait Clock: fmt::Debug + Send + Sync {
    /// What the system's clock says, in microseconds since the Unix epoch. It may be anything, and go back.
    fn wall_us(&self) -> u64;

    /// How long this clock has run. It never goes back.
    fn elapsed(&self) -> Duration;
}

/// The system's own.
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

/// What the system's clock says, in microseconds since the Unix epoch.
pub(super) fn wall_us() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// For how long a clock must say the same before the time that the server was off is believed.
const TRUST: Duration = Duration::from_hours(1);
/// So far from what it would be, a clock has been set meanwhile.
const SLACK: Duration = Duration::from_mins(1);

/// The time by which ages are measured, in microseconds since the Unix epoch as far as that was known.
#[derive(Debug)]
pub(super) struct Ages {
    clock: Arc<dyn Clock>,
    start: Start,
    /// How long the server was off before, as far as it counts.
    off_us: AtomicU64,
    /// Whether it is known how much of that counts.
    is_settled: AtomicBool,
}

#[derive(Debug)]
struct Start {
    /// The time at the start. What was there then came by it, what comes later comes after it.
    now_us: u64,
    /// What the system's clock said.
    wall_us: u64,
    /// How long the server was off, by that.
    off_us: u64,
    /// How long the other had run.
    ran: Duration,
}

/// The end of a log: when its last event came, or the server was ended in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    /// By the system's clock.
    pub(super) wall_us: u64,
    /// By the time of ages.
    pub(super) came_us: u64,
}

/// A moment, for as many looks at ages as one needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// When it is.
    pub(super) us: u64,
    start_us: u64,
    off_us: u64,
    said_off_us: u64,
}

impl Now {
    /// With nothing before it.
    #[cfg(test)]
    pub(super) const fn of_test(us: u64) -> Self {
        Self { us, start_us: 0, off_us: 0, said_off_us: 0 }
    }

    /// How old is what came then.
    pub(super) const fn age_us(self, came_us: u64) -> u64 {
        self.age(came_us, self.off_us)
    }

    /// How old it may be, if the clock was right at the start.
    pub(super) const fn most_age_us(self, came_us: u64) -> u64 {
        self.age(came_us, self.said_off_us)
    }

    const fn age(self, came_us: u64, off_us: u64) -> u64 {
        let off_us = if came_us <= self.start_us { off_us } else { 0 };
        self.us.saturating_sub(came_us).saturating_add(off_us)
    }
}

impl Ages {
    /// Goes on where a log ended.
    pub(super) fn new(clock: Arc<dyn Clock>, last: Option<Last>) -> Self {
        let (wall_us, ran) = (clock.wall_us(), clock.elapsed());
        let now_us = last.map_or(wall_us, |last| last.came_us);
        let off_us = last.map_or(0, |last| wall_us.saturating_sub(last.wall_us));
        let start = Start { now_us, wall_us, off_us, ran };
        Self { clock, start, off_us: AtomicU64::new(0), is_settled: AtomicBool::new(false) }
    }

    /// What the system's clock says.
    pub(super) fn wall_us(&self) -> u64 {
        self.clock.wall_us()
    }

    /// Now. It never goes back, and is after the start.
    pub(super) fn now(&self) -> Now {
        let us = self.start.now_us + 1 + micros(self.ran());
        let Start { now_us: start_us, off_us: said_off_us, .. } = self.start;
        Now { us, start_us, off_us: self.off_us.load(Ordering::SeqCst), said_off_us }
    }

    /// A time at which something came that was there at the start.
    pub(super) fn then_us(&self, came_us: u64) -> u64 {
        came_us.min(self.start.now_us)
    }

    /// Counts the time that the server was off, once it can be believed. To be called now and then.
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
