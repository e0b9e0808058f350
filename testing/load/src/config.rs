//! What the generator must know of the server's configuration and pages.

use crate::process::Transport;
use crate::tls::TestCertificate;
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Counters of `/metrics` that count fsyncs, the best one first.
pub(crate) const FSYNC_METRICS: &[&str] = &["parlour_store_fsyncs_total", "parlour_store_commits_total"];

/// Writes the configuration; gives its path.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(dir: &Path, port: u16, transport: Transport, certificate: &TestCertificate) -> Result<PathBuf> {
    let _ = (port, transport, certificate);
    let path = dir.join("parlour.toml");
    std::fs::write(&path, "")?;
    Ok(path)
}

/// The command line of the server.
pub(crate) fn arguments(data: &Path, config: &Path, port: u16) -> Vec<OsString> {
    let _ = config;
    vec!["up".into(), "--data".into(), data.into(), "--port".into(), port.to_string().into()]
}

/// Numbers and codes of the development outbox, oldest first.
///
/// # Errors
/// When it is not what the server's page gives.
pub(crate) fn parse_outbox(json: &str) -> Result<Vec<(String, String)>> {
    let outbox: serde_json::Value = serde_json::from_str(json).context("the outbox is not JSON")?;
    let messages = outbox.as_array().or_else(|| outbox["messages"].as_array()).context("no list in the outbox")?;
    let text = |message: &serde_json::Value, key: &str| message[key].as_str().map(str::to_owned);
    messages.iter().map(|m| text(m, "to").zip(text(m, "code")).context("an outbox message without code")).collect()
}
