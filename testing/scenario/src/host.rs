//! The server within the test: the same code on the same sockets, with what only a test may set.

use crate::site::{Site, config};
use anyhow::Result;
use parlour_server::config::Config;
use parlour_server::keys::Keys;
use parlour_server::net::{RunningServer, now, run};
use parlour_store::{SqliteOptions, SqliteStore, UnixTime};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A running server and its data directory, which goes with it.
pub struct Host {
    dir: TempDir,
    running: RunningServer,
    store: SqliteStore,
}

impl Host {
    /// Starts one on a fresh directory.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn up() -> Result<Self> {
        Self::up_with(&[], &SqliteOptions::default()).await
    }

    /// The same with some limits set, and with options of the store.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn up_with(limits: &[(&str, u64)], options: &SqliteOptions) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let data = dir.path().join("data");
        let config = Config::parse(&config(&data, 0, limits))?;
        let store = SqliteStore::open(&data, Arc::new(|| UnixTime(now().seconds())), options)?;
        let keys = Keys::open(&data.join("keys"), now(), &mut parlour_server::fresh_rng())?;
        let running = run(&config, store.clone(), keys, Box::new(Vec::new)).await?;
        Ok(Self { dir, running, store })
    }

    /// Where it is.
    pub fn site(&self) -> Site {
        Site { addr: self.running.addr }
    }

    /// A folder for homes.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Its store.
    pub fn store(&self) -> &SqliteStore {
        &self.store
    }

    /// Ends it in order; gives the directory.
    pub async fn stop(self) -> TempDir {
        self.running.stop().await;
        self.dir
    }
}
