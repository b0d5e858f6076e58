//! The address that the server listens on: a TCP port, or a Unix socket for a proxy on the same machine.

use std::{
    fmt, fs, io,
    net::{Shutdown, SocketAddr, TcpListener},
    os::{
        fd::OwnedFd,
        unix::{
            fs::FileTypeExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::PathBuf,
    str::FromStr,
};

use socket2::{Domain, Socket, Type};

/// Most connections that the kernel queues until they are accepted: after a restart all clients reconnect at once.
const BACKLOG: i32 = 4096;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// IP address and port.
    Tcp(SocketAddr),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Returns true if only programs on this machine can connect.
    pub const fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Binds the address and listens on it. The file of a Unix socket that no process listens on any more is replaced.
    ///
    /// # Errors
    /// If the address is in use or not permitted.
    pub(crate) fn bind(&self) -> io::Result<Listener> {
        match self {
            Self::Tcp(address) => {
                let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
                // After a restart the kernel may still hold old connections in TIME_WAIT, which would block the bind.
                socket.set_reuse_address(true)?;
                socket.bind(&(*address).into())?;
                socket.listen(BACKLOG)?;
                Ok(Listener::Tcp(socket.into()))
            }
            Self::Unix(path) => {
                let is_socket = fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
                if is_socket && UnixStream::connect(path).is_err() {
                    fs::remove_file(path)?;
                }
                UnixListener::bind(path).map(|listener| Listener::Unix(listener, SocketFile(path.clone())))
            }
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() => Ok(Self::Unix(path.into())),
            _ => text.parse().map(Self::Tcp).map_err(|_| {
                "allowed are an address and port, as in 127.0.0.1:8080, and unix:PATH".to_owned()
            }),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A bound socket that listens; the file of a Unix socket is removed on drop.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Returns a second handle to the socket, with which listening can end while actix owns the listener.
    ///
    /// # Errors
    /// If the process has no file descriptors left.
    pub(crate) fn latch(&self) -> io::Result<Latch> {
        let socket = match self {
            Self::Tcp(listener) => Socket::from(listener.try_clone()?),
            Self::Unix(listener, _) => Socket::from(OwnedFd::from(listener.try_clone()?)),
        };
        Ok(Latch(socket))
    }
}

/// A handle that ends listening while accepted connections go on. Owned by the server's shutdown.
#[derive(Debug)]
pub(crate) struct Latch(Socket);

impl Latch {
    /// Stops listening: the kernel refuses new connections, and another server may bind the address. Accepting must
    /// have been paused before.
    ///
    /// # Errors
    /// If the socket is not listening.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Both)
    }
}

/// The file of a Unix socket, which is removed on drop.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Ignored: the file may have been removed already.
        drop(fs::remove_file(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn both_kinds_are_read_as_they_are_written() {
        for text in ["127.0.0.1:8080", "[::1]:0", "unix:/run/fourways.sock"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        for wrong in ["", "8080", "unix:", "localhost:80"] {
            assert!(wrong.parse::<Listen>().is_err(), "{wrong}");
        }
        let local = |text: &str| text.parse::<Listen>().unwrap().is_local();
        assert!(local("unix:x") && local("[::1]:1") && !local("0.0.0.0:1"));
    }

    #[test]
    fn a_closed_latch_refuses_and_gives_the_address_free() {
        let Listener::Tcp(listener) = "127.0.0.1:0".parse::<Listen>().unwrap().bind().unwrap() else {
            panic!()
        };
        let address = listener.local_addr().unwrap();
        let latch = Listener::Tcp(listener.try_clone().unwrap()).latch().unwrap();
        drop(TcpStream::connect(address).unwrap());
        latch.close().unwrap();
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        drop(Listen::Tcp(address).bind().unwrap());
    }

    #[test]
    fn a_file_that_is_left_over_is_taken_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "the standard library leaves it");
        let listen = Listen::Unix(path.clone());
        let bound = listen.bind().unwrap();
        assert_eq!(listen.bind().unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(bound);
        assert!(!path.exists());
        fs::write(&path, "not a socket").unwrap();
        assert!(listen.bind().is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "not a socket");
    }
}
