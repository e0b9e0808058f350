//! Reading: on connections of its own, beside the writing thread, seeing what is durable.
//!
//! A damaged ordered row is an error to whoever asks for it: to pass over a block or a right would be to lift it. A
//! damaged queue row is reported, counted and passed over: the rest of the mailbox must not wait for it.

use std::{
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql, params};

use super::{
    Shared, SqliteOptions,
    index::Entry,
    keys::PartitionTag,
    record::{Content, RowNumber, RowPlace, open_payload, open_queue_row, open_row},
    schema::{from_sql, open_reader},
};
use crate::{
    KeyRange, PartitionId, QueueId, QueueLimit, QueueRow, Row, RowKind, ScanCursor, ScanPage, Seq, StoreError, UnixDay,
    UnixTime,
};

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT key, kind, expires, data, part, id FROM row ", $rest)
    };
}

const ONE: &str = select!("INDEXED BY row_place WHERE part = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)");
const FROM: &str = select!(
    "INDEXED BY row_place WHERE part = ?1 AND key >= ?2 AND (expires IS NULL OR expires > ?3)
    ORDER BY key LIMIT ?4"
);
const BETWEEN: &str = select!(
    "INDEXED BY row_place WHERE part = ?1 AND key >= ?2 AND key < ?5 AND (expires IS NULL OR expires > ?3)
    ORDER BY key LIMIT ?4"
);
const OF_KIND: &str = select!("WHERE +kind = ?1 AND id > ?2 ORDER BY id LIMIT ?3");
const OF_INDEXED_KIND: &str =
    select!("INDEXED BY row_job WHERE kind = ?1 AND kind >= 128 AND id > ?2 ORDER BY id LIMIT ?3");
const ENTRY: &str = "SELECT day, expires, data FROM entry WHERE id = ?1";
const PAYLOAD: &str = "SELECT day, 0, data FROM payload WHERE pid = ?1";

/// The reading connections.
pub(super) struct Readers {
    pool: Vec<Mutex<Option<Connection>>>,
    turn: AtomicUsize,
}

impl Readers {
    pub(super) fn open(data: &Path, options: &SqliteOptions) -> Result<Self, StoreError> {
        let open = |_| Ok(Mutex::new(Some(open_reader(data, options)?)));
        let pool = (0..options.readers.max(1)).map(open).collect::<Result<_, StoreError>>()?;
        Ok(Self { pool, turn: AtomicUsize::new(0) })
    }

    pub(super) fn close(&self) {
        for reader in &self.pool {
            reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    /// A connection that nobody uses, or else the one whose turn it is.
    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        let free = self.pool.iter().find_map(|reader| reader.try_lock().ok());
        free.unwrap_or_else(|| {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.pool.len();
            self.pool[turn].lock().unwrap_or_else(PoisonError::into_inner)
        })
    }
}

/// A row as it lies in the table.
struct StoredRow {
    key: Vec<u8>,
    kind: RowKind,
    expires: Option<UnixTime>,
    sealed: Vec<u8>,
    tag: PartitionTag,
    id: RowNumber,
}

impl StoredRow {
    fn from_sql(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(0)?,
            kind: RowKind(row.get(1)?),
            expires: row.get::<_, Option<i64>>(2)?.map(|at| UnixTime(at.cast_unsigned())),
            sealed: row.get(3)?,
            tag: row.get(4)?,
            id: row.get(5)?,
        })
    }
}

impl Shared {
    pub(super) fn read<T>(&self, f: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        f(self.readers.connection().as_ref().ok_or(StoreError::Closed)?)
    }

    pub(super) fn row(&self, partition: &PartitionId, key: &[u8]) -> Result<Option<Row>, StoreError> {
        let tag = self.keys.partition_tag(partition);
        let now = self.clock.now().0.cast_signed();
        let mut rows = self.read(|db| stored_rows(db, ONE, params![tag, key, now]))?;
        rows.pop().map(|row| self.open_row(row).map(|(_, row)| row)).transpose()
    }

    pub(super) fn rows(&self, partition: &PartitionId, range: &KeyRange, limit: usize) -> Result<Vec<Row>, StoreError> {
        let tag = self.keys.partition_tag(partition);
        let now = self.clock.now().0.cast_signed();
        let limit = sql_limit(limit);
        let rows = self.read(|db| match &range.to {
            None => stored_rows(db, FROM, params![tag, range.from, now, limit]),
            Some(to) => stored_rows(db, BETWEEN, params![tag, range.from, now, limit, to]),
        })?;
        rows.into_iter().map(|row| self.open_row(row).map(|(_, row)| row)).collect()
    }

