//! The database: its settings (measured; see `docs/decisions/0002-embedded-store.md`), tables and format number.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OptionalExtension, config::DbConfig, ffi};

use super::{SqliteOptions, keys::Keys};
use crate::StoreError;

/// The storage format that this release writes, kept in `user_version`.
pub(super) const FORMAT: u32 = 1;

/// A page of the database.
pub(super) const PAGE_BYTES: u64 = 4096;
const BUSY_WAIT: Duration = Duration::from_millis(250);

// `entry` and `payload` are only ever appended to, in the order of their numbers, and have no other index: an index
// on random ids in the delivery path costs seven times the work. Which queue a row is in, only its sealed part says.
const TABLES: &str = "
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE row(
    id INTEGER PRIMARY KEY, part BLOB NOT NULL, key BLOB NOT NULL, kind INTEGER NOT NULL,
    expires INTEGER, written INTEGER NOT NULL, data BLOB NOT NULL);
CREATE UNIQUE INDEX row_place ON row(part, key);
CREATE INDEX row_expiry ON row(expires) WHERE expires IS NOT NULL;
CREATE INDEX row_job ON row(kind) WHERE kind >= 128;
CREATE TABLE entry(
    id INTEGER PRIMARY KEY, day INTEGER NOT NULL, expires INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE payload(pid INTEGER PRIMARY KEY, day INTEGER NOT NULL, data BLOB NOT NULL);
PRAGMA user_version = 1;
";

/// Opens the writing connection and the keys, making both if there is nothing yet; gives the number of this start.
pub(super) fn open(data: &Path, options: &SqliteOptions) -> Result<(Connection, Keys, u32), StoreError> {
    let mut db = connect(&data.join("store.db"))?;
    let found: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(from_sql)?;
    if found > FORMAT {
        return Err(StoreError::NewerFormat { found, known: FORMAT });
    }
    let keys = Keys::open(data, found == 0)?;
    configure(&db, options).map_err(from_sql)?;
    let boot = start(&mut db, found == 0, &keys)?;
    Ok((db, keys, boot))
}

/// Opens a connection that only reads.
pub(super) fn open_reader(data: &Path, options: &SqliteOptions) -> Result<Connection, StoreError> {
    let db = connect(&data.join("store.db"))?;
    db.pragma_update(None, "cache_size", -i64::from(options.reader_cache_kib)).map_err(from_sql)?;
    db.pragma_update(None, "query_only", true).map_err(from_sql)?;
    Ok(db)
}

pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let db = Connection::open(path).map_err(from_sql)?;
    db.busy_timeout(BUSY_WAIT).map_err(from_sql)?;
    db.set_prepared_statement_cache_capacity(32);
    // A store that was not closed is left as a crash leaves it: the next opening has one path only.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(from_sql)?;
    Ok(db)
}

fn configure(db: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    db.pragma_update(None, "page_size", PAGE_BYTES)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "cache_size", -i64::from(options.cache_kib))?;
    // Until the writing thread begins: then it is the checkpointer's.
    db.pragma_update(None, "wal_autocheckpoint", 4000)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.query_row("PRAGMA secure_delete = ON", [], |_| Ok(()))?;
    if let Some(bytes) = options.max_bytes {
        // A database that is larger already keeps its size.
        db.query_row(&format!("PRAGMA max_page_count = {}", (bytes / PAGE_BYTES).max(1)), [], |_| Ok(()))?;
    }
    Ok(())
}

fn start(db: &mut Connection, is_new: bool, keys: &Keys) -> Result<u32, StoreError> {
    let transaction = db.transaction().map_err(from_sql)?;
    if is_new {
        transaction.execute_batch(TABLES).map_err(from_sql)?;
        let check = ("check", &keys.check()[..]);
        transaction.execute("INSERT INTO meta VALUES (?1, ?2)", check).map_err(from_sql)?;
    }
    let check: Option<Vec<u8>> = transaction
        .query_row("SELECT value FROM meta WHERE name = 'check'", [], |row| row.get(0))
        .optional()
        .map_err(from_sql)?;
    if check.as_deref() != Some(&keys.check()[..]) {
        return Err(StoreError::WrongKey(keys.dir().to_owned()));
    }
    let boot = transaction
        .query_row(
            "INSERT INTO meta VALUES ('boot', 1) ON CONFLICT DO UPDATE SET value = value + 1 RETURNING value",
            [],
            |row| row.get(0),
        )
        .map_err(from_sql)?;
    transaction.commit().map_err(from_sql)?;
    Ok(boot)
}

/// What an error of the database means for the store.
pub(super) fn from_sql(error: rusqlite::Error) -> StoreError {
    if let rusqlite::Error::SqliteFailure(code, _) = &error {
        let full = matches!(code.extended_code, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE);
        if full || code.code == ErrorCode::DiskFull {
            return StoreError::Full;
        }
    }
    StoreError::Failed(error.to_string())
}
