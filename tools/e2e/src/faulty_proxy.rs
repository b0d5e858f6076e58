//! A proxy that mistreats streams as bad proxies do.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context as _;

/// The way in which a [`FaultyProxy`] mistreats connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Refuses upgrades with 403.
    BlocksUpgrades,
    /// Passes upgrades, and closes an upgraded connection after a moment.
    CutsUpgraded,
    /// Refuses upgrades, and never passes on the bytes of an event stream.
    BuffersStreams,
    /// Passes everything until [`FaultyProxy::die`]: from then on nothing passes on the connections that are open, and none
    /// of them ends.
    Dies,
}

/// A proxy that mistreats connections. It runs until this value is dropped.
#[derive(Debug)]
pub struct FaultyProxy {
    /// Address of the proxy, as in `http://127.0.0.1:port`.
    pub url: String,
    address: SocketAddr,
    meddles: Arc<AtomicBool>,
    deaths: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Time that an upgraded connection lives.
const MOMENT: Duration = Duration::from_millis(300);

impl FaultyProxy {
    /// Starts a proxy in front of a server, which is given as `127.0.0.1:port`.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn before(server: &str, fault: Fault) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server: SocketAddr = server.parse().context("a server's address")?;
        let (meddles, ends) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let deaths = Arc::new(AtomicUsize::new(0));
        let (is_on, is_over, dies) = (Arc::clone(&meddles), Arc::clone(&ends), Arc::clone(&deaths));
        let thread = std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let (is_on, deaths) = (Arc::clone(&is_on), Arc::clone(&dies));
                // Each thread ends with its connection, at the latest with the server's.
                std::thread::spawn(move || pass(&client, server, fault, (&is_on, &deaths)));
            }
        });
        Ok(Self { url: format!("http://{address}"), address, meddles, deaths, ends, thread: Some(thread) })
    }

    /// Silences every connection that is open; new ones pass.
    pub fn die(&self) {
        self.deaths.fetch_add(1, Ordering::SeqCst);
    }

    /// Turns the proxy into a good one, for connections that are opened from now on.
    pub fn heal(&self) {
        self.meddles.store(false, Ordering::SeqCst);
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts connections.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn pass(client: &TcpStream, server: SocketAddr, fault: Fault, (is_on, deaths): (&AtomicBool, &AtomicUsize)) {
    let life = deaths.load(Ordering::SeqCst);
    let is_dead = || deaths.load(Ordering::SeqCst) != life;
    let Ok(upstream) = TcpStream::connect(server) else { return };
    let (Ok(mut from), Ok(mut to)) = (client.try_clone(), upstream.try_clone()) else { return };
    let meddles = is_on.load(Ordering::SeqCst);
    let (mut back_from, mut back_to) = (upstream, client);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut piece = [0; 16 * 1024];
            while let Ok(count @ 1..) = from.read(&mut piece) {
                let asked = String::from_utf8_lossy(&piece[..count]).to_ascii_lowercase();
                let upgrades = asked.starts_with("get ") && asked.contains("upgrade: websocket");
                let refuses = matches!(fault, Fault::BlocksUpgrades | Fault::BuffersStreams);
                if meddles && upgrades && refuses {
                    let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                    // A client that is gone needs no answer.
                    drop(from.write_all(refusal));
                    break;
                }
                if !is_dead() && to.write_all(&piece[..count]).is_err() {
                    break;
                }
                if meddles && upgrades && fault == Fault::CutsUpgraded {
                    std::thread::sleep(MOMENT);
                    break;
                }
            }
            drop(from.shutdown(Shutdown::Both));
            drop(to.shutdown(Shutdown::Both));
        });
        let mut piece = [0; 16 * 1024];
        let mut holds = false;
        while let Ok(count @ 1..) = back_from.read(&mut piece) {
            let told = String::from_utf8_lossy(&piece[..count]).to_ascii_lowercase();
            holds |=
                meddles && fault == Fault::BuffersStreams && told.contains("content-type: text/event-stream");
            if !holds && !is_dead() && back_to.write_all(&piece[..count]).is_err() {
                break;
            }
        }
        drop(back_to.shutdown(Shutdown::Both));
        drop(back_from.shutdown(Shutdown::Both));
    });
}
