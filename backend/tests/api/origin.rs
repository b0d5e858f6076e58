//! Which pages may use the server, and what its own page may do.

use crate::server::Server;

#[test]
fn only_allowed_pages_may_use_the_server() {
    let server = Server::with(&["--origin", "https://app.example"]);
    let upgrade = "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let ask = |line: &str, headers: &str| server.request(&format!("{line} HTTP/1.1{headers}"), b"");
    for (line, headers, fine) in [
        ("GET /v1/ws", upgrade, 101),
        ("GET /v1/stream?topic=a", "", 200),
        ("GET /v1/events?topic=a", "", 200),
        ("POST /v1/topics/a/events", "\r\nContent-Length: 1", 201),
    ] {
        let with = |origin: &str| {
            let mut wire = server.connect();
            wire.send(
                format!("{line} HTTP/1.1\r\nHost: fourways.test{headers}\r\nOrigin: {origin}\r\n\r\n1")
                    .as_bytes(),
            );
            wire.answer()
        };
        for foreign in
            ["https://evil.example", "null", "https://app.example.evil.example", "http://app.example"]
        {
            let answer = with(foreign);
            assert_eq!(answer.status, 403, "{line} {foreign}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
        assert_eq!(with("http://fourways.test").status, fine, "{line}: its own");
        let allowed = with("https://app.example");
        assert_eq!(allowed.status, fine, "{line}: allowed");
        assert_eq!(
            allowed.header("access-control-allow-origin").as_deref(),
            Some("https://app.example"),
            "{line}"
        );
        assert!(allowed.header("vary").unwrap().to_lowercase().contains("origin"));
    }
    let preflight = ask(
        "OPTIONS /v1/topics/a/events",
        "\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,content-type,idempotency-key",
    );
    assert_eq!(preflight.status, 204, "{preflight:?}");
    assert!(
        preflight.header("access-control-allow-headers").unwrap().to_lowercase().contains("idempotency-key")
    );
}

#[test]
fn the_apps_page_may_do_nothing_but_its_own() {
    let server = Server::start();
    let page = server.get("/");
    if let Some(policy) = page.header("content-security-policy") {
        for part in
            ["default-src 'none'", "script-src 'self' 'wasm-unsafe-eval' 'sha256-", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(part), "{part} in {policy}");
        }
        assert!(!policy.contains("unsafe-inline' 'self") && !policy.contains("'unsafe-eval'"), "{policy}");
        assert_eq!(page.header("x-content-type-options").as_deref(), Some("nosniff"));
    } else {
        assert!(String::from_utf8_lossy(&page.body).contains("not built in"), "{page:?}");
    }
}
