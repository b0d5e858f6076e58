//! The head of a request or an answer, taken apart (RFC 9112 2.1).

use fourways_shared::lab::{Class, Part};

/// First line and fields of a head. Lines that are not fields are left out.
#[derive(Debug)]
pub(super) struct Head<'a> {
    start: &'a str,
    pub(super) fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Head<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let (start, rest) = text.split_once('\n').unwrap_or((text, ""));
        let fields = rest.lines().filter_map(|line| line.split_once(':'));
        let fields = fields.filter(|(name, _)| is_token(name)).map(|(name, value)| (name, value.trim()));
        Self { start: start.trim_end(), fields: fields.collect() }
    }

    /// Returns the three words of the first line: method, target, version; or version, status, reason. A missing word
    /// is empty.
    pub(super) fn words(&self) -> [&'a str; 3] {
        let mut words = self.start.splitn(3, ' ');
        [(); 3].map(|()| words.next().unwrap_or_default())
    }

    /// Returns the value of the first field with this name, in upper or lower case.
    pub(super) fn field(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

/// True if the part belongs to a head; to be passed to [`Entry::text`](crate::wire::Entry::text).
pub(super) fn is_head(part: Part) -> bool {
    part.class() == Class::Headers
}

/// True if the name is a token (RFC 9110 5.6.2).
fn is_token(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_a_line_and_fields() {
        let head = Head::parse(
            "HTTP/1.1 304 Not Modified\r\nETag:\"1-2\"\r\nbad line\r\n@x: 1\r\ndate: a:b \r\n\r\n",
        );
        assert_eq!(head.words(), ["HTTP/1.1", "304", "Not Modified"]);
        assert_eq!(head.fields, [("ETag", "\"1-2\""), ("date", "a:b")]);
        assert_eq!((head.field("etag"), head.field("x")), (Some("\"1-2\""), None));
    }

    #[test]
    fn a_head_that_is_cut_is_read_as_far_as_it_goes() {
        for (text, words, fields) in [
            ("", ["", "", ""], 0),
            ("GET /v1/ev", ["GET", "/v1/ev", ""], 0),
            ("GET / HTTP/1.1\r\nHos", ["GET", "/", "HTTP/1.1"], 0),
            ("GET / HTTP/1.1\r\nHost: ", ["GET", "/", "HTTP/1.1"], 1),
        ] {
            let head = Head::parse(text);
            assert_eq!((head.words(), head.fields.len()), (words, fields), "{text:?}");
        }
    }
}
