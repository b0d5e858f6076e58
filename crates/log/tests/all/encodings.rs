//! Every reader of an event gets the same data, whichever way it reads: any accepted JSON, through a poll, an event
//! stream in both forms, and a socket in both encodings.
//!
//! `FOURWAYS_STEPS=1000000 cargo test -p fourways-log --test all encodings -- --nocapture` tries that many documents.

use std::{collections::BTreeMap, fmt::Write as _};

use ciborium::value::Value;
use fourways_log::encoding::{Encoded, SseForm};
use fourways_shared::{
    Cursor, Data, Epoch, Event, EventName, Offset,
    wire::sse::{Block, Parser},
};
use serde_json::value::RawValue;

/// The meaning of a JSON document, independent of its spelling.
#[derive(Clone, Debug, PartialEq)]
enum Doc {
    Null,
    Bool(bool),
    /// A whole number, as its digits.
    Whole(String),
    /// A floating-point number, as its bits: zero has a sign.
    Float(u64),
    Text(String),
    Array(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

/// A random generator that repeats itself for the same seed.
struct Chance(u64);

impl Chance {
    fn byte(&mut self, first: u8, count: u8) -> char {
        char::from(first + u8::try_from(self.below(count.into())).unwrap())
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn one_of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[usize::try_from(self.below(texts.len() as u64)).unwrap()]
    }

    fn digits(&mut self, most: u64) -> String {
        let count = 1 + self.below(most);
        let mut digits: String = (0..count).map(|_| self.byte(b'0', 10)).collect();
        if digits.len() > 1 && digits.starts_with('0') {
            digits.replace_range(..1, "7");
        }
        digits
    }
}

/// Appends a random document in a random spelling to `out`, and returns its meaning.
fn document(chance: &mut Chance, out: &mut String, depth: u64) -> Doc {
    out.push_str(chance.one_of(&["", "", " ", "\n", "\r\n\t"]));
    let doc = match chance.below(if depth > 4 { 6 } else { 9 }) {
        0 => word(out, "null", Doc::Null),
        1 => word(out, "true", Doc::Bool(true)),
        2 | 3 => number(chance, out),
        4 | 5 => Doc::Text(text(chance, out)),
        6 | 7 => {
            let mut items = Vec::new();
            out.push('[');
            for at in 0..chance.below(4) {
                out.push_str(if at > 0 { "," } else { "" });
                items.push(document(chance, out, depth + 1));
            }
            out.push(']');
            Doc::Array(items)
        }
        _ => {
            let mut members = BTreeMap::new();
            out.push('{');
            for at in 0..chance.below(4) {
                out.push_str(if at > 0 { ", " } else { "" });
                let key = text(chance, out);
                out.push(':');
                // Of two members with the same name the last counts.
                members.insert(key, document(chance, out, depth + 1));
            }
            out.push('}');
            Doc::Object(members)
        }
    };
    out.push_str(chance.one_of(&["", "", " ", "\n"]));
    doc
}

fn word(out: &mut String, word: &str, doc: Doc) -> Doc {
    out.push_str(word);
    doc
}

fn number(chance: &mut Chance, out: &mut String) -> Doc {
    let sign = chance.one_of(&["", "-"]);
    let edges =
        ["0", "9007199254740993", "18446744073709551615", "18446744073709551616", "9223372036854775808"];
    let whole = if chance.below(3) == 0 { chance.one_of(&edges).to_owned() } else { chance.digits(30) };
    let fraction = if chance.below(3) == 0 { format!(".{}", chance.digits(20)) } else { String::new() };
    let exponent = match chance.below(4) {
        0 => format!("{}{}{}", chance.one_of(&["e", "E"]), chance.one_of(&["", "+", "-"]), chance.below(420)),
        _ => String::new(),
    };
    let number = format!("{sign}{whole}{fraction}{exponent}");
    out.push_str(&number);
    if fraction.is_empty() && exponent.is_empty() && number != "-0" {
        return Doc::Whole(number);
    }
    Doc::Float(number.parse::<f64>().unwrap().to_bits())
}

/// Appends a random string in quotes, which sometimes has half of a surrogate pair, and returns its meaning.
fn text(chance: &mut Chance, out: &mut String) -> String {
    let mut text = String::new();
    out.push('"');
    for _ in 0..chance.below(8) {
        match chance.below(40) {
            0 => out.push_str(chance.one_of(&["\\ud800.", "\\uDFFF.", "\\udbff\\n"])),
            1..8 => {
                let (spelled, meant) = [
                    ("\\n", "\n"),
                    ("\\\"", "\""),
                    ("\\\\", "\\"),
                    ("\\/", "/"),
                    ("\\u0000", "\0"),
                    ("\\ud83d\\uDE00", "😀"),
                    ("\\u2028", "\u{2028}"),
                ][usize::try_from(chance.below(7)).unwrap()];
                out.push_str(spelled);
                text.push_str(meant);
            }
            8..12 => {
                let c = chance.one_of(&["ä", "😀", "\u{2028}", "\u{85}", "data: x", ":", "\u{feff}"]);
                out.push_str(c);
                text.push_str(c);
            }
            _ => {
                let c = chance.byte(b'a', 26);
                out.push(c);
                text.push(c);
            }
        }
    }
    out.push('"');
    text
}

fn of_cbor(value: &Value) -> Doc {
    match value {
        Value::Null => Doc::Null,
        Value::Bool(value) => Doc::Bool(*value),
        Value::Integer(number) => Doc::Whole(i128::from(*number).to_string()),
        Value::Float(number) => Doc::Float(number.to_bits()),
        Value::Text(text) => Doc::Text(text.clone()),
        Value::Tag(tag, bytes) => {
            let bytes = bytes.as_bytes().unwrap();
            assert!(*tag == 2 || *tag == 3, "tag {tag}");
            let mut wide = [0; 16];
            wide[16 - bytes.len()..].copy_from_slice(bytes);
            let number = i128::try_from(u128::from_be_bytes(wide)).unwrap();
            Doc::Whole(if *tag == 2 { number } else { -1 - number }.to_string())
        }
        Value::Array(items) => Doc::Array(items.iter().map(of_cbor).collect()),
        Value::Map(members) => {
            let all: BTreeMap<String, Doc> = members
                .iter()
                .map(|(key, value)| (key.as_text().unwrap().to_owned(), of_cbor(value)))
                .collect();
            assert_eq!(all.len(), members.len(), "no key is there twice");
            Doc::Object(all)
        }
        other => panic!("{other:?}"),
    }
}

fn blocks(bytes: &[u8]) -> Vec<Block> {
    let mut blocks = Vec::new();
    Parser::default().push(bytes, |block| blocks.push(block));
    blocks
}

/// Returns the payload of an unmasked frame (RFC 6455 5.2).
fn payload(frame: &[u8]) -> &[u8] {
    match frame[1] {
        126 => &frame[4..],
        127 => &frame[10..],
        _ => &frame[2..],
    }
}

#[test]
fn every_document_that_is_taken_reads_the_same_by_all_four() {
    let steps: u64 = std::env::var("FOURWAYS_STEPS").map_or(20_000, |steps| steps.parse().unwrap());
    let seed = std::env::var("FOURWAYS_SEED").map_or(0x4_0FF5, |seed| seed.parse().unwrap());
    let mut chance = Chance(seed);
    let (mut taken, mut half, mut large) = (0_u64, 0_u64, 0_u64);
    for _ in 0..steps {
        let mut json = String::new();
        let doc = document(&mut chance, &mut json, 0);
        // A publish has one value, without white space around it.
        let json = json.trim_matches([' ', '\n', '\r', '\t']).to_owned();
        let raw = RawValue::from_string(json.clone()).unwrap();
        let data = match Data::from_client_json(raw) {
            Ok(data) => data,
            Err(fault) => {
                let fault = fault.to_string();
                half += u64::from(fault.contains("half a character"));
                large += u64::from(fault.contains("number"));
                continue;
            }
        };
        taken += 1;
        let event = Encoded::new(Event {
            topic: "a".parse().unwrap(),
            cursor: Cursor { epoch: Epoch::from_bits(7), offset: Offset(3) },
            name: EventName::DEFAULT,
            id: None,
            published_at_us: 1,
            data,
        });
        let given = |text: &str| {
            let event: Event = serde_json::from_str(text).unwrap();
            let Data::Json(raw) = event.data else { panic!("{text}") };
            raw.get().to_owned()
        };
        assert_eq!(given(std::str::from_utf8(&event.json()).unwrap()), json, "a poll");
        assert_eq!(given(std::str::from_utf8(payload(event.websocket_text())).unwrap()), json, "a socket");
        // SSE replaces line breaks by LF, which means the same in JSON.
        let lines = json.replace("\r\n", "\n").replace('\r', "\n");
        let [block] = &blocks(&event.sse(SseForm::default()).block)[..] else { panic!("{json}") };
        assert_eq!(given(block.data.as_ref().unwrap()), lines, "a stream");
        let [block] = &blocks(&event.sse(SseForm { is_raw: true, packs_from: None }).block)[..] else {
            panic!("{json}")
        };
        assert_eq!(block.data.as_ref().unwrap(), &lines, "a stream of raw data");
        let value: Value = ciborium::from_reader(payload(event.websocket_binary())).unwrap();
        let data = value.as_map().unwrap().iter().find(|(key, _)| key.as_text() == Some("data")).unwrap();
        assert_eq!(of_cbor(&data.1), doc, "a socket in CBOR: {json}");
        // The parser of this repository's clients must read the frame too.
        let Some(fourways_shared::Reply::Event(read)) =
            fourways_shared::wire::cbor::read_reply(payload(event.websocket_binary()))
        else {
            panic!("{json}")
        };
        let again = Encoded::new(read);
        assert_eq!(again.websocket_binary(), event.websocket_binary(), "{json}");
    }
    let mut said = String::new();
    write!(said, "seed {seed}: {steps} documents, {taken} taken, {half} with half a character, {large} with")
        .unwrap();
    println!("{said} a number that is too large");
    assert!(taken > steps / 2 && half > 0 && large > 0);
}
