//! Connections that are read and written by hand, so cheaply that thousands of them leave the processor to the server.
//!
//! Of HTTP/1.1 (RFC 9112), event streams (HTML Standard 9.2) and WebSocket (RFC 6455), a connection understands only
//! what this server writes. Every wait has a deadline, and every byte is counted in the tally.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use fourways_shared::{
    Cursor, Technique,
    wire::frame::{FINAL, FrameHead, client_frame},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    requests,
    tally::Tally,
    text::{between, find},
};

/// Maximum time of any wait; longer than the server holds a poll or waits between heartbeats.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);
/// Size of one read, in bytes; a client that waits holds no more than this.
const PIECE: usize = 4096;
/// Beginning of an event's JSON, the same in all four techniques.
pub(crate) const EVENT: &[u8] = br#"{"type":"event""#;
/// End of a block of an event stream, and of the chunk around the block.
pub(crate) const BLOCK_END: &[u8] = b"\n\n\r\n";

/// An open connection to the server. Every byte that is sent or received is counted in the tally.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    /// Bytes that were received and not yet consumed.
    seen: Vec<u8>,
    tally: Arc<Tally>,
}

/// A complete answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status code, as in 200, 204 or 304.
    pub(crate) status: u16,
    bytes: Vec<u8>,
    head: usize,
}

impl Answer {
    /// Returns the bytes after the head.
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    /// Returns the value of a header field; the name's case does not matter.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        field(&self.bytes[..self.head], name)
    }
}

/// A frame from the server: never masked, never in pieces.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Opcode of the frame (RFC 6455 11.8).
    pub(crate) opcode: u8,
    /// Payload of the frame.
    pub(crate) payload: Vec<u8>,
}

impl Wire {
    /// Connects to a server, whose bytes are counted in `tally`.
    ///
    /// # Errors
    /// If the server accepts no connection in time.
    pub(crate) async fn open(address: SocketAddr, tally: Arc<Tally>) -> anyhow::Result<Self> {
        let connecting = timeout(DEADLINE, TcpStream::connect(address)).await;
        let stream =
            connecting.context("the server accepts no connection in time")?.context("no connection")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, seen: Vec::new(), tally })
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// If the connection is closed, or the server does not read in time.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        timeout(DEADLINE, self.stream.write_all(bytes)).await.context("the server reads nothing")??;
        self.tally.sent(bytes.len());
        Ok(())
    }

    /// Waits for more bytes, and appends them to those not yet consumed. Dropping the future while it waits loses
    /// nothing.
    async fn more(&mut self) -> anyhow::Result<()> {
        self.seen.reserve(PIECE);
        let read = timeout(DEADLINE, self.stream.read_buf(&mut self.seen)).await;
        let count = read.context("the server sends nothing")??;
        if count == 0 {
            let kept = &self.seen[..self.seen.len().min(300)];
            bail!("the server closed the connection; not consumed: {:?}", String::from_utf8_lossy(kept));
        }
        self.tally.received(count);
        Ok(())
    }

    /// Reads the answer to a request.
    ///
    /// # Errors
    /// If no complete answer comes in time.
    pub(crate) async fn answer(&mut self) -> anyhow::Result<Answer> {
        let head = loop {
            match find(&self.seen, b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.more().await?,
            }
        };
        let status = status(&self.seen).context("an answer without a status")?;
        // A 204 or 304 has no body (RFC 9112 6.3).
        let length =
            field(&self.seen[..head], "content-length").and_then(|value| value.parse::<usize>().ok());
        let end = head + length.filter(|_| !matches!(status, 204 | 304)).unwrap_or(0);
        while self.seen.len() < end {
            self.more().await?;
        }
        Ok(Answer { status, bytes: self.take(end), head })
    }

    /// Reads everything up to and including the mark.
    ///
    /// # Errors
    /// If the mark doesn't come in time.
    pub(crate) async fn until(&mut self, mark: &[u8]) -> anyhow::Result<Vec<u8>> {
        loop {
            match find(&self.seen, mark) {
                Some(at) => return Ok(self.take(at + mark.len())),
                None => self.more().await?,
            }
        }
    }

    /// Waits for whole lines, and passes all that have come to `sink`, without their line ends.
    ///
    /// # Errors
    /// If no line comes in time.
    pub(crate) async fn lines(&mut self, sink: impl FnMut(&[u8])) -> anyhow::Result<()> {
        let end = loop {
            match self.seen.iter().rposition(|byte| *byte == b'\n') {
                Some(at) => break at,
                None => self.more().await?,
            }
        };
        self.seen[..end].split(|byte| *byte == b'\n').for_each(sink);
        self.seen.drain(..=end);
        Ok(())
    }

    /// Reads the next frame.
    ///
    /// # Errors
    /// If no whole frame comes in time.
    pub(crate) async fn frame(&mut self) -> anyhow::Result<Frame> {
        loop {
            match whole_frame(&self.seen) {
                Some((opcode, from, end)) => {
                    let payload = self.seen[from..end].to_vec();
                    self.seen.drain(..end);
                    return Ok(Frame { opcode, payload });
                }
                None => self.more().await?,
            }
        }
    }

    fn take(&mut self, end: usize) -> Vec<u8> {
        let rest = self.seen.split_off(end);
        std::mem::replace(&mut self.seen, rest)
    }
}

