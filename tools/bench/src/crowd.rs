//! Many clients of one technique, opened a few at a time and closed together.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use fourways_shared::Technique;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    amount::float,
    clients,
    plan::{NEVER, Plan},
    raw::DEADLINE,
    tally::{Counts, Tally},
};

/// Maximum number of clients. This process and the server each need an open file per client; the machine for which the
/// limit was chosen allows 20,000 open files, and some are not connections.
pub(crate) const MAX_CLIENTS: usize = 18_000;
/// Number of clients that connect at once; fewer than the server's listen backlog (4,096).
const AT_ONCE: usize = 200;

/// A crowd of running clients. The measurement that opened the crowd owns it; each client is a separate task and
/// shares the tally. Dropping the crowd aborts the tasks, which closes their connections.
#[derive(Debug)]
pub(crate) struct Crowd {
    tally: Arc<Tally>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Crowd {
    /// Opens all clients of a plan.
    ///
    /// # Errors
    /// If a client is refused, or the clients take too long to open.
    pub(crate) async fn open(plan: Plan) -> anyhow::Result<Self> {
        ensure!(
            (1..=MAX_CLIENTS).contains(&plan.clients),
            "{} clients; allowed are 1 to {MAX_CLIENTS}: each needs a file here and one in the server",
            plan.clients
        );
        let mut crowd = Self { tally: Tally::new(plan.clients), tasks: JoinSet::new() };
        let (began, each) = (Instant::now(), plan.spread.div_f64(float(plan.clients as u64)));
        for client in 0..plan.clients {
            sleep_until(began + each.mul_f64(float(client as u64))).await;
            crowd.tasks.spawn(clients::attend(plan, client, Arc::clone(&crowd.tally)));
            if plan.send < NEVER && plan.technique != Technique::Websocket {
                crowd.tasks.spawn(clients::send(plan, client, Arc::clone(&crowd.tally)));
            }
            let spawned = client + 1;
            if spawned.is_multiple_of(AT_ONCE) || spawned == plan.clients {
                crowd.until("opening", |tally| tally.opened_so_far() == spawned as u64).await?;
            }
        }
        Ok(crowd)
    }

    /// Returns the tally of all clients.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Returns the current counts of all clients together.
    pub(crate) fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// Waits until this many events have arrived, at all clients together.
    ///
    /// # Errors
    /// If the events don't arrive in time, or a client fails.
    pub(crate) async fn await_events(&mut self, events: u64) -> anyhow::Result<()> {
        self.until("delivering", |tally| tally.counts().events >= events).await
    }

    /// Checks that all clients still run, because none ends by itself.
    ///
    /// # Errors
    /// The failure of a client that has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        let Some(ended) = self.tasks.try_join_next() else { return Ok(()) };
        ended.context("a client panicked")?.context("a client failed")?;
        bail!("a client ended")
    }

    async fn until(&mut self, what: &str, is_there: impl Fn(&Tally) -> bool) -> anyhow::Result<()> {
        let began = Instant::now();
        while !is_there(&self.tally) {
            self.check()?;
            if began.elapsed() > DEADLINE {
                bail!("{what} takes longer than {} s: {:?}", DEADLINE.as_secs(), self.counts());
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}
