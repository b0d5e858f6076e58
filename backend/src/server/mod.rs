//! Puts the parts together, and what runs beside them.

mod parts;

use std::{
    cell::Cell,
    future::ready,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix_http::{HttpService, Protocol, error::DispatchError};
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::{
    App,
    dev::{AppConfig, Server as Running, ServerHandle},
    middleware::{Condition, from_fn},
    rt,
    web::Data,
};
use tokio::{
    net::{TcpStream, UnixStream},
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    access::{self, hosts, limits::Usage, origin::Origins},
    config::{Config, Limits, Source},
    lab::{self, app::Files, features, sources, visitors::Visitors, watch},
    log::engine::{Engine, LagRule, Shard, Tail},
    net::{
        body,
        connection::{self, Connection, accept},
        http2,
        listen::{Latch, Listener, SocketFile},
        tap::Tap,
        tls,
    },
    operate::{drain::Drain, ledger::Ledger, presence::Presence, rehearsal::Stage, roster::Roster, traces},
    publish,
    routes::routes,
    worker::Worker,
};

/// A server that is bound and not yet running.
pub struct Server {
    running: Running,
    addresses: Vec<SocketAddr>,
    is_tls: bool,
    beside: Vec<Owned>,
    ending: Ending,
    _file: Option<SocketFile>,
}

/// What every connection passes on its way in.
#[derive(Clone)]
struct Door {
    acceptor: Option<TlsAcceptor>,
    visitors: Arc<Visitors>,
    usage: Arc<Usage>,
    limits: Arc<Limits>,
}

type Entered = (Tap<Connection>, Protocol, Option<SocketAddr>);

impl Door {
    async fn enter(self, stream: TcpStream) -> Result<Entered, DispatchError> {
        let peer = stream.peer_addr().ok();
        let Ok(place) = self.usage.connect(peer.map(|peer| peer.ip())) else {
            connection::refuse(stream, self.acceptor.is_some()).await;
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        };
        // A socket that refuses is slower, and works.
        drop(connection::prepare(&stream, self.limits.write_timeout, self.limits.heartbeat));
        let (stream, protocol) = accept(stream, place, self.acceptor, self.limits.head_timeout).await?;
        let watch = if protocol == Protocol::Http2 { watch::http2 } else { watch::http1 };
        Ok((Tap::new(stream, watch(self.visitors)), protocol, peer))
    }

    /// TLS is the business of the proxy on the other side.
    async fn enter_unix(self, stream: UnixStream) -> Result<Entered, DispatchError> {
        let Ok(place) = self.usage.connect(None) else {
            connection::refuse(stream, false).await;
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        };
        Ok((
            Tap::new(connection::accept_unix(stream, place), watch::http1(self.visitors)),
            Protocol::Http1,
            None,
        ))
    }
}

/// What ends in order.
struct Ending {
    engine: Arc<dyn Engine>,
    drain: Arc<Drain>,
    usage: Arc<Usage>,
    tail: Arc<Tail>,
    latch: Latch,
    within: Duration,
}

/// A task that ends with its owner.
#[derive(Debug)]
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    /// Opens the log, binds the port and builds everything. To be called inside an actix runtime.
    ///
    /// # Errors
    /// If the log can't be opened, a key can't be read, the port can't be bound, the system has no randomness, or the
    /// server would be open to strangers and nobody said that it should be.
    pub fn build(config: &Config) -> io::Result<Self> {
        let workers = config.workers();
        let gate = Arc::new(parts::gate(config)?);
        let engine = parts::engine(config, workers)?;
        let tail = Arc::clone(engine.tail());
        let limits = Arc::new(config.limits.clone());
        let usage = Usage::new(Arc::clone(&limits));
        let drain = Arc::new(Drain::default());
        let visitors = Arc::new(Visitors::default());
        let ledger = Data::new(Ledger::default());
        let roster = Arc::new(Roster::default());
        let stage = Data::new(Stage::default());
        let (presence, teller) = Presence::new(Arc::clone(&engine));
        let app = {
            let next_worker = Arc::new(AtomicUsize::new(0));
            let (feeds, presence) = (Data::new(lab::feed::Feeds::default()), Data::new(presence));
            let origins = Data::new(Origins::new(config.access.origin.clone(), config.is_tls()));
            let (settings, files) = (Data::new(config.clone()), Data::new(Files::new(config.app.clone())));
            let hosts = Data::new(parts::hosts(config));
            let is_traced = config.traces.is_some();
            let lag: Arc<[LagRule]> = config.lag.clone().into();
            let (ledger, stage) = (ledger.clone(), stage.clone());
            let (engine, visitors, gate) = (Arc::clone(&engine), Arc::clone(&visitors), Arc::clone(&gate));
            let (limits, usage, drain) = (Arc::clone(&limits), Arc::clone(&usage), Arc::clone(&drain));
            move || {
                let tail = Arc::clone(engine.tail());
                let shard = shard(&tail, &next_worker, workers);
                let (limits, usage, drain) = (Arc::clone(&limits), Arc::clone(&usage), Arc::clone(&drain));
                let (lag, roster) = (Arc::clone(&lag), Arc::clone(&roster));
                App::new()
                    .app_data(publish::data(Arc::clone(&engine)))
                    .app_data(Data::new(Worker { tail, shard, limits, usage, drain, lag, roster }))
                    .app_data(access::data(Arc::clone(&gate)))
                    .app_data(presence.clone())
                    .app_data(ledger.clone())
                    .app_data(stage.clone())
                    .app_data(settings.clone())
                    .app_data(files.clone())
                    .app_data(origins.clone())
                    .app_data(hosts.clone())
                    .app_data(feeds.clone())
                    .app_data(lab::channel::data(Arc::clone(&visitors)))
                    .configure(routes)
                    .wrap(from_fn(hosts::guard))
                    .wrap(from_fn(connection::say_close))
                    .wrap(Condition::new(is_traced, from_fn(traces::request)))
            }
        };
        let acceptor = tls::acceptor(config)?;
        let is_tls = acceptor.is_some();
        let listen = |error| parts::named(&error, format!("can't listen on {}", config.listen));
        let listener = config.listen.bind().map_err(listen)?;
        let addresses = match &listener {
            Listener::Tcp(listener) => vec![listener.local_addr()?],
            Listener::Unix(..) => Vec::new(),
        };
        let latch = listener.latch()?;
        // Signals are this server's own business: connections end in order first.
        let builder = Running::build().workers(workers).shutdown_timeout(1).disable_signals();
        let stopping = builder.graceful_shutdown_signal();
        let terms = http2::Terms::of(&limits, &drain);
        let door = Door { acceptor, visitors: Arc::clone(&visitors), usage: Arc::clone(&usage), limits };
        // Both kinds of listener, the same service: what is accepted has another type.
        macro_rules! service {
            ($enter:ident) => {{
                let (app, stopping, door, terms) =
                    (app.clone(), stopping.clone(), door.clone(), terms.clone());
                let max_body_bytes = door.limits.max_body_bytes;
                move || {
                    let stopping = stopping.clone();
                    let http = HttpService::build()
                        .graceful_shutdown_signal(move || {
                            let stopping = stopping.clone();
                            async move { stopping.notified().await }
                        })
                        // A client that closed its side gets no more: a quiet stream would be held until the next heartbeat.
                        .h1_allow_half_closed(false)
                        .keep_alive(http2::IDLE)
                        .client_request_timeout(door.limits.head_timeout)
                        .expect(fn_service(move |request| ready(body::expected(request, max_body_bytes))))
                        .on_connect_ext(|io: &Tap<Connection>, data| drop(data.insert(io.gauge())))
                        .finish(map_config(app(), |()| AppConfig::default()));
                    let http = http2::both(http, map_config(app(), |()| AppConfig::default()), terms.clone());
                    let door = door.clone();
                    fn_service(move |stream| door.clone().$enter(stream)).and_then(http)
                }
            }};
        }
        let (running, file) = match listener {
            Listener::Tcp(listener) => (builder.listen("fourways", listener, service!(enter))?.run(), None),
            Listener::Unix(listener, file) => {
                (builder.listen_uds("fourways", listener, service!(enter_unix))?.run(), Some(file))
            }
        };
        let kept = Arc::clone(&engine);
        let sweeper =
            parts::sweep(Arc::clone(&tail), visitors, gate, Arc::clone(&usage), ledger.into_inner());
        let mut beside = vec![Owned(rt::spawn(sweeper)), Owned(rt::spawn(teller))];
        beside.extend(publishers(config, engine));
        let ending = Ending { engine: kept, drain, usage, tail, latch, within: config.limits.drain };
        Ok(Self { running, addresses, is_tls, beside, ending, _file: file })
    }

    /// Whether a server could be built of this: every file that it names is read, and nothing is opened or bound.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn check(config: &Config) -> io::Result<()> {
        parts::gate(config)?;
        tls::acceptor(config)?;
        Ok(())
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// `http` or `https`.
    pub const fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    /// Stops it from elsewhere, at once.
    pub fn handle(&self) -> ServerHandle {
        self.running.handle()
    }

    /// Runs until it is stopped by a signal or its handle. A signal ends connections in order first; a second one
    /// doesn't wait for that.
    ///
    /// # Errors
    /// If accepting connections fails for good.
    pub async fn run(self) -> io::Result<()> {
        let Self { mut running, beside, ending, .. } = self;
        let handle = running.handle();
        let engine = Arc::clone(&ending.engine);
        let ends = async move {
            told_to_stop().await;
            tokio::select! {
                () = ending.run(&handle) => {}
                () = told_to_stop() => tracing::warn!("told to stop again: connections are cut"),
            }
            handle.stop(true).await;
        };
        let outcome = tokio::select! {
            outcome = &mut running => outcome,
            () = ends => running.await,
        };
        drop(beside);
        // Nobody is served any more, so nobody waits for this thread.
        engine.close();
        outcome
    }
}

