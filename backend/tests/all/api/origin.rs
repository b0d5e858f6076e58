//! The pages that may use the server, by their origin.

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
    let private = "access-control-allow-private-network";
    assert_eq!(preflight.header(private), None, "nobody has asked");
    for (origin, allowed) in [("https://app.example", Some("true")), ("https://evil.example", None)] {
        let fields = "Access-Control-Request-Method: GET\r\nAccess-Control-Request-Private-Network: true";
        let answer = ask("OPTIONS /v1/events", &format!("\r\nOrigin: {origin}\r\n{fields}"));
        assert_eq!(answer.header(private).as_deref(), allowed, "{origin}");
    }
}

/// DNS rebinding: a page makes a name of its own resolve to this machine, so that the browser takes the server for the
/// page's.
#[test]
fn a_server_without_a_key_answers_to_this_machines_names_alone() {
    let server = Server::with(&["--host", "push.test"]);
    let ask = |line: &str, host: &str, more: &str| {
        let mut wire = server.connect();
        wire.send(format!("{line} HTTP/1.1\r\nHost: {host}{more}\r\nContent-Length: 1\r\n\r\n1").as_bytes());
        wire.answer()
    };
    let lines = [
        "GET /",
        "GET /client.js",
        "GET /healthz",
        "GET /metrics",
        "GET /openapi.json",
        "GET /v1/events?topic=a",
        "GET /v1/stream?topic=a",
        "GET /v1/connections",
        "POST /v1/topics/a/events",
        "POST /v1/rehearsal",
    ];
    for line in lines {
        for host in ["evil.example", "evil.example:8080", "localhost.evil.example"] {
            let answer = ask(line, host, &format!("\r\nOrigin: http://{host}"));
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (421, Some("misdirected")),
                "{line} {host}"
            );
        }
    }
    for host in ["localhost", "127.0.0.1:8080", "[::1]:1", "app.localhost", "push.test:8080"] {
        assert_eq!(ask("GET /v1/events?topic=a", host, "").status, 200, "{host}");
    }
}

#[test]
fn a_foreign_page_has_nothing_done_that_it_could_not_read() {
    let server = Server::start();
    let ask =
        |path: &str, fields: &str| server.request(&format!("GET {path} HTTP/1.1\r\n{fields}"), b"").status;
    for site in ["cross-site", "same-site"] {
        for path in ["/v1/events?topic=%3E", "/v1/topics", "/v1/stream?topic=a"] {
            let image = format!("Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image");
            assert_eq!(ask(path, &image), 403, "{path} {site}");
        }
        let link = format!("Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: navigate");
        assert_eq!(ask("/v1/topics", &link), 200, "who follows a link");
    }
    for own in ["same-origin", "none"] {
        assert_eq!(
            ask("/v1/topics", &format!("Sec-Fetch-Site: {own}\r\nSec-Fetch-Mode: no-cors")),
            200,
            "{own}"
        );
    }
}

#[test]
fn what_a_cache_may_keep_says_that_it_is_not_for_every_origin() {
    let server = Server::start();
    let (first, last) = (server.publish("a", "1"), server.publish("a", "2"));
    let answer = server.get(&format!("/v1/events?topic=a&after={first}&until={last}"));
    assert!(answer.header("cache-control").unwrap().contains("immutable"), "{answer:?}");
    assert!(answer.header("vary").unwrap_or_default().contains("Origin"), "{answer:?}");
}

/// On a server that requires no token, every client behind a proxy is a stranger.
#[test]
fn strangers_read_and_publish_and_never_operate() {
    let through = |server: &Server, line: &str| {
        server.request(&format!("{line} HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1"), b"1").status
    };
    let server = Server::start();
    for line in
        ["GET /v1/connections", "GET /v1/limits", "GET /metrics", "GET /v1/ledger", "POST /v1/rehearsal"]
    {
        assert_eq!(through(&server, line), 403, "{line}");
    }
    assert_eq!(server.get("/v1/connections").status, 200, "who is on the server's machine may");
    assert_eq!(through(&server, "POST /v1/topics/a/events"), 201);
    assert_eq!(through(&server, "GET /v1/events?topic=a"), 200);
    let open = Server::with(&["--open-operator"]);
    assert_eq!(through(&open, "GET /v1/connections"), 200);
}
