//! Puts the parts together: the whole route table, and what runs beside it.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use actix_http::{HttpService, Protocol, error::DispatchError};
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::{
    App, HttpResponse, Resource,
    dev::{AppConfig, Server as Running, ServerHandle},
    http::header,
    middleware::from_fn,
    rt,
    web::{self, Data},
};
use fourways_shared::Epoch;
use socket2::{Domain, Socket, Type};
use tokio::{
    net::TcpStream,
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};

use crate::{
    access::{self, Gate, Grant, keys::Keys, limits::Usage, origin},
    app,
    config::{Config, Source},
    connection::{self, Connection, accept},
    delivery::{self, Room, sse, websocket},
    drain::Drain,
    engine::{DiskEngine, Engine, LagRule, MemoryEngine, Shard, Tail},
    lab::{self, tap::Tap, visitors::Visitors},
    presence::{self, Presence},
    problem::{self, Failure},
    publish, sources, tls, topics,
};

/// A server that is bound and not yet running.
pub struct Server {
    running: Running,
    addresses: Vec<SocketAddr>,
    is_tls: bool,
    beside: Vec<Owned>,
    ending: Ending,
}

/// What ends in order.
struct Ending {
    engine: Arc<dyn Engine>,
    drain: Arc<Drain>,
    usage: Arc<Usage>,
    tail: Arc<Tail>,
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
        let gate = Arc::new(gate(config)?);
        let engine = engine(config, workers)?;
        let tail = Arc::clone(engine.tail());
        let limits = Arc::new(config.limits.clone());
        let usage = Usage::new(Arc::clone(&limits));
        let drain = Arc::new(Drain::default());
        let visitors = Arc::new(Visitors::default());
        let (presence, teller) = Presence::new(Arc::clone(&engine));
        let app = {
            let next_worker = Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let feeds = Data::new(lab::feed::Feeds::default());
            let presence = Data::new(presence);
            let origins = Data::new(origin::Origins::new(config.access.origin.clone()));
            let settings = Data::new(config.clone());
            let lag: Arc<[LagRule]> = config.lag.clone().into();
            let (engine, visitors, gate) = (Arc::clone(&engine), Arc::clone(&visitors), Arc::clone(&gate));
            let (limits, usage, drain) = (Arc::clone(&limits), Arc::clone(&usage), Arc::clone(&drain));
            move || {
                let worker = next_worker.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                // More than `workers` would be a restarted one: it works too, without a relay of its own.
                let shard = if worker < workers { Shard::of_worker(worker) } else { Shard::DIRECT };
                let tail = Arc::clone(engine.tail());
                if shard != Shard::DIRECT {
                    // Ends with the worker's own runtime.
                    rt::spawn(Arc::clone(&tail).relay(shard));
                }
                let (limits, usage, drain) = (Arc::clone(&limits), Arc::clone(&usage), Arc::clone(&drain));
                App::new()
                    .app_data(publish::data(Arc::clone(&engine)))
                    .app_data(Data::new(Room { tail, shard, limits, usage, drain, lag: Arc::clone(&lag) }))
                    .app_data(access::data(Arc::clone(&gate)))
                    .app_data(presence.clone())
                    .app_data(settings.clone())
                    .app_data(origins.clone())
                    .app_data(feeds.clone())
                    .app_data(lab::channel::data(Arc::clone(&visitors)))
                    .configure(routes)
            }
        };
        let acceptor = tls::acceptor(config)?;
        let is_tls = acceptor.is_some();
        let listener = listen(config.listen)?;
        let addresses = vec![listener.local_addr()?];
        // Signals are this server's own business: connections end in order first.
        let builder = Running::build().workers(workers).shutdown_timeout(1).disable_signals();
        let stopping = builder.graceful_shutdown_signal();
        let (tapped, counted) = (Arc::clone(&visitors), Arc::clone(&usage));
        let running = builder
            .listen("fourways", listener, move || {
                let stopping = stopping.clone();
                let (visitors, usage, limits) =
                    (Arc::clone(&tapped), Arc::clone(&counted), Arc::clone(&limits));
                let http = HttpService::build()
                    .graceful_shutdown_signal(move || {
                        let stopping = stopping.clone();
                        async move { stopping.notified().await }
                    })
                    // A client that closed its side gets no more: a quiet stream would be held until the next heartbeat.
                    .h1_allow_half_closed(false)
                    .keep_alive(Duration::from_secs(75))
                    .client_request_timeout(limits.head_timeout)
                    .on_connect_ext(|io: &Tap<Connection>, data| drop(data.insert(io.gauge())))
                    .finish(map_config(app(), |()| AppConfig::default()));
                let acceptor = acceptor.clone();
                fn_service(move |stream: TcpStream| {
                    let (acceptor, visitors) = (acceptor.clone(), Arc::clone(&visitors));
                    let (usage, limits) = (Arc::clone(&usage), Arc::clone(&limits));
                    async move {
                        let peer = stream.peer_addr().ok();
                        let Ok(place) = usage.connect(peer.map(|peer| peer.ip())) else {
                            connection::refuse(stream, is_tls).await;
                            return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
                        };
                        // A socket that refuses is slower, and works.
                        drop(connection::prepare(&stream, limits.write_timeout, limits.heartbeat));
                        let (stream, protocol) = accept(stream, place, acceptor, limits.head_timeout).await?;
                        let tap = if protocol == Protocol::Http2 { Tap::http2 } else { Tap::new };
                        Ok::<_, DispatchError>((tap(stream, visitors), protocol, peer))
                    }
                })
                .and_then(http)
            })?
            .run();
        let kept = Arc::clone(&engine);
        let mut beside = vec![Owned(rt::spawn(sweep(Arc::clone(&tail), visitors, gate, Arc::clone(&usage))))];
        beside.push(Owned(rt::spawn(teller)));
        if config.source == Source::Host {
            beside.push(Owned(rt::spawn(sources::host::run(engine, config.source_rate))));
        }
        let ending = Ending { engine: kept, drain, usage, tail, within: config.limits.drain };
        Ok(Self { running, addresses, is_tls, beside, ending })
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
                () = ending.run() => {}
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
    async fn run(&self) {
        let (began, held) = (Instant::now(), self.usage.held());
        tracing::info!(held, "stopping: streams, sockets and held polls are told to come back");
        self.drain.begin(&self.tail, held);
        let left = self.drain.done(&self.usage, began + self.within).await;
        tracing::info!(left, ms = began.elapsed().as_millis(), "connections have ended");
    }
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

fn gate(config: &Config) -> io::Result<Gate> {
    let sources = &config.access.token_key;
    if sources.is_empty() {
        if !config.listen.ip().is_loopback() && !config.access.open {
            let text = "without --token-key anybody could read and publish everything; give a key, listen on 127.0.0.1, \
                 or say --open if that is what you want";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        return Ok(Gate::new(None));
    }
    Ok(Gate::new(Some(Keys::read(sources.clone())?)))
}

fn engine(config: &Config, workers: usize) -> io::Result<Arc<dyn Engine>> {
    let log = &config.log;
    if log.memory {
        let bits = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        return Ok(Arc::new(MemoryEngine::new(Epoch::from_bits(bits), log.rules(), workers)));
    }
    let began = Instant::now();
    let engine = DiskEngine::open(&log.data, log.rules(), log.cap(), log.durability, workers)?;
    let (tail, ms) = (engine.tail(), began.elapsed().as_millis());
    tracing::info!(data = %log.data.display(), epoch = %tail.epoch(), head = tail.head().0, ms, "the log is open");
    Ok(Arc::new(engine))
}

fn routes(app: &mut web::ServiceConfig) {
    let only = |resource: Resource| resource.default_service(web::to(problem::method_not_allowed));
    let api = web::scope("/v1")
        .wrap(from_fn(origin::guard))
        .service(only(web::resource("/topics/{topic}/events")).route(web::post().to(publish::handle)))
        .service(only(web::resource("/topics/{topic}/presence")).route(web::get().to(presence::handle)))
        .service(only(web::resource("/topics")).route(web::get().to(topics::list)))
        .service(only(web::resource("/topics/{topic}")).route(web::get().to(topics::one)))
        .service(only(web::resource("/events")).route(web::get().to(delivery::poll)))
        .service(only(web::resource("/stream")).route(web::get().to(sse::handle)))
        .service(only(web::resource("/ws")).route(web::get().to(websocket::handle)))
        .service(only(web::resource("/limits")).route(web::get().to(limits)))
        .service(only(web::resource("/lab/clock")).route(web::get().to(lab::clock::handle)))
        .service(only(web::resource("/lab/ws")).route(web::get().to(lab::channel::handle)))
        .service(only(web::resource("/lab/feeds/{topic}")).route(web::put().to(lab::feed::put)))
        .configure(access::routes)
        .default_service(web::to(problem::not_found));
    app.service(api)
        .service(only(web::resource("/healthz")).route(web::get().to(healthy)))
        .service(only(web::resource("/readyz")).route(web::get().to(ready)))
        .default_service(web::to(app::handle));
}

/// The process answers.
async fn healthy() -> &'static str {
    "ok\n"
}

/// Whether clients may be sent here.
async fn ready(room: Data<Room>) -> HttpResponse {
    if room.drain.is_on() {
        HttpResponse::ServiceUnavailable().body("stopping\n")
    } else {
        HttpResponse::Ok().body("ready\n")
    }
}

/// What is taken, and what was refused.
async fn limits(grant: Grant, room: Data<Room>) -> Result<HttpResponse, Failure> {
    grant.may_operate()?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(room.usage.state()))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A server that restarts finds its old connections' ends still in the kernel.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connections that the kernel holds until they are accepted: after a restart all clients come at once.
const BACKLOG: i32 = 4096;

async fn sweep(tail: Arc<Tail>, visitors: Arc<Visitors>, gate: Arc<Gate>, usage: Arc<Usage>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        tail.sweep();
        visitors.sweep();
        gate.sweep();
        usage.sweep();
    }
}
