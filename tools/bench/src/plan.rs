//! The behaviour of a crowd's clients.

use std::{net::SocketAddr, time::Duration};

use fourways_shared::Technique;
use tokio::time::Instant;

use crate::{amount::float, publisher::PAYLOAD};

/// Interval that is longer than any measurement: an action with this interval never happens.
pub(crate) const NEVER: Duration = Duration::from_hours(30 * 24);

/// The behaviour of a crowd's clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Address of the server.
    pub(crate) address: SocketAddr,
    /// Technique by which the clients read.
    pub(crate) technique: Technique,
    /// Number of clients.
    pub(crate) clients: usize,
    /// Interval between the short polls of a client.
    pub(crate) poll: Duration,
    /// Maximum time that a long poll is held.
    pub(crate) hold: Duration,
    /// Time after which a client closes its stream or socket and opens another.
    pub(crate) lifetime: Duration,
    /// Interval between the sends of a client.
    pub(crate) send: Duration,
    /// Size of a send's data, in bytes.
    pub(crate) payload: usize,
    /// Time over which the clients connect; zero to connect as fast as the server accepts.
    pub(crate) spread: Duration,
    /// Time from which repeated actions count; the clients' actions are spread over the first interval.
    pub(crate) origin: Instant,
}

impl Plan {
    /// Returns a plan for clients that only read: no short poll but the first, no sends, no new connections.
    pub(crate) fn quiet(address: SocketAddr, technique: Technique, clients: usize) -> Self {
        Self {
            address,
            technique,
            clients,
            poll: NEVER,
            hold: Duration::from_secs(25),
            lifetime: NEVER,
            send: NEVER,
            payload: PAYLOAD,
            spread: Duration::ZERO,
            origin: Instant::now(),
        }
    }

    /// Returns the time at which a client first performs an action that it repeats at this interval. The times of all
    /// clients are spread evenly over the interval, and none is in the past.
    pub(crate) fn first(&self, client: usize, every: Duration) -> Instant {
        if every >= NEVER {
            return self.origin + NEVER;
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
