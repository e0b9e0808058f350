//! What a backup says of itself, and whether it is true.

use crate::backup::DATABASE;
use crate::exit::{Exit, Trouble};
use anyhow::Context as _;
use parlour_proto::ids::UnixMillis;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

const FORMAT: &str = "parlour backup 1";
const NAME: &str = "manifest.json";

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: String,
    /// When it was made.
    pub(crate) made_ms: u64,
    /// The release that made it.
    pub(crate) release: String,
    /// The storage format of the database.
    pub(crate) store_format: u32,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its SHA-256, in hex.
    pub(crate) sha256: String,
}

impl Manifest {
    /// Of a database that was copied just now.
    pub(crate) fn of(database: &Path, made: UnixMillis, store_format: u32) -> anyhow::Result<Self> {
        let (bytes, sha256) = hash(database)?;
        let release = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { format: FORMAT.to_owned(), made_ms: made.0, release, store_format, bytes, sha256 })
    }

    /// Writes it beside the database.
    pub(crate) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let mut file = File::create(dir.join(NAME))?;
        writeln!(file, "{}", serde_json::to_string_pretty(self)?)?;
        Ok(file.sync_all()?)
    }

    /// Reads it, and holds the database to it.
    pub(crate) fn verified(dir: &Path) -> Result<Self, Trouble> {
        let damaged = |what: String| Trouble::new(Exit::Failure, "damaged_backup", what);
        let path = dir.join(NAME);
        let text = std::fs::read_to_string(&path)
            .map_err(|_| Trouble::not_found(format!("{} holds no backup", dir.display())))?;
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|error| damaged(format!("{} is no manifest of a backup: {error}", path.display())))?;
        if manifest.format != FORMAT {
            let what = format!("the backup has format \"{}\"; this release knows \"{FORMAT}\"", manifest.format);
            return Err(Trouble::new(Exit::Usage, "other_version", what));
        }
        let (bytes, sha256) = hash(&dir.join(DATABASE)).map_err(Trouble::failure)?;
        if bytes != manifest.bytes {
            let what = format!("the backup is damaged: {bytes} bytes instead of {}", manifest.bytes);
            return Err(damaged(what));
        }
        if sha256 != manifest.sha256 {
            return Err(damaged("the backup is damaged: its SHA-256 is another one than when it was made".to_owned()));
        }
        Ok(manifest)
    }
}

fn hash(path: &Path) -> anyhow::Result<(u64, String)> {
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let (mut sha256, mut block, mut bytes) = (Sha256::new(), vec![0; 1 << 20], 0);
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok((bytes, hex::encode(sha256.finalize())));
        }
        bytes += read as u64;
        sha256.update(&block[..read]);
    }
}