/// Opens an event stream or a socket after a cursor, and reads its opening. Returns the connection and the cursor at
/// which it begins.
///
/// `query` is appended to the address.
///
/// # Errors
/// If the server refuses the request.
pub(crate) async fn open_stream(
    address: SocketAddr,
    technique: Technique,
    query: &str,
    after: Option<Cursor>,
    tally: &Arc<Tally>,
) -> anyhow::Result<(Wire, Option<Cursor>)> {
    let is_socket = technique == Technique::Websocket;
    let request = if is_socket { requests::socket(query, after) } else { requests::stream(query, after) };
    let mut wire = Wire::open(address, Arc::clone(tally)).await?;
    tally.asked();
    wire.send(&request).await?;
    let head = wire.until(b"\r\n\r\n").await?;
    if status(&head) != Some(if is_socket { 101 } else { 200 }) {
        bail!("refused: {}", String::from_utf8_lossy(&head));
    }
    let opening = if is_socket {
        // The server sends "welcome", then "subscribed".
        wire.frame().await?;
        wire.frame().await?.payload
    } else {
        wire.until(BLOCK_END).await?
    };
    let place =
        if is_socket { between(&opening, b"\"cursor\":\"", b'"') } else { between(&opening, b"id: ", b'\n') };
    Ok((wire, place.and_then(|text| text.parse().ok())))
}

/// Returns a frame as a client sends it. The mask is always the same, because there is no proxy to protect (RFC 6455
/// 10.3).
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x35, 0xa7, 0x1c, 0xe2];
    client_frame(FINAL | opcode, payload, MASK)
}

/// Reads the status code of a head, as in `HTTP/1.1 200 OK`.
fn status(head: &[u8]) -> Option<u16> {
    std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
}

fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let mut fields = std::str::from_utf8(head).ok()?.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Returns the opcode of the first frame, and the indices at which its payload begins and ends; `None` until the whole
/// frame has arrived.
fn whole_frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (head, from) = FrameHead::read(bytes)?;
    let end = usize::try_from(head.length).ok()?.checked_add(from)?;
    (bytes.len() >= end).then_some((head.opcode(), from, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_whole_or_awaited() {
        assert_eq!(whole_frame(b"\x89\0"), Some((9, 2, 2)));
        assert_eq!(whole_frame(b"\x81\x02hi\x81"), Some((1, 2, 4)));
        assert_eq!(whole_frame(b"\x81\x7e\x01\x00"), None);
        let long = [&b"\x82\x7e\x01\x00"[..], &[7; 256]].concat();
        assert_eq!(whole_frame(&long), Some((2, 4, 260)));
        assert_eq!(whole_frame(&long[..259]), None);
        assert_eq!(whole_frame(b""), None);
    }

    #[test]
    fn a_masked_frame_has_the_shortest_length() {
        assert_eq!(masked(0xA, b""), [0x8a, 0x80, 0x35, 0xa7, 0x1c, 0xe2]);
        assert_eq!(masked(1, b"ab")[..2], [0x81, 0x82]);
        assert_eq!(masked(1, b"ab")[6..], [b'a' ^ 0x35, b'b' ^ 0xa7]);
        assert_eq!(masked(1, &[0; 300])[..4], [0x81, 0xfe, 1, 44]);
        assert_eq!(masked(1, &[0; 300]).len(), 308);
    }

    #[test]
    fn texts_are_found_between_their_marks() {
        let head = b"HTTP/1.1 304 Not Modified\r\nETag: \"7-3\"\r\n\r\n";
        assert_eq!(
            (status(head), field(head, "etag"), field(head, "date")),
            (Some(304), Some("\"7-3\""), None)
        );
        assert_eq!(between(b"retry: 2000\nid: 7-3\n\n", b"id: ", b'\n'), Some("7-3"));
        assert_eq!(between(b"id: 7-3", b"id: ", b'\n'), None);
        assert_eq!(find(b"", b"x"), None);
    }
}
