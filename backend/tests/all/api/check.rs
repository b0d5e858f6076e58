//! `fourways check` through real proxies: each setting that breaks a technique is found and named.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Command,
    time::Duration,
};

use fourways_testkit::Proxy;
use serde_json::Value;

use crate::{FOURWAYS, server::Server};

fn nginx(server: &Server, location: &str, http: &str) -> Proxy {
    Proxy::nginx(&server.address.to_string(), location, http).unwrap()
}

/// The report of a check, and whether its exit code was a success.
#[derive(Debug)]
struct Outcome {
    is_success: bool,
    json: Value,
}

impl Outcome {
    /// Checks one technique, or all of them.
    fn of(url: &str, by: Option<&str>) -> Self {
        let mut command = Command::new(FOURWAYS);
        command.args(["check", url, "--json", "--seconds", "6"]);
        if let Some(by) = by {
            command.args(["--by", by]);
        }
        let output = command.output().unwrap();
        let json = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        Self { is_success: output.status.success(), json }
    }

    fn finding(&self, check: &str) -> &Value {
        let mut findings = self.json["findings"].as_array().unwrap().iter();
        findings
            .find(|finding| finding["check"] == check)
            .unwrap_or_else(|| panic!("no {check} in {:#}", self.json))
    }

    /// Asserts that the finding has this verdict, and that a failure has evidence and a fix.
    #[track_caller]
    fn says(&self, check: &str, verdict: &str) -> &Self {
        let finding = self.finding(check);
        assert_eq!(finding["verdict"], verdict, "{finding:#}");
        if verdict == "fail" {
            assert!(finding["raw"].as_str().is_some_and(|raw| raw.contains("> GET /v1/")), "{finding:#}");
            assert!(finding["fix"].is_string() && !self.is_success, "{finding:#}");
        }
        self
    }

    #[track_caller]
    fn fix_holds(&self, check: &str, setting: &str) -> &Self {
        let fix = self.finding(check)["fix"].as_str().unwrap_or_default();
        assert!(fix.contains(setting), "no {setting} in {fix}");
        self
    }

    fn failed(&self) -> Vec<&str> {
        let findings = self.json["findings"].as_array().unwrap().iter();
        let failed = findings.filter(|finding| finding["verdict"] == "fail");
        failed.filter_map(|finding| finding["check"].as_str()).collect()
    }
}

const UPGRADE: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
                       proxy_set_header Connection \"upgrade\";";
const IGNORE_ACCEL: &str = "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;";

#[test]
fn without_a_proxy_and_through_a_good_one_nothing_fails() {
    let server = Server::with(&["--heartbeat", "2"]);
    let direct = Outcome::of(&server.url(), None);
    assert!(direct.is_success && direct.failed().is_empty(), "{:#}", direct.json);
    for check in [
        "sse.buffering",
        "sse.gzip",
        "sse.heartbeats",
        "sse.idle",
        "sse.content_type",
        "sse.cache_control",
        "sse.content_length",
        "sse.x_accel_buffering",
        "sse.resume",
        "websocket.upgrade",
        "websocket.accept",
        "websocket.subprotocol",
        "websocket.extensions",
        "websocket.early_cut",
        "websocket.ping",
        "websocket.delivery",
        "websocket.resume",
        "websocket.heartbeats",
        "websocket.idle",
        "poll.status",
        "poll.cache_control",
        "poll.cached",
        "poll.revalidation",
        "long_poll.hold",
        "long_poll.wake",
    ] {
        direct.says(check, "pass");
    }
    let proxy = nginx(&server, UPGRADE, "");
    let through = Outcome::of(&proxy.url, None);
    assert!(through.is_success && through.failed().is_empty(), "{:#}", through.json);
}

#[test]
fn buffering_is_found() {
    let server = Server::start();
    // nginx speaks HTTP/1.0 to the server, its default before 1.29.7. With 1.1 and no TLS in front, it passes each
    // chunk on even with buffering on.
    let proxy = nginx(&server, &format!("proxy_http_version 1.0; {IGNORE_ACCEL}"), "");
    let outcome = Outcome::of(&proxy.url, Some("sse"));
    outcome.says("sse.buffering", "fail").fix_holds("sse.buffering", "proxy_buffering off;");
    // The fault is not in the compression.
    outcome.says("sse.gzip", "not_testable");
}

