//! TLS to servers, by what the system trusts.

use std::sync::Arc;

use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore, crypto::ring};

/// Trusts what the system trusts; `SSL_CERT_FILE` names other roots, as for curl. No protocol is offered: both sides speak
/// HTTP/1.1 then (RFC 7301 3.2).
///
/// # Errors
/// If no version of TLS is there to be spoken.
pub fn trusting_the_system() -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    // One that can't be read is one less to trust; without any the handshake says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Has the HTTP clients of this process use the one provider of cryptography that is built in, whether they ever speak TLS or
/// not: without it none can be made.
pub fn ready() {
    // Somebody was first, with the same.
    drop(ring::default_provider().install_default());
}