impl Ending {
    async fn run(&self, handle: &ServerHandle) {
        let (began, held) = (Instant::now(), self.usage.held());
        tracing::info!(held, "stopping: streams, sockets and held polls are told to come back");
        // Whoever comes from now on is refused, which an EventSource takes for a failure of the network and tries again;
        // any answer but 200 ends it for good (HTML Standard 9.2.3).
        handle.pause().await;
        if let Err(error) = self.latch.close() {
            tracing::warn!(%error, "new connections can't be refused; they wait until the server has ended");
        }
        self.drain.begin(&self.tail, held);
        let left = self.drain.done(&self.usage, began + self.within).await;
        tracing::info!(left, ms = began.elapsed().as_millis(), "connections have ended");
    }
}

/// What publishes events of the server's own.
fn publishers(config: &Config, engine: Arc<dyn Engine>) -> Vec<Owned> {
    let mut publishers = Vec::new();
    if config.has_use_cases() {
        publishers.extend(features::all(&engine).map(|machine| Owned(rt::spawn(machine))));
    }
    if config.source == Source::Host {
        publishers.push(Owned(rt::spawn(sources::host::run(engine, config.source_rate))));
    }
    publishers
}

/// The shard of this worker's thread, whose relay runs from its first request for it on. More than `workers` would be a
/// restarted one: it works too, without a relay of its own.
fn shard(tail: &Arc<Tail>, next_worker: &AtomicUsize, workers: usize) -> Shard {
    thread_local! {
        static SHARD: Cell<Option<Shard>> = const { Cell::new(None) };
    }
    if let Some(shard) = SHARD.get() {
        return shard;
    }
    let worker = next_worker.fetch_add(1, Ordering::Relaxed);
    let shard = if worker < workers { Shard::of_worker(worker) } else { Shard::DIRECT };
    if shard != Shard::DIRECT {
        // Ends with the worker's own runtime.
        rt::spawn(Arc::clone(tail).relay(shard));
    }
    SHARD.set(Some(shard));
    shard
}

/// Waits for SIGTERM or SIGINT.
async fn told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without signals there is only the handle.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
