//! A connection between two programs that a test can cut.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::own_address;

/// Time after which a thread that copies looks whether the link was cut.
const LOOK: Duration = Duration::from_millis(50);

/// A TCP proxy of its own address in front of another. Its threads end soon after the handle is dropped.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    state: Arc<State>,
}

/// The state of a link, shared by its threads. The lock is held for a few instructions.
#[derive(Debug)]
struct State {
    is_over: AtomicBool,
    is_cut: AtomicBool,
    is_silent: AtomicBool,
    target: Mutex<SocketAddr>,
}

impl Link {
    /// Begins to pass connections on to an address.
    ///
    /// # Errors
    /// If no address can be listened on.
    pub fn to(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((own_address(), 0))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            is_over: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            target: Mutex::new(target),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                // A connection that fails is closed, as one to a dead server is.
                drop(pass(stream, &shared));
            }
        });
        Ok(Self { address, state })
    }

    /// Returns the address to connect to.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections and refuses others, or accepts them again.
    pub fn cut(&self, is_cut: bool) {
        self.state.is_cut.store(is_cut, Ordering::SeqCst);
    }

    /// Passes nothing on and closes nothing, as a network that swallows packets, or passes everything on again.
    pub fn silence(&self, is_silent: bool) {
        self.state.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// Passes further connections on to another address.
    pub fn turn_to(&self, target: SocketAddr) {
        *self.state.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        self.state.is_cut.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

fn pass(from: TcpStream, state: &Arc<State>) -> io::Result<()> {
    if state.is_cut.load(Ordering::SeqCst) {
        return Ok(());
    }
    let target = *state.target.lock().unwrap_or_else(PoisonError::into_inner);
    let to = TcpStream::connect(target)?;
    // Otherwise a small message waits up to 40 ms for the acknowledgement of the one before (RFC 896).
    from.set_nodelay(true)?;
    to.set_nodelay(true)?;
    for (mut from, mut to) in [(from.try_clone()?, to.try_clone()?), (to, from)] {
        from.set_read_timeout(Some(LOOK))?;
        let state = Arc::clone(state);
        std::thread::spawn(move || {
            // Whatever ends one direction ends both.
            drop(copy(&mut from, &mut to, &state));
            drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
        });
    }
    Ok(())
}

fn copy(from: &mut TcpStream, to: &mut TcpStream, state: &State) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    while !state.is_cut.load(Ordering::SeqCst) {
        if state.is_silent.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK);
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                while state.is_silent.load(Ordering::SeqCst) && !state.is_cut.load(Ordering::SeqCst) {
                    std::thread::sleep(LOOK);
                }
                to.write_all(&buffer[..count])?;
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
