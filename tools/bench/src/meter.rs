//! Processor time of the server for what is done to it, without what it takes when nothing is.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::server::Server;

/// Long enough for a server to have done what was asked, and for the kernel to have counted it.
pub(crate) const CALM: Duration = Duration::from_millis(300);
/// How long an idle server is watched.
const WATCH: Duration = Duration::from_secs(1);

/// Counts from [`Self::begin`] to [`Self::spent_us`], any number of times.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    server: &'a Server,
    idle_us_per_s: f64,
    began: Instant,
    cpu_us: f64,
}

impl<'a> Meter<'a> {
    /// Watches the server as it is now, for a second: that is what idle means.
    ///
    /// # Errors
    /// If the server is gone.
    pub(crate) async fn settle(server: &'a Server) -> anyhow::Result<Self> {
        sleep(CALM).await;
        let mut meter = Self { server, idle_us_per_s: 0.0, began: Instant::now(), cpu_us: server.cpu_us()? };
        sleep(WATCH).await;
        meter.idle_us_per_s = meter.spent_us()? / meter.began.elapsed().as_secs_f64();
        Ok(meter)
    }

    /// From here on.
    ///
    /// # Errors
    /// If the server is gone.
    pub(crate) fn begin(&mut self) -> anyhow::Result<()> {
        self.cpu_us = self.server.cpu_us()?;
        self.began = Instant::now();
        Ok(())
    }

    /// Microseconds since the beginning, over those of an idle server; never negative.
    ///
    /// # Errors
    /// If the server is gone.
    pub(crate) fn spent_us(&self) -> anyhow::Result<f64> {
        let idle = self.idle_us_per_s * self.began.elapsed().as_secs_f64();
        Ok((self.server.cpu_us()? - self.cpu_us - idle).max(0.0))
    }
}
