//! An embedded store in a directory of its own.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{fs, path::Path, sync::Arc};

use parlour_store::conformance::{Factory, START};
use parlour_store::{ManualClock, SqliteOptions, SqliteStore, StoreError};
use tempfile::TempDir;

pub(crate) struct Embedded {
    dir: TempDir,
    clock: Arc<ManualClock>,
    pub(crate) options: SqliteOptions,
}

impl Embedded {
    pub(crate) fn new() -> Self {
        let options = SqliteOptions { cache_kib: 4_096, ..SqliteOptions::default() };
        Self { dir: TempDir::new().unwrap(), clock: Arc::new(ManualClock::new(START)), options }
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn try_open(&self) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(&self.data(), self.clock.clone(), &self.options)
    }

    /// The names of the files below the data directory that hold `needle`.
    pub(crate) fn files_with(&self, needle: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        search(&self.data(), needle, &mut found);
        found
    }
}

impl Factory for Embedded {
    type Store = SqliteStore;

    fn open(&self) -> SqliteStore {
        self.try_open().unwrap()
    }

    fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }
}

fn search(dir: &Path, needle: &[u8], found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, needle, found);
        } else if fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle) {
            found.push(path.display().to_string());
        }
    }
}
