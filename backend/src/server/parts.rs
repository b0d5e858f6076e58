//! The parts of a server that all its workers share, and the app that each worker makes of them.

use std::{
    cell::Cell,
    fmt::Display,
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::{Condition, from_fn},
    rt,
    web::Data,
};
use fourways_cluster::{JetStreamEngine, Peers};
use fourways_log::engine::{Engine, Shard};
use fourways_shared::Topic;
use futures_util::future::BoxFuture;

use crate::{
    access::{
        self, Gate, Grant,
        hosts::{self, Hosts},
        keys::Keys,
        limits::{Limits, Usage},
        origin::Origins,
        session::Transport,
        ticket::Elsewhere,
    },
    config::Config,
    lab::{self, app::Files, feed::Feeds, use_cases, visitors::Visitors},
    net::{connection, listen::Listen},
    operate::{
        cut_off::CutOff,
        drain::Drain,
        interest::Told,
        ledger::Ledger,
        nodes::{Asked, Nodes},
        presence::{self, Presence},
        rehearsal::{RehearsalLock, Share},
        roster::Roster,
        traces,
    },
    publish,
    routes::routes,
    worker::Worker,
};

/// The parts of a server that all its workers share. The server owns them until it is dropped; clones share them.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) workers: usize,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) limits: Arc<Limits>,
    pub(super) usage: Arc<Usage>,
    pub(super) drain: Arc<Drain>,
    pub(super) visitors: Arc<Visitors>,
    gate: Arc<Gate>,
    ledger: Arc<Ledger>,
    presence: Data<Presence>,
    pub(super) roster: Arc<Roster>,
    pub(super) nodes: Nodes,
    rehearsal: Data<RehearsalLock>,
    feeds: Data<Feeds>,
    files: Data<Files>,
    hosts: Data<Hosts>,
    origins: Data<Origins>,
    transport: Data<Transport>,
    config: Data<Config>,
    next_worker: Arc<AtomicUsize>,
}

impl Parts {
    /// Opens the log, reads the keys and makes all parts. The returned future publishes joins and leaves while it is
    /// polled.
    ///
    /// # Errors
    /// If the log can't be opened, a key can't be read, the system has no randomness, or the server would be open to
    /// other machines without `--open`.
    pub(super) fn of(config: &Config) -> io::Result<(Self, impl Future<Output = ()> + use<>)> {
        let gate = Arc::new(gate(config)?);
        let workers = config.workers();
        let (engine, peers) = engine(config, workers)?;
        let limits = Arc::new(config.limits.clone());
        let transport =
            Transport { is_tls: config.is_tls(), is_behind_proxy: config.limits.trusted_hops > 0 };
        let (usage, drain) = (Usage::new(Arc::clone(&limits)), Arc::<Drain>::default());
        let roster = Arc::<Roster>::default();
        let nodes = peers.map_or_else(Nodes::default, |peers| {
            let asked = Asked {
                engine: Arc::clone(&engine),
                gate: Arc::clone(&gate),
                roster: Arc::clone(&roster),
                usage: Arc::clone(&usage),
                drain: Arc::clone(&drain),
                told: Told::new(Arc::clone(&engine), live_topics(config), presence::PREFIX),
                rules: format!("{:08x}", crc32fast::hash(format!("{:?}", config.log.rules()).as_bytes())),
            };
            Nodes::begin(&peers, asked)
        });
        let share =
            Share { engine: Arc::clone(&engine), roster: Arc::clone(&roster), drain: Arc::clone(&drain) };
        share.answer_for(&nodes);
        if config.lab_kill {
            lab::kill::answer_for(&nodes);
        }
        let (presence, presence_publisher) = Presence::new(Arc::clone(&engine), &nodes);
        if let Some(id) = nodes.id() {
            let (node, asked) = (id.to_owned(), nodes.clone());
            let redeem = move |node: String, ticket: String| -> BoxFuture<'static, Option<Grant>> {
                let asked = asked.clone();
                Box::pin(async move { asked.redeem(&node, &ticket).await })
            };
            gate.shares_tickets(Elsewhere { node, redeem: Box::new(redeem) });
        }
        let ledger = Ledger::new(&nodes);
        let parts = Self {
            workers,
            engine,
            usage,
            limits,
            drain,
            nodes,
            visitors: Arc::default(),
            gate,
            ledger,
            presence: Data::from(presence),
            roster,
            rehearsal: Data::default(),
            feeds: Data::default(),
            files: Data::new(Files::new(config.app.clone())),
            hosts: Data::new(hosts(config)),
            origins: Data::new(Origins::new(config.access.origin.clone(), config.is_tls())),
            transport: Data::new(transport),
            config: Data::new(config.clone()),
            next_worker: Arc::default(),
        };
        Ok((parts, presence_publisher))
    }

    /// Makes the app of the current worker thread.
    pub(super) fn app(
        &self,
    ) -> App<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<impl MessageBody + use<>>,
            Error = Error,
            InitError = (),
        > + use<>,
    > {
        let worker = Worker {
            shard: shard(&self.engine, &self.next_worker, self.workers),
            engine: Arc::clone(&self.engine),
            meters: self.engine.tail().shared_meters(),
            limits: Arc::clone(&self.limits),
            usage: Arc::clone(&self.usage),
            drain: Arc::clone(&self.drain),
            lag: self.config.lag.clone().into(),
            roster: Arc::clone(&self.roster),
            nodes: self.nodes.clone(),
        };
        App::new()
            .app_data(Data::new(worker))
            .app_data(publish::data(Arc::clone(&self.engine)))
            .app_data(access::data(Arc::clone(&self.gate)))
            .app_data(Data::from(Arc::clone(&self.ledger)))
            .app_data(lab::channel::data(Arc::clone(&self.visitors)))
            .app_data(self.presence.clone())
            .app_data(self.rehearsal.clone())
            .app_data(self.feeds.clone())
            .app_data(self.files.clone())
            .app_data(self.hosts.clone())
            .app_data(self.origins.clone())
            .app_data(self.transport.clone())
            .app_data(self.config.clone())
            .configure(routes)
            .wrap(from_fn(hosts::guard))
            .wrap(from_fn(connection::say_close))
            .wrap(Condition::new(self.config.traces.is_some(), from_fn(traces::request)))
    }

    /// Drops what has expired, once a second, until the future is dropped.
    pub(super) async fn sweep(self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        let mut cut_off = CutOff::new(Share {
            engine: Arc::clone(&self.engine),
            roster: Arc::clone(&self.roster),
            drain: Arc::clone(&self.drain),
        });
        loop {
            ticks.tick().await;
            cut_off.look();
            self.engine.tail().sweep();
            self.visitors.sweep();
            self.gate.sweep();
            self.usage.sweep();
            self.ledger.sweep();
        }
    }
}

