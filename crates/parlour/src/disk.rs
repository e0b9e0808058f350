//! What a thief of the server's disk sees: the database read without any key, and every file byte by byte.
//!
//! Opens nothing for writing and takes no lock: the server may be running.

use anyhow::Context as _;
use parlour_store::{QueueKind, RowKind, UnixDay};
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a stored row is, as far as it shows without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stored {
    /// A row of a kind of the server's table.
    Row(RowKind),
    /// A sealed row of a queue; which queue it belongs to is sealed, too.
    Queue(QueueKind),
    /// Ciphertext that several queue rows share.
    Shared,
    /// A row whose number no kind can have.
    Stray(i64),
}

/// How much there is of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// The day on which the oldest was written.
    pub(crate) oldest: Option<UnixDay>,
    /// Rows without an end.
    pub(crate) endless: u64,
    /// The longest time, seconds, between the end of the day on which a row was written and its own end.
    pub(crate) longest_s: u64,
}

/// A server's data directory.
pub(crate) struct Disk {
    dir: PathBuf,
    database: Connection,
}

impl Disk {
    /// Opens the database for reading only.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join("store.db");
        anyhow::ensure!(path.is_file(), "{} holds no Parlour store", dir.display());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(&path, flags).with_context(|| path.display().to_string())?;
        database.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(Self { dir: dir.to_owned(), database })
    }

    /// How much there is of each kind.
    pub(crate) fn census(&self) -> anyhow::Result<BTreeMap<Stored, Count>> {
        let rows = "SELECT kind, count(*), sum(length(key) + length(data)), min(written), count(*) - count(expires),
            coalesce(max(expires - (written + 1) * 86400), 0) FROM row GROUP BY kind";
        let queues = "SELECT 0, count(*), coalesce(sum(length(data)), 0), min(day), 0,
            coalesce(max(expires - day - 1) * 86400, 0) FROM entry HAVING count(*) > 0";
        let shared =
            "SELECT 0, count(*), coalesce(sum(length(data)), 0), min(day), 0, 0 FROM payload HAVING count(*) > 0";
        let mut census = BTreeMap::new();
        let kind = |kind| u8::try_from(kind).map_or(Stored::Stray(kind), |kind| Stored::Row(RowKind(kind)));
        self.count(rows, kind, &mut census)?;
        self.count(queues, |_| Stored::Queue(QueueKind::Mailbox), &mut census)?;
        self.count(shared, |_| Stored::Shared, &mut census)?;
        Ok(census)
    }

    /// Tables that are not the store's.
    pub(crate) fn strange_tables(&self) -> anyhow::Result<Vec<String>> {
        let known =
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('meta', 'row', 'entry', 'payload')
            AND name NOT LIKE 'sqlite_%' ORDER BY name";
        let mut statement = self.database.prepare(known)?;
        let names = statement.query_map([], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// Every file below the directory: its path there, and its size.
    pub(crate) fn files(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut files = BTreeMap::new();
        list_dir(&self.dir, &self.dir, &mut files)?;
        Ok(files)
    }

    fn count(&self, sql: &str, kind: impl Fn(i64) -> Stored, into: &mut BTreeMap<Stored, Count>) -> anyhow::Result<()> {
        let mut statement = self.database.prepare(sql)?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let count: &mut Count = into.entry(kind(row.get(0)?)).or_default();
            count.rows += row.get::<_, u64>(1)?;
            count.bytes += row.get::<_, u64>(2)?;
            let oldest = UnixDay(row.get(3)?);
            count.oldest = Some(count.oldest.map_or(oldest, |other| other.min(oldest)));
            count.endless += row.get::<_, u64>(4)?;
            count.longest_s = count.longest_s.max(row.get::<_, i64>(5)?.max(0).cast_unsigned());
        }
        Ok(())
    }

    /// The sealed rows waiting in mailboxes: number in the database, and bytes; newest first.
    pub(crate) fn waiting(&self, limit: u32) -> anyhow::Result<Vec<(i64, Vec<u8>)>> {
        let sql = "SELECT id, data FROM entry ORDER BY id DESC LIMIT ?1";
        let mut statement = self.database.prepare(sql)?;
        let rows = statement.query_map([limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Reads every file below the directory and counts those in which one of the texts stands, as UTF-8.
    pub(crate) fn search(&self, texts: &[&str]) -> anyhow::Result<Search> {
        let mut search = Search::default();
        search_dir(&self.dir, texts, &mut search)?;
        Ok(search)
    }
}

/// What a search through all files found.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// Files read.
    pub(crate) files: usize,
    /// Bytes read.
    pub(crate) bytes: u64,
    /// Files in which one of the texts stands.
    pub(crate) found: Vec<PathBuf>,
}

fn list_dir(root: &Path, dir: &Path, files: &mut BTreeMap<String, u64>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            list_dir(root, &path, files)?;
        } else if let Ok(file) = std::fs::metadata(&path) {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.insert(name, file.len());
        }
    }
    Ok(())
}

fn search_dir(dir: &Path, texts: &[&str], search: &mut Search) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            search_dir(&path, texts, search)?;
            continue;
        }
        // A file that is removed meanwhile holds nothing any more.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        search.files += 1;
        search.bytes += bytes.len() as u64;
        if texts.iter().any(|text| contains(&bytes, text.as_bytes())) {
            search.found.push(path);
        }
    }
    Ok(())
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    let Some(first) = text.first() else { return false };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(text) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_wherever_it_stands() {
        assert!(contains(b"xxabaabc", b"abc") && contains(b"abc", b"abc"));
        assert!(!contains(b"abab", b"abc") && !contains(b"", b"a") && !contains(b"a", b""));
    }

    #[test]
    fn a_directory_without_a_store_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Disk::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("holds no Parlour store"), "{error}");
    }
}
