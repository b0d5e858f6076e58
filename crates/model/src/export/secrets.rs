//! Secrets that must not leave the page: its id, with which a stranger could break its streams (`LabId`), and cookies
//! and credentials; other servers of the same host may have set the cookies.
//!
//! Each character of a secret is replaced by `*`, so that every length stays true; the server does not accept such an
//! id.

use fourways_shared::lab::Unit;

use crate::wire::Entry;

const ID: &[u8] = b"lab=";
const ID_LENGTH: usize = 16;
const FIELDS: [&str; 4] = ["cookie", "set-cookie", "authorization", "proxy-authorization"];

/// Returns the text without the page's id.
pub(crate) fn without_lab(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    hide_lab(&mut bytes);
    // Each character of an id is one byte, and so is its `*`: the text is UTF-8 as before.
    String::from_utf8(bytes).unwrap_or_default()
}

/// Returns a copy of the entry without secrets.
pub(super) fn shareable(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    hide_lab(&mut entry.raw);
    if matches!(entry.unit, Unit::Request | Unit::Response) {
        hide_fields(&mut entry.raw);
    }
    if let Some(decoded) = entry.decoded.take() {
        let mut told = without_lab(&decoded).into_bytes();
        hide_fields(&mut told);
        entry.decoded = String::from_utf8(told).ok();
        // The id can't be found in compressed bytes, so none of these bytes leave the page.
        entry.raw.fill(b'*');
    }
    entry.failure = entry.failure.as_deref().map(without_lab);
    entry
}

/// True if the value of a field with this name is hidden.
pub(super) fn is_secret(name: &str) -> bool {
    FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field))
}

/// Hides page ids, also one that is cut off at the end of the bytes.
pub(super) fn hide_lab(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(ID.len()).position(|window| window == ID) {
        at += found + ID.len();
        let letters = bytes[at..].iter().take(ID_LENGTH);
        let letters = letters.take_while(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()).count();
        if letters == ID_LENGTH || at + letters == bytes.len() {
            bytes[at..at + letters].fill(b'*');
        }
    }
}

fn hide_fields(bytes: &mut [u8]) {
    for line in bytes.split_mut(|byte| *byte == b'\n') {
        if matches!(line, [] | [b'\r']) {
            return;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at_mut(colon);
        if str::from_utf8(name).is_ok_and(is_secret) {
            for byte in value.iter_mut().skip(1).filter(|byte| !matches!(**byte, b' ' | b'\r')) {
                *byte = b'*';
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fourways_shared::{Technique, lab::Part};

    use super::*;
    use crate::export::example::entry;

    #[test]
    fn no_id_is_left_and_nothing_else_is_touched() {
        for (text, expected) in [
            ("/v1/ws?lab=abcdefghijkmnpqr.3&topic=a", "/v1/ws?lab=****************.3&topic=a"),
            ("?a=1&lab=2345678923456789.12 HTTP/1.1", "?a=1&lab=****************.12 HTTP/1.1"),
            ("lab=abcdefghijkmnpqr lab=abcdefghijkmnpqr", "lab=**************** lab=****************"),
            ("?lab=abcdefg", "?lab=*******"),
            ("?lab=short.1&topic=lab", "?lab=short.1&topic=lab"),
            ("lab=lab=abcdefghijkmnpqr", "lab=lab=****************"),
            ("ä lab=", "ä lab="),
            ("", ""),
        ] {
            assert_eq!(without_lab(text), expected);
        }
    }

    #[test]
    fn cookies_stay_with_their_length() {
        let head =
            "GET /v1/ws?lab=abcdefghijkmnpqr.1 HTTP/1.1\r\nCookie: a=b; cé\r\nX: cookie: y\r\n\r\nCookie: z";
        let parts = [(Part::StartLine, head.as_bytes())];
        let told = entry(Technique::Websocket, 1, Unit::Request, 0, true, 0, &parts);
        let shared = shareable(&told);
        assert_eq!(
            String::from_utf8(shared.raw.clone()).unwrap(),
            "GET /v1/ws?lab=****************.1 HTTP/1.1\r\nCookie: **** ***\r\nX: cookie: y\r\n\r\nCookie: z",
        );
        assert_eq!((shared.raw.len(), shared.total()), (told.raw.len(), told.total()));
        let failed = Entry { failure: Some("no answer from /?lab=abcdefghijkmnpqr.1".to_owned()), ..told };
        assert_eq!(shareable(&failed).failure.unwrap(), "no answer from /?lab=****************.1");
    }
}