/// An open log, and the other servers that share it.
type OpenLog = (Arc<dyn Engine>, Option<Arc<Peers>>);

/// Opens the log: this server's own, or its copy of one that several servers share.
fn engine(config: &Config, workers: usize) -> io::Result<OpenLog> {
    let Some(settings) = config.order.settings(config) else {
        return Ok((config.log.storage().open(config.log.rules(), workers)?, None));
    };
    let engine = JetStreamEngine::open(&settings).map_err(io::Error::other)?;
    let peers = Arc::clone(engine.peers());
    Ok((Arc::new(engine), Some(peers)))
}

/// Returns the topics on which a server publishes only if somebody reads them, here or at another server.
fn live_topics(config: &Config) -> Vec<Topic> {
    if config.has_use_cases() { use_cases::live_topics() } else { Vec::new() }
}

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
fn hosts(config: &Config) -> Hosts {
    let is_guarded = config.access.token_key.is_empty()
        && matches!(config.listen, Listen::Tcp(address) if address.ip().is_loopback());
    if is_guarded { Hosts::local_and(&config.access.host) } else { Hosts::any() }
}

/// Returns the error with `what`, the action that failed, before its text.
pub(super) fn named(error: &io::Error, what: impl Display) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Returns the shard of the current worker thread. The first call on a thread starts the shard's relay there. A thread
/// beyond `workers` replaces one that has ended: it works too, but without a relay.
fn shard(engine: &Arc<dyn Engine>, next_worker: &AtomicUsize, workers: usize) -> Shard {
    thread_local! {
        static SHARD: Cell<Option<Shard>> = const { Cell::new(None) };
    }
    if let Some(shard) = SHARD.get() {
        return shard;
    }
    let worker = next_worker.fetch_add(1, Ordering::Relaxed);
    let shard = if worker < workers { Shard::of_worker(worker) } else { Shard::DIRECT };
    if shard != Shard::DIRECT {
        // The relays end with the worker's own runtime.
        let engine = Arc::clone(engine);
        rt::spawn(async move {
            loop {
                engine.tail().relay(shard).await;
            }
        });
    }
    SHARD.set(Some(shard));
    shard
}
