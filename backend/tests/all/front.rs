//! A front for tests that speak HTTP/1.1 in the clear: it passes their requests on over TLS, or as HTTP/2, and returns
//! the answers. So the same test covers every way to the server.

use std::{cell::Cell, net::SocketAddr, path::PathBuf, sync::Arc, thread::JoinHandle};

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderName, Request, Response, Version};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

/// The way by which a test reaches its servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// HTTP/1.1 in the clear, without a front.
    Plain,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS.
    Http2,
}

thread_local! {
    static WAY: Cell<Way> = const { Cell::new(Way::Plain) };
}

/// Runs a test that reaches every server it starts by this way.
pub fn by(way: Way, test: impl FnOnce()) {
    WAY.set(way);
    test();
    WAY.set(Way::Plain);
}

/// Returns the way of the test that runs on this thread.
pub fn way() -> Way {
    WAY.get()
}

/// A certificate and its key for 127.0.0.1, as files.
pub struct Certificate(tempfile::TempDir);

impl Certificate {
    pub fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self(folder)
    }

    /// Returns the path of the certificate.
    pub fn path(&self) -> PathBuf {
        self.0.path().join("cert.pem")
    }

    /// Returns the flags of `fourways serve` that use the certificate.
    pub fn flags(&self) -> [String; 4] {
        let path = |name| self.0.path().join(name).to_str().unwrap().to_owned();
        ["--tls-cert".to_owned(), path("cert.pem"), "--tls-key".to_owned(), path("key.pem")]
    }

    /// Returns the configuration of a client that trusts the certificate and offers these protocols.
    pub fn trust(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// A front before one server. It listens until it is dropped.
pub struct Front {
    pub address: SocketAddr,
    ends: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Front {
    /// Starts a front before a server that has this certificate.
    pub fn of(server: SocketAddr, certificate: &Certificate, way: Way) -> Self {
        let connector =
            TlsConnector::from(certificate.trust(if way == Way::Http2 { &["h2"] } else { &["http/1.1"] }));
        let (ends, ended) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                let mut clients = JoinSet::new();
                let serving = async {
                    loop {
                        let (client, _) = listener.accept().await.unwrap();
                        let connector = connector.clone();
                        // A client that leaves ends only its own task.
                        clients.spawn(async move { drop(hand_on(client, server, connector, way).await) });
                    }
                };
                tokio::select! {
                    () = serving => {}
                    _ = ended => {}
                }
            });
        });
        Self { address: is_ready.recv().unwrap(), ends: Some(ends), thread: Some(thread) }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.ends.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

async fn hand_on(
    mut client: TcpStream,
    server: SocketAddr,
    connector: TlsConnector,
    way: Way,
) -> anyhow::Result<()> {
    client.set_nodelay(true)?;
    let socket = TcpStream::connect(server).await?;
    socket.set_nodelay(true)?;
    let mut secure = connector.connect(ServerName::try_from("127.0.0.1")?, socket).await?;
    if way == Way::Tls {
        copy_bidirectional(&mut client, &mut secure).await?;
        return Ok(());
    }
    let (send, connection) = h2::client::handshake::<TlsStream<TcpStream>>(secure).await?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    translate(client, send).await
}

/// Sends the requests of a client as HTTP/2, one after the other, until the client leaves.
async fn translate(mut client: TcpStream, mut send: SendRequest<Bytes>) -> anyhow::Result<()> {
    let mut read = BytesMut::new();
    loop {
        let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
            if client.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head = read.split_to(end + 4);
        let (request, length) = parse(&head)?;
        while read.len() < length {
            anyhow::ensure!(client.read_buf(&mut read).await? > 0, "the body ends early");
        }
        let body = read.split_to(length).freeze();
        send = send.ready().await?;
        let (is_old, is_head) =
            (request.version() == Version::HTTP_10, request.method() == http::Method::HEAD);
        let (answer, mut stream) = send.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(body, true)?;
        }
        let answer = tokio::select! {
            answer = answer => answer?,
            // The client left. Dropping the stream resets it.
            _ = client.read_buf(&mut read) => return Ok(()),
        };
        if !bring_back(&mut client, answer, is_old, is_head).await? {
            return Ok(());
        }
    }
}

/// Parses a head of HTTP/1.1 into a request for HTTP/2, and returns it with the length of its body.
fn parse(head: &[u8]) -> anyhow::Result<(Request<()>, usize)> {
    let text = std::str::from_utf8(head)?;
    let mut lines = text.trim_end().lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let version = if words.next() == Some("HTTP/1.0") { Version::HTTP_10 } else { Version::HTTP_2 };
    let fields: Vec<(&str, &str)> =
        lines.filter_map(|line| line.split_once(':').map(|(name, value)| (name, value.trim()))).collect();
    let field = |wanted: &str| fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let host = field("host").map_or("127.0.0.1", |(_, host)| *host);
    let length = field("content-length").map_or(Ok(0), |(_, length)| length.parse())?;
    let mut request = Request::builder().method(method).uri(format!("https://{host}{path}")).version(version);
    for (name, value) in fields {
        // RFC 9113 8.2.2: HTTP/2 has no fields about the connection.
        if !["host", "connection", "upgrade", "keep-alive", "transfer-encoding"]
            .contains(&name.to_ascii_lowercase().as_str())
        {
            request = request.header(HeaderName::from_bytes(name.as_bytes())?, value);
        }
    }
    Ok((request.body(())?, length))
}

/// Writes an answer as HTTP/1.1. Returns false if no other can follow on the connection.
async fn bring_back(
    client: &mut TcpStream,
    answer: Response<h2::RecvStream>,
    is_old: bool,
    is_head: bool,
) -> anyhow::Result<bool> {
    let status = answer.status();
    let mut head =
        format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    for (name, value) in answer.headers() {
        head.extend([name.as_str(), ": ", value.to_str()?, "\r\n"]);
    }
    let has_body = !is_head && !matches!(status.as_u16(), 204 | 304);
    let is_chunked = has_body && !is_old && !answer.headers().contains_key("content-length");
    head.push_str(if is_chunked { "transfer-encoding: chunked\r\n\r\n" } else { "\r\n" });
    client.write_all(head.as_bytes()).await?;
    let mut body = answer.into_body();
    let mut nothing = [0; 1];
    loop {
        let data = tokio::select! {
            data = body.data() => data,
            _ = client.read(&mut nothing) => return Ok(false),
        };
        let Some(data) = data.transpose()? else { break };
        body.flow_control().release_capacity(data.len())?;
        if is_chunked && !data.is_empty() {
            client.write_all(format!("{:x}\r\n", data.len()).as_bytes()).await?;
        }
        client.write_all(&data).await?;
        if is_chunked && !data.is_empty() {
            client.write_all(b"\r\n").await?;
        }
    }
    if is_chunked {
        client.write_all(b"0\r\n\r\n").await?;
    }
    Ok(!is_old)
}
