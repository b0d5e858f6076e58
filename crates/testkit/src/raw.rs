//! HTTP byte by byte, for tests that look at the wire. A test that fails prints the bytes that it received.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(
    clippy::missing_panics_doc,
    reason = "each panics with what it saw when the answer is not there in time"
)]

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::DEADLINE;

/// A raw connection that remembers all bytes that it has received.
#[derive(Debug)]
pub struct Wire {
    /// The socket, for tests that read or write it directly.
    pub stream: TcpStream,
    seen: Vec<u8>,
    read: usize,
}

/// An HTTP answer: whole if it has a `Content-Length`, otherwise its head only.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status code of the answer.
    pub status: u16,
    /// The status line and all headers as received, with the empty line at the end.
    pub head: String,
    /// The body; empty if the answer does not give its length.
    pub body: Vec<u8>,
}

impl Answer {
    /// Parses the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Returns the value of the first header of this name, whose case is ignored.
    pub fn header(&self, name: &str) -> Option<String> {
        let prefix = format!("{name}: ").to_lowercase();
        let mut lines = self.head.lines();
        lines
            .find(|line| line.to_lowercase().starts_with(&prefix))
            .map(|line| line[prefix.len()..].to_owned())
    }

    /// Returns the names of all headers in lower case, sorted, without `date`.
    pub fn header_names(&self) -> Vec<String> {
        let names = self.head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0.to_lowercase()));
        let mut names: Vec<_> = names.filter(|name| name != "date").collect();
        names.sort();
        names
    }
}

impl Wire {
    /// Wraps a connected socket.
    pub fn of(stream: TcpStream) -> Self {
        Self { stream, seen: Vec::new(), read: 0 }
    }

    /// Writes these bytes to the socket.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Reads up to and including the mark, from the end of the last read.
    #[track_caller]
    pub fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        let began = Instant::now();
        let mut looked_at = self.read;
        loop {
            let found = self.seen[looked_at..].windows(mark.len()).position(|window| window == mark);
            if let Some(at) = found {
                let end = looked_at + at + mark.len();
                let found = self.seen[self.read..end].to_vec();
                self.read = end;
                return found;
            }
            // Bytes that were searched are not searched again, except the last ones, in which a mark may begin.
            looked_at = self.read.max((self.seen.len() + 1).saturating_sub(mark.len()));
            assert!(self.fill(began), "no {:?} in {:?}", String::from_utf8_lossy(mark), self.shown());
        }
    }

    /// Reads exactly this many bytes.
    #[track_caller]
    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        let began = Instant::now();
        while self.seen.len() - self.read < count {
            assert!(self.fill(began), "not {count} bytes in {:?}", self.shown());
        }
        let found = self.seen[self.read..self.read + count].to_vec();
        self.read += count;
        found
    }

    /// Reads the rest until the server closes the connection.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let began = Instant::now();
        while self.fill(began) {}
        assert!(began.elapsed() < DEADLINE, "the server does not close");
        self.seen[self.read..].to_vec()
    }

    /// Reads the bytes that arrive next; false at the end of the stream, or at the deadline.
    fn fill(&mut self, began: Instant) -> bool {
        let left = DEADLINE.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).unwrap();
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(count) => {
                self.seen.extend_from_slice(&piece[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(_) => false,
        }
    }

    /// Returns the last 4 KiB that were received, as text.
    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.seen[self.seen.len().saturating_sub(4096)..]).into_owned()
    }

    /// Sends one request and reads its answer. `head` is the request line and any headers, without `Host` and
    /// `Content-Length`.
    #[track_caller]
    pub fn request(&mut self, head: &str, body: &[u8]) -> Answer {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        self.send(format!("{head}\r\nHost: fourways.test\r\n{length}\r\n").as_bytes());
        self.send(body);
        self.answer()
    }

    /// Reads the next answer.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        let head = String::from_utf8(self.until(b"\r\n\r\n")).unwrap();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: Vec::new() };
        if let Some(length) = answer.header("content-length").and_then(|length| length.parse().ok()) {
            answer.body = self.exactly(length);
        }
        answer
    }

    /// Reads the next chunk of a chunked body (RFC 9112, section 7.1).
    #[track_caller]
    pub fn chunk(&mut self) -> String {
        String::from_utf8(self.raw_chunk()).unwrap()
    }

    /// Reads the next chunk of a chunked body that is not text.
    #[track_caller]
    pub fn raw_chunk(&mut self) -> Vec<u8> {
        let size = String::from_utf8(self.until(b"\r\n")).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
        let chunk = self.exactly(size);
        assert_eq!(self.exactly(2), b"\r\n");
        chunk
    }
}
