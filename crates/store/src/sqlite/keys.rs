//! The key directory, `DATA/keys`, outside the database, so that a backup or a theft of the one is not one of the other.
//!
//! `store.key` seals ordered rows and hashes the ids of partitions. `day-<n>.key` seals the queue rows written on day
//! `n`; it is durable before its first use, and overwritten and removed when no such row may live any more.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use hmac::{Hmac, Mac};
use rand_core::RngCore;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::seal::{SealKey, system_rng};
use crate::{PartitionId, StoreError, UnixDay};

/// The keyed hash under which a partition is found on disk.
pub(super) type PartitionTag = [u8; 16];

/// The opened key directory.
pub(super) struct Keys {
    dir: PathBuf,
    rows: SealKey,
    partitions: Hmac<Sha256>,
    check: [u8; 16],
    days: Mutex<HashMap<UnixDay, Option<SealKey>>>,
}

impl Keys {
    /// Opens the directory; `is_new` allows to make the storage key, which for an existing database must be there.
    pub(super) fn open(data: &Path, is_new: bool) -> Result<Self, StoreError> {
        let dir = data.join("keys");
        make_dir(&dir)?;
        let path = dir.join("store.key");
        let key = match read_key(&path)? {
            Some(key) => key,
            None if is_new => create_key(&dir, &path)?,
            None => return Err(StoreError::WrongKey(dir)),
        };
        let derive = |label: &[u8]| -> Zeroizing<[u8; 32]> {
            Zeroizing::new(mac(&key[..]).chain_update(label).finalize().into_bytes().into())
        };
        let check = derive(b"parlour-store-1 check");
        Ok(Self {
            rows: SealKey::new(&derive(b"parlour-store-1 rows")),
            partitions: mac(&derive(b"parlour-store-1 partitions")[..]),
            check: *check.first_chunk().expect("32 bytes hold 16"),
            days: Mutex::default(),
            dir,
        })
    }

    /// What the database notes to recognise its storage key.
    pub(super) fn check(&self) -> &[u8; 16] {
        &self.check
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The key of ordered rows.
    pub(super) fn rows(&self) -> &SealKey {
        &self.rows
    }

    /// HMAC-SHA-256-128 over the partition's kind and id.
    pub(super) fn partition_tag(&self, partition: &PartitionId) -> PartitionTag {
        let mac = self.partitions.clone().chain_update([partition.kind as u8]).chain_update(&partition.id);
        *mac.finalize().into_bytes().first_chunk().expect("32 bytes hold 16")
    }

    /// The key for the queue rows written on `day`, if it still exists.
    pub(super) fn day(&self, day: UnixDay) -> Result<Option<SealKey>, StoreError> {
        if let Some(known) = self.days().get(&day) {
            return Ok(known.clone());
        }
        let key = read_key(&self.day_path(day))?.map(|key| SealKey::new(&key));
        self.days().insert(day, key.clone());
        Ok(key)
    }

    /// The key for the queue rows of `today`, made durable if it is new.
    pub(super) fn today(&self, today: UnixDay) -> Result<SealKey, StoreError> {
        if let Some(key) = self.day(today)? {
            return Ok(key);
        }
        let new = create_key(&self.dir, &self.day_path(today))?;
        let key = SealKey::new(&new);
        self.days().insert(today, Some(key.clone()));
        Ok(key)
    }

    /// Destroys the keys of days whose rows have all expired by `today`, `row_days` after they were written; gives how many.
    pub(super) fn destroy_before(&self, today: UnixDay, row_days: u32) -> Result<u64, StoreError> {
        let mut destroyed = 0;
        for entry in fs::read_dir(&self.dir).map_err(from_io)? {
            let path = entry.map_err(from_io)?.path();
            let Some(day) = day_of(&path) else { continue };
            if day.plus(row_days) <= today {
                destroy(&path).map_err(from_io)?;
                self.days().insert(day, None);
                destroyed += 1;
            }
        }
        if destroyed > 0 {
            sync_dir(&self.dir).map_err(from_io)?;
        }
        Ok(destroyed)
    }

    fn day_path(&self, day: UnixDay) -> PathBuf {
        self.dir.join(format!("day-{}.key", day.0))
    }

    fn days(&self) -> MutexGuard<'_, HashMap<UnixDay, Option<SealKey>>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a directory that only the owner may read.
pub(super) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(from_io)
}

/// What an error of the file system means for the store.
pub(super) fn from_io(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Failed(error.to_string()),
    }
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn day_of(path: &Path) -> Option<UnixDay> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("day-")?.strip_suffix(".key")?.parse().ok().map(UnixDay)
}

fn read_key(path: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(from_io(error)),
    };
    let key = <[u8; 32]>::try_from(&bytes[..]).map_err(|_| StoreError::WrongKey(path.to_owned()))?;
    Ok(Some(Zeroizing::new(key)))
}

/// Makes a key that is durable under its final name before anything is sealed with it.
fn create_key(dir: &Path, path: &Path) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let mut key = Zeroizing::new([0; 32]);
    system_rng().fill_bytes(&mut key[..]);
    let draft = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&key[..])?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        sync_dir(dir)
    };
    write().map_err(from_io)?;
    Ok(key)
}

fn destroy(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(&[0; 32])?;
    file.sync_all()?;
    fs::remove_file(path)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
