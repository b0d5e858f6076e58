//! Puts the parts together: the whole route table, and what runs beside it.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_http::{HttpService, Protocol, error::DispatchError};
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::{
    App, Resource,
    dev::{AppConfig, Server as Running, ServerHandle},
    rt,
    web::{self, Data},
};
use fourways_shared::Epoch;
use socket2::{Domain, Socket, Type};
use tokio::{net::TcpStream, task::JoinHandle};

use crate::{
    app,
    config::{Config, Source},
    connection::accept,
    delivery::{self, sse, websocket},
    engine::{Engine, MemoryEngine, Shard, Tail},
    lab::{self, tap::Tap, visitors::Visitors},
    problem, publish, sources, tls, topics,
};

/// A server that is bound and not yet running.
pub struct Server {
    running: Running,
    addresses: Vec<SocketAddr>,
    is_tls: bool,
    beside: Vec<Owned>,
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
    /// Binds the port and builds everything. To be called inside an actix runtime.
    ///
    /// # Errors
    /// If the port can't be bound or the system has no randomness.
    pub fn build(config: &Config) -> io::Result<Self> {
        let workers = config.workers();
        let epoch = Epoch::from_bits(getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?);
        let engine: Arc<dyn Engine> =
            Arc::new(MemoryEngine::new(epoch, config.retention.retention(), workers));
        let tail = Arc::clone(engine.tail());
        let next_worker = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let limits = Data::new(config.limits.clone());
        let feeds = Data::new(lab::feed::Feeds::default());
        let visitors = Arc::new(Visitors::default());
        let app = {
            let (engine, visitors) = (Arc::clone(&engine), Arc::clone(&visitors));
            move || {
                let worker = next_worker.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                // More than `workers` would be a restarted one: it works too, without a relay of its own.
                let shard = if worker < workers { Shard::of_worker(worker) } else { Shard::DIRECT };
                let tail = Arc::clone(engine.tail());
                if shard != Shard::DIRECT {
                    // Ends with the worker's own runtime.
                    rt::spawn(Arc::clone(&tail).relay(shard));
                }
                App::new()
                    .app_data(publish::data(Arc::clone(&engine)))
                    .app_data(Data::from(tail))
                    .app_data(Data::new(shard))
                    .app_data(limits.clone())
                    .app_data(feeds.clone())
                    .app_data(lab::channel::data(Arc::clone(&visitors)))
                    .configure(routes)
            }
        };
        let acceptor = tls::acceptor(config)?;
        let is_tls = acceptor.is_some();
        let listener = listen(config.listen)?;
        let addresses = vec![listener.local_addr()?];
        let builder = Running::build().workers(workers).shutdown_timeout(1);
        let stopping = builder.graceful_shutdown_signal();
        let tapped = Arc::clone(&visitors);
        let running = builder
            .listen("fourways", listener, move || {
                let stopping = stopping.clone();
                let visitors = Arc::clone(&tapped);
                let http = HttpService::build()
                    .graceful_shutdown_signal(move || {
                        let stopping = stopping.clone();
                        async move { stopping.notified().await }
                    })
                    // A client that closed its side gets no more: a quiet stream would be held until the next heartbeat.
                    .h1_allow_half_closed(false)
                    .keep_alive(Duration::from_secs(75))
                    .finish(map_config(app(), |()| AppConfig::default()));
                let acceptor = acceptor.clone();
                fn_service(move |stream: TcpStream| {
                    let (acceptor, visitors) = (acceptor.clone(), Arc::clone(&visitors));
                    async move {
                        // Without it Nagle's algorithm holds small events back until the one before is acknowledged.
                        // A socket that refuses is slower, and works.
                        drop(stream.set_nodelay(true));
                        let peer = stream.peer_addr().ok();
                        let (stream, protocol) = accept(stream, acceptor).await?;
                        let tap = if protocol == Protocol::Http2 { Tap::http2 } else { Tap::new };
                        Ok::<_, DispatchError>((tap(stream, visitors), protocol, peer))
                    }
                })
                .and_then(http)
            })?
            .run();
        let mut beside = vec![Owned(rt::spawn(sweep(tail, visitors)))];
        if config.source == Source::Host {
            beside.push(Owned(rt::spawn(sources::host::run(engine, config.source_rate))));
        }
        Ok(Self { running, addresses, is_tls, beside })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// `http` or `https`.
    pub const fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    /// Stops it from elsewhere.
    pub fn handle(&self) -> ServerHandle {
        self.running.handle()
    }

    /// Runs until it is stopped by a signal or its handle.
    ///
    /// # Errors
    /// If accepting connections fails for good.
    pub async fn run(self) -> io::Result<()> {
        let Self { running, beside, .. } = self;
        let outcome = running.await;
        drop(beside);
        outcome
    }
}

fn routes(app: &mut web::ServiceConfig) {
    let only = |resource: Resource| resource.default_service(web::to(problem::method_not_allowed));
    app.service(only(web::resource("/v1/topics/{topic}/events")).route(web::post().to(publish::handle)))
        .service(only(web::resource("/v1/topics")).route(web::get().to(topics::list)))
        .service(only(web::resource("/v1/topics/{topic}")).route(web::get().to(topics::one)))
        .service(only(web::resource("/v1/events")).route(web::get().to(delivery::poll)))
        .service(only(web::resource("/v1/stream")).route(web::get().to(sse::handle)))
        .service(only(web::resource("/v1/ws")).route(web::get().to(websocket::handle)))
        .service(only(web::resource("/v1/lab/clock")).route(web::get().to(lab::clock::handle)))
        .service(only(web::resource("/v1/lab/ws")).route(web::get().to(lab::channel::handle)))
        .service(only(web::resource("/v1/lab/feeds/{topic}")).route(web::put().to(lab::feed::put)))
        .default_service(web::to(app::handle));
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

async fn sweep(tail: Arc<Tail>, visitors: Arc<Visitors>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        tail.sweep();
        visitors.sweep();
    }
}
