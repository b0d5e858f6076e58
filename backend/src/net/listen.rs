//! Where the server listens: a port, or a Unix socket for a proxy on the same machine.

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

/// Connections that the kernel holds until they are accepted: after a restart all clients come at once.
const BACKLOG: i32 = 4096;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Address and port.
    Tcp(SocketAddr),
    /// The path of a socket.
    Unix(PathBuf),
}

impl Listen {
    /// Only programs on this machine reach it.
    pub const fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Binds it.
    ///
    /// # Errors
    /// If it is taken, or may not be had. A socket's file that nobody listens on any more is taken over.
    pub(crate) fn bind(&self) -> io::Result<Listener> {
        match self {
            Self::Tcp(address) => {
                let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
                // A server that restarts finds its old connections' ends still in the kernel.
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

/// What is bound.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// A hand on it, for when it is somebody else's.
    ///
    /// # Errors
    /// If there are no files left.
    pub(crate) fn latch(&self) -> io::Result<Latch> {
        let socket = match self {
            Self::Tcp(listener) => Socket::from(listener.try_clone()?),
            Self::Unix(listener, _) => Socket::from(OwnedFd::from(listener.try_clone()?)),
        };
        Ok(Latch(socket))
    }
}

/// Ends listening while the connections that are there go on.
#[derive(Debug)]
pub(crate) struct Latch(Socket);

impl Latch {
    /// From now on whoever connects is refused by the kernel, and another server may have the address. Nobody may be
    /// accepting any more.
    ///
    /// # Errors
    /// If it is not listening.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Both)
    }
}

/// Removes the socket's file when dropped.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already is what is wanted.
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
