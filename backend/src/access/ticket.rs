//! One-time tickets: what an `EventSource` or a `WebSocket` can show, since neither can set a header, and a token has
//! no place in an address: addresses are logged.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::grant::Grant;

/// How long one is good for: from the answer that brings it to the request that shows it.
pub(super) const LIFETIME: Duration = Duration::from_secs(15);
/// More than are taken in that time by any crowd that a server can hold.
const MAX_TICKETS: usize = 100_000;

/// Tickets that are out. One for the whole server.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    out: Mutex<HashMap<[u8; 16], (Grant, Instant)>>,
}

impl Tickets {
    /// Makes one that grants the same.
    ///
    /// # Errors
    /// If there are too many, or the system has no randomness; both pass.
    pub(super) fn issue(&self, grant: Grant) -> Result<String, &'static str> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|_| "the system has no randomness now")?;
        let now = Instant::now();
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if out.len() >= MAX_TICKETS {
            out.retain(|_, (_, until)| *until > now);
        }
        if out.len() >= MAX_TICKETS {
            return Err("too many tickets are out");
        }
        out.insert(key, (grant, now + LIFETIME));
        Ok(BASE64_URL_SAFE_NO_PAD.encode(key))
    }

    /// What a ticket grants; only the first who shows it is told.
    pub(super) fn take(&self, text: &str) -> Option<Grant> {
        let mut key = [0; 16];
        if BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut key) != Ok(16) {
            return None;
        }
        // 128 random bits: how long the look-up takes tells nobody anything.
        let (grant, until) = self.out.lock().unwrap_or_else(PoisonError::into_inner).remove(&key)?;
        (until > Instant::now()).then_some(grant)
    }

    /// Forgets those that nobody has shown in time. To be called now and then.
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
        assert_eq!(tickets.take("nonsense"), None);
        assert_eq!(tickets.take(&ticket[..20]), None);
        assert_eq!(tickets.take(&format!("{ticket}A")), None);
        assert_eq!(tickets.take(&ticket), Some(Grant::everything()));
        assert_eq!(tickets.take(&ticket), None);
        assert_ne!(tickets.issue(Grant::everything()), tickets.issue(Grant::everything()));
    }
}
