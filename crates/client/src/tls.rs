//! TLS to servers whose certificates the system trusts.

use std::sync::Arc;

use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore, crypto::ring};

/// Returns TLS settings with the system's root certificates; `SSL_CERT_FILE` names other roots, as for curl. No
/// protocol is offered (ALPN), so both sides speak HTTP/1.1 (RFC 7301 3.2).
///
/// # Errors
/// If the provider of cryptography supports no version of TLS.
pub fn trusting_the_system() -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    // A root that can't be read is one less to trust. Without any root, the handshake fails.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Installs the built-in provider of cryptography for the HTTP clients of this process. No client can be created
/// without a provider, even if it never uses TLS.
pub fn ready() {
    // An error means that the same provider is installed already.
    drop(ring::default_provider().install_default());
}
