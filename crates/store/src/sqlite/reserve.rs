//! Room kept back for bad days: a file beside the database that is given up when the disk is full.
//!
//! Deleting needs room, too: the log takes what a transaction changes before the database does. So some of the disk is held
//! by a file, really allocated. When a commit finds no room and the disk is the reason, the file goes, and the database may
//! not grow any more: what was held is for the log alone. Acknowledgements, deletions and sweeps go on, and what they free
//! inside the database is used again. When there is room enough, the file is made anew and growing is allowed again.
//!
//! | state | the file | the database grows | leads on when |
//! |---|---|---|---|
//! | held | there | up to the operator's quota | no room, and less than half of the file's size is free: tight |
//! | tight | gone | no | its size and half of it are free: held |

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rand_core::RngCore as _;
use rusqlite::Connection;
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::{
    schema::{PAGE_BYTES, from_sql},
    seal::system_rng,
};
use crate::StoreError;

/// On a small disk the file is this part of it.
const PART_OF_DISK: u64 = 16;
/// SQLite's own limit.
const MOST_PAGES: u64 = 0xffff_fffe;

/// The file, and whether it is there.
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    max_bytes: Option<u64>,
    tight: bool,
}

impl Reserve {
    /// For a data directory that is there; `bytes` at most, 0 for none.
    pub(super) fn new(data: &Path, bytes: u64, max_bytes: Option<u64>) -> Self {
        let disk = statvfs(data).map_or(u64::MAX, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        Self { path: data.join("reserve"), bytes: bytes.min(disk / PART_OF_DISK), max_bytes, tight: false }
    }

    /// Gives the file up, whatever the reason; `false` if it was not there.
    pub(super) fn give_up(&self) -> bool {
        fs::remove_file(&self.path).is_ok()
    }

    /// At a start: keeps the file, or makes it; without room for it the database may not grow.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) fn settle(&mut self, db: &Connection) -> Result<(), StoreError> {
        if self.bytes == 0 || self.is_whole() {
            return Ok(());
        }
        self.tight = true;
        if !self.regain(db)? {
            tracing::warn!("the disk is nearly full: the database does not grow");
            self.limit(db)?;
        }
        Ok(())
    }

    /// A commit found no room: makes some, if the disk is the reason; `true` if it is worth trying again.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) fn relieve(&mut self, db: &Connection) -> Result<bool, StoreError> {
        if self.tight {
            return self.regain(db);
        }
        if self.bytes == 0 || self.free() >= self.bytes / 2 {
            return Ok(false);
        }
        tracing::warn!("the disk is full: only what fits into the database as it is, and deletions, go on");
        self.give_up();
        self.tight = true;
        self.limit(db)?;
        Ok(true)
    }

    /// Makes the file anew when there is room again; `true` if the database may grow from now on.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) fn regain(&mut self, db: &Connection) -> Result<bool, StoreError> {
        if !self.tight || self.free() < self.bytes + self.bytes / 2 {
            return Ok(false);
        }
        if let Err(error) = self.make() {
            tracing::warn!(%error, "the reserve could not be made");
            self.give_up();
            return Ok(false);
        }
        self.tight = false;
        self.limit(db)?;
        Ok(true)
    }

    /// Bytes that the log may take without endangering its own way back into the database.
    pub(super) fn log_may_take(&self) -> u64 {
        self.free().saturating_add(self.bytes / 2)
    }

    /// Bytes that this process may still write to the disk.
    fn free(&self) -> u64 {
        let dir = self.path.parent().unwrap_or(&self.path);
        statvfs(dir).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// All of it is there, and holds blocks of the disk.
    fn is_whole(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|file| file.len() >= self.bytes && file.blocks() * 512 >= self.bytes)
    }

    fn make(&self) -> io::Result<()> {
        let mut file = File::create(&self.path)?;
        if fallocate(&file, FallocateFlags::empty(), 0, self.bytes).is_err() {
            // Not with this file system: bytes that nothing compresses.
            let (mut rng, mut block) = (system_rng(), vec![0; 65_536]);
            let mut left = self.bytes;
            while left > 0 {
                let len = left.min(block.len() as u64);
                rng.fill_bytes(&mut block);
                file.write_all(&block[..usize::try_from(len).unwrap_or(0)])?;
                left -= len;
            }
        }
        file.sync_all()
    }

    /// How far the database may grow now.
    fn limit(&self, db: &Connection) -> Result<(), StoreError> {
        let pages = match self.max_bytes {
            _ if self.tight => db.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).map_err(from_sql)?,
            Some(bytes) => (bytes / PAGE_BYTES).max(1).cast_signed(),
            None => MOST_PAGES.cast_signed(),
        };
        db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).map_err(from_sql)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(dir: &Path) -> Connection {
        let db = Connection::open(dir.join("store.db")).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(x BLOB); INSERT INTO t VALUES (zeroblob(100000));")
            .unwrap();
        db
    }

    fn limit(db: &Connection) -> i64 {
        db.query_row("PRAGMA max_page_count", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn the_file_holds_blocks_and_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let db = database(dir.path());
        let mut reserve = Reserve::new(dir.path(), 1 << 20, None);
        reserve.settle(&db).unwrap();
        assert!(!reserve.tight && reserve.is_whole());
        let made = fs::metadata(dir.path().join("reserve")).unwrap();
        let mut again = Reserve::new(dir.path(), 1 << 20, None);
        again.settle(&db).unwrap();
        assert_eq!(fs::metadata(dir.path().join("reserve")).unwrap().ino(), made.ino());
        // A disk with room is not why a commit failed.
        assert!(!again.relieve(&db).unwrap() && again.is_whole());
    }

    #[test]
    fn a_sparse_file_is_no_reserve() {
        let dir = tempfile::tempdir().unwrap();
        let db = database(dir.path());
        File::create(dir.path().join("reserve")).unwrap().set_len(1 << 20).unwrap();
        let mut reserve = Reserve::new(dir.path(), 1 << 20, None);
        assert!(!reserve.is_whole());
        reserve.settle(&db).unwrap();
        assert!(reserve.is_whole());
    }

    #[test]
    fn while_it_is_gone_the_database_does_not_grow_and_what_is_freed_is_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let db = database(dir.path());
        let mut reserve = Reserve::new(dir.path(), 1 << 20, Some(64 << 20));
        reserve.tight = true;
        reserve.limit(&db).unwrap();
        let insert = |len: usize| db.execute("INSERT INTO t VALUES (zeroblob(?1))", [len]);
        assert!(matches!(insert(200_000).map_err(from_sql), Err(StoreError::Full)));
        db.execute("DELETE FROM t", []).unwrap();
        insert(50_000).unwrap();
        assert!(reserve.regain(&db).unwrap() && reserve.is_whole());
        assert_eq!(limit(&db), (64 << 20) / 4096);
        insert(200_000).unwrap();
    }

    #[test]
    fn none_is_wanted_and_none_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let db = database(dir.path());
        let mut reserve = Reserve::new(dir.path(), 0, None);
        reserve.settle(&db).unwrap();
        assert!(!dir.path().join("reserve").exists() && !reserve.relieve(&db).unwrap());
    }
}
