//! Formats an event as one line of text that no terminal takes for a command.

use std::fmt::Write as _;

use fourways_shared::{Data, Event};

/// Returns the data of an event as one line: JSON without white space between its tokens, a text (or a JSON string) as
/// it is, bytes as a text in which each invalid byte is written like `\xe9`. Control characters, and those that change
/// the direction of a line, are escaped as in JSON.
pub(super) fn data(data: &Data) -> String {
    match data {
        Data::Bytes(bytes) => {
            let mut line = String::with_capacity(bytes.len());
            for piece in bytes.utf8_chunks() {
                shown(piece.valid(), &mut line);
                for byte in piece.invalid() {
                    write!(line, "\\x{byte:02x}").unwrap_or_default();
                }
            }
            line
        }
        Data::Json(raw) | Data::Text(raw) => {
            let mut line = String::with_capacity(raw.get().len());
            match serde_json::from_str::<String>(raw.get()) {
                Ok(text) => shown(&text, &mut line),
                Err(_) => shown(&compact(raw.get()), &mut line),
            }
            line
        }
    }
}

/// Returns a whole event as one line of JSON, for programs.
pub(super) fn event(event: &Event) -> String {
    let mut line = String::new();
    shown(&compact(&serde_json::to_string(event).unwrap_or_default()), &mut line);
    line
}

fn shown(text: &str, line: &mut String) {
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            _ if is_obeyed(c) => write!(line, "\\u{:04x}", u32::from(c)).unwrap_or_default(),
            c => line.push(c),
        }
    }
}

/// True for the characters that a terminal acts upon: control characters (ECMA-48), Unicode line ends and direction
/// marks (UAX 9).
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Removes the white space between the tokens of valid JSON.
fn compact(json: &str) -> String {
    let (mut is_text, mut is_escaped) = (false, false);
    json.chars()
        .filter(|c| {
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => is_text = !is_text,
                _ => {}
            }
            is_text || !matches!(c, ' ' | '\t' | '\r' | '\n')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn whatever_was_published_is_one_line_that_nobody_obeys() {
        let json = |text: &str| Data::Json(RawValue::from_string(text.to_owned()).unwrap());
        for (published, line) in [
            (json("{\n  \"x\": 1.0,\r\n \"y z\": \"a \\\" b\\n\"\n}"), r#"{"x":1.0,"y z":"a \" b\n"}"#),
            (json(r#""one\ntwo""#), r"one\ntwo"),
            (Data::plain("\u{1b}[2Jgone\u{7}\u{9b}31m"), r"\u001b[2Jgone\u0007\u009b31m"),
            (Data::plain("abc\u{202e}cba"), r"abc\u202ecba"),
            (Data::Bytes(b"caf\xe9 \x1b ok"[..].to_vec().into()), r"caf\xe9 \u001b ok"),
            (Data::plain("ä 😀"), "ä 😀"),
            (json("\"\u{2028}\""), r"\u2028"),
        ] {
            assert_eq!(data(&published), line);
        }
    }
}
