//! `--tls-cert`: HTTP/2 and HTTP/1.1 over TLS with a given certificate, and `fourways check` through it.

use std::{process::Command, sync::Arc};

use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use crate::{
    FOURWAYS,
    front::Certificate,
    server::{DEADLINE, Server},
};

/// A server that speaks TLS, and its certificate.
pub(super) struct Secure {
    pub(super) server: Server,
    certificate: Certificate,
}

impl Secure {
    fn start() -> Self {
        Self::with(&[])
    }

    pub(super) fn with(flags: &[&str]) -> Self {
        let certificate = Certificate::make();
        let tls = certificate.flags();
        let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
        Self { server: Server::with(&[&tls, flags].concat()), certificate }
    }

    /// Returns the configuration of a client that trusts the server and offers these protocols.
    pub(super) fn trust(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        self.certificate.trust(protocols)
    }

    /// Connects, offers these protocols and completes the handshake.
    fn connect(&self, protocols: &[&str]) -> StreamOwned<ClientConnection, std::net::TcpStream> {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let client = ClientConnection::new(self.trust(protocols), name).unwrap();
        let socket = std::net::TcpStream::connect(self.server.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut stream = StreamOwned::new(client, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        stream
    }
}

#[test]
fn both_protocols_are_served_and_the_newer_is_preferred() {
    use std::io::{Read as _, Write as _};
    let secure = Secure::start();
    for (offered, agreed) in [(&["http/1.1", "h2"][..], "h2"), (&["http/1.1"], "http/1.1")] {
        let stream = secure.connect(offered);
        assert_eq!(stream.conn.alpn_protocol(), Some(agreed.as_bytes()), "{offered:?}");
    }
    let mut stream = secure.connect(&["http/1.1"]);
    stream.write_all(b"GET /v1/topics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    // An error here is a close without `close_notify`, which comes after the whole answer.
    drop(stream.read_to_string(&mut answer));
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[test]
fn a_check_through_tls_sees_every_technique() {
    let secure = Secure::start();
    let url = format!("https://{}", secure.server.address);
    let check = |trust: bool| {
        let mut command = Command::new(FOURWAYS);
        command.args(["check", &url, "--seconds", "5", "--json"]);
        if trust {
            command.env("SSL_CERT_FILE", secure.certificate.path());
        }
        command.output().unwrap()
    };
    // A busy machine can be too slow for one check; a real fault shows in every one.
    let mut checks = (0..5).map(|_| {
        let output = check(true);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.success(), report)
    });
    let (mut is_fine, mut report) = checks.next().unwrap();
    while !is_fine && let Some(next) = checks.next() {
        (is_fine, report) = next;
    }
    assert!(is_fine, "{report:#}");
    assert!(report["summary"]["pass"].as_u64().unwrap() > 15, "{report:#}");
    assert!(!check(false).status.success(), "a certificate that nobody vouches for is not trusted");
}

#[test]
fn a_certificate_that_is_none_is_told_in_one_line() {
    let output = Command::new(FOURWAYS)
        .args([
            "serve",
            "--memory",
            "--listen",
            "127.0.0.1:0",
            "--tls-cert",
            "/nowhere/cert",
            "--tls-key",
            "/nowhere/key",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.lines().count() == 1 && said.contains("/nowhere/cert"),
        "{said}"
    );
}
