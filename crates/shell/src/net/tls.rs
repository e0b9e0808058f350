//! How a server is trusted: the public roots, and what the user adds (a development certificate, a household's own).

use super::NetError;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// A client configuration that trusts the public roots and the certificates in `ca_pem`.
pub(super) fn config(ca_pem: Option<&str>) -> Result<Arc<ClientConfig>, NetError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = ca_pem {
        add(&mut roots, pem)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the suites of TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn add(roots: &mut RootCertStore, pem: &str) -> Result<(), NetError> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| NetError::Certificates)?;
        roots.add(certificate).map_err(|_| NetError::Certificates)?;
    }
    if roots.len() == before { Err(NetError::Certificates) } else { Ok(()) }
}
