//! Server-Sent Events (HTML Standard 9.2): blocks of `field: value` lines, each ended by an empty line.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{Cursor, Data, Event, EventName};

/// Appends one event's block: `id`, `event`, and a `data` line for each line of `data`.
///
/// An event name has no line break and a cursor has only letters, digits and a hyphen, so no publisher can forge a
/// field. A line break in the data starts a new `data:` line, which the parser turns back into LF (9.2.6).
pub fn write_event(out: &mut Vec<u8>, cursor: Cursor, name: &EventName, data: &str) {
    push(out, &["id: ", &cursor.to_string(), "\nevent: ", name.as_str(), "\n"]);
    write_data(out, data);
}

/// Appends an event's block with the published data alone, for subscribers that want no envelope (`data=raw`): the
/// JSON, the plain text, or the bytes in base64. The default name is left out: a block without a name has it (9.2.6).
pub fn write_raw(out: &mut Vec<u8>, event: &Event) {
    push(out, &["id: ", &event.cursor.to_string(), "\n"]);
    if event.name != EventName::DEFAULT {
        push(out, &["event: ", event.name.as_str(), "\n"]);
    }
    match &event.data {
        Data::Json(raw) => write_data(out, raw.get()),
        // The raw value is a JSON string; the subscriber gets the text in it.
        Data::Text(raw) => write_data(out, &serde_json::from_str::<String>(raw.get()).unwrap_or_default()),
        Data::Bytes(bytes) => write_data(out, &BASE64_STANDARD.encode(bytes)),
    }
}

/// Appends a reset. The block carries its cursor as `id`, so that a client gets both or neither.
pub fn write_reset(out: &mut Vec<u8>, cursor: Cursor, data: &str) {
    push(out, &["id: ", &cursor.to_string(), "\nevent: reset\n"]);
    write_data(out, data);
}

/// Appends the problem that ends the stream. The block has no `id`, so a client reconnects with the cursor it has.
pub fn write_problem(out: &mut Vec<u8>, data: &str) {
    push(out, &["event: problem\n"]);
    write_data(out, data);
}

/// A heartbeat. A stream begins with one, and ends with one when the server closes it to restart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heartbeat<'n> {
    /// Cursor of the stream, so that a client that is cut off before its first event can resume. Without one the client's
    /// cursor stays as it is.
    pub cursor: Option<Cursor>,
    /// Time until the next heartbeat at the latest, in milliseconds.
    pub every_ms: u64,
    /// Wait before a reconnect, in milliseconds.
    pub retry_ms: Option<u64>,
    /// Name of the server, if several share the log.
    pub node: Option<&'n str>,
    /// Seconds for which the server has not been able to read what others may have published; `None` if it can.
    pub behind_s: Option<u64>,
}

impl Heartbeat<'_> {
    /// Returns the heartbeat as a block.
    ///
    /// An `id` alone would be enough for browsers, which dispatch no event without data (9.2.6), but many other clients
    /// hand it on as a message with empty data. The name `heartbeat` keeps the block away from `onmessage`, and its data
    /// is JSON like that of the protocol's other blocks.
    pub fn block(&self) -> Vec<u8> {
        let Self { cursor, every_ms, retry_ms, node, behind_s } = *self;
        let retry = retry_ms.map(|ms| format!("retry: {ms}\n")).unwrap_or_default();
        let (id, member) = cursor
            .map(|cursor| (format!("id: {cursor}\n"), format!("\"cursor\":\"{cursor}\",")))
            .unwrap_or_default();
        // JSON escapes line breaks, which would end the line.
        let node = node.and_then(|node| serde_json::to_string(node).ok());
        let node = node.map(|node| format!(",\"node\":{node}")).unwrap_or_default();
        let behind = behind_s.map(|s| format!(",\"behind_s\":{s}")).unwrap_or_default();
        format!(
            "{retry}{id}event: heartbeat\ndata: {{\"type\":\"heartbeat\",{member}\"every_ms\":{every_ms}{node}{behind}}}\n\n"
        )
        .into_bytes()
    }
}

/// A heartbeat that no subscriber sees: a comment, sent when the cursor has not moved. No empty line follows, because
/// it would end a block, and some clients hand on an empty block as an empty message.
pub const COMMENT: &[u8] = b": heartbeat\n";

fn write_data(out: &mut Vec<u8>, data: &str) {
    let mut rest = data;
    loop {
        let end = rest.find(['\r', '\n']);
        push(out, &["data: ", &rest[..end.unwrap_or(rest.len())], "\n"]);
        match end {
            None => break,
            Some(at) => rest = rest[at..].strip_prefix("\r\n").unwrap_or(&rest[at + 1..]),
        }
    }
    out.push(b'\n');
}

fn push(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

/// One block, as a parser that follows 9.2.6 reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The stream's last event id after this block; empty if none was set yet.
    pub last_event_id: String,
    /// Name (type) of the event; empty means `message`.
    pub name: String,
    /// Lines of data, joined by LF; `None` if the block dispatches no event.
    pub data: Option<String>,
    /// Time before a reconnect that the server asks for, in milliseconds.
    pub retry_ms: Option<u64>,
}

/// An incremental parser, which reads a stream in pieces of any size.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    begun: bool,
    block: Block,
    data: String,
    touched: bool,
}

