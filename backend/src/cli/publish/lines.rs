//! Reads lines of standard input as JSON that can be published.

use std::io;

use fourways_shared::Data;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// Length of the longest line that is read, in bytes: that of the longest body that a server accepts by default.
pub(super) const MAX_LINE: usize = 1 << 20;

/// One line of the input, without its line end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// JSON on one line, ready for a batch.
    Json(String),
    /// A blank line where JSON is expected: there is nothing to publish.
    Blank,
    /// A line that can't be published as it is: the reason, and its bytes unless it is too long.
    Bad(String, Option<Vec<u8>>),
}

/// Reads the next line; `None` at the end of the input. At most [`MAX_LINE`] bytes of a line are held.
///
/// This function is cancel safe: the part of a line that has been read stays in `held`.
///
/// # Errors
/// If the input can't be read.
pub(super) async fn next(
    input: &mut (impl AsyncBufRead + Unpin),
    held: &mut Held,
    is_json: bool,
) -> io::Result<Option<Line>> {
    loop {
        let piece = input.fill_buf().await?;
        let is_end = piece.is_empty();
        let end = piece.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(piece.len(), |end| end + 1);
        held.take(&piece[..end.unwrap_or(piece.len())]);
        input.consume(used);
        if end.is_some() || (is_end && held.has_begun) {
            return Ok(Some(held.line(is_json)));
        }
        if is_end {
            return Ok(None);
        }
    }
}

/// A line of which the end has not been read yet.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    /// Number of bytes beyond [`MAX_LINE`], which were discarded.
    over: usize,
    has_begun: bool,
}

impl Held {
    fn take(&mut self, piece: &[u8]) {
        self.has_begun |= !piece.is_empty();
        let room = MAX_LINE.saturating_sub(self.bytes.len()).min(piece.len());
        self.bytes.extend_from_slice(&piece[..room]);
        self.over += piece.len() - room;
    }

    fn line(&mut self, is_json: bool) -> Line {
        let Self { mut bytes, over, .. } = std::mem::take(self);
        if over > 0 {
            let detail = format!("the line has {} bytes; allowed are {MAX_LINE}", bytes.len() + over);
            return Line::Bad(detail, None);
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return Line::Bad(error.utf8_error().to_string(), Some(error.into_bytes())),
        };
        if !is_json {
            return match serde_json::to_string(&text) {
                Ok(json) => Line::Json(json),
                Err(error) => Line::Bad(error.to_string(), Some(text.into_bytes())),
            };
        }
        if text.trim().is_empty() {
            return Line::Blank;
        }
        let raw = serde_json::from_str::<Box<RawValue>>(&text).map_err(|error| error.to_string());
        match raw.and_then(|raw| Data::from_client_json(raw).map_err(|error| error.to_string())) {
            Ok(_) => Line::Json(text),
            Err(why) => Line::Bad(why, Some(text.into_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(input: &[u8], is_json: bool) -> Vec<Line> {
        let (mut input, mut held) = (input, Held::default());
        let mut lines = Vec::new();
        while let Some(line) = next(&mut input, &mut held, is_json).await.unwrap() {
            lines.push(line);
        }
        lines
    }

    fn json(text: &str) -> Line {
        Line::Json(text.to_owned())
    }

    #[tokio::test]
    async fn each_line_is_what_can_be_published_or_says_why_not() {
        let lines = all(b"one\r\n\ncaf\xe9\nlast", false).await;
        assert_eq!(lines[..2], [json("\"one\""), json("\"\"")]);
        assert!(matches!(&lines[2], Line::Bad(_, Some(bytes)) if bytes == b"caf\xe9"), "{lines:?}");
        assert_eq!((&lines[3], lines.len()), (&json("\"last\""), 4));
        let lines = all(b"{\"a\": 1}\n \n{\"a\":\n\"\\ud800\"\n7\n", true).await;
        assert_eq!(lines[..2], [json("{\"a\": 1}"), Line::Blank]);
        assert!(matches!(lines[2..4], [Line::Bad(..), Line::Bad(..)]), "{lines:?}");
        assert_eq!(lines[4], json("7"));
    }

    #[tokio::test]
    async fn a_line_without_end_is_not_held() {
        let input = [&vec![b'x'; 3 * MAX_LINE][..], b"\nshort\n"].concat();
        let lines = all(&input, false).await;
        assert!(
            matches!(&lines[0], Line::Bad(why, None) if why.contains("3145728 bytes")),
            "{:?}",
            lines.len()
        );
        assert_eq!(lines[1], json("\"short\""));
    }
}
