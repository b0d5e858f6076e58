//! The limits of one client and of all clients together. A request beyond a limit is refused at once, and counted.

mod patterns;
mod settings;

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use fourways_cluster::Counts;
use fourways_shared::{Code, Problem};
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use serde::Serialize;

use self::patterns::Patterns;
pub use self::{patterns::PatternClaim, settings::Limits};
pub use super::client::Client;
use super::client::network;
use crate::problem::Failure;

/// Wait that a client is told when it gets no permit for a held request.
const RETRY: Duration = Duration::from_secs(5);

/// The limits that a refusal is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Open connections of all clients.
    Connections,
    /// Open connections of one address.
    AddressConnections,
    /// Held polls of all clients.
    HeldPolls,
    /// Streams, sockets and held polls of one address.
    AddressHeld,
    /// Streams, sockets and held polls of one token's subject.
    SubjectHeld,
    /// Events per second that one client publishes.
    PublishRate,
    /// Patterns that are read at one time, by one client or by all.
    Topics,
    /// Length of a request body.
    Body,
    /// Time for a request body to arrive.
    BodyTime,
}

impl Limit {
    const ALL: [(Self, &str); 9] = [
        (Self::Connections, "connections"),
        (Self::AddressConnections, "address_connections"),
        (Self::HeldPolls, "held_polls"),
        (Self::AddressHeld, "address_held"),
        (Self::SubjectHeld, "subject_held"),
        (Self::PublishRate, "publish_rate"),
        (Self::Topics, "topics"),
        (Self::Body, "body"),
        (Self::BodyTime, "body_time"),
    ];
}

/// The current use of each limit. One for the whole server, shared by all workers and by the connections themselves,
/// and kept for as long as any of them lives. Totals are atomics; the counts per address and per client are behind
/// mutexes that are held for one look-up.
#[derive(Debug)]
pub struct Usage {
    limits: Arc<Limits>,
    connections: AtomicUsize,
    held_polls: AtomicUsize,
    by_address: PermitCounts<IpAddr>,
    held: PermitCounts<Client>,
    patterns: Patterns,
    publishers: Option<DefaultKeyedRateLimiter<Client>>,
    /// The permits of each subject at all servers that share the log, once there are others.
    shared: OnceLock<Arc<Counts>>,
    refused: [AtomicU64; Limit::ALL.len()],
}

/// The number of permits that each key holds; a key without permits has no entry.
#[derive(Debug)]
struct PermitCounts<K>(Mutex<HashMap<K, usize>>);

impl<K: Clone + Eq + Hash> PermitCounts<K> {
    fn try_acquire(&self, key: &K, limit: usize) -> bool {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let share = shares.entry(key.clone()).or_default();
        let is_free = *share < limit;
        if is_free {
            *share += 1;
        }
        is_free
    }

    fn release(&self, key: &K) {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get_mut(key) {
            *share -= 1;
            if *share == 0 {
                shares.remove(key);
            }
        }
    }
}

/// A permit for one connection or one held request. Owned by the connection, stream, socket or poll; dropping the
/// permit returns it.
#[derive(Debug)]
pub struct Permit {
    usage: Arc<Usage>,
    taken: PermitKind,
}

#[derive(Debug)]
enum PermitKind {
    Connection(Option<IpAddr>),
    Poll(Client),
    Stream(Client),
}

impl Drop for Permit {
    fn drop(&mut self) {
        match &self.taken {
            PermitKind::Connection(address) => {
                self.usage.connections.fetch_sub(1, Ordering::Relaxed);
                if let Some(address) = address {
                    self.usage.by_address.release(address);
                }
            }
            PermitKind::Poll(client) => {
                self.usage.held_polls.fetch_sub(1, Ordering::Relaxed);
                self.usage.release(client);
            }
            PermitKind::Stream(client) => self.usage.release(client),
        }
    }
}

/// The two kinds of held request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A long poll, which counts towards the limit of held polls too.
    Poll,
    /// An event stream or a WebSocket.
    Stream,
}

