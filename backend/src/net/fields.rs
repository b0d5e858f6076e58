//! Header fields that several routes read (RFC 9110).

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderName},
};

/// The entity tags that a client already has, from `If-None-Match` (RFC 9110 13.1.2), where weak and strong tags are
/// alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known<'r> {
    /// Any tag, written `*`.
    Any,
    /// The tags, without their quotes.
    Tags(Vec<&'r str>),
}

impl<'r> Known<'r> {
    /// Reads the field from a request; an absent or malformed field has no tags.
    pub(crate) fn of(request: &'r HttpRequest) -> Self {
        let values = request.headers().get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
        let tags = values.flat_map(|value| value.split(',')).map(str::trim);
        let tags: Vec<&str> = tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag)).collect();
        if tags == ["*"] {
            return Self::Any;
        }
        Self::Tags(tags.into_iter().map(|tag| tag.trim_matches('"')).collect())
    }

    /// Returns true if the client has the representation with this tag.
    pub(crate) fn has(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.contains(&tag),
        }
    }
}

/// Returns true if a field such as `Accept` lists one of these names with a weight above 0 (RFC 9110 12.4.2). `None` if
/// the field is absent.
pub(crate) fn accepts(request: &HttpRequest, field: HeaderName, names: &[&str]) -> Option<bool> {
    let mut values = request.headers().get_all(field).filter_map(|value| value.to_str().ok()).peekable();
    values.peek()?;
    Some(values.flat_map(|value| value.split(',')).any(|choice| {
        let mut parts = choice.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_refused = parts.any(|part| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.trim().parse() == Ok(0.0_f32))
        });
        !is_refused && names.iter().any(|known| name.eq_ignore_ascii_case(known))
    }))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn tags_are_read_weak_strong_and_as_a_star() {
        let known = |value: &str| {
            let request =
                TestRequest::default().insert_header((header::IF_NONE_MATCH, value)).to_http_request();
            Known::of(&request).has("a")
        };
        for (value, has) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", W/\"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("\"*\", \"b\"", false),
            ("", false),
        ] {
            assert_eq!(known(value), has, "{value}");
        }
        assert!(!Known::of(&TestRequest::default().to_http_request()).has("a"));
    }

    #[test]
    fn what_is_refused_is_not_accepted() {
        let accepts = |value: &str| {
            let request =
                TestRequest::default().insert_header((header::ACCEPT_ENCODING, value)).to_http_request();
            accepts(&request, header::ACCEPT_ENCODING, &["br"])
        };
        for (value, is_accepted) in [
            ("br", true),
            ("gzip, BR;q=0.1", true),
            ("br;q=0", false),
            ("br; q=0.000, gzip", false),
            ("gzip", false),
            ("brr", false),
        ] {
            assert_eq!(accepts(value), Some(is_accepted), "{value}");
        }
        assert_eq!(super::accepts(&TestRequest::default().to_http_request(), header::ACCEPT, &["br"]), None);
    }
}
