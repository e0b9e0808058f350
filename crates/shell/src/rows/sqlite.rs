//! Rows in a SQLite file, sealed under the home key. WAL, `synchronous=FULL` (a commit is on the disk when it returns),
//! `secure_delete` (deleted rows are overwritten).

use super::seal::Sealer;
use super::{HomeKey, Row, Rows, RowsError};
use parlour_client::api::Changes;
use rusqlite::{Connection, ErrorCode, params};
use std::path::Path;

/// Rows in a SQLite file.
pub struct SqliteRows {
    database: Connection,
    sealer: Sealer,
}

impl SqliteRows {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When it cannot be opened or is not a database.
    pub fn open(path: &Path, key: &HomeKey) -> Result<Self, RowsError> {
        let database = Connection::open(path)?;
        database.execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY;
             CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;",
        )?;
        Ok(Self { database, sealer: Sealer::new(key) })
    }
}

impl Rows for SqliteRows {
    fn load(&mut self, prefix: &[u8]) -> Result<Vec<Row>, RowsError> {
        let from = self.sealer.blind(prefix);
        let mut rows = match successor(&from) {
            Some(to) => self.read("SELECT key, value FROM rows WHERE key >= ?1 AND key < ?2", params![from, to])?,
            None => self.read("SELECT key, value FROM rows WHERE key >= ?1", params![from])?,
        };
        rows.sort_unstable();
        Ok(rows)
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), RowsError> {
        let transaction = self.database.transaction().map_err(full)?;
        {
            let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO rows (key, value) VALUES (?1, ?2)")?;
            let mut delete = transaction.prepare_cached("DELETE FROM rows WHERE key = ?1")?;
            for (key, value) in &changes.0 {
                let stored = self.sealer.blind(key);
                match value {
                    Some(value) => put.execute(params![stored, self.sealer.seal(key, value)]),
                    None => delete.execute(params![stored]),
                }
                .map_err(full)?;
            }
        }
        transaction.commit().map_err(full)
    }
}

impl SqliteRows {
    fn read(&self, sql: &str, range: impl rusqlite::Params) -> Result<Vec<Row>, RowsError> {
        let mut statement = self.database.prepare_cached(sql)?;
        let mut found = statement.query(range)?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let key = self.sealer.unblind(row.get_ref(0)?.as_blob().map_err(|_| RowsError::Damaged)?);
            let value = self.sealer.open(&key, row.get_ref(1)?.as_blob().map_err(|_| RowsError::Damaged)?)?;
            rows.push((key, value));
        }
        Ok(rows)
    }
}

impl Drop for SqliteRows {
    /// Moves the write-ahead log into the database and cuts it, so that nothing deleted stays behind in it.
    fn drop(&mut self) {
        if let Err(error) = self.database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the home's write-ahead log could not be cut");
        }
    }
}

/// The smallest key above all keys that start with `prefix`; `None` when there is none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

fn full(error: rusqlite::Error) -> RowsError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => RowsError::Full,
        _ => RowsError::Database(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> HomeKey {
        HomeKey::new([byte; 32])
    }

    #[test]
    fn sqlite_rows_conform() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.db");
        crate::rows::conformance::suite(&mut || Box::new(SqliteRows::open(&path, &key(1)).unwrap()));
    }

    #[test]
    fn another_key_opens_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.db");
        let one = Changes(vec![(b"k".to_vec(), Some(b"v".to_vec()))]);
        SqliteRows::open(&path, &key(1)).unwrap().commit(&one).unwrap();
        assert!(matches!(SqliteRows::open(&path, &key(2)).unwrap().load(b""), Err(RowsError::Damaged)));
    }

    #[test]
    fn the_file_shows_neither_keys_nor_values() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.db");
        let row = (b"canary-key".to_vec(), Some(b"canary-value".to_vec()));
        let mut rows = SqliteRows::open(&path, &key(1)).unwrap();
        rows.commit(&Changes(vec![row])).unwrap();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"canary"));
        }
    }

    #[test]
    fn the_successor_of_a_prefix_is_above_all_its_keys() {
        assert_eq!(successor(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(successor(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(successor(&[255]), None);
        assert_eq!(successor(b""), None);
    }
}
