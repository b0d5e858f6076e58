//! Builds the server from its parts, and runs the background tasks beside it.

mod parts;

use std::{
    future::ready,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_http::{HttpService, Protocol, error::DispatchError};
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::{
    dev::{AppConfig, Server as Running, ServerHandle},
    rt,
};
use fourways_log::engine::Engine;
use tokio::{
    net::{TcpStream, UnixStream},
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use self::parts::Parts;
use crate::{
    access::limits::{Limits, Usage},
    config::{Config, Source},
    lab::{sources, use_cases, visitors::Visitors, watch},
    net::{
        body,
        connection::{self, Connection, accept},
        http2,
        listen::{Latch, Listener, SocketFile},
        tap::Tap,
        tls,
    },
    operate::{drain::Drain, nodes::Nodes, roster::Roster},
};

/// A server that is bound and not yet running. Owned by its caller; background tasks end when the server is dropped.
pub struct Server {
    running: Running,
    addresses: Vec<SocketAddr>,
    is_tls: bool,
    beside: Vec<Owned>,
    ending: Ending,
    _file: Option<SocketFile>,
}

/// The entrance that each connection passes: it gets a permit, socket options, TLS and a tap, with the lab's watch on it.
/// Cheap to clone; each connection gets a clone.
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
        // A socket that refuses an option is slower, but works.
        drop(connection::prepare(&stream, self.limits.write_timeout, self.limits.heartbeat));
        let (stream, protocol) = accept(stream, place, self.acceptor, self.limits.head_timeout).await?;
        let watch = if protocol == Protocol::Http2 { watch::http2 } else { watch::http1 };
        Ok((Tap::new(stream, watch(self.visitors)), protocol, peer))
    }

    /// Lets in a connection to the Unix socket. TLS is left to the proxy on the other side.
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

/// The parts that an orderly shutdown needs.
struct Ending {
    engine: Arc<dyn Engine>,
    drain: Arc<Drain>,
    usage: Arc<Usage>,
    roster: Arc<Roster>,
    nodes: Nodes,
    latch: Latch,
    within: Duration,
}

/// A background task that is aborted when its owner drops it.
#[derive(Debug)]
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    /// Opens the log, binds the address and builds the server. Must be called inside an actix runtime.
    ///
    /// # Errors
    /// If the log can't be opened, a key or certificate can't be read, the address can't be bound, the system has no
    /// randomness, or the server would be open to other machines without `--open`.
    pub fn build(config: &Config) -> io::Result<Self> {
        let (parts, presence_publisher) = Parts::of(config)?;
        let acceptor = tls::acceptor(config)?;
        let is_tls = acceptor.is_some();
        let listen = |error| parts::named(&error, format!("can't listen on {}", config.listen));
        let listener = config.listen.bind().map_err(listen)?;
        let addresses = match &listener {
            Listener::Tcp(listener) => vec![listener.local_addr()?],
            Listener::Unix(..) => Vec::new(),
        };
        let latch = listener.latch()?;
        // The server handles signals itself, because connections must close in order first.
        let builder = Running::build().workers(parts.workers).shutdown_timeout(1).disable_signals();
        let stopping = builder.graceful_shutdown_signal();
        let terms = http2::ConnectionLimits::of(&parts.limits, &parts.drain);
        let door = Door {
            acceptor,
            visitors: Arc::clone(&parts.visitors),
            usage: Arc::clone(&parts.usage),
            limits: Arc::clone(&parts.limits),
        };
        // A macro, because the two kinds of listener accept streams of different types for the same service.
        macro_rules! service {
            ($enter:ident) => {{
                let (parts, stopping, door, terms) =
                    (parts.clone(), stopping.clone(), door.clone(), terms.clone());
                let max_body_bytes = door.limits.max_body_bytes;
                move || {
                    let stopping = stopping.clone();
                    let http = HttpService::build()
                        .graceful_shutdown_signal(move || {
                            let stopping = stopping.clone();
                            async move { stopping.notified().await }
                        })
                        // A client that closed its sending half has left; otherwise its quiet stream would be held
                        // until the next heartbeat.
                        .h1_allow_half_closed(false)
                        .keep_alive(http2::IDLE)
                        .client_request_timeout(door.limits.head_timeout)
                        .expect(fn_service(move |request| ready(body::expected(request, max_body_bytes))))
                        .on_connect_ext(|io: &Tap<Connection>, data| drop(data.insert(io.gauge())))
                        .finish(map_config(parts.app(), |()| AppConfig::default()));
                    let http = http2::both(http, map_config(parts.app(), |()| AppConfig::default()), terms.clone());
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
        let mut beside = vec![Owned(rt::spawn(parts.clone().sweep())), Owned(rt::spawn(presence_publisher))];
        beside.extend(publishers(config, &parts));
        let Parts { engine, drain, usage, roster, nodes, .. } = parts;
        let ending = Ending { engine, drain, usage, roster, nodes, latch, within: config.limits.drain };
        Ok(Self { running, addresses, is_tls, beside, ending, _file: file })
    }

    /// Checks settings without starting a server: reads the key and certificate files, but opens no log and binds no
    /// address.
    ///
    /// # Errors
    /// The errors of [`Self::build`] that concern the settings and their files.
    pub fn check(config: &Config) -> io::Result<()> {
        parts::gate(config)?;
        tls::acceptor(config)?;
        Ok(())
    }

    /// Returns the addresses that the server listens on, with the port that was picked for port 0; none on a Unix
    /// socket.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns the scheme of the server's URLs: `http` or `https`.
    pub const fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    /// Returns a handle that stops the server from another task, at once.
    pub fn handle(&self) -> ServerHandle {
        self.running.handle()
    }

    /// Runs until a signal or the handle stops the server. After a signal, connections first close in order; a second
    /// signal closes them at once.
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
                () = told_to_stop() => tracing::warn!("told to stop again: connections are closed at once"),
            }
            handle.stop(true).await;
        };
        let outcome = tokio::select! {
            outcome = &mut running => outcome,
            () = ends => running.await,
        };
        drop(beside);
        // No client is served any more, so this thread may block until the log is closed.
        engine.close();
        outcome
    }
}

impl Ending {
    async fn run(&self, handle: &ServerHandle) {
        let (began, held) = (Instant::now(), self.usage.held());
        tracing::info!(held, "stopping: streams, sockets and held polls are told to reconnect");
        // From now on connections are refused. An EventSource takes that for a failure of the network and tries again;
        // any answer but 200 would end it for good (HTML Standard 9.2.3).
        handle.pause().await;
        if let Err(error) = self.latch.close() {
            tracing::warn!(%error, "new connections can't be refused; they wait until the server has stopped");
        }
        // Each of the other servers takes as many clients a second as a server that starts again.
        self.drain.begin(&self.engine.tail(), held.div_ceil(self.nodes.taking().max(1)));
        self.roster.wake_idle();
        self.nodes.tell();
        let left = self.drain.wait_until_idle(&self.usage, began + self.within).await;
        tracing::info!(left, ms = began.elapsed().as_millis(), "connections have ended");
    }
}

/// Starts the tasks that publish the server's own events: the use cases, and the figures of this machine. Of several
/// servers that share a log, one does so, and another once that one is gone.
fn publishers(config: &Config, parts: &Parts) -> Vec<Owned> {
    let (has_use_cases, source, rate) = (config.has_use_cases(), config.source, config.source_rate);
    let (engine, peers) = (Arc::clone(&parts.engine), parts.nodes.peers().cloned());
    let begin = move || {
        let mut publishers = Vec::new();
        if has_use_cases {
            let machines = use_cases::all(&engine, peers.as_ref());
            publishers.extend(machines.into_iter().map(|machine| Owned(rt::spawn(machine))));
        }
        if source == Source::Host {
            publishers.push(Owned(rt::spawn(sources::host::run(Arc::clone(&engine), rate))));
        }
        publishers
    };
    let Some(peers) = parts.nodes.peers() else { return begin() };
    let mut lease = peers.lease("publishers");
    vec![Owned(rt::spawn(async move {
        loop {
            lease.becomes(true).await;
            let publishers = begin();
            lease.becomes(false).await;
            drop(publishers);
        }
    }))]
}

/// Waits for SIGTERM or SIGINT.
async fn told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Where signals can't be handled, only the handle stops the server.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
