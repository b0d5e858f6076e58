//! Puts the parts together: the whole route table, and what runs beside it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{
    App, HttpServer, Resource,
    dev::{Server as Running, ServerHandle},
    rt,
    web::{self, Data},
};
use fourways_shared::Epoch;
use tokio::task::JoinHandle;

use crate::{
    app,
    config::{Config, Source},
    delivery::{self, sse, websocket},
    engine::{Engine, MemoryEngine, Shard, Tail},
    lab, problem, publish, sources, topics,
};

/// A server that is bound and not yet running.
pub struct Server {
    running: Running,
    addresses: Vec<SocketAddr>,
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
        let factory = {
            let engine = Arc::clone(&engine);
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
                    .configure(routes)
            }
        };
        let server = HttpServer::new(factory)
            .workers(workers)
            // Without it Nagle's algorithm holds small events back until the one before is acknowledged.
            .tcp_nodelay(true)
            .backlog(4096)
            // A client that closed its side gets no more: a quiet stream would be held until the next heartbeat.
            .h1_allow_half_closed(false)
            .keep_alive(Duration::from_secs(75))
            .shutdown_timeout(1)
            .bind(config.listen)?;
        let addresses = server.addrs();
        let mut beside = vec![Owned(rt::spawn(sweep(tail)))];
        if config.source == Source::Host {
            beside.push(Owned(rt::spawn(sources::host::run(engine, config.source_rate))));
        }
        Ok(Self { running: server.run(), addresses, beside })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
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
        .service(only(web::resource("/v1/lab/feeds/{topic}")).route(web::put().to(lab::feed::put)))
        .default_service(web::to(app::handle));
}

async fn sweep(tail: Arc<Tail>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        tail.sweep();
    }
}
