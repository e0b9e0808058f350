//! Where a server is and how it is configured: what clients of it need.

use crate::http;
use anyhow::{Context as _, Result};
use parlour_proto::frames::AppId;
use std::net::SocketAddr;
use std::path::Path;

/// A server that clients can be pointed at.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Site {
    /// As a shell takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The newest code for a number, from the development outbox.
    ///
    /// # Errors
    /// When there is none.
    pub async fn code(&self, number: &str) -> Result<String> {
        let page = http::get(self.addr, "/dev/outbox?format=json").await?;
        let outbox: serde_json::Value = serde_json::from_str(&page).context("the outbox is JSON")?;
        let messages = outbox.as_array().context("the outbox is a list")?;
        let newest = messages.iter().rev().find(|message| message["to"] == number);
        Ok(newest.context("no code for this number")?["code"].as_str().context("a code")?.to_owned())
    }

    /// One value of `/metrics`.
    ///
    /// # Errors
    /// When there is no such line.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let page = http::get(self.addr, "/metrics").await?;
        let line = page.lines().find(|line| line.split([' ', '{']).next() == Some(name));
        let value = line.and_then(|line| line.rsplit(' ').next()).with_context(|| format!("no metric {name}"))?;
        Ok(value.parse()?)
    }
}

/// An app's short name.
///
/// # Panics
/// When it is none.
pub fn app(name: &str) -> AppId {
    AppId::parse(name).expect("a short name of a test's app")
}

/// The configuration: the three apps, codes in the development outbox, limits lifted but where `limits` sets them
/// (lines of the `[limits]` section).
pub fn config(data: &Path, port: u16, limits: &[(&str, u64)]) -> String {
    let mut all = vec![
        ("new_people_per_day", 1_000_000),
        ("new_people_per_day_later", 1_000_000),
        ("codes_per_number_per_hour", 1_000_000),
        ("codes_per_address_per_hour", 1_000_000),
        ("sign_ins_per_handle_per_hour", 1_000_000),
        ("rooms_per_hour", 1_000_000),
        ("messages_per_room_per_s", 1_000_000),
        ("connections_per_address", 1_000_000),
    ];
    all.retain(|(name, _)| limits.iter().all(|(set, _)| set != name));
    all.extend_from_slice(limits);
    let limits: String = all.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    let data = serde_json::Value::from(data.display().to_string());
    let app = |id: &str, sign_in: &str| {
        format!("[[app]]\nid = \"{id}\"\nname = \"{id}\"\ndomain = \"{id}.localhost\"\nsign_in = \"{sign_in}\"\n")
    };
    let apps = [app("bell", "phone"), app("den", "username"), app("porch", "at_handle")].concat();
    format!("listen = \"127.0.0.1:{port}\"\ndata = {data}\ndev_outbox = true\n[limits]\n{limits}{apps}")
}
