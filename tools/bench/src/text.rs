//! Searches in the bytes of an answer.

/// Returns the index at which `needle` begins.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Returns the text from the first `begin` to the next `end`, without either.
pub(crate) fn between<'a>(text: &'a [u8], begin: &[u8], end: u8) -> Option<&'a str> {
    let rest = &text[find(text, begin)? + begin.len()..];
    let length = rest.iter().position(|byte| *byte == end)?;
    std::str::from_utf8(&rest[..length]).ok()
}
