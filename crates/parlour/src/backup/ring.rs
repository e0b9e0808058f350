//! The keys of a server, in one file (mode 0600): they lie outside the database, and are copied apart from it.

use crate::exit::{Exit, Trouble};
use anyhow::Context as _;
use parlour_proto::ids::UnixMillis;
use parlour_server::retention::unstored::file_of;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use zeroize::{Zeroize as _, Zeroizing};

const FORMAT: &str = "parlour keys 1";

/// All key files of a server, in hex, by name.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeyRing {
    format: String,
    /// When they were copied.
    pub(crate) made_ms: u64,
    keys: BTreeMap<String, String>,
    /// Of names and keys.
    sha256: String,
}

impl KeyRing {
    /// The keys in a key directory.
    pub(crate) fn read(dir: &Path, made: UnixMillis) -> anyhow::Result<Self> {
        let mut keys = BTreeMap::new();
        for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if file_of(&format!("keys/{name}")).is_some() {
                let bytes = Zeroizing::new(fs::read(&path).with_context(|| path.display().to_string())?);
                keys.insert(name, hex::encode(&*bytes));
            }
        }
        anyhow::ensure!(keys.contains_key("store.key"), "{} holds no keys of a server", dir.display());
        let sha256 = digest(&keys);
        Ok(Self { format: FORMAT.to_owned(), made_ms: made.0, keys, sha256 })
    }

    /// Writes a new file that only its owner can read.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = Zeroizing::new(serde_json::to_string_pretty(self)?);
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().with_context(|| format!("the keys were not written to {}", path.display()))
    }

    /// Reads such a file.
    pub(crate) fn open(path: &Path) -> Result<Self, Trouble> {
        let bad = |what: String| Trouble::new(Exit::Failure, "damaged_keys", what);
        let text = fs::read_to_string(path).map(Zeroizing::new).with_context(|| path.display().to_string());
        let text = text.map_err(Trouble::failure)?;
        // What is wrong where is not told: it is a file of keys.
        let ring: Self = serde_json::from_str(&text)
            .map_err(|_| bad(format!("{} is no file that `parlour backup --keys-to` made", path.display())))?;
        if ring.format != FORMAT {
            let what = format!("the keys have format \"{}\"; this release knows \"{FORMAT}\"", ring.format);
            return Err(Trouble::new(Exit::Usage, "other_version", what));
        }
        if ring.sha256 != digest(&ring.keys) {
            return Err(bad(format!("{} is damaged", path.display())));
        }
        Ok(ring)
    }

    /// Lays the keys into a new key directory.
    pub(crate) fn lay(&self, dir: &Path) -> anyhow::Result<()> {
        DirBuilder::new().mode(0o700).create(dir).with_context(|| dir.display().to_string())?;
        for (name, key) in &self.keys {
            anyhow::ensure!(file_of(&format!("keys/{name}")).is_some(), "a file of keys holds something else");
            let bytes = Zeroizing::new(hex::decode(key).context("a key that is not hex")?);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(name))?;
            file.write_all(&bytes)?;
            file.sync_all()?;
        }
        Ok(File::open(dir)?.sync_all()?)
    }
}

impl Drop for KeyRing {
    fn drop(&mut self) {
        self.keys.values_mut().for_each(|key| key.zeroize());
    }
}

fn digest(keys: &BTreeMap<String, String>) -> String {
    let mut sha256 = Sha256::new();
    for (name, key) in keys {
        sha256.update(name.as_bytes());
        sha256.update([0]);
        sha256.update(key.as_bytes());
        sha256.update([0]);
    }
    hex::encode(sha256.finalize())
}
