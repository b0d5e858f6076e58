//! TLS connections to the server that is checked.

use std::sync::Arc;

use fourways_client::tls::trusting_the_system;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};

/// Makes a TLS connection. It trusts the system's roots, or those that `SSL_CERT_FILE` names, as curl does, and offers
/// only `http/1.1`, since the check speaks nothing else.
///
/// # Errors
/// If the host is not a valid name or the handshake fails, such as for a certificate that is not trusted. The text says
/// which.
pub(crate) async fn wrap(host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
    let mut config = trusting_the_system().map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))?;
    let shaking = TlsConnector::from(Arc::new(config)).connect(name, stream);
    shaking
        .await
        .map_err(|error| format!("TLS with {host}: {error}; SSL_CERT_FILE names a certificate to trust"))
}
