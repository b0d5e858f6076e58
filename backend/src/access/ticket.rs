//! One-time tickets, for an `EventSource` or a `WebSocket`: neither can set a header, and a token must not be in an
//! address, because addresses are logged.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::future::BoxFuture;

use super::grant::Grant;

/// Time within which a ticket must be used, from the answer that issues it to the request that uses it.
pub(super) const LIFETIME: Duration = Duration::from_secs(15);
/// Maximum number of unused tickets: more than all clients that a server can hold need in that time.
const MAX_TICKETS: usize = 100_000;

/// The servers with which this one shares its tickets.
pub(crate) struct Elsewhere {
    /// Id of this server, which its tickets name.
    pub(crate) node: String,
    /// Redeems a ticket at the server that issued it, given that server's id and the ticket.
    pub(crate) redeem: Box<dyn Fn(String, String) -> BoxFuture<'static, Option<Grant>> + Send + Sync>,
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elsewhere").field("node", &self.node).finish_non_exhaustive()
    }
}

/// The unused tickets. Owned by the server's one [`super::Gate`] and shared by all workers through it; the mutex is
/// held for one look-up or one sweep.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    out: Mutex<HashMap<[u8; 16], (Grant, Instant)>>,
}

impl Tickets {
    /// Issues a ticket for a grant: 128 random bits in base64url.
    ///
    /// # Errors
    /// If too many tickets are unused, or the system has no randomness; both are temporary.
    pub(super) fn issue(&self, grant: Grant) -> Result<String, &'static str> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|_| "the system has no randomness now")?;
        let now = Instant::now();
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if out.len() >= MAX_TICKETS {
            out.retain(|_, (_, until)| *until > now);
        }
        if out.len() >= MAX_TICKETS {
            return Err("too many tickets are unused");
        }
        out.insert(key, (grant, now + LIFETIME));
        Ok(BASE64_URL_SAFE_NO_PAD.encode(key))
    }

    /// Returns the grant of a ticket and removes the ticket, so that it can be used once only.
    pub(super) fn redeem(&self, text: &str) -> Option<Grant> {
        let mut key = [0; 16];
        if BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut key) != Ok(16) {
            return None;
        }
        // The time of the look-up reveals nothing useful about 128 random bits.
        let (grant, until) = self.out.lock().unwrap_or_else(PoisonError::into_inner).remove(&key)?;
        (until > Instant::now()).then_some(grant)
    }

    /// Removes the tickets that were not used in time.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.out.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, (_, until)| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once() {
        let tickets = Tickets::default();
        let ticket = tickets.issue(Grant::everything()).unwrap();
        assert_eq!(tickets.redeem("nonsense"), None);
        assert_eq!(tickets.redeem(&ticket[..20]), None);
        assert_eq!(tickets.redeem(&format!("{ticket}A")), None);
        assert_eq!(tickets.redeem(&ticket), Some(Grant::everything()));
        assert_eq!(tickets.redeem(&ticket), None);
        assert_ne!(tickets.issue(Grant::everything()), tickets.issue(Grant::everything()));
    }
}
