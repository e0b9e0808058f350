//! A copy of the database for a backup, made while the store may be open elsewhere; and making such a copy into a store again.
//!
//! The copy is written by `VACUUM INTO` on a reading connection of its own, in one read transaction: it is the database as of one
//! instant, whatever the writer does meanwhile, and it has no free pages, so that nothing deleted travels in it. The writer is not
//! held up; only its log cannot be emptied until the copy is there, and grows by what is written meanwhile. The copy works half of the
//! time, and what it wrote goes to the disk piece by piece: else each sync of the writer's would wait for all of it. Keys are not in it.
//!
//! A copy that becomes a store begins at a start number that no other restored copy has had: positions of queues that were given
//! out after the copy was made never come again ([`Seq`](crate::Seq)).

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::statvfs;

use super::{
    keys::Keys,
    schema::{FORMAT, from_sql},
};
use crate::{StoreError, UnixTime};

/// Room that stays free on the disk that a copy is written to.
const KEPT_FREE: u64 = 16 << 20;
/// Start numbers of restored copies count minutes from the beginning of 2025: below `1 << 24` until 2056.
const FIRST_MINUTE: u64 = 1_735_689_600 / 60;
const MOST_STARTS: u64 = (1 << 24) - 1;

/// The copy works so long before it rests.
const STINT: Duration = Duration::from_millis(25);
/// Steps of SQLite's between two looks at the time; a row takes four.
const STEPS: i32 = 400;

/// Why no copy was made, or none can be read.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is no database.
    #[error("{} holds no Parlour store", .0.display())]
    NoStore(PathBuf),
    /// Another release wrote it.
    #[error("the store has format {found}; this release knows format {known}")]
    OtherFormat {
        /// The format found.
        found: u32,
        /// The format of this release.
        known: u32,
    },
    /// The copy does not fit.
    #[error("no room on the disk: the copy takes about {needed} bytes, {free} are free, and {kept} are left free")]
    NoRoom {
        /// What it takes.
        needed: u64,
        /// What there is.
        free: u64,
        /// What must stay.
        kept: u64,
    },
    /// The file is not a whole database.
    #[error("the database in {} is damaged", .0.display())]
    Damaged(PathBuf),
    /// Something else.
    #[error(transparent)]
    Failed(#[from] StoreError),
}

/// A copy that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The storage format.
    pub format: u32,
    /// Its size.
    pub bytes: u64,
}

/// Bytes that a copy of the store in `data` takes, about.
///
/// # Errors
/// As [`copy_database`].
pub fn copy_size(data: &Path) -> Result<u64, CopyError> {
    let db = open_reader(&data.join("store.db"))?;
    let count = |pragma: &str| db.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
    let pages = count("page_count").and_then(|all| Ok(all - count("freelist_count")?)).map_err(from_sql)?;
    Ok(pages.unsigned_abs() * super::schema::PAGE_BYTES)
}

/// Writes the database of the store in `data` to the new file `to`, durable when this returns. The store may be open and busy.
///
/// # Errors
/// [`CopyError`]; nothing is left behind then.
pub fn copy_database(data: &Path, to: &Path) -> Result<Copied, CopyError> {
    let db = open_reader(&data.join("store.db"))?;
    let format = format_of(&db)?;
    let needed = copy_size(data)?;
    let dir = to.parent().unwrap_or(to);
    let free = statvfs(dir).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    if free < needed.saturating_add(KEPT_FREE) {
        return Err(CopyError::NoRoom { needed, free, kept: KEPT_FREE });
    }
    // SQLite takes an empty file; so it is nobody else's to read from the first byte on.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(super::from_io)?;
    let written = into(&db, to).and_then(|()| {
        let file = File::open(to)?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    });
    match written {
        Ok(bytes) => Ok(Copied { format, bytes }),
        Err(error) => {
            let _ = fs::remove_file(to);
            let _ = fs::remove_file(to.with_extension("db-journal"));
            Err(super::from_io(error).into())
        }
    }
}

fn into(db: &Connection, to: &Path) -> io::Result<()> {
    let path = to.to_str().ok_or_else(|| io::Error::other("the path is not UTF-8"))?;
    db.progress_handler(STEPS, Some(pace(File::open(to)?)));
    db.execute("VACUUM INTO ?1", [path]).map(drop).map_err(|error| match from_sql(error) {
        StoreError::Full => io::Error::from(io::ErrorKind::StorageFull),
        error => io::Error::other(error.to_string()),
    })
}

