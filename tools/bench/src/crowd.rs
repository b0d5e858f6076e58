//! Many clients of one technique, opened a few at a time and closed together.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use fourways_shared::Technique;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    amount::float,
    clients,
    publisher::PAYLOAD,
    raw::DEADLINE,
    tally::{Counts, Tally},
};

/// Longer than anything here lasts: what happens so rarely doesn't.
pub(crate) const FOREVER: Duration = Duration::from_hours(30 * 24);
/// Both this process and the server may hold 20,000 files open where this was written; some are no connections.
pub(crate) const MOST_CLIENTS: usize = 18_000;
/// So many connect at once: fewer than a server's backlog (4,096).
const AT_ONCE: usize = 200;

/// What the clients are to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The server.
    pub(crate) address: SocketAddr,
    /// By which they read.
    pub(crate) technique: Technique,
    /// How many they are.
    pub(crate) clients: usize,
    /// From one short poll of a client to its next.
    pub(crate) poll: Duration,
    /// The longest that a long poll is held.
    pub(crate) hold: Duration,
    /// How long a stream or socket is kept until it is opened again.
    pub(crate) lifetime: Duration,
    /// From one send of a client to its next.
    pub(crate) send: Duration,
    /// Bytes of a send's data.
    pub(crate) payload: usize,
    /// They open spread over so long, or as fast as the server takes them.
    pub(crate) spread: Duration,
    /// What happens again and again is spread over its interval from here on.
    pub(crate) origin: Instant,
}

impl Plan {
    /// Clients that read, and otherwise do nothing of their own accord.
    pub(crate) fn quiet(address: SocketAddr, technique: Technique, clients: usize) -> Self {
        Self {
            address,
            technique,
            clients,
            poll: FOREVER,
            hold: Duration::from_secs(25),
            lifetime: FOREVER,
            send: FOREVER,
            payload: PAYLOAD,
            spread: Duration::ZERO,
            origin: Instant::now(),
        }
    }

    /// When a client first does what it does at this interval: spread evenly over all clients, and never now.
    pub(crate) fn first(&self, client: usize, every: Duration) -> Instant {
        if every >= FOREVER {
            return self.origin + FOREVER;
        }
        let share = (float(client as u64) + 0.5) / float(self.clients as u64);
        let mut first = self.origin + every.mul_f64(share);
        let now = Instant::now();
        while first <= now {
            first += every;
        }
        first
    }
}

/// Clients at work. Dropping it closes their connections.
#[derive(Debug)]
pub(crate) struct Crowd {
    tally: Arc<Tally>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Crowd {
    /// Opens all of them.
    ///
    /// # Errors
    /// If one is refused, or all together take too long.
    pub(crate) async fn open(plan: Plan) -> anyhow::Result<Self> {
        ensure!(
            (1..=MOST_CLIENTS).contains(&plan.clients),
            "{} clients; allowed are 1 to {MOST_CLIENTS}: each takes a file here and one in the server",
            plan.clients
        );
        let mut crowd = Self { tally: Tally::new(plan.clients), tasks: JoinSet::new() };
        let (began, each) = (Instant::now(), plan.spread.div_f64(float(plan.clients as u64)));
        for client in 0..plan.clients {
            sleep_until(began + each.mul_f64(float(client as u64))).await;
            crowd.tasks.spawn(clients::attend(plan, client, Arc::clone(&crowd.tally)));
            if plan.send < FOREVER && plan.technique != Technique::Websocket {
                crowd.tasks.spawn(clients::send(plan, client, Arc::clone(&crowd.tally)));
            }
            let spawned = client + 1;
            if spawned.is_multiple_of(AT_ONCE) || spawned == plan.clients {
                crowd.until("opening", |tally| tally.opened_so_far() == spawned as u64).await?;
            }
        }
        Ok(crowd)
    }

    /// What they count.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How far they are.
    pub(crate) fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// Waits until so many events arrived, at all of them together.
    ///
    /// # Errors
    /// If they don't, or a client failed.
    pub(crate) async fn await_events(&mut self, events: u64) -> anyhow::Result<()> {
        self.until("delivering", |tally| tally.counts().events >= events).await
    }

    /// Looks whether they are all still there: none ends by itself.
    ///
    /// # Errors
    /// The failure of one that is not.
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
