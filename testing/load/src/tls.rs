//! A certificate for `localhost` made for one run, and a client that trusts only it.

use anyhow::Result;
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A self-signed certificate on disk.
#[derive(Clone)]
pub(crate) struct TestCertificate {
    /// PEM certificate.
    pub(crate) certificate: PathBuf,
    /// PEM private key.
    pub(crate) key: PathBuf,
    client: Arc<ClientConfig>,
}

impl TestCertificate {
    /// Makes one in `dir`.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub(crate) fn make(dir: &Path) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { certificate, key, client: Arc::new(client) })
    }

    /// The client's side.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.client.clone()
    }
}
