//! The request of a check, as bytes of HTTP/1.1 (RFC 9112) for the wire, and as a head without secrets for the report.

use reqwest::{Method, Url, header::HeaderMap};

/// One HTTP request of a check.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: Method,
    url: Url,
    fields: Vec<(&'static str, String)>,
    /// Header fields from the command line, which may be secret.
    shown: HeaderMap,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn get(url: &Url) -> Self {
        let fields = vec![("User-Agent", concat!("fourways-check/", env!("CARGO_PKG_VERSION")).to_owned())];
        Self { method: Method::GET, url: url.clone(), fields, shown: HeaderMap::new(), body: Vec::new() }
    }

    /// Creates a POST of JSON.
    pub(crate) fn post(url: &Url, body: Vec<u8>) -> Self {
        let length = body.len().to_string();
        let request = Self { method: Method::POST, body, ..Self::get(url) };
        request.field("Content-Type", "application/json").field("Content-Length", length)
    }

    pub(crate) fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Returns the host and the port to connect to, an IPv6 address without its brackets.
    pub(crate) fn address(&self) -> (&str, u16) {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        (host, self.url.port_or_known_default().unwrap_or(80))
    }

    /// Adds the header fields from the command line.
    pub(crate) fn showing(self, shown: &HeaderMap) -> Self {
        Self { shown: shown.clone(), ..self }
    }

    /// Returns the request line and the fields, with LF line ends, for people. The values of the fields from the
    /// command line are left out: a report is passed on, and they may be secret.
    pub(crate) fn head(&self) -> String {
        let secret = self.shown.keys().map(|name| format!("{name}: …\n"));
        self.own_head() + &secret.collect::<String>()
    }

    fn own_head(&self) -> String {
        let query = self.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = self.url.host_str().unwrap_or_default();
        let mut head = format!("{} {}{query} HTTP/1.1\nHost: {host}{port}\n", self.method, self.url.path());
        for (name, value) in &self.fields {
            for part in [*name, ": ", value, "\n"] {
                head.push_str(part);
            }
        }
        head
    }

    /// Returns the whole request as bytes for the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.own_head().replace('\n', "\r\n").into_bytes();
        for (name, value) in &self.shown {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_to_the_byte() {
        let url = Url::parse("http://[::1]:8080/a/b?c=d#e").unwrap();
        let request = Request::post(&url, b"{}".to_vec());
        let text = String::from_utf8(request.bytes()).unwrap();
        assert!(text.starts_with("POST /a/b?c=d HTTP/1.1\r\nHost: [::1]:8080\r\nUser-Agent: "), "{text}");
        let rest = "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        assert!(text.ends_with(rest), "{text}");
        assert_eq!(request.address(), ("::1", 8080));
    }
}
