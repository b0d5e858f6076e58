//! An attacker's connections. Bytes that are written are counted; answers are read only as far as necessary.

use std::{
    any::Any,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail};

/// Maximum time that an answer may take; longer than any bound of an attack.
const PATIENCE: Duration = Duration::from_mins(1);

/// The effort of an attacker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    /// Number of bytes that were sent.
    pub(crate) bytes: u64,
    /// Number of connections that were opened.
    pub(crate) connections: u64,
    /// Number of requests, commands or streams.
    pub(crate) questions: u64,
}

/// An attacker, who counts its effort, and owns the connections that stay open until the cost has been measured.
pub(crate) struct Attacker {
    address: SocketAddr,
    held: Held,
    kept: Vec<Box<dyn Any + Send>>,
}

impl Attacker {
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self { address, held: Held::default(), kept: Vec::new() }
    }

    /// Opens another connection.
    ///
    /// # Errors
    /// If the server accepts no connection.
    pub(crate) fn connect(&mut self) -> anyhow::Result<Line> {
        self.held.connections += 1;
        let stream = TcpStream::connect(self.address).context("no connection")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Line { stream, bytes: 0, last: String::new() })
    }

    /// Counts requests, commands or streams.
    pub(crate) fn asked(&mut self, questions: u64) {
        self.held.questions += questions;
    }

    /// Keeps a connection open until the cost has been measured.
    pub(crate) fn keep(&mut self, line: Line) {
        self.held.bytes += line.bytes;
        self.kept.push(Box::new(line.stream));
    }

    /// Keeps a connection of another type open, on which `bytes` bytes were sent.
    pub(crate) fn keep_other(&mut self, bytes: u64, other: Box<dyn Any + Send>) {
        self.held.bytes += bytes;
        self.kept.push(other);
    }

    /// Counts a connection that was not opened by [`Self::connect`].
    pub(crate) fn opened(&mut self) {
        self.held.connections += 1;
    }

    /// Closes a connection, and counts its bytes.
    #[expect(clippy::needless_pass_by_value, reason = "it ends here")]
    pub(crate) fn left(&mut self, line: Line) {
        self.held.bytes += line.bytes;
    }

    pub(crate) fn into_held(self) -> (Held, Vec<Box<dyn Any + Send>>) {
        (self.held, self.kept)
    }
}

/// An attacker's connection, which counts the bytes that are sent.
pub(crate) struct Line {
    pub(crate) stream: TcpStream,
    bytes: u64,
    /// The last answer, its head included.
    pub(crate) last: String,
}

impl Line {
    /// Writes as many bytes as the server accepts. Returns true if these were all.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) if count > 0 => {
                    self.bytes += count as u64;
                    bytes = &bytes[count..];
                }
                _ => return false,
            }
        }
        true
    }

    /// Sends a request, and returns the status of the answer.
    ///
    /// # Errors
    /// If no whole answer comes.
    pub(crate) fn ask(&mut self, head: &str, body: &[u8]) -> anyhow::Result<u16> {
        self.ask_with(head, "", body)
    }

    /// Sends a request like [`Self::ask`], with another header field. `field` begins with a line's end.
    ///
    /// # Errors
    /// If no whole answer comes.
    pub(crate) fn ask_with(&mut self, head: &str, field: &str, body: &[u8]) -> anyhow::Result<u16> {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        self.send(format!("{head} HTTP/1.1\r\nHost: localhost{field}\r\n{length}\r\n").as_bytes());
        self.send(body);
        self.answer()
    }

    /// Reads answers until `count` have come with status 201.
    ///
    /// # Errors
    /// If an answer has a status of 400 to 499, or the connection ends.
    pub(crate) fn answers(&mut self, mut count: usize) -> anyhow::Result<()> {
        let mut read = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        while count > 0 {
            let got = self.stream.read(&mut piece).context("no answer")?;
            anyhow::ensure!(got > 0, "the server has ended the connection");
            read.extend_from_slice(&piece[..got]);
            while let Some(at) = read.windows(5).position(|five| five == b" 201 ") {
                read.drain(..at + 5);
                count -= 1;
            }
            anyhow::ensure!(
                !read.windows(10).any(|ten| ten == b"HTTP/1.1 4"),
                "{}",
                String::from_utf8_lossy(&read)
            );
        }
        Ok(())
    }

    /// Reads an answer to its end, and returns its status.
    ///
    /// # Errors
    /// If no whole answer comes.
    pub(crate) fn answer(&mut self) -> anyhow::Result<u16> {
        let mut read = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
                let status = head.get(9..12).and_then(|status| status.parse().ok()).context("no status")?;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let is_whole = match length.and_then(|length| length.parse::<usize>().ok()) {
                    Some(length) => read.len() >= end + 4 + length,
                    None if head.contains("transfer-encoding: chunked") => read.ends_with(b"0\r\n\r\n"),
                    None => true,
                };
                if is_whole {
                    self.last = String::from_utf8_lossy(&read).into_owned();
                    return Ok(status);
                }
            }
            match self.stream.read(&mut piece) {
                Ok(0) => bail!("the server has ended the connection"),
                Ok(count) => read.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("no answer"),
            }
        }
    }

    /// Reads the beginning of an answer that does not end.
    ///
    /// # Errors
    /// If no answer comes, or its status is not 200.
    pub(crate) fn opened(&mut self) -> anyhow::Result<()> {
        let mut piece = [0; 4096];
        let count = self.stream.read(&mut piece).context("no answer")?;
        anyhow::ensure!(
            piece[..count].starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&piece[..count])
        );
        Ok(())
    }

    /// Upgrades the connection to a WebSocket.
    ///
    /// # Errors
    /// If the server refuses.
    pub(crate) fn upgrade(&mut self, path: &str, subprotocol: &str) -> anyhow::Result<()> {
        let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        self.send(
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n")
                .as_bytes(),
        );
        let mut piece = [0; 4096];
        let count = self.stream.read(&mut piece).context("no answer")?;
        anyhow::ensure!(
            piece[..count].starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&piece[..count])
        );
        Ok(())
    }

    /// Sends a message, masked with zeros. Returns true if all of it was sent.
    pub(crate) fn message(&mut self, opcode: u8, payload: &[u8]) -> bool {
        let mut head = vec![0x80 | opcode];
        match payload.len() {
            length @ 0..126 => head.push(0x80 | u8::try_from(length).unwrap_or(0)),
            length @ 126..65_536 => {
                head.push(0x80 | 0x7e);
                head.extend_from_slice(&u16::try_from(length).unwrap_or(0).to_be_bytes());
            }
            length => {
                head.push(0x80 | 0x7f);
                head.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        head.extend_from_slice(&[0; 4]);
        self.send(&head) && self.send(payload)
    }

    /// Reads and discards until nothing has come for 150 ms, or the connection ends.
    pub(crate) fn drain(&mut self) {
        let mut piece = vec![0; 64 * 1024];
        if self.stream.set_read_timeout(Some(Duration::from_millis(150))).is_ok() {
            while self.stream.read(&mut piece).is_ok_and(|count| count > 0) {}
        }
    }
}
