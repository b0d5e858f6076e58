//! The client that limits count a request for: the subject of its token, or its address.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use actix_web::HttpRequest;

use super::Grant;

/// The client that limits count a request for. A token's subject takes precedence over the address, which many clients
/// may share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// The subject of a token.
    Subject(Box<str>),
    /// An IPv4 address, or the /64 network of an IPv6 address (RFC 6177: one site gets at least that).
    Address(IpAddr),
    /// A program on a Unix socket, or a test whose request has no address. Its held requests have no limit of their
    /// own.
    Local,
}

impl Client {
    /// Returns the client of a request. Of `X-Forwarded-For`, only the last `hops` entries are trusted, which the
    /// operator's proxies wrote; anybody may have written the entries before.
    pub fn of(request: &HttpRequest, grant: &Grant, hops: usize) -> Self {
        if let Some(subject) = &grant.subject {
            return Self::Subject(subject.clone());
        }
        let forwarded = forwarded(request, hops);
        let address = forwarded.or_else(|| request.peer_addr().map(|peer| peer.ip()));
        address.map_or(Self::Local, |address| Self::Address(network(address)))
    }
}

/// Returns the address that stands for a whole client: the /64 network of an IPv6 address, an IPv4 address itself, also
/// if it is written as IPv6.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

fn forwarded(request: &HttpRequest, hops: usize) -> Option<IpAddr> {
    let values = request.headers().get_all("X-Forwarded-For").filter_map(|value| value.to_str().ok());
    let entries: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let entry = entries.get(entries.len().checked_sub(hops)?)?;
    (hops > 0).then(|| address(entry)).flatten()
}

/// Parses an address as proxies write it: alone, in brackets, or with a port.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn client(forwarded: &str, hops: usize) -> Client {
        let request = TestRequest::default()
            .peer_addr("127.0.0.1:9".parse().unwrap())
            .insert_header(("X-Forwarded-For", forwarded))
            .to_http_request();
        Client::of(&request, &Grant::everything(), hops)
    }

    fn address(text: &str) -> Client {
        Client::Address(text.parse().unwrap())
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        assert_eq!(client("192.0.2.9", 0), address("127.0.0.1"));
        assert_eq!(client("6.6.6.6, 192.0.2.9", 1), address("192.0.2.9"));
        assert_eq!(client("6.6.6.6, 192.0.2.9, 10.0.0.1", 2), address("192.0.2.9"));
        assert_eq!(client("192.0.2.9", 2), address("127.0.0.1"), "fewer entries than proxies");
        assert_eq!(client("not an address", 1), address("127.0.0.1"));
    }

    #[test]
    fn an_address_is_read_as_proxies_write_it() {
        for (text, is) in [
            ("203.0.113.1:4711", "203.0.113.1"),
            ("[2001:db8:0:7::1]", "2001:db8:0:7::"),
            ("[2001:db8:0:7::1]:4711", "2001:db8:0:7::"),
            ("2001:db8:0:7::1", "2001:db8:0:7::"),
            ("::ffff:203.0.113.1", "203.0.113.1"),
        ] {
            assert_eq!(client(text, 1), address(is), "{text}");
        }
        assert_eq!(
            client("2001:db8:0:7::1", 1),
            client("2001:db8:0:7:ffff::9", 1),
            "one subscriber's network"
        );
        assert_ne!(client("2001:db8:0:7::1", 1), client("2001:db8:0:8::1", 1));
    }
}
