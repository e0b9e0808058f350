//! An embedded store in a directory of its own.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

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
        let options = SqliteOptions { cache_kib: 4_096, reserve_bytes: 0, ..SqliteOptions::default() };
        Self { dir: TempDir::new().unwrap(), clock: Arc::new(ManualClock::new(START)), options }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn try_open(&self) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(&self.data(), self.clock.clone(), &self.options)
    }

    /// Those of the needles, all of one length, that are found in any file below the data directory.
    pub(crate) fn found<'n>(&self, needles: &[&'n [u8]]) -> HashSet<&'n [u8]> {
        let needles: HashSet<&[u8]> = needles.iter().copied().collect();
        let Some(len) = needles.iter().next().map(|needle| needle.len()) else { return HashSet::new() };
        assert!(needles.iter().all(|needle| needle.len() == len));
        let mut found = HashSet::new();
        for file in files(&self.data()) {
            found.extend(file.windows(len).filter_map(|window| needles.get(window)));
        }
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

fn files(dir: &Path) -> Vec<Vec<u8>> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![fs::read(&path).unwrap()] }).collect()
}
