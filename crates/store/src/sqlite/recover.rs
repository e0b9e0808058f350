//! What a start does: one scan opens every waiting row and rebuilds the index; what can't live any more is deleted.

use rusqlite::Connection;

use super::{
    index::{Entry, Index, SharedPayload},
    keys::Keys,
    queues::{Numbers, delete_unreadable, len},
    record::{Content, RowNumber, open_payload, open_queue_row},
    schema::from_sql,
    seal::SealKey,
    stats::Counters,
};
use crate::{StoreError, UnixDay};

const ENTRIES: &str = "SELECT id, day, expires, data FROM entry ORDER BY id";
const PAYLOADS: &str = "SELECT pid, day, 0, data FROM payload ORDER BY pid";

/// A queue row or payload as it lies in its table.
struct Stored {
    number: RowNumber,
    day: UnixDay,
    expires: UnixDay,
    sealed: Vec<u8>,
}

/// Rebuilds the index as of `today`; gives it, and where the numbers go on. A row lives `row_days` at most, also one that was
/// written when they were more.
pub(super) fn recover(
    db: &mut Connection,
    keys: &Keys,
    counters: &Counters,
    boot: u32,
    (today, row_days): (UnixDay, u32),
) -> Result<(Index, Numbers), StoreError> {
    let mut index = Index::new(boot);
    let mut numbers = Numbers { entry: 1, payload: 1 };
    let mut dead_payloads = Vec::new();
    each(db, PAYLOADS, |row| {
        numbers.payload = row.number + 1;
        // A payload without its day's key is unreadable, and so are all rows that refer to it.
        let Some(key) = keys.day(row.day)? else {
            dead_payloads.push(row.number);
            return Ok(());
        };
        match open_payload(&key, row.number, row.sealed) {
            Some((id, data)) => {
                let payload = SharedPayload { id, written: row.day, len: len(data.len()), refs: 0 };
                index.add_payload(row.number, payload);
            }
            None => counters.damaged("payload", row.number),
        }
        Ok(())
    })?;
    let mut dead_entries = Vec::new();
    each(db, ENTRIES, |row| {
        numbers.entry = row.number + 1;
        let ends = row.expires.min(row.day.plus(row_days));
        let key = if ends <= today { None } else { keys.day(row.day)? };
        let Some(key) = key else {
            dead_entries.push(row.number);
            return Ok(());
        };
        let number = row.number;
        if !enter(&mut index, &key, ends, row) {
            counters.damaged("queue row", number);
        }
        Ok(())
    })?;
    let unused = index.payloads().filter(|(_, payload)| payload.refs == 0).map(|(number, _)| *number);
    let unused: Vec<RowNumber> = unused.collect();
    for number in &unused {
        index.count_payload(*number, 0);
    }
    dead_payloads.extend(unused);
    let transaction = db.transaction().map_err(from_sql)?;
    delete_unreadable(&transaction, &mut dead_entries, &mut dead_payloads).map_err(from_sql)?;
    transaction.commit().map_err(from_sql)?;
    Ok((index, numbers))
}

/// Enters a row; `false` if it is damaged.
fn enter(index: &mut Index, key: &SealKey, ends: UnixDay, row: Stored) -> bool {
    let Some(header) = open_queue_row(key, (row.number, row.expires), row.sealed) else {
        return false;
    };
    let payload_len = match header.content {
        Content::Inline => header.inline.len(),
        Content::Shared(number) => match index.payload(number) {
            Some(payload) => payload.len as usize,
            None => return false,
        },
    };
    let entry = Entry {
        seq: header.seq,
        number: row.number,
        content: header.content,
        expires: ends,
        written: row.day,
        len: len(header.head.len() + payload_len),
    };
    if !index.push(header.queue, entry) {
        return false;
    }
    if let Content::Shared(number) = header.content {
        index.count_payload(number, 1);
    }
    true
}

fn each(db: &Connection, select: &str, mut f: impl FnMut(Stored) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let mut statement = db.prepare(select).map_err(from_sql)?;
    let mut rows = statement.query([]).map_err(from_sql)?;
    while let Some(row) = rows.next().map_err(from_sql)? {
        let stored = || -> rusqlite::Result<Stored> {
            Ok(Stored {
                number: row.get(0)?,
                day: UnixDay(row.get(1)?),
                expires: UnixDay(row.get(2)?),
                sealed: row.get(3)?,
            })
        };
        f(stored().map_err(from_sql)?)?;
    }
    Ok(())
}
