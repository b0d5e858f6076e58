//! JSON to CBOR values and back without changing a number: whole numbers of any length stay whole (RFC 8949 3.4.3), and
//! all others become 64-bit floating point, as JSON parsers read them (RFC 8259 6).

use std::{collections::HashMap, fmt::Write as _};

use ciborium::value::{Integer, Value};

/// Nesting depth at most; deeper than anything that can be published (64).
const MAX_DEPTH: usize = 128;
/// CBOR tag of whole numbers above zero that have more than 64 bits.
const LARGE: u64 = 2;
/// CBOR tag of whole numbers below zero that have more than 64 bits.
const LARGE_NEGATIVE: u64 = 3;
/// Bytes of a large number at most. The longest whole number that can be published has 309 digits, or 128 bytes.
const MAX_LARGE_BYTES: usize = 160;

/// Parses JSON as a CBOR value; `None` if the text is not JSON.
pub(super) fn value_of(json: &str) -> Option<Value> {
    let mut reader = Reader { json, at: 0 };
    let value = reader.value(0)?;
    reader.pass_space();
    (reader.at == json.len()).then_some(value)
}

/// Appends a value as JSON. Returns `None` for a value that JSON can't express: a map with a key that is not a string,
/// an unknown tag, NaN, infinity. Bytes become `null`; [`super::read_reply`] puts them back into an event.
pub(super) fn write_json(value: &Value, out: &mut String) -> Option<()> {
    match value {
        Value::Null | Value::Bytes(_) => out.push_str("null"),
        Value::Bool(value) => drop(write!(out, "{value}")),
        Value::Integer(number) => drop(write!(out, "{}", i128::from(*number))),
        Value::Float(number) => drop(write!(out, "{}", serde_json::Number::from_f64(*number)?)),
        Value::Tag(tag @ (LARGE | LARGE_NEGATIVE), bytes) => {
            out.push_str(&decimal(bytes.as_bytes()?, *tag == LARGE_NEGATIVE)?);
        }
        Value::Text(text) => out.push_str(&serde_json::to_string(text).ok()?),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_json(item, out)?;
            }
            out.push(']');
        }
        Value::Map(members) => {
            out.push('{');
            for (at, (key, member)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(key.as_text()?).ok()?);
                out.push(':');
                write_json(member, out)?;
            }
            out.push('}');
        }
        _ => return None,
    }
    Some(())
}

