//! The floor: a server that makes one `write` for each subscriber and event, and does nothing else. Nagle's algorithm
//! is off, as it must be in every push server. Any server that writes each event to each socket separately costs at
//! least this much.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Mutex, PoisonError},
};

use anyhow::Context as _;
use fourways_testkit::Process;

use crate::{server::on_its_core, table::say};

/// A running floor on the server's core. Dropping the handle kills the process.
#[derive(Debug)]
pub(crate) struct Floor(Process);

impl Floor {
    /// Starts `fourways-bench floor`.
    ///
    /// # Errors
    /// If the process can't be started.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("this program has no path")?;
        let mut command = on_its_core(&own);
        command.arg("floor");
        Process::start(command).map(Self)
    }

    /// Returns the address that the floor listens on.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        self.0.address().parse().context("no address")
    }

    /// Returns the id of the floor's process.
    pub(crate) fn process(&self) -> u32 {
        self.0.id()
    }
}

/// Serves the floor until the process is killed: a GET subscribes, a POST publishes.
///
/// # Errors
/// If no port can be listened on.
pub(crate) fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port")?;
    say(&format!("listening on http://{}", listener.local_addr()?));
    let subscribers: Mutex<Vec<TcpStream>> = Mutex::default();
    std::thread::scope(|scope| {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut head = vec![0; 4096];
            let mut stream = stream;
            let Ok(read @ 1..) = stream.read(&mut head) else { continue };
            if head.starts_with(b"GET ") {
                if stream.set_nodelay(true).is_ok() && stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_ok() {
                    subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
                }
            } else {
                let (subscribers, first) = (&subscribers, head[..read].to_vec());
                scope.spawn(move || publish(stream, first, subscribers));
            }
        }
    });
    Ok(())
}

/// Writes each event of a publisher to all subscribers, until the publisher closes its connection.
fn publish(mut publisher: TcpStream, first: Vec<u8>, subscribers: &Mutex<Vec<TcpStream>>) {
    let mut request = first;
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((_, body)) = text.split_once("\r\n\r\n") {
            let frame = format!("data: {body}\n\n");
            let mut all = subscribers.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain_mut(|socket| socket.write_all(frame.as_bytes()).is_ok());
            drop(all);
            if publisher.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
                return;
            }
        }
        request.resize(1 << 16, 0);
        match publisher.read(&mut request) {
            Ok(read @ 1..) => request.truncate(read),
            _ => return,
        }
    }
}
