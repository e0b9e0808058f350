//! What the generator must know of the server's configuration and pages.

use crate::process::Transport;
use crate::tls::TestCertificate;
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::path::Path;

/// Counters of `/metrics` that count fsyncs, the best one first.
pub(crate) const FSYNC_METRICS: &[&str] = &["parlour_store_fsyncs_total", "parlour_store_commits_total"];

/// Writes the configuration of a data directory as `parlour up` reads it: one app with sign-in by phone, codes to the
/// development outbox, every rate limit lifted. Nothing that takes time is switched off.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(data: &Path, port: u16, transport: Transport, certificate: &TestCertificate) -> Result<()> {
    std::fs::create_dir_all(data)?;
    let quoted = |path: &Path| serde_json::Value::from(path.display().to_string()).to_string();
    let tls = match transport {
        Transport::Plain => String::new(),
        Transport::Tls => {
            format!("[tls]\ncert = {}\nkey = {}\n", quoted(&certificate.certificate), quoted(&certificate.key))
        }
    };
    let data_dir = quoted(data);
    let text = format!(
        r#"
listen = "127.0.0.1:{port}"
data = {data_dir}
dev_outbox = true
{tls}
[limits]
new_people_per_day = 1000000
new_people_per_day_later = 1000000
codes_per_number_per_hour = 1000000
codes_per_address_per_hour = 1000000
sign_ins_per_handle_per_hour = 1000000
rooms_per_hour = 1000000
messages_per_room_per_s = 1000000
connections_per_address = 1000000

[[app]]
id = "bell"
name = "Bell"
domain = "bell.localhost"
sign_in = "phone"
"#
    );
    std::fs::write(data.join("parlour.toml"), text).context("writing the configuration")
}

/// The command line of the server.
pub(crate) fn arguments(data: &Path, port: u16) -> Vec<OsString> {
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
