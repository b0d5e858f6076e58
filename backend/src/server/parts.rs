//! The log, the gate, the names and the housekeeping of a server, each made as its settings say.

use std::{
    fmt::Display,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use fourways_shared::Epoch;

use crate::{
    access::{Gate, hosts::Hosts, keys::Keys, limits::Usage},
    config::Config,
    lab::visitors::Visitors,
    log::engine::{DiskEngine, Engine, MemoryEngine, Tail},
    net::listen::Listen,
    operate::ledger::Ledger,
};

pub(super) fn gate(config: &Config) -> io::Result<Gate> {
    let sources = &config.access.token_key;
    if sources.is_empty() {
        if !config.listen.is_local() && !config.access.open {
            let text = "without --token-key anybody could read and publish everything; give a key, listen on 127.0.0.1, \
                 or say --open if that is what you want";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        return Ok(Gate::new(None, config.access.open_operator));
    }
    Ok(Gate::new(Some(Keys::read(sources.clone())?), false))
}

/// Where nobody is asked for a token and only this machine is served, a name is all that tells a foreign page. A socket
/// has no name, and no page reaches it.
pub(super) fn hosts(config: &Config) -> Hosts {
    let is_guarded = config.access.token_key.is_empty()
        && matches!(config.listen, Listen::Tcp(address) if address.ip().is_loopback());
    if is_guarded { Hosts::local_and(&config.access.host) } else { Hosts::any() }
}

/// An error, and what could not be done because of it.
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
