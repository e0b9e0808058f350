//! Rows in a SQLite file, sealed under the home key. WAL, `synchronous=FULL` (a commit is on the disk when it returns),
//! `secure_delete` (deleted rows are overwritten). The rows with the keys of messages are sealed under a page key instead ([`super::page`]).

use super::page::Page;
use super::seal::Sealer;
use super::{HomeKey, Row, Rows, RowsError};
use parlour_client::api::Changes;
use parlour_client::rows::{KEY_RING, SHREDDED};
use rusqlite::{Connection, ErrorCode, params};
use std::path::Path;

/// Rows in a SQLite file.
pub struct SqliteRows {
    database: Connection,
    sealer: Sealer,
    page: Page,
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
        let sealer = Sealer::new(key);
        let page = Page::open(path, key, |page| match read_stored(&database, &sealer, KEY_RING)?.first() {
            Some((stored, value)) => Ok(page.open(&sealer.unblind(stored), value).is_ok()),
            None => Ok(true),
        })?;
        Ok(Self { database, sealer, page })
    }
}

impl Rows for SqliteRows {
    fn load(&mut self, prefix: &[u8]) -> Result<Vec<Row>, RowsError> {
        let open = |(stored, value): Row| {
            let key = self.sealer.unblind(&stored);
            let value = sealer_of(&key, &self.sealer, self.page.sealer()).open(&key, &value)?;
            Ok((key, value))
        };
        let rows: Result<Vec<Row>, RowsError> =
            read_stored(&self.database, &self.sealer, prefix)?.into_iter().map(open).collect();
        let mut rows = rows?;
        rows.sort_unstable();
        Ok(rows)
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), RowsError> {
        let shreds = changes.0.iter().any(|(key, _)| key.starts_with(SHREDDED));
        let next = if shreds { Some(self.page.next()?) } else { None };
        let page = next.as_ref().map_or(self.page.sealer(), |(_, sealer)| sealer);
        let transaction = self.database.transaction().map_err(full)?;
        if next.is_some() {
            turn_page(&transaction, &self.sealer, self.page.sealer(), page)?;
        }
        {
            let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO rows (key, value) VALUES (?1, ?2)")?;
            let mut delete = transaction.prepare_cached("DELETE FROM rows WHERE key = ?1")?;
            for (key, value) in &changes.0 {
                let stored = self.sealer.blind(key);
                match value {
                    Some(value) => put.execute(params![stored, sealer_of(key, &self.sealer, page).seal(key, value)]),
                    None => delete.execute(params![stored]),
                }
                .map_err(full)?;
            }
        }
        transaction.commit().map_err(full)?;
        if let Some(next) = next {
            self.page.turn(next);
        }
        Ok(())
    }
}

/// What a row is sealed with.
fn sealer_of<'s>(key: &[u8], rows: &'s Sealer, page: &'s Sealer) -> &'s Sealer {
    if key.starts_with(KEY_RING) { page } else { rows }
}

/// All rows with the keys of messages are sealed under another page key.
fn turn_page(database: &Connection, sealer: &Sealer, before: &Sealer, after: &Sealer) -> Result<(), RowsError> {
    let mut put = database.prepare_cached("UPDATE rows SET value = ?2 WHERE key = ?1")?;
    for (stored, value) in read_stored(database, sealer, KEY_RING)? {
        let key = sealer.unblind(&stored);
        let value = before.open(&key, &value)?;
        put.execute(params![stored, after.seal(&key, &value)]).map_err(full)?;
    }
    Ok(())
}

/// The rows whose keys start with `prefix`, as they are stored.
fn read_stored(database: &Connection, sealer: &Sealer, prefix: &[u8]) -> Result<Vec<Row>, RowsError> {
    let from = sealer.blind(prefix);
    match successor(&from) {
        Some(to) => read(database, "SELECT key, value FROM rows WHERE key >= ?1 AND key < ?2", params![from, to]),
        None => read(database, "SELECT key, value FROM rows WHERE key >= ?1", params![from]),
    }
}

