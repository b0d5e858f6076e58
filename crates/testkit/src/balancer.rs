//! A balancer of connections: the smallest thing that stands before several servers.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;

/// Time between two checks of whether a server is ready.
const CHECK: Duration = Duration::from_millis(200);
/// Time within which a server must answer such a check, or accept a connection.
const ANSWER: Duration = Duration::from_secs(1);

/// A balancer that gives each connection to the next server whose `/readyz` says 200. Dropping the handle ends the
/// checks; the listener stays until the process ends, because nothing wakes it.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
}

#[derive(Clone, Debug)]
struct Backend {
    address: SocketAddr,
    is_ready: Arc<AtomicBool>,
}

impl Balancer {
    /// Starts a balancer on an address, before these servers.
    ///
    /// # Errors
    /// If the address can't be bound.
    pub fn start(listen: impl ToSocketAddrs, servers: &[SocketAddr]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen).context("the balancer can't listen")?;
        let (address, is_over) = (listener.local_addr()?, Arc::<AtomicBool>::default());
        let backend = |address: &SocketAddr| Backend { address: *address, is_ready: Arc::default() };
        let backends: Vec<Backend> = servers.iter().map(backend).collect();
        for backend in backends.clone() {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || backend.check(&is_over));
        }
        let ends = Arc::clone(&is_over);
        thread::spawn(move || balance(&listener, &backends, &ends));
        Ok(Self { address, is_over })
    }

    /// Returns the address of the balancer.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
    }
}

impl Backend {
    /// Asks the server again and again whether it is ready.
    fn check(&self, is_over: &AtomicBool) {
        while !is_over.load(Relaxed) {
            self.is_ready.store(self.answers().unwrap_or(false), Relaxed);
            thread::sleep(CHECK);
        }
    }

    fn answers(&self) -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&self.address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(&head == b"HTTP/1.1 200")
    }
}

fn balance(listener: &TcpListener, backends: &[Backend], is_over: &AtomicBool) {
    for (turn, client) in listener.incoming().filter_map(Result::ok).enumerate() {
        if is_over.load(Relaxed) {
            return;
        }
        let turns = (0..backends.len()).map(|more| &backends[(turn + more) % backends.len()]);
        let server = turns
            .filter(|backend| backend.is_ready.load(Relaxed))
            .find_map(|backend| TcpStream::connect_timeout(&backend.address, ANSWER).ok());
        let Some(server) = server else { continue };
        let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { continue };
        thread::spawn(move || pass(&from, &to));
        thread::spawn(move || pass(&server, &client));
    }
}

/// Passes bytes until one side ends, and then ends the other.
fn pass(mut from: &TcpStream, mut to: &TcpStream) {
    // A connection that broke has ended, too.
    drop(to.set_nodelay(true));
    drop(io::copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Write));
}