impl Usage {
    /// Creates the record of a server that has no connection yet.
    pub fn new(limits: Arc<Limits>) -> Arc<Self> {
        let rate = NonZeroU32::new(limits.publish_rate);
        let publishers = rate.map(|rate| {
            let burst = rate.saturating_mul(PUBLISH_BURST);
            RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst))
        });
        Arc::new(Self {
            limits,
            connections: AtomicUsize::new(0),
            held_polls: AtomicUsize::new(0),
            by_address: PermitCounts(Mutex::default()),
            held: PermitCounts(Mutex::default()),
            patterns: Patterns::default(),
            publishers,
            shared: OnceLock::new(),
            refused: Default::default(),
        })
    }

    /// Counts the permits of each subject together with other servers from now on. Another call does nothing.
    pub(crate) fn shares(&self, counts: Arc<Counts>) {
        self.shared.get_or_init(|| counts);
    }

    /// Returns a permit for a connection. `address` is that of its peer, `None` on a Unix socket; loopback addresses
    /// count towards the total only.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn connect(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Permit, Limit> {
        // Behind a proxy every connection has the proxy's address, so clients are counted by X-Forwarded-For instead,
        // request by request.
        let address = address.filter(|address| self.limits.trusted_hops == 0 && !address.is_loopback());
        let address = address.map(network);
        if self.connections.fetch_add(1, Ordering::Relaxed) >= self.limits.max_connections {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            self.count(Limit::Connections);
            return Err(Limit::Connections);
        }
        let mut place = Permit { usage: Arc::clone(self), taken: PermitKind::Connection(None) };
        if let Some(address) = address
            && !self.by_address.try_acquire(&address, self.limits.max_connections_per_address)
        {
            self.count(Limit::AddressConnections);
            return Err(Limit::AddressConnections);
        }
        place.taken = PermitKind::Connection(address);
        Ok(place)
    }

    /// Returns a permit for a held request of this client. The permits of a subject at other servers that share the log
    /// count too, a moment late: requests that come to several servers at once may exceed the limit.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub fn hold(self: &Arc<Self>, client: Client, held: Held) -> Result<Permit, Failure> {
        let (limit, most, whose) = match &client {
            Client::Subject(_) => {
                (Limit::SubjectHeld, self.limits.max_held_per_subject, "this token's subject")
            }
            Client::Address(_) => (Limit::AddressHeld, self.limits.max_held_per_address, "this address"),
            Client::Local => (Limit::AddressHeld, usize::MAX, ""),
        };
        let free = most.saturating_sub(self.held_elsewhere(&client));
        if !self.held.try_acquire(&client, free) {
            let detail =
                format!("{whose} already holds {most} streams, sockets and polls, which is the limit");
            return Err(self.refuse(limit, detail, RETRY));
        }
        if let (Client::Subject(subject), Some(shared)) = (&client, self.shared.get()) {
            shared.add(subject);
        }
        if held == Held::Stream {
            return Ok(Permit { usage: Arc::clone(self), taken: PermitKind::Stream(client) });
        }
        if self.held_polls.fetch_add(1, Ordering::Relaxed) >= self.limits.max_held_polls {
            self.held_polls.fetch_sub(1, Ordering::Relaxed);
            self.release(&client);
            let detail = format!("{} polls are already held, which is the limit", self.limits.max_held_polls);
            return Err(self.refuse(Limit::HeldPolls, detail, RETRY));
        }
        Ok(Permit { usage: Arc::clone(self), taken: PermitKind::Poll(client) })
    }

    /// Returns the number of permits that a client has at other servers.
    fn held_elsewhere(&self, client: &Client) -> usize {
        let (Client::Subject(subject), Some(shared)) = (client, self.shared.get()) else { return 0 };
        usize::try_from(shared.elsewhere(subject)).unwrap_or(usize::MAX)
    }

    fn release(&self, client: &Client) {
        self.held.release(client);
        if let (Client::Subject(subject), Some(shared)) = (client, self.shared.get()) {
            shared.remove(subject);
        }
    }

    /// Counts `events` towards the publish rate of a client.
    ///
    /// # Errors
    /// 429 with the time to wait; then nothing is counted.
    pub fn publish(&self, client: &Client, events: usize) -> Result<(), Failure> {
        let Some(publishers) = &self.publishers else { return Ok(()) };
        let Some(count) = u32::try_from(events).ok().and_then(NonZeroU32::new) else { return Ok(()) };
        let rate = self.limits.publish_rate;
        let wait = match publishers.check_key_n(client, count) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(not_until)) => not_until.wait_time_from(DefaultClock::default().now()),
            // More events than a burst allows can never pass: the client has to send them in smaller publishes.
            Err(_) => Duration::from_secs(1),
        };
        let detail = format!(
            "{events} events are more than this client may publish now; allowed are {rate} per second and {} at once",
            rate.saturating_mul(PUBLISH_BURST.get())
        );
        Err(self.refuse(Limit::PublishRate, detail, wait))
    }

    /// Returns the number of streams, sockets and polls that are held.
    pub fn held(&self) -> usize {
        self.held.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// Counts one refusal under a limit.
    pub fn count(&self, limit: Limit) {
        self.refused[limit as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn refuse(&self, limit: Limit, detail: String, wait: Duration) -> Failure {
        self.count(limit);
        Failure::from(Problem::new(Code::TooMany, detail)).retry_after(wait)
    }

    /// Forgets clients that no longer publish. The server's sweeper calls this once a second.
    pub fn sweep(&self) {
        if let Some(publishers) = &self.publishers {
            publishers.retain_recent();
            publishers.shrink_to_fit();
        }
    }

    /// Returns the current use, and the refusals since the start.
    pub fn state(&self) -> State {
        let refused =
            Limit::ALL.map(|(limit, name)| (name, self.refused[limit as usize].load(Ordering::Relaxed)));
        State {
            connections: self.connections.load(Ordering::Relaxed),
            held_polls: self.held_polls.load(Ordering::Relaxed),
            refused: refused.into_iter().collect(),
        }
    }
}

/// Seconds' worth of the publish rate that one client may publish at once.
const PUBLISH_BURST: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// The answer to `GET /v1/limits`.
#[derive(Debug, Serialize)]
pub struct State {
    /// Number of connections that are open now.
    pub connections: usize,
    /// Number of long polls that are held now.
    pub held_polls: usize,
    /// Number of refusals since the start, by limit.
    pub refused: HashMap<&'static str, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(change: impl FnOnce(&mut Limits)) -> Arc<Usage> {
        let mut limits = Limits::default();
        change(&mut limits);
        Usage::new(Arc::new(limits))
    }

    #[test]
    fn places_are_given_back() {
        let usage = usage(|limits| (limits.max_connections, limits.max_connections_per_address) = (3, 2));
        let far = Some("192.0.2.1".parse().unwrap());
        let one = usage.connect(far).unwrap();
        let _two = usage.connect(far).unwrap();
        assert_eq!(usage.connect(far).unwrap_err(), Limit::AddressConnections);
        let _other = usage.connect(Some("192.0.2.2".parse().unwrap())).unwrap();
        assert_eq!(usage.connect(Some("192.0.2.3".parse().unwrap())).unwrap_err(), Limit::Connections);
        drop(one);
        let _again = usage.connect(far).unwrap();
        assert_eq!((usage.state().connections, usage.state().refused["connections"]), (3, 1));
    }

    #[test]
    fn held_polls_are_limited_in_all_and_for_each() {
        let usage = usage(|limits| (limits.max_held_polls, limits.max_held_per_subject) = (2, 2));
        let ada = || Client::Subject("ada".into());
        let one = usage.hold(ada(), Held::Poll).unwrap();
        let _stream = usage.hold(ada(), Held::Stream).unwrap();
        assert!(usage.hold(ada(), Held::Stream).is_err());
        let _two = usage.hold(Client::Local, Held::Poll).unwrap();
        assert!(usage.hold(Client::Local, Held::Poll).is_err());
        drop(one);
        assert!(usage.hold(ada(), Held::Poll).is_ok());
        assert_eq!(usage.state().refused["subject_held"], 1);
        assert_eq!(usage.state().refused["held_polls"], 1);
    }

    #[test]
    fn publishing_has_a_rate_for_each() {
        let usage = usage(|limits| limits.publish_rate = 10);
        let (ada, bob) = (Client::Subject("ada".into()), Client::Subject("bob".into()));
        assert!(usage.publish(&ada, 40).is_ok());
        assert!(usage.publish(&ada, 5).is_err() && usage.publish(&bob, 1).is_ok());
        assert!(usage.publish(&bob, 41).is_err(), "more than ever fits");
    }
}