/// Half of the time, and of the disk, is for those who write.
fn pace(to: File) -> impl FnMut() -> bool {
    let mut since = Instant::now();
    move || {
        let worked = since.elapsed();
        if worked >= STINT {
            // A failure shows at the end, when all is synced. Waiting for the disk is rest, too.
            let _ = to.sync_data();
            thread::sleep((2 * worked).saturating_sub(since.elapsed()));
            since = Instant::now();
        }
        false
    }
}

/// Looks at a copy without changing it: its format, and whether the keys in `data/keys` are its own.
///
/// # Errors
/// [`CopyError`]; [`StoreError::WrongKey`] in it when the keys are another store's or are not there.
pub fn check_copy(database: &Path, data: &Path) -> Result<(), CopyError> {
    let db = open_quietly(database)?;
    format_of(&db)?;
    let whole: String = db
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|_| CopyError::Damaged(database.to_owned()))?;
    if whole != "ok" {
        return Err(CopyError::Damaged(database.to_owned()));
    }
    let check: Vec<u8> =
        db.query_row("SELECT value FROM meta WHERE name = 'check'", [], |row| row.get(0)).map_err(from_sql)?;
    let keys = Keys::open(data, false)?;
    if check != keys.check() {
        return Err(StoreError::WrongKey(keys.dir().to_owned()).into());
    }
    Ok(())
}

/// Days for which waiting rows are there, but no key in `data/keys`, with the number of their rows.
///
/// # Errors
/// [`CopyError`].
pub fn rows_without_key(database: &Path, data: &Path) -> Result<Vec<(crate::UnixDay, u64)>, CopyError> {
    let db = open_quietly(database)?;
    let keys = Keys::open(data, false)?;
    let mut statement = db.prepare("SELECT day, count(*) FROM entry GROUP BY day").map_err(from_sql)?;
    let found = statement.query_map([], |row| Ok((crate::UnixDay(row.get(0)?), row.get::<_, i64>(1)?)));
    let found: Vec<_> = found.and_then(Iterator::collect::<rusqlite::Result<_>>).map_err(from_sql)?;
    let mut without = Vec::new();
    for (day, rows) in found {
        if keys.day(day)?.is_none() {
            without.push((day, rows.unsigned_abs()));
        }
    }
    Ok(without)
}

/// Makes the database in `data`, a copy that was put there, one that may be opened: its next start has a number that no start of
/// the store had from which it was copied, nor of another copy.
///
/// # Errors
/// [`CopyError`].
pub fn begin_anew(data: &Path, now: UnixTime) -> Result<(), CopyError> {
    let path = data.join("store.db");
    let db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(from_sql)?;
    let minute = (now.0 / 60).saturating_sub(FIRST_MINUTE).min(MOST_STARTS).cast_signed();
    // The opening adds one; so do starts between two copies' minutes.
    db.execute("UPDATE meta SET value = max(value, ?1) WHERE name = 'boot'", [minute]).map_err(from_sql)?;
    Ok(())
}

fn format_of(db: &Connection) -> Result<u32, CopyError> {
    let found: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(from_sql)?;
    if found == FORMAT { Ok(found) } else { Err(CopyError::OtherFormat { found, known: FORMAT }) }
}

fn open_reader(path: &Path) -> Result<Connection, CopyError> {
    if !path.is_file() {
        return Err(CopyError::NoStore(path.parent().unwrap_or(path).to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(from_sql)?;
    db.busy_timeout(std::time::Duration::from_secs(5)).map_err(from_sql)?;
    Ok(db)
}

/// A copy lies still: it is read without any file beside it.
fn open_quietly(path: &Path) -> Result<Connection, CopyError> {
    if !path.is_file() {
        return Err(CopyError::NoStore(path.parent().unwrap_or(path).to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let name = path.to_str().ok_or_else(|| StoreError::Failed("the path is not UTF-8".to_owned()))?;
    let name = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Ok(Connection::open_with_flags(format!("file:{name}?immutable=1"), flags).map_err(from_sql)?)
}
