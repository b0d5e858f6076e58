//! The check that a page may use this server: its own pages may, and those of the origins that are allowed.
//!
//! A browser sends `Origin` with every WebSocket, every cross-origin read and every POST. The browser sends cookies
//! too, so without this check a foreign page would act with its visitor's rights (cross-site WebSocket hijacking,
//! CWE-1385). Programs send no `Origin`, and pass.

use std::{str::FromStr, sync::Arc};

use actix_web::{
    Error, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderValue},
    },
    middleware::Next,
    web,
};
use fourways_shared::Code;

use crate::problem::Failure;

/// An origin as RFC 6454 6.2 writes it, `https://app.example`, or `*` for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Box<str>);

/// The allowed origins: the server's own, and those of `--origin`. Shared by all workers, and never changed.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    allowed: Arc<[Origin]>,
    /// True if the server itself speaks HTTPS.
    is_tls: bool,
}

impl Origins {
    /// Creates the set of these origins and the server's own, which must be `https` if the server itself speaks HTTPS.
    pub fn new(allowed: Vec<Origin>, is_tls: bool) -> Self {
        Self { allowed: allowed.into(), is_tls }
    }

    /// True if a page of this origin may use the server, when the request names the server `host`.
    fn allows(&self, origin: &str, host: Option<&str>) -> bool {
        // A page that was loaded over plain HTTP may have been changed on its way, so a server that speaks HTTPS does
        // not count the page as its own.
        let schemes: &[&str] = if self.is_tls { &["https"] } else { &["http", "https"] };
        let is_own = || {
            let (scheme, own) = origin.split_once("://").unwrap_or_default();
            schemes.contains(&scheme) && host == Some(own)
        };
        self.allowed.iter().any(|allowed| *allowed.0 == *"*" || *allowed.0 == *origin) || is_own()
    }

    fn is_any(&self) -> bool {
        self.allowed.iter().any(|allowed| *allowed.0 == *"*")
    }
}

/// Refuses requests of foreign pages before a handler runs, and tells browsers that pages of allowed origins may read
/// the answer (Fetch Standard 3.2). A request without `Origin` costs one look-up.
///
/// # Errors
/// 403 for a foreign origin; otherwise the error of the inner service.
pub async fn guard(
    origins: web::Data<Origins>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    let text = |name| request.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let fetch = |name| text(header::HeaderName::from_static(name));
    let Some(origin) = text(header::ORIGIN) else {
        // An image or script of a foreign page: the page can't read the answer, so no answer is made for it. A visitor
        // who follows a link is served (Fetch Metadata; old browsers and programs do not send it).
        let is_foreign = matches!(fetch("sec-fetch-site"), Some("cross-site" | "same-site"));
        if is_foreign && fetch("sec-fetch-mode") != Some("navigate") {
            let detail = "pages of other origins must use CORS, which sends Origin";
            return Err(Failure::new(Code::ForeignOrigin, detail).field("Sec-Fetch-Site").into());
        }
        let mut response = next.call(request).await?.map_into_left_body();
        let caching = response.headers().get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
        if caching.is_some_and(|caching| caching.contains("max-age")) {
            // A cache must not give this answer, which has no CORS headers, to a page of another origin.
            response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
        }
        return Ok(response);
    };
    // Behind a proxy that rewrites Host, only the browser knows the page's origin to be the same. No page can set a
    // header of this name (Fetch Metadata).
    let is_same_origin = fetch("sec-fetch-site") == Some("same-origin");
    if !is_same_origin && !origins.allows(origin, text(header::HOST)) {
        let detail = "pages of this origin may not use this server; the operator allows them with --origin";
        return Err(Failure::new(Code::ForeignOrigin, detail).field("Origin").into());
    }
    let Ok(origin) = HeaderValue::from_str(origin) else {
        return Err(Failure::new(Code::ForeignOrigin, "Origin can't be read").field("Origin").into());
    };
    let is_preflight = *request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight {
        let mut answer = HttpResponse::NoContent();
        answer
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE, QUERY"))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS))
            .insert_header((header::ACCESS_CONTROL_MAX_AGE, "3600"));
        // Private Network Access 3.1: a page from the internet asks to use a server in a private network.
        if request.headers().contains_key("access-control-request-private-network") {
            answer.insert_header(("access-control-allow-private-network", "true"));
        }
        request.into_response(answer.finish()).map_into_right_body()
    } else {
        next.call(request).await?.map_into_left_body()
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    // With `*`, any page may read an answer, but not one that was made with the visitor's cookies.
    if !origins.is_any() {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Response headers that pages of other origins may read, besides the safelisted ones (Fetch Standard 3.2).
const EXPOSED: &str = "ETag, Retry-After, Fourways-Lag, Fourways-Behind, Fourways-Node, Preference-Applied";

/// Request headers that pages of other origins may send, besides the safelisted ones (Fetch Standard 3.2).
const REQUEST_HEADERS: &str =
    "Authorization, Cache-Control, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer";

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_origin = text.split_once("://").is_some_and(|(scheme, host)| {
            matches!(scheme, "http" | "https")
                && !host.is_empty()
                && !host.contains(['/', '?', '#', '*', ' '])
        });
        if text == "*" || is_origin {
            return Ok(Self(text.into()));
        }
        Err(format!(
            "{text:?} is not an origin; allowed are https://app.example, without a path, and * for any"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_and_the_allowed_pages_pass() {
        let origins = Origins::new(vec!["https://app.example".parse().unwrap()], false);
        let host = Some("push.example:8080");
        for (origin, passes) in [
            ("https://app.example", true),
            ("http://push.example:8080", true),
            ("https://push.example:8080", true),
            ("https://push.example", false),
            ("https://app.example.evil", false),
            ("http://app.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(origins.allows(origin, host), passes, "{origin}");
        }
        assert!(!origins.allows("http://", None));
        assert!(!origins.allows("ftp://push.example:8080", host));
        let secure = Origins::new(Vec::new(), true);
        assert!(secure.allows("https://push.example", Some("push.example")));
        assert!(!secure.allows("http://push.example", Some("push.example")));
        assert!(Origins::new(vec!["*".parse().unwrap()], false).allows("null", None));
        for wrong in ["app.example", "https://a/b", "ftp://a", "https://*.a", ""] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }
}