/// A JSON parser that builds CBOR values.
struct Reader<'t> {
    json: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn pass_space(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Skips white space, then this byte if it comes next. Returns whether it did.
    fn pass(&mut self, byte: u8) -> bool {
        self.pass_space();
        let is_it = self.peek() == Some(byte);
        self.at += usize::from(is_it);
        is_it
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.pass_space();
        match self.peek()? {
            b'"' => self.text().map(Value::Text),
            b'[' => self.array(depth),
            b'{' => self.object(depth),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                let words =
                    [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))];
                let (word, value) =
                    words.into_iter().find(|(word, _)| self.json[self.at..].starts_with(word))?;
                self.at += word.len();
                Some(value)
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut items = Vec::new();
        if self.pass(b']') {
            return Some(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.pass(b']') {
                return Some(Value::Array(items));
            }
            if !self.pass(b',') {
                return None;
            }
        }
    }

    /// Parses an object. The last of several members with one name wins, as in JSON parsers, because CBOR allows no
    /// duplicate keys (RFC 8949 5.6).
    fn object(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut members: Vec<(Value, Value)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        if self.pass(b'}') {
            return Some(Value::Map(members));
        }
        loop {
            self.pass_space();
            let key = self.text()?;
            if !self.pass(b':') {
                return None;
            }
            let value = self.value(depth + 1)?;
            match places.get(&key) {
                Some(place) => members[*place].1 = value,
                None => {
                    places.insert(key.clone(), members.len());
                    members.push((Value::Text(key), value));
                }
            }
            if self.pass(b'}') {
                return Some(Value::Map(members));
            }
            if !self.pass(b',') {
                return None;
            }
        }
    }

    fn text(&mut self) -> Option<String> {
        let begin = self.at;
        let bytes = self.json.as_bytes();
        let mut at = begin + 1;
        loop {
            match bytes.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        // Older logs may hold a string with half a character, which is refused today; U+FFFD replaces the whole string.
        let text = serde_json::from_str(self.json.get(begin..self.at)?);
        Some(text.unwrap_or_else(|_| char::REPLACEMENT_CHARACTER.to_string()))
    }

    fn number(&mut self) -> Option<Value> {
        let rest = &self.json[self.at..];
        let is_of_number = |c: char| matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9');
        let number = &rest[..rest.find(|c| !is_of_number(c)).unwrap_or(rest.len())];
        self.at += number.len();
        // Only a floating-point zero has a sign.
        if number == "-0" || number.contains(['.', 'e', 'E']) {
            return number.parse().ok().map(Value::Float);
        }
        Some(match number.parse::<i128>().ok().and_then(|number| Integer::try_from(number).ok()) {
            Some(number) => Value::Integer(number),
            None => large(number),
        })
    }
}

/// Encodes a whole number of more than 64 bits.
fn large(number: &str) -> Value {
    let (digits, is_negative) = number.strip_prefix('-').map_or((number, false), |digits| (digits, true));
    if digits.len() > 2 * MAX_LARGE_BYTES {
        return Value::Float(number.parse().unwrap_or(f64::INFINITY));
    }
    // The lowest byte comes first.
    let mut bytes: Vec<u8> = Vec::with_capacity(MAX_LARGE_BYTES);
    for digit in digits.bytes() {
        let mut carry = u32::from(digit - b'0');
        for byte in &mut bytes {
            let value = u32::from(*byte) * 10 + carry;
            *byte = (value & 0xFF) as u8;
            carry = value >> 8;
        }
        if carry > 0 {
            bytes.push((carry & 0xFF) as u8);
        }
    }
    if is_negative {
        // A negative number is written as -1 - n (RFC 8949 3.4.3).
        for byte in &mut bytes {
            let (less, borrows) = byte.overflowing_sub(1);
            *byte = less;
            if !borrows {
                break;
            }
        }
    }
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes.reverse();
    Value::Tag(if is_negative { LARGE_NEGATIVE } else { LARGE }, Box::new(Value::Bytes(bytes)))
}

/// Returns the decimal digits of a whole number of more than 64 bits.
fn decimal(bytes: &[u8], is_negative: bool) -> Option<String> {
    if bytes.len() > MAX_LARGE_BYTES {
        return None;
    }
    // The lowest digit comes first.
    let mut digits = vec![0];
    for byte in bytes {
        times_plus(&mut digits, 256, u32::from(*byte));
    }
    if is_negative {
        times_plus(&mut digits, 1, 1);
    }
    let sign = if is_negative { "-" } else { "" };
    Some(sign.chars().chain(digits.iter().rev().map(|digit| char::from(b'0' + digit))).collect())
}

fn times_plus(digits: &mut Vec<u8>, factor: u32, mut carry: u32) {
    for digit in digits.iter_mut() {
        let value = u32::from(*digit) * factor + carry;
        *digit = (value % 10) as u8;
        carry = value / 10;
    }
    while carry > 0 {
        digits.push((carry % 10) as u8);
        carry /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_what_they_are() {
        for (json, again) in [
            ("0", "0"),
            ("-0", "-0.0"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "18446744073709551616"),
            ("-18446744073709551616", "-18446744073709551616"),
            ("-18446744073709551617", "-18446744073709551617"),
            ("-9223372036854775809", "-9223372036854775809"),
            ("100000000000000000000000000000000000000000", "100000000000000000000000000000000000000000"),
            ("1.10", "1.1"),
            ("1E+2", "100.0"),
            ("1e-400", "0.0"),
        ] {
            let mut written = String::new();
            write_json(&value_of(json).unwrap(), &mut written).unwrap();
            assert_eq!(written, again, "{json}");
        }
        let large = format!("-1{}", "0".repeat(308));
        let Some(Value::Tag(LARGE_NEGATIVE, _)) = value_of(&large) else { panic!("{large}") };
    }

    #[test]
    fn of_members_with_one_name_the_last_counts() {
        let mut written = String::new();
        write_json(&value_of(r#" { "a" : 1 , "b":[ ],"a":{"a":null}} "#).unwrap(), &mut written).unwrap();
        assert_eq!(written, r#"{"a":{"a":null},"b":[]}"#);
    }
}