impl Parser {
    /// Parses the next piece of the stream and calls `sink` for every block that it completes. Comments alone make no
    /// block.
    pub fn push(&mut self, piece: &[u8], mut sink: impl FnMut(Block)) {
        for &byte in piece {
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                continue;
            }
            match byte {
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    self.end_line(&line, &mut sink);
                    self.line = line;
                    self.line.clear();
                }
                byte => self.line.push(byte),
            }
        }
    }

    /// Returns the number of bytes held of an unfinished line and block.
    pub fn held_bytes(&self) -> usize {
        self.line.len() + self.data.len()
    }

    fn end_line(&mut self, line: &[u8], sink: &mut impl FnMut(Block)) {
        let line = if std::mem::replace(&mut self.begun, true) {
            line
        } else {
            line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
        };
        let text = String::from_utf8_lossy(line);
        if text.is_empty() {
            return self.end_block(sink);
        }
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.block.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.block.last_event_id),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.block.retry_ms = value.parse().ok();
            }
            _ => return,
        }
        self.touched = true;
    }

    fn end_block(&mut self, sink: &mut impl FnMut(Block)) {
        if !std::mem::take(&mut self.touched) {
            return;
        }
        let mut data = std::mem::take(&mut self.data);
        let dispatched = data.pop().is_some();
        let last_event_id = self.block.last_event_id.clone();
        let block = std::mem::replace(&mut self.block, Block { last_event_id, ..Block::default() });
        sink(Block { data: dispatched.then_some(data), ..block });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Epoch, Offset};

    fn cursor(offset: u64) -> Cursor {
        Cursor { epoch: Epoch::from_bits(7), offset: Offset(offset) }
    }

    fn parse(stream: &[u8], piece: usize) -> Vec<Block> {
        let (mut parser, mut blocks) = (Parser::default(), Vec::new());
        for piece in stream.chunks(piece.max(1)) {
            parser.push(piece, |block| blocks.push(block));
        }
        blocks
    }

    #[test]
    fn blocks_are_framed_to_the_byte() {
        let mut out = Heartbeat {
            cursor: Some(cursor(1)),
            every_ms: 15_000,
            retry_ms: Some(2000),
            ..Heartbeat::default()
        }
        .block();
        write_event(&mut out, cursor(2), &"price".parse().unwrap(), "{\n1\r\n}\r");
        out.extend(
            Heartbeat {
                cursor: Some(cursor(3)),
                every_ms: 15_000,
                node: Some("a\nb"),
                behind_s: Some(7),
                ..Heartbeat::default()
            }
            .block(),
        );
        out.extend(Heartbeat { every_ms: 9, retry_ms: Some(1), ..Heartbeat::default() }.block());
        write_reset(&mut out, cursor(4), "{}");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "retry: 2000\nid: 7-1\nevent: heartbeat\n\
             data: {\"type\":\"heartbeat\",\"cursor\":\"7-1\",\"every_ms\":15000}\n\n\
             id: 7-2\nevent: price\ndata: {\ndata: 1\ndata: }\ndata: \n\n\
             id: 7-3\nevent: heartbeat\n\
             data: {\"type\":\"heartbeat\",\"cursor\":\"7-3\",\"every_ms\":15000,\"node\":\"a\\nb\",\"behind_s\":7}\n\n\
             retry: 1\nevent: heartbeat\ndata: {\"type\":\"heartbeat\",\"every_ms\":9}\n\n\
             id: 7-4\nevent: reset\ndata: {}\n\n",
        );
    }

    #[test]
    fn a_block_of_id_alone_moves_the_id_and_dispatches_nothing() {
        let blocks = parse(b"\xEF\xBB\xBFid: 7-1\n\n: only a comment\n\ndata\ndata: x\n\nid\ndata:y\n\n", 1);
        assert_eq!(blocks.len(), 3);
        assert_eq!((blocks[0].last_event_id.as_str(), blocks[0].data.as_deref()), ("7-1", None));
        assert_eq!((blocks[1].last_event_id.as_str(), blocks[1].data.as_deref()), ("7-1", Some("\nx")));
        assert_eq!((blocks[2].last_event_id.as_str(), blocks[2].data.as_deref()), ("", Some("y")));
    }

    #[test]
    fn what_was_published_is_all_that_raw_data_are() {
        let of = |data, name: &str| {
            let mut out = Vec::new();
            let event = Event {
                topic: "a".parse().unwrap(),
                cursor: cursor(2),
                name: name.parse().unwrap(),
                id: None,
                published_at_us: 1,
                data,
            };
            write_raw(&mut out, &event);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(of(Data::text("hi"), "message"), "id: 7-2\ndata: \"hi\"\n\n");
        assert_eq!(of(Data::plain("h\ni\n"), "price"), "id: 7-2\nevent: price\ndata: h\ndata: i\ndata: \n\n");
        assert_eq!(
            of(Data::Bytes(bytes::Bytes::from_static(&[0, 255])), "message"),
            "id: 7-2\ndata: AP8=\n\n"
        );
    }

    proptest! {
        #[test]
        fn any_text_comes_back_in_any_pieces(data in "[a-z\r\n\0\u{feff}: ä]{0,40}", piece in 1_usize..9) {
            let mut out = Vec::new();
            write_event(&mut out, cursor(1), &EventName::DEFAULT, &data);
            write_event(&mut out, cursor(2), &EventName::DEFAULT, "end");
            let blocks = parse(&out, piece);
            let lines = data.replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(blocks.len(), 2);
            prop_assert_eq!(blocks[0].data.as_deref(), Some(lines.as_str()));
            prop_assert_eq!(&blocks[1].last_event_id, "7-2");
        }

        #[test]
        fn any_bytes_mean_the_same_in_any_pieces(bytes: Vec<u8>, text in "(id|data|event|retry|:|[a-z0-9 ]|\r|\n){0,60}") {
            for stream in [bytes.as_slice(), text.as_bytes()] {
                let whole = parse(stream, stream.len());
                prop_assert_eq!(&parse(stream, 1), &whole);
                prop_assert_eq!(&parse(stream, 3), &whole);
            }
        }
    }
}
