//! Leases: something that one server does for all, and another once that one is gone.
//!
//! A lease is an entry of the log's bucket, which its holder writes again and again. Time is measured by each server's
//! own monotonic clock, so that wrong clocks hurt nobody: the holder stops before the others may begin.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{sync::watch, time::sleep};

use super::Peers;
use crate::bucket::{Entry, Unwritten};

/// Time between two renewals, and between two looks at another's lease.
const RENEW: Duration = Duration::from_secs(2);
/// Time without a renewal after which a holder stops.
const STOP: Duration = Duration::from_secs(4);
/// Time without a renewal after which another may take the lease.
const DEAD: Duration = Duration::from_secs(6);

/// A lease that this server asks for. Dropping it gives the lease up.
#[derive(Debug)]
pub struct Lease {
    held: watch::Receiver<bool>,
    /// Dropped with the lease, which ends the task that renews it.
    _wanted: watch::Sender<()>,
}

impl Lease {
    /// True while this server holds the lease.
    pub fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Waits until this server holds the lease, or no longer does.
    pub async fn becomes(&mut self, held: bool) {
        // The task that renews ends with the runtime only; then nothing is held any more.
        if self.held.wait_for(|is_held| *is_held == held).await.is_err() && held {
            std::future::pending::<()>().await;
        }
    }
}

impl Peers {
    /// Asks for the lease of this name until the returned value is dropped. One server at a time holds it, and for a few
    /// seconds after a fault perhaps none.
    pub fn lease(self: &Arc<Self>, name: &str) -> Lease {
        let (told, held) = watch::channel(false);
        let (wanted, is_wanted) = watch::channel(());
        self.spawn(hold(Arc::clone(self), format!("lease.{name}"), told, is_wanted));
        Lease { held, _wanted: wanted }
    }
}

async fn hold(peers: Arc<Peers>, key: String, told: watch::Sender<bool>, mut is_wanted: watch::Receiver<()>) {
    // The revision that was last seen, and since when.
    let mut seen: Option<(u64, Instant)> = None;
    // The revision that this server wrote, and when it began to write it.
    let mut own: Option<(u64, Instant)> = None;
    let id = || Bytes::copy_from_slice(peers.id().as_bytes());
    loop {
        let began = Instant::now();
        let Some(bucket) = peers.bucket.get() else {
            sleep(RENEW).await;
            continue;
        };
        match own {
            Some((revision, renewed)) => match bucket.write(&key, id(), Some(revision)).await {
                Ok(revision) => own = Some((revision, began)),
                // Somebody else wrote: the lease is lost.
                Err(Unwritten::Outdated) => own = None,
                Err(Unwritten::Unknown(_)) if renewed.elapsed() + RENEW > STOP => own = None,
                Err(Unwritten::Unknown(_)) => {}
            },
            None => match bucket.read(&key).await {
                Ok(None) => own = bucket.write(&key, id(), None).await.ok().map(|new| (new, began)),
                Ok(Some(Entry { revision, .. })) => {
                    let since =
                        seen.filter(|(known, _)| *known == revision).map_or(began, |(_, since)| since);
                    seen = Some((revision, since));
                    if since.elapsed() > DEAD {
                        let taken = bucket.write(&key, id(), Some(revision)).await;
                        own = taken.ok().map(|new| (new, began));
                    }
                }
                Err(_) => {}
            },
        }
        told.send_if_modified(|held| std::mem::replace(held, own.is_some()) != own.is_some());
        tokio::select! {
            () = sleep(RENEW) => {}
            // The lease was dropped.
            _ = is_wanted.changed() => break,
        }
    }
    if let (Some((revision, _)), Some(bucket)) = (own, peers.bucket.get()) {
        // If it can't be given up, the others wait until it is dead.
        drop(bucket.erase(&key, revision).await);
    }
}
