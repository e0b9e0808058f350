//! TLS by rustls from PEM files.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
    sync::Arc,
};

use tokio_rustls::TlsAcceptor;

use crate::config::Tls;

/// Certificate or key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("{0} cannot be read as PEM")]
    Read(String, #[source] io::Error),
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
    let open = |path: &Path| File::open(path).map(BufReader::new).map_err(|error| TlsError::Read(name(path), error));
    let chain = rustls_pemfile::certs(&mut open(&tls.cert)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Read(name(&tls.cert), error))?;
    let key = rustls_pemfile::private_key(&mut open(&tls.key)?)
        .map_err(|error| TlsError::Read(name(&tls.key), error))?
        .ok_or_else(|| TlsError::NoKey(name(&tls.key)))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 1;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
