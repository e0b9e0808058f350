//! Sockets: one task each, frames in and out. WebSocket over TCP, with TLS (`rustls`) where the address says so.

mod endpoint;
mod socket;
mod tls;

pub use endpoint::Endpoint;
pub(crate) use socket::{Link, Received};

/// Why a server's address or certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The address does not parse.
    #[error("{0:?} is not a server's address: wanted is ws://host:port, wss://host, http://host:port or https://host")]
    Address(String),
    /// The certificates given do not parse.
    #[error("the certificate file has no usable certificate in PEM form")]
    Certificates,
}
