//! Which pages may use the server.

use crate::server::{Server, UPGRADE};

#[test]
fn only_allowed_pages_may_use_the_server() {
    let server = Server::with(&["--origin", "https://app.example"]);
    let upgrade = format!("\r\n{UPGRADE}");
    let upgrade = upgrade.as_str();
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
