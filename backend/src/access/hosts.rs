//! The host names that the server answers to.
//!
//! A page of a foreign site can make its own name point to this machine after the page was loaded (DNS rebinding): to
//! the browser, the server then belongs to the page's own origin. Only `Host` gives the page away, which still has the
//! page's name. On a server that asks nobody for a token and serves this machine only, `Host` is the only protection.

use std::net::IpAddr;

use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{header, uri::Authority},
    middleware::Next,
    web,
};
use fourways_shared::Code;

use crate::problem::Failure;

/// The host names that the server answers to; `None` if it answers to any. Shared by all workers, and never changed.
#[derive(Clone, Debug)]
pub struct Hosts(Option<Vec<Box<str>>>);

impl Hosts {
    /// Accepts any host name.
    pub const fn any() -> Self {
        Self(None)
    }

    /// Accepts `localhost`, names below it, IP addresses, and these names, in upper or lower case.
    pub fn local_and(names: &[String]) -> Self {
        Self(Some(names.iter().map(|name| name.to_ascii_lowercase().into()).collect()))
    }

    /// True if the server answers to this `Host`. IP addresses are safe, because nobody can make them point elsewhere.
    fn accepts(&self, host: &str) -> bool {
        let Some(names) = &self.0 else { return true };
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        // RFC 6761 6.3: names below localhost mean this machine too.
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<IpAddr>().is_ok()
            || names.iter().any(|known| **known == *name)
    }
}

/// Refuses requests for other host names before a handler runs.
///
/// # Errors
/// 421 (RFC 9110 15.5.20) for another host name; otherwise the error of the inner service.
pub async fn guard(
    hosts: web::Data<Hosts>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    // HTTP/2 sends the host name in the request's address (RFC 9113 8.3.1).
    let authority = request.uri().authority().map(Authority::as_str);
    let field = request.headers().get(header::HOST).map(|value| value.to_str().unwrap_or("?"));
    if let Some(host) = authority.into_iter().chain(field).find(|host| !hosts.accepts(host)) {
        let detail = format!(
            "this server does not answer to the name {host:?}; its operator can add the name with --host"
        );
        return Err(Failure::new(Code::Misdirected, detail).field("Host").into());
    }
    next.call(request).await.map(ServiceResponse::map_into_left_body::<actix_web::body::BoxBody>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_names_and_the_given_ones_are_taken() {
        let hosts = Hosts::local_and(&["Push.Test".to_owned()]);
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "app.localhost:1",
            "127.0.0.1:80",
            "127.9.8.7",
            "[::1]:8080",
            "[::1]",
            "push.test",
            "push.test.:8080",
        ] {
            assert!(hosts.accepts(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "?",
            "[evil]",
        ] {
            assert!(!hosts.accepts(host), "{host}");
        }
        assert!(Hosts::any().accepts("anything"));
    }
}
