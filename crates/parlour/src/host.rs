//! A running server: the embedded store and the keys, opened and joined with the server crate.

use anyhow::Context as _;
use parlour_server::config::Config;
use parlour_server::keys::Keys;
use parlour_server::net::{self, RunningServer};
use parlour_store::{SqliteOptions, SqliteStore, StoreStats, UnixTime};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and Ctrl-C, caught from the moment this is made: before anybody is told that the server runs.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }
}

/// A running server.
pub(crate) struct Host {
    running: RunningServer,
    tls: bool,
}

impl Host {
    /// Opens the data directory and starts to listen.
    pub(crate) async fn start(config: Config) -> anyhow::Result<Self> {
        let clock = Arc::new(|| UnixTime(net::now().seconds()));
        let lifetimes = config.retention.lifetimes().map_err(|mut faults| faults.swap_remove(0))?;
        let options = SqliteOptions { queue_row_days: lifetimes.queue_row_days(), ..SqliteOptions::default() };
        let store = SqliteStore::open(&config.data, clock, &options)
            .with_context(|| format!("the store in {} does not open", config.data.display()))?;
        let keys = Keys::open(&config.data.join("keys"), net::now(), &mut parlour_server::fresh_rng())
            .with_context(|| format!("the keys in {} do not open", config.data.join("keys").display()))?;
        let counted = store.clone();
        let metrics = Box::new(move || store_metrics(&counted.stats()));
        let running = net::run(&config, store, keys, metrics).await?;
        Ok(Self { running, tls: config.tls.is_some() })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.running.addr
    }

    /// The same, as clients take it.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.addr())
    }

    /// Ends it in order: what was accepted is written.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }

    /// Runs until a signal, then ends in order.
    pub(crate) async fn until(mut self, mut signals: Signals) -> anyhow::Result<()> {
        tokio::select! {
            _ = signals.terminate.recv() => {}
            _ = signals.interrupt.recv() => {}
            () = self.running.ended() => anyhow::bail!("the server ended by itself; its log says why"),
        }
        self.running.stop().await;
        Ok(())
    }

    /// The newest code of the development outbox, read as anybody can read it.
    pub(crate) async fn newest_code(&self) -> Option<String> {
        let mut stream = TcpStream::connect(self.addr()).await.ok()?;
        let request = "GET /dev/outbox?format=json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let messages: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        Some(messages.as_array()?.last()?["code"].as_str()?.to_owned())
    }
}

fn store_metrics(stats: &StoreStats) -> Vec<(&'static str, u64)> {
    vec![
        ("parlour_store_fsyncs_total", stats.syncs),
        ("parlour_store_commits_total", stats.commits),
        ("parlour_store_commit_groups_total", stats.groups),
        ("parlour_store_largest_group", stats.largest_group),
        ("parlour_store_refused_total", stats.refused),
        ("parlour_store_failed_total", stats.failed),
        ("parlour_store_appended_total", stats.appended),
        ("parlour_store_deleted_total", stats.deleted),
        ("parlour_store_wal_truncations_total", stats.wal_truncations),
        ("parlour_store_damaged_total", stats.damaged),
        ("parlour_store_waiting_commits", stats.waiting),
        ("parlour_store_database_bytes", stats.database_bytes),
        ("parlour_store_wal_bytes", stats.wal_bytes),
    ]
}
