//! TLS by rustls from PEM files.

use crate::config::Tls;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Certificate or key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("{0} cannot be read as PEM")]
    Read(String, #[source] pem::Error),
    /// There is no key in the file.
    #[error("{0} holds no private key")]
    NoKey(String),
    /// They do not fit.
    #[error("certificate and key do not work")]
    Rustls(#[from] rustls::Error),
}

/// What accepts TLS with this certificate.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    let name = |path: &Path| path.display().to_string();
    let cannot_read = |path: &Path| {
        let name = name(path);
        move |error| TlsError::Read(name, error)
    };
    let chain = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(cannot_read(&tls.cert))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey(name(&tls.key)),
        error => TlsError::Read(name(&tls.key), error),
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 1;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