#[test]
fn a_short_read_timeout_is_found() {
    // The first heartbeat comes after nginx has cut the connection.
    let server = Server::with(&["--heartbeat", "15"]);
    let proxy = nginx(&server, &format!("{UPGRADE} proxy_read_timeout 2s;"), "");
    let outcome = Outcome::of(&proxy.url, None);
    for check in ["sse.idle", "websocket.idle", "long_poll.hold"] {
        outcome.says(check, "fail").fix_holds(check, "proxy_read_timeout");
    }
    // The same path is fine for connections that are in use.
    outcome.says("sse.buffering", "pass").says("websocket.early_cut", "pass");
    assert_eq!(outcome.failed(), ["sse.idle", "websocket.idle", "long_poll.hold"]);
}

#[test]
fn upgrade_headers_that_are_dropped_are_found() {
    let server = Server::start();
    let proxy = nginx(&server, "proxy_http_version 1.1;", "");
    let outcome = Outcome::of(&proxy.url, Some("websocket"));
    outcome.says("websocket.upgrade", "fail");
    for setting in [
        "proxy_http_version 1.1;",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_set_header Connection \"upgrade\";",
    ] {
        outcome.fix_holds("websocket.upgrade", setting);
    }
}

#[test]
fn gzip_that_holds_back_is_told_from_gzip_that_flushes() {
    let server = Server::start();
    let gzip = "gzip on; gzip_types text/event-stream;";
    let proxy = nginx(&server, &format!("proxy_http_version 1.1; {IGNORE_ACCEL}"), gzip);
    let holding = Outcome::of(&proxy.url, Some("sse"));
    holding.says("sse.buffering", "pass").says("sse.gzip", "fail").fix_holds("sse.gzip", "gzip off;");

    // Told by X-Accel-Buffering not to buffer, nginx flushes its gzip after each event.
    let proxy = nginx(&server, "proxy_http_version 1.1;", gzip);
    let flushing = Outcome::of(&proxy.url, Some("sse"));
    flushing.says("sse.gzip", "lenient");
    assert!(flushing.is_success, "{:#}", flushing.json);
}

#[test]
fn a_cache_that_leaves_no_sign_is_found_by_the_missing_event() {
    let server = Server::start();
    let location = "proxy_cache polls; proxy_cache_valid 200 1m; proxy_ignore_headers Cache-Control;";
    let proxy = nginx(&server, location, "proxy_cache_path cache keys_zone=polls:1m;");
    let outcome = Outcome::of(&proxy.url, Some("poll"));
    outcome.says("poll.cached", "fail").fix_holds("poll.cached", "proxy_cache off;");
}

#[test]
fn a_cut_just_after_the_101_is_found() {
    let server = Server::start();
    let url = cut_after_101(server.address, Duration::from_millis(300));
    let outcome = Outcome::of(&url, Some("websocket"));
    outcome.says("websocket.upgrade", "pass").says("websocket.early_cut", "fail");
    // A connection that is cut so soon says nothing about idle timeouts.
    outcome.says("websocket.idle", "not_testable");
}

/// Starts a proxy that passes all bytes on and cuts a connection some time after its upgrade, like a filter that lets
/// only the handshake through. The proxy ends with the process.
fn cut_after_101(server: SocketAddr, after: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(upstream) = TcpStream::connect(server) else { return };
            let (up, down) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || pass(client, up, |_| {}));
            std::thread::spawn(move || {
                let cut = down.try_clone().unwrap();
                pass(upstream, down, |bytes| {
                    if bytes.starts_with(b"HTTP/1.1 101 ") {
                        let cut = cut.try_clone().unwrap();
                        std::thread::spawn(move || {
                            std::thread::sleep(after);
                            drop(cut.shutdown(Shutdown::Both));
                        });
                    }
                });
            });
        }
    });
    url
}

/// Passes bytes on in one direction until either side closes, and then closes both.
fn pass(mut from: TcpStream, mut to: TcpStream, seen: impl Fn(&[u8])) {
    let mut piece = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        seen(&piece[..count]);
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
    drop(from.shutdown(Shutdown::Both));
}
