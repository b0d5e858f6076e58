//! The parts of a server that depend on its settings: the gate, the host names and the log; and the sweep that keeps
//! house.

use std::{
    fmt::Display,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use fourways_log::engine::{DiskEngine, Engine, MemoryEngine, Tail};
use fourways_shared::Epoch;

use crate::{
    access::{Gate, hosts::Hosts, keys::Keys, limits::Usage},
    config::Config,
    lab::visitors::Visitors,
    net::listen::Listen,
    operate::ledger::Ledger,
};

pub(super) fn gate(config: &Config) -> io::Result<Gate> {
    let sources = &config.access.token_key;
    if sources.is_empty() {
        if !config.listen.is_local() && !config.access.open {
            let text = "without --token-key anybody could read and publish everything; give a key, listen on 127.0.0.1, \
                 or pass --open if that is what you want";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        return Ok(Gate::new(None, config.access.open_operator));
    }
    Ok(Gate::new(Some(Keys::read(sources.clone())?), false))
}

/// Returns the host names that the server answers to. They are restricted if the server has no keys and listens on a
/// loopback address: then a name is all that gives a foreign page away. No page can reach a Unix socket.
pub(super) fn hosts(config: &Config) -> Hosts {
    let is_guarded = config.access.token_key.is_empty()
        && matches!(config.listen, Listen::Tcp(address) if address.ip().is_loopback());
    if is_guarded { Hosts::local_and(&config.access.host) } else { Hosts::any() }
}

/// Returns the error with `what`, the action that failed, before its text.
pub(super) fn named(error: &io::Error, what: impl Display) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

pub(super) fn engine(config: &Config, workers: usize) -> io::Result<Arc<dyn Engine>> {
    let log = &config.log;
    if log.memory {
        let bits = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        return Ok(Arc::new(MemoryEngine::new(Epoch::from_bits(bits), log.rules(), workers)));
    }
    let began = Instant::now();
    let opened = DiskEngine::open(&log.data, log.rules(), log.cap(), log.durability, workers);
    let engine =
        opened.map_err(|error| named(&error, format!("can't open the log in {}", log.data.display())))?;
    let (tail, ms) = (engine.tail(), began.elapsed().as_millis());
    tracing::info!(data = %log.data.display(), epoch = %tail.epoch(), head = tail.head().0, ms, "the log is open");
    Ok(Arc::new(engine))
}

pub(super) async fn sweep(
    tail: Arc<Tail>,
    visitors: Arc<Visitors>,
    gate: Arc<Gate>,
    usage: Arc<Usage>,
    ledger: Arc<Ledger>,
) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        tail.sweep();
        visitors.sweep();
        gate.sweep();
        usage.sweep();
        ledger.sweep();
    }
}
