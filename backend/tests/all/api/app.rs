//! The lab's files, served from a folder: the answers at each page's address, compression, caching, and the policy for
//! what the page may do.

use std::fs;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};

use crate::server::Server;

const INLINE: &str = "document.title = 'here';";

/// Starts a server with a small app, and returns it with the folder of the app.
fn start() -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let page =
        format!("<!doctype html><script>{INLINE}</script><script src=\"app-1.js\"></script><p>the lab");
    for (name, text) in [
        ("index.html", page.as_str()),
        ("app-1.js", "plain"),
        ("app-1.js.br", "packed by brotli"),
        ("app-1.js.gz", "packed by gzip"),
        ("client.js", "export {}"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let server = Server::with(&["--app", folder.path().to_str().unwrap()]);
    (server, folder)
}

#[test]
fn the_app_answers_every_page_and_no_file_that_is_not_there() {
    let (server, _folder) = start();
    for page in ["/", "/sse", "/compare", "/use-cases/chat"] {
        let answer = server.get(page);
        assert_eq!((answer.status, answer.header("cache-control").as_deref()), (200, Some("no-cache")));
        assert_eq!(answer.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
        assert!(answer.body.ends_with(b"<p>the lab"), "{answer:?}");
    }
    for missing in ["/app-2.js", "/v1/nothing", "/../Cargo.toml", "/%2e%2e/app-1.js", "/./app-1.js/../x.js"] {
        let answer = server.get(missing);
        assert!(answer.status == 404 || answer.status == 400, "{missing}: {answer:?}");
        assert!(answer.header("content-type").unwrap().starts_with("application/problem+json"), "{answer:?}");
    }
}

#[test]
fn a_file_comes_packed_as_the_client_takes_it_and_may_be_kept() {
    let (server, folder) = start();
    for (accepted, coding, body) in [
        ("gzip, br", Some("br"), "packed by brotli"),
        ("gzip;q=1", Some("gzip"), "packed by gzip"),
        ("br;q=0, gzip", Some("gzip"), "packed by gzip"),
        ("br;q=0, gzip;q=0.0", None, "plain"),
        ("zstd", None, "plain"),
    ] {
        let answer = server.request(&format!("GET /app-1.js HTTP/1.1\r\nAccept-Encoding: {accepted}"), b"");
        assert_eq!((answer.header("content-encoding").as_deref(), answer.body), (coding, body.into()));
    }
    let kept = server.get("/app-1.js");
    assert_eq!(kept.header("cache-control").as_deref(), Some("public, max-age=31536000, immutable"));
    // Other pages import the client by a name without a hash, so a cache must revalidate it.
    let client = server.get("/client.js");
    assert_eq!(client.header("cache-control").as_deref(), Some("no-cache"));
    assert_eq!(client.header("access-control-allow-origin").as_deref(), Some("*"));
    let tag = client.header("etag").unwrap();
    let ask = format!("GET /client.js HTTP/1.1\r\nIf-None-Match: \"x\", {tag}");
    let mut wire = server.connect();
    // Several requests on one connection: the next answer follows a 304 directly, as it has no body (RFC 9110 15.4.5).
    for known in [format!("\"x\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
        let ask = format!("GET /client.js HTTP/1.1\r\nIf-None-Match: {known}\r\nHost: localhost\r\n\r\n");
        wire.send(ask.as_bytes());
        let answer = wire.until(b"\r\n\r\n");
        assert!(answer.starts_with(b"HTTP/1.1 304"), "{known}: {}", String::from_utf8_lossy(&answer));
    }
    let refused = server.request("POST /client.js HTTP/1.1", b"");
    assert_eq!((refused.status, refused.header("allow").as_deref()), (405, Some("GET, HEAD")));
    // A new build is served without a restart.
    fs::write(folder.path().join("client.js"), "export const two = 2").unwrap();
    assert_eq!(server.request(&ask, b"").body, b"export const two = 2");
}

#[test]
fn the_apps_page_may_do_nothing_but_its_own() {
    let (server, _folder) = start();
    let page = server.get("/");
    let policy = page.header("content-security-policy").unwrap();
    let hash = BASE64_STANDARD.encode(Sha256::digest(INLINE));
    let scripts = format!("script-src 'self' 'wasm-unsafe-eval' 'sha256-{hash}';");
    for part in ["default-src 'none'", &scripts, "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert!(!policy.contains("unsafe-inline' 'self") && !policy.contains("'unsafe-eval'"), "{policy}");
    assert_eq!(page.header("x-content-type-options").as_deref(), Some("nosniff"));
    assert_eq!(page.header("x-frame-options").as_deref(), Some("DENY"));
}

#[test]
fn a_server_without_the_app_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(&["--app", folder.path().to_str().unwrap()]);
    let page = server.get("/sse");
    assert_eq!((page.status, page.header("cache-control").as_deref()), (200, Some("no-store")));
    assert!(String::from_utf8_lossy(&page.body).contains("cargo xtask start"), "{page:?}");
}