    pub(super) fn scan_rows(
        &self,
        kind: RowKind,
        cursor: Option<&ScanCursor>,
        limit: usize,
    ) -> Result<ScanPage, StoreError> {
        let after = cursor.and_then(|cursor| cursor.0.first_chunk()).map_or(0, |id| i64::from_be_bytes(*id));
        let select = if kind >= RowKind::FIRST_INDEXED { OF_INDEXED_KIND } else { OF_KIND };
        let rows = self.read(|db| stored_rows(db, select, params![kind.0, after, sql_limit(limit)]))?;
        let last = rows.last().filter(|_| rows.len() == limit);
        let next = last.map(|row| ScanCursor(row.id.to_be_bytes().to_vec()));
        let now = self.clock.now();
        let live = rows.into_iter().filter(|row| row.expires.is_none_or(|expires| expires > now));
        Ok(ScanPage { rows: live.filter_map(|row| self.open_row(row).ok()).collect(), next })
    }

    fn open_row(&self, row: StoredRow) -> Result<(PartitionId, Row), StoreError> {
        let place = RowPlace { tag: &row.tag, key: &row.key, kind: row.kind };
        let Some((partition, value)) = open_row(self.keys.rows(), place, row.sealed) else {
            self.counters.damaged("row", row.id);
            return Err(StoreError::Damaged);
        };
        Ok((partition, Row { key: row.key, value, kind: row.kind, expires: row.expires }))
    }

    pub(super) fn queue_rows(
        &self,
        queue: QueueId,
        after: Seq,
        limit: QueueLimit,
    ) -> Result<Vec<QueueRow>, StoreError> {
        let entries = self.index().range(queue, after, limit, self.clock.now().day());
        self.open_entries(queue, &entries)
    }

    pub(super) fn latest_queue_rows(&self, queue: QueueId, limit: QueueLimit) -> Result<Vec<QueueRow>, StoreError> {
        let entries = self.index().latest(queue, limit, self.clock.now().day());
        self.open_entries(queue, &entries)
    }

    fn open_entries(&self, queue: QueueId, entries: &[Entry]) -> Result<Vec<QueueRow>, StoreError> {
        if entries.is_empty() {
            return self.read(|_| Ok(Vec::new()));
        }
        self.read(|db| {
            let mut select = db.prepare_cached(ENTRY).map_err(from_sql)?;
            let rows = entries.iter().map(|entry| self.queue_row(db, &mut select, queue, entry));
            rows.filter_map(Result::transpose).collect()
        })
    }

    /// A queue row; `None` if it was acknowledged meanwhile, or is damaged.
    fn queue_row(
        &self,
        db: &Connection,
        select: &mut CachedStatement<'_>,
        queue: QueueId,
        entry: &Entry,
    ) -> Result<Option<QueueRow>, StoreError> {
        let Some((day, expires, sealed)) = sealed(select, entry.number)? else { return Ok(None) };
        let Some(key) = self.keys.day(day)? else { return Ok(None) };
        let opened = open_queue_row(&key, (entry.number, expires), sealed);
        let Some(header) = opened.filter(|row| row.queue == queue && row.seq == entry.seq) else {
            self.counters.damaged("queue row", entry.number);
            return Ok(None);
        };
        let payload = match header.content {
            Content::Inline => Some(header.inline),
            Content::Shared(number) => self.payload(db, number)?,
        };
        Ok(payload.map(|payload| QueueRow { seq: entry.seq, head: header.head, payload, expires: entry.expires }))
    }

    fn payload(&self, db: &Connection, number: RowNumber) -> Result<Option<Bytes>, StoreError> {
        let mut select = db.prepare_cached(PAYLOAD).map_err(from_sql)?;
        let Some((day, _, sealed)) = sealed(&mut select, number)? else { return Ok(None) };
        let Some(key) = self.keys.day(day)? else { return Ok(None) };
        let opened = open_payload(&key, number, sealed);
        if opened.is_none() {
            self.counters.damaged("payload", number);
        }
        Ok(opened.map(|(_, payload)| payload))
    }
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn stored_rows(db: &Connection, select: &str, params: &[&dyn ToSql]) -> Result<Vec<StoredRow>, StoreError> {
    let mut select = db.prepare_cached(select).map_err(from_sql)?;
    let rows = select.query_map(params, StoredRow::from_sql).and_then(Iterator::collect);
    rows.map_err(from_sql)
}

fn sealed(
    select: &mut CachedStatement<'_>,
    number: RowNumber,
) -> Result<Option<(UnixDay, UnixDay, Vec<u8>)>, StoreError> {
    let row = |row: &rusqlite::Row<'_>| Ok((UnixDay(row.get(0)?), UnixDay(row.get(1)?), row.get(2)?));
    select.query_row([number], row).optional().map_err(from_sql)
}