fn read(database: &Connection, sql: &str, range: impl rusqlite::Params) -> Result<Vec<Row>, RowsError> {
    let mut statement = database.prepare_cached(sql)?;
    let mut found = statement.query(range)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let blob = |column| row.get_ref(column)?.as_blob().map(<[u8]>::to_vec).map_err(|_| RowsError::Damaged);
        rows.push((blob(0)?, blob(1)?));
    }
    Ok(rows)
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
        assert!(matches!(SqliteRows::open(&path, &key(2)), Err(RowsError::Damaged)));
        std::fs::remove_file(dir.path().join("rows.page")).unwrap();
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

    fn put(key: &[u8], value: &str) -> (Vec<u8>, Option<Vec<u8>>) {
        (key.to_vec(), Some(value.as_bytes().to_vec()))
    }

    fn values(rows: &mut SqliteRows) -> Vec<String> {
        rows.load(b"e").unwrap().into_iter().map(|(_, value)| String::from_utf8(value).unwrap()).collect()
    }

    /// A database with keys of two identities.
    fn with_keys(path: &Path) -> SqliteRows {
        let mut rows = SqliteRows::open(path, &key(1)).unwrap();
        let all = vec![put(b"ea", "a row"), put(b"ez\0\0one", "keys one"), put(b"ez\0\x01two", "keys two")];
        rows.commit(&Changes(all)).unwrap();
        rows
    }

    #[test]
    fn a_copy_of_before_keys_were_destroyed_does_not_open_with_what_is_there_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("rows.db"), dir.path().join("copy.db"));
        let mut rows = with_keys(&path);
        rows.database.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        rows.commit(&Changes(vec![put(b"ez\0\0one", "keys one without"), put(b"eZ\0\0", "1")])).unwrap();
        assert_eq!(values(&mut rows), ["1", "a row", "keys one without", "keys two"]);
        drop(rows);
        // The home key and the page key of now, and the database of then.
        std::fs::copy(dir.path().join("rows.page"), dir.path().join("copy.page")).unwrap();
        assert!(matches!(SqliteRows::open(&copy, &key(1)), Err(RowsError::Damaged)));
        assert_eq!(values(&mut SqliteRows::open(&path, &key(1)).unwrap()).len(), 4);
        // With the page key of then it would open: that is what is destroyed.
        let kept = dir.path().join("kept.db");
        let mut rows = with_keys(&kept);
        rows.commit(&Changes(vec![(b"ez\0\0one".to_vec(), None), (b"eZ\0\0".to_vec(), None)])).unwrap();
        assert_eq!(values(&mut rows), ["a row", "keys two"], "also where the last one goes");
    }

    #[test]
    fn a_kill_between_any_two_steps_costs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.db");
        let mut rows = with_keys(&path);
        // After the next key was drawn.
        let (next, sealer) = rows.page.next().unwrap();
        drop(rows);
        let mut rows = SqliteRows::open(&path, &key(1)).unwrap();
        assert_eq!(values(&mut rows), ["a row", "keys one", "keys two"]);
        drop((next, sealer));
        // After the rows were written.
        let (next, sealer) = rows.page.next().unwrap();
        turn_page(&rows.database, &rows.sealer, rows.page.sealer(), &sealer).unwrap();
        drop((rows, next));
        let mut rows = SqliteRows::open(&path, &key(1)).unwrap();
        assert_eq!(values(&mut rows), ["a row", "keys one", "keys two"]);
        assert_eq!(std::fs::metadata(dir.path().join("rows.page")).unwrap().len(), 72, "one key is left");
    }

    #[test]
    fn a_page_file_that_is_missing_or_damaged_is_not_taken_for_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.db");
        drop(with_keys(&path));
        let page = dir.path().join("rows.page");
        let bytes = std::fs::read(&page).unwrap();
        for broken in [&bytes[..71], &[&bytes[..], &bytes[..], &bytes[..]].concat(), &[0; 72], b""] {
            std::fs::write(&page, broken).unwrap();
            assert!(matches!(SqliteRows::open(&path, &key(1)), Err(RowsError::Damaged)), "{} bytes", broken.len());
        }
        std::fs::remove_file(&page).unwrap();
        assert!(matches!(SqliteRows::open(&path, &key(1)), Err(RowsError::Damaged)));
        assert!(!page.exists(), "nothing is made in its place");
        std::fs::write(&page, &bytes).unwrap();
        assert_eq!(values(&mut SqliteRows::open(&path, &key(1)).unwrap()).len(), 3);
    }

    #[test]
    fn the_successor_of_a_prefix_is_above_all_its_keys() {
        assert_eq!(successor(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(successor(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(successor(&[255]), None);
        assert_eq!(successor(b""), None);
    }
}
