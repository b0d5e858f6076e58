//! Measures the server's processor time for a load, without the time that an idle server takes.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::server::Server;

/// Pause that is long enough for the server to finish its work, and for the kernel to count it.
pub(crate) const CALM: Duration = Duration::from_millis(300);
/// Time for which an idle server is observed.
const WATCH: Duration = Duration::from_secs(1);

/// A meter of processor time, from [`Self::begin`] to [`Self::spent_us`], any number of times.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    server: &'a Server,
    idle_us_per_s: f64,
    began: Instant,
    cpu_us: f64,
}

impl<'a> Meter<'a> {
    /// Creates a meter. The processor time that the server takes during the next second counts as that of an idle
    /// server.
    ///
    /// # Errors
    /// If the server has ended.
    pub(crate) async fn settle(server: &'a Server) -> anyhow::Result<Self> {
        sleep(CALM).await;
        let mut meter = Self { server, idle_us_per_s: 0.0, began: Instant::now(), cpu_us: server.cpu_us()? };
        sleep(WATCH).await;
        meter.idle_us_per_s = meter.spent_us()? / meter.began.elapsed().as_secs_f64();
        Ok(meter)
    }

    /// Begins a measurement.
    ///
    /// # Errors
    /// If the server has ended.
    pub(crate) fn begin(&mut self) -> anyhow::Result<()> {
        self.cpu_us = self.server.cpu_us()?;
        self.began = Instant::now();
        Ok(())
    }

    /// Returns the processor time since the beginning, less that of an idle server, in microseconds; never negative.
    ///
    /// # Errors
    /// If the server has ended.
    pub(crate) fn spent_us(&self) -> anyhow::Result<f64> {
        let idle = self.idle_us_per_s * self.began.elapsed().as_secs_f64();
        Ok((self.server.cpu_us()? - self.cpu_us - idle).max(0.0))
    }
}
