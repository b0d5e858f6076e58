//! TLS, with a certificate from files or a self-signed one for development.

use std::{io, path::Path, sync::Arc};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::config::Config;

/// Builds the acceptor of TLS connections; `None` without TLS. It prefers `h2` to `http/1.1` (ALPN, RFC 7301).
///
/// # Errors
/// If a file can't be used, which the error names, or no certificate can be made.
pub fn acceptor(config: &Config) -> io::Result<Option<TlsAcceptor>> {
    let (chain, key) = match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => (chain(cert)?, private_key(key)?),
        _ if config.tls => for_development(config)?,
        _ => return Ok(None),
    };
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| io::Error::other(format!("the certificate and the key don't match: {error}")))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}

fn chain(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let bad = |why: String| io::Error::other(format!("{} is not a certificate chain: {why}", path.display()));
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
    let chain = certificates.collect::<Result<Vec<_>, _>>().map_err(|error| bad(error.to_string()))?;
    if chain.is_empty() { Err(bad("the file has no certificate".to_owned())) } else { Ok(chain) }
}

fn private_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| io::Error::other(format!("{} is not a private key: {error}", path.display())))
}

/// Makes a self-signed certificate for the address of the server and the local names of this machine. The certificate
/// lives as long as the server, so a browser asks again after each start.
fn for_development(config: &Config) -> io::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), config.host()];
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    tracing::warn!("using a self-signed certificate for development: browsers will warn about it");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(io::Error::other)?;
    Ok((vec![made.cert.der().clone()], key))
}
