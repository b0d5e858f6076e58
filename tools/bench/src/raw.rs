//! A connection that is read and written by hand: so cheap that thousands of them leave the processor to the server.
//!
//! It reads no more of HTTP/1.1 (RFC 9112), event streams (HTML Standard 9.2) and WebSocket (RFC 6455) than this
//! server writes. Every wait has a deadline; every byte is in the tally.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use fourways_shared::{Cursor, Technique};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{requests, tally::Tally};

/// The longest that anything may take. Held polls and heartbeats are quicker.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);
/// Room for one read; a client that waits holds no more than this.
const PIECE: usize = 4096;
/// How an event's JSON begins, on all four.
pub(crate) const EVENT: &[u8] = br#"{"type":"event""#;
/// The end of a block of an event stream, and of the chunk around it.
pub(crate) const BLOCK_END: &[u8] = b"\n\n\r\n";

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    /// What was read and not yet taken.
    seen: Vec<u8>,
    tally: Arc<Tally>,
}

/// A whole answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 200, 204, 304 …
    pub(crate) status: u16,
    bytes: Vec<u8>,
    head: usize,
}

impl Answer {
    /// What follows the head.
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    /// A field of the head.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        field(&self.bytes[..self.head], name)
    }
}

/// A frame from the server: never masked, never in pieces.
#[derive(Debug)]
pub(crate) struct Frame {
    /// RFC 6455 11.8.
    pub(crate) opcode: u8,
    /// What it carries.
    pub(crate) payload: Vec<u8>,
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// If nobody accepts in time.
    pub(crate) async fn open(address: SocketAddr, tally: Arc<Tally>) -> anyhow::Result<Self> {
        let connecting = timeout(DEADLINE, TcpStream::connect(address)).await;
        let stream =
            connecting.context("the server accepts no connection in time")?.context("no connection")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, seen: Vec::new(), tally })
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// If the server is gone or reads nothing.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        timeout(DEADLINE, self.stream.write_all(bytes)).await.context("the server reads nothing")??;
        self.tally.sent(bytes.len());
        Ok(())
    }

    /// Waits for what comes next and keeps it. Nothing is lost if this is dropped while it waits.
    async fn more(&mut self) -> anyhow::Result<()> {
        self.seen.reserve(PIECE);
        let read = timeout(DEADLINE, self.stream.read_buf(&mut self.seen)).await;
        let count = read.context("the server says nothing")??;
        if count == 0 {
            let kept = &self.seen[..self.seen.len().min(300)];
            bail!("the server closed the connection; not taken yet: {:?}", String::from_utf8_lossy(kept));
        }
        self.tally.received(count);
        Ok(())
    }

    /// The answer to a request.
    ///
    /// # Errors
    /// If none comes.
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

    /// Everything up to and including the mark.
    ///
    /// # Errors
    /// If it doesn't come.
    pub(crate) async fn until(&mut self, mark: &[u8]) -> anyhow::Result<Vec<u8>> {
        loop {
            match find(&self.seen, mark) {
                Some(at) => return Ok(self.take(at + mark.len())),
                None => self.more().await?,
            }
        }
    }

    /// Waits for whole lines and hands over those that are there, without their ends.
    ///
    /// # Errors
    /// If none comes.
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

    /// The next frame.
    ///
    /// # Errors
    /// If none comes.
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

/// Opens an event stream or a socket after this place and reads its opening. Where it begins.
///
/// `query` is added to the address.
///
/// # Errors
/// If the server refuses.
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
        // "welcome", then "subscribed".
        wire.frame().await?;
        wire.frame().await?.payload
    } else {
        wire.until(BLOCK_END).await?
    };
    let place =
        if is_socket { between(&opening, b"\"cursor\":\"", b'"') } else { between(&opening, b"id: ", b'\n') };
    Ok((wire, place.and_then(|text| text.parse().ok())))
}

/// A frame as a client sends it. The mask is always the same: no proxy is to be protected here (RFC 6455 10.3).
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x35, 0xa7, 0x1c, 0xe2];
    let mut frame = vec![0x80 | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..126), _) => frame.push(0x80 | short),
        (_, Ok(medium)) => {
            frame.push(0x80 | 0x7e);
            frame.extend(medium.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Where `needle` begins.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The text from the first `begin` to the next `end`, without either.
pub(crate) fn between<'a>(text: &'a [u8], begin: &[u8], end: u8) -> Option<&'a str> {
    let rest = &text[find(text, begin)? + begin.len()..];
    let length = rest.iter().position(|byte| *byte == end)?;
    std::str::from_utf8(&rest[..length]).ok()
}

/// Of `HTTP/1.1 200 OK`.
fn status(head: &[u8]) -> Option<u16> {
    std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
}

fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let mut fields = std::str::from_utf8(head).ok()?.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Opcode, and where the payload of the first frame begins and ends, once all of it is there.
fn whole_frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (length, from) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
        short => (u64::from(short), 2),
    };
    let end = usize::try_from(length).ok()?.checked_add(from)?;
    (bytes.len() >= end).then_some((first & 0x0f, from, end))
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
