//! Where a server is, and how to trust it.

use super::{NetError, tls};
use rustls::ClientConfig;
use std::sync::Arc;

/// A server's address, parsed, with the certificates that may vouch for it.
#[derive(Clone)]
pub struct Endpoint {
    /// Host name or IP address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Path before `/v1/…`; empty, or begins with `/`.
    path: String,
    /// `None`: without TLS.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl Endpoint {
    /// Parses an address; `ca_pem` holds certificates to trust beside the public ones.
    ///
    /// # Errors
    /// [`NetError`] when one of them does not parse.
    pub fn parse(url: &str, ca_pem: Option<&str>) -> Result<Self, NetError> {
        let wrong = || NetError::Address(url.to_owned());
        let (scheme, rest) = url.trim().split_once("://").ok_or_else(wrong)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(wrong()),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = split_authority(authority).ok_or_else(wrong)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/%".contains(c);
        if host.is_empty()
            || !path.chars().all(fits)
            || !host.chars().all(|c| c.is_alphanumeric() || "-._:%".contains(c))
        {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port: port.unwrap_or(if secure { 443 } else { 80 }),
            path: path.trim_end_matches('/').to_owned(),
            tls: secure.then(|| tls::config(ca_pem)).transpose()?,
        })
    }

    /// The address of a resource on the server, as the opening handshake names it.
    pub(super) fn url(&self, resource: &str) -> String {
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}{}{resource}", self.port, self.path)
    }
}

/// Host and port; `None` when the port is not a number. IPv6 addresses stand in brackets.
fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return match port {
            "" => Some((host, None)),
            _ => Some((host, Some(port.strip_prefix(':')?.parse().ok()?))),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((authority, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url_of(text: &str) -> Option<String> {
        Endpoint::parse(text, None).ok().map(|endpoint| endpoint.url("/v1/inbox"))
    }

    #[test]
    fn addresses_that_people_type_are_understood() {
        assert_eq!(url_of("http://127.0.0.1:7448").unwrap(), "ws://127.0.0.1:7448/v1/inbox");
        assert_eq!(url_of("ws://localhost/").unwrap(), "ws://localhost:80/v1/inbox");
        assert_eq!(url_of("https://chat.example.org").unwrap(), "wss://chat.example.org:443/v1/inbox");
        assert_eq!(url_of("wss://[::1]:8443/parlour/").unwrap(), "wss://[::1]:8443/parlour/v1/inbox");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "localhost:7448", "ftp://x", "ws://", "ws://host:port", "ws://a b", "ws://[::1", "ws://h/a b"]
        {
            assert!(url_of(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_certificate_file_without_certificates_is_refused() {
        assert!(matches!(Endpoint::parse("wss://host", Some("not PEM")), Err(NetError::Certificates)));
    }
}
