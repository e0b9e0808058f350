//! The queue rows of a group under way: planned on the index, then written, and entered into the index when durable.

use std::collections::HashMap;

use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rusqlite::{Connection, params};

use super::{
    index::{Entry, Index, SharedPayload},
    keys::Keys,
    record::{Content, RowNumber, seal_payload, seal_queue_row},
    schema::from_sql,
};
use crate::{Payload, PayloadId, QueueBatch, QueueId, QueueWrite, Seq, StoreError, UnixDay};

const INSERT: &str = "INSERT INTO entry(id, day, expires, data) VALUES (?1, ?2, ?3, ?4)";
const INSERT_PAYLOAD: &str = "INSERT INTO payload(pid, day, data) VALUES (?1, ?2, ?3)";
const DELETE: &str = "DELETE FROM entry WHERE id BETWEEN ?1 AND ?2";
const DELETE_PAYLOAD: &str = "DELETE FROM payload WHERE pid BETWEEN ?1 AND ?2";

/// A queue whose oldest row was written so many rows ago is one that nobody empties now.
const SOON: RowNumber = 4_096;

/// The next unused numbers of the two tables; never reused while the store is open.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    pub(super) entry: RowNumber,
    pub(super) payload: RowNumber,
}

/// An appended row.
pub(super) struct Append {
    pub(super) queue: QueueId,
    pub(super) seq: Seq,
    pub(super) head: Bytes,
    pub(super) payload: Bytes,
    number: RowNumber,
    content: Content,
    expires: UnixDay,
}

/// What a group does to the queues.
pub(super) struct QueuePlan {
    today: UnixDay,
    /// No row lives on.
    last: UnixDay,
    /// The rows to write: those that the group itself did not delete again.
    pub(super) appends: Vec<Append>,
    /// The places in `appends` in the order of their numbers.
    written: Vec<usize>,
    new_payloads: Vec<(RowNumber, PayloadId, Bytes)>,
    through: HashMap<QueueId, Seq>,
    expired: Vec<(QueueId, Vec<Seq>)>,
    deleted: Vec<RowNumber>,
    payload_counts: HashMap<RowNumber, i64>,
    dead_payloads: Vec<RowNumber>,
}

impl QueuePlan {
    /// An empty plan for a group of `today`, whose rows live so many days.
    pub(super) fn new(today: UnixDay, row_days: u32) -> Self {
        Self {
            today,
            last: today.plus(row_days),
            appends: Vec::new(),
            written: Vec::new(),
            new_payloads: Vec::new(),
            through: HashMap::new(),
            expired: Vec::new(),
            deleted: Vec::new(),
            payload_counts: HashMap::new(),
            dead_payloads: Vec::new(),
        }
    }

    /// Takes up a batch; the positions given to its rows are added to `seqs`.
    pub(super) fn add(&mut self, index: &mut Index, numbers: &mut Numbers, batch: &QueueBatch, seqs: &mut Vec<Seq>) {
        let queue = batch.queue;
        for write in &batch.writes {
            let through = match write {
                QueueWrite::Append { head, payload, expires } => {
                    let seq = index.take_seq(queue);
                    seqs.push(seq);
                    let content = self.content(index, numbers, payload);
                    self.appends.push(Append {
                        queue,
                        seq,
                        head: head.clone(),
                        payload: payload.bytes().clone(),
                        number: 0,
                        content,
                        expires: (*expires).min(self.last),
                    });
                    continue;
                }
                QueueWrite::AckThrough(seq) => (*seq).min(index.last_seq(queue)),
                QueueWrite::Drop => index.last_seq(queue),
            };
            let held = self.through.entry(queue).or_insert(through);
            *held = through.max(*held);
        }
    }

    /// Where a payload is stored: shared ones under the number they already have, in the index or in this plan.
    fn content(&mut self, index: &Index, numbers: &mut Numbers, payload: &Payload) -> Content {
        let Payload::Shared { id, data } = payload else { return Content::Inline };
        let planned = || self.new_payloads.iter().rev().find(|(_, new, _)| new == id).map(|(number, ..)| *number);
        if let Some(number) = index.payload_of(id, self.today).or_else(planned) {
            return Content::Shared(number);
        }
        let number = numbers.payload;
        numbers.payload += 1;
        self.new_payloads.push((number, *id, data.clone()));
        Content::Shared(number)
    }

    /// Deletes those of the rows that have expired; gives how many.
    pub(super) fn expire(&mut self, index: &Index, rows: &[(QueueId, Seq)]) -> usize {
        let mut taken: HashMap<QueueId, Vec<Seq>> = HashMap::new();
        let mut count = 0;
        for (queue, seq) in rows {
            let Some(entry) = index.expired(*queue, *seq, self.today) else { continue };
            taken.entry(*queue).or_default().push(*seq);
            count += 1;
            self.delete(entry);
        }
        for (queue, mut seqs) in taken {
            seqs.sort_unstable();
            self.expired.push((queue, seqs));
        }
        count
    }

    /// Settles what is deleted (acknowledged rows, rows that the group itself wrote, payloads nobody refers to), and in which
    /// order the rest is written.
    pub(super) fn settle(&mut self, index: &Index, numbers: &mut Numbers) {
        for (queue, seq) in std::mem::take(&mut self.through) {
            index.through(queue, seq).for_each(|entry| self.delete(entry));
            self.through.insert(queue, seq);
        }
        let through = &self.through;
        self.appends.retain(|row| through.get(&row.queue).is_none_or(|seq| row.seq > *seq));
        for row in &self.appends {
            if let Content::Shared(number) = row.content {
                *self.payload_counts.entry(number).or_default() += 1;
            }
        }
        let counts = &self.payload_counts;
        self.new_payloads.retain(|(number, ..)| counts.get(number).is_some_and(|count| *count > 0));
        self.dead_payloads = counts
            .iter()
            .filter(|(number, change)| {
                let held = index.payload(**number).map(|payload| payload.refs);
                held.is_some_and(|refs| refs.saturating_add_signed(**change) == 0)
            })
            .map(|(number, _)| *number)
            .collect();
        self.order(index, numbers);
    }

    /// Numbers the rows: first those that are likely to go soon, then those of queues that nobody empties; so that what is
    /// acknowledged together lies together. Within a queue the order is that of its positions.
    fn order(&mut self, index: &Index, numbers: &mut Numbers) {
        let old = numbers.entry - SOON;
        let mut order: Vec<(bool, QueueId, usize)> = Vec::with_capacity(self.appends.len());
        let lasts = |queue| index.first_number(queue).is_some_and(|first| first < old);
        order.extend(self.appends.iter().enumerate().map(|(at, row)| (lasts(row.queue), row.queue, at)));
        order.sort_unstable();
        self.written = order.into_iter().map(|(.., at)| at).collect();
        for at in &self.written {
            self.appends[*at].number = numbers.entry;
            numbers.entry += 1;
        }
    }

    fn delete(&mut self, entry: &Entry) {
        self.deleted.push(entry.number);
        if let Content::Shared(number) = entry.content {
            *self.payload_counts.entry(number).or_default() -= 1;
        }
    }

    /// Writes the plan into the open transaction; gives how many rows it deleted.
    pub(super) fn write(&mut self, db: &Connection, keys: &Keys, rng: &mut ChaCha20Rng) -> Result<u64, StoreError> {
        delete_runs(db, DELETE, &mut self.deleted).map_err(from_sql)?;
        delete_runs(db, DELETE_PAYLOAD, &mut self.dead_payloads).map_err(from_sql)?;
        if !self.appends.is_empty() {
            self.insert(db, keys, rng)?;
        }
        Ok(self.deleted.len() as u64)
    }

    fn insert(&self, db: &Connection, keys: &Keys, rng: &mut ChaCha20Rng) -> Result<(), StoreError> {
        let key = keys.today(self.today)?;
        let mut statement = db.prepare_cached(INSERT_PAYLOAD).map_err(from_sql)?;
        for (number, id, data) in &self.new_payloads {
            let sealed = seal_payload(&key, rng, *number, *id, data);
            statement.execute(params![number, self.today.0, sealed]).map_err(from_sql)?;
        }
        let mut statement = db.prepare_cached(INSERT).map_err(from_sql)?;
        for row in self.written.iter().map(|at| &self.appends[*at]) {
            let inline = match row.content {
                Content::Inline => &row.payload[..],
                Content::Shared(_) => &[],
            };
            let place = (row.number, row.expires);
            let sealed = seal_queue_row(&key, rng, place, (row.queue, row.seq), row.content, (&row.head, inline));
            statement.execute(params![row.number, self.today.0, row.expires.0, sealed]).map_err(from_sql)?;
        }
        Ok(())
    }

    /// Enters what is durable now into the index.
    pub(super) fn enter(&self, index: &mut Index) {
        for (queue, seq) in &self.through {
            index.forget_through(*queue, *seq);
        }
        for (queue, seqs) in &self.expired {
            index.forget(*queue, seqs);
        }
        for (number, id, data) in &self.new_payloads {
            let payload = SharedPayload { id: *id, written: self.today, len: len(data.len()), refs: 0 };
            index.add_payload(*number, payload);
        }
        for (number, change) in &self.payload_counts {
            index.count_payload(*number, *change);
        }
        for row in &self.appends {
            let entry = Entry {
                seq: row.seq,
                number: row.number,
                content: row.content,
                expires: row.expires,
                written: self.today,
                len: len(row.head.len() + row.payload.len()),
            };
            index.push(row.queue, entry);
        }
    }

    /// After a failure: forgets the queues that exist in the index only because of this plan.
    pub(super) fn abandon(&self, index: &mut Index) {
        for queue in self.appends.iter().map(|row| &row.queue).chain(self.through.keys()) {
            index.forget_if_empty(*queue);
        }
    }
}

/// A length as the index keeps it.
pub(super) fn len(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Deletes by number, each run of consecutive numbers in one statement.
pub(super) fn delete_runs(db: &Connection, delete: &str, numbers: &mut [RowNumber]) -> rusqlite::Result<()> {
    if numbers.is_empty() {
        return Ok(());
    }
    numbers.sort_unstable();
    let mut statement = db.prepare_cached(delete)?;
    for run in numbers.chunk_by(|one, next| next - one == 1) {
        statement.execute([run[0], run[run.len() - 1]])?;
    }
    Ok(())
}

/// Deletes queue rows that can't be read any more.
pub(super) fn delete_unreadable(
    db: &Connection,
    entries: &mut [RowNumber],
    payloads: &mut [RowNumber],
) -> rusqlite::Result<()> {
    delete_runs(db, DELETE, entries)?;
    delete_runs(db, DELETE_PAYLOAD, payloads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(queue: u8) -> QueueBatch {
        let payload = Payload::Inline(Bytes::from_static(b"payload"));
        let write = QueueWrite::Append { head: Bytes::new(), payload, expires: UnixDay(9) };
        QueueBatch { queue: QueueId::Mailbox([queue; 16]), writes: vec![write] }
    }

    fn commit(index: &mut Index, numbers: &mut Numbers, queues: &[u8]) -> Vec<(u8, Seq, RowNumber)> {
        let mut plan = QueuePlan::new(UnixDay(1), 31);
        for queue in queues {
            plan.add(index, numbers, &append(*queue), &mut Vec::new());
        }
        plan.settle(index, numbers);
        plan.enter(index);
        plan.appends.iter().map(|row| (row.queue.id()[0], row.seq, row.number)).collect()
    }

    #[test]
    fn what_a_group_writes_lies_by_queue_and_in_each_in_order() {
        let (mut index, mut numbers) = (Index::new(1), Numbers { entry: 1, payload: 1 });
        let rows = commit(&mut index, &mut numbers, &[7, 2, 7, 2]);
        let numbers_of: Vec<RowNumber> = rows.iter().map(|(.., number)| *number).collect();
        assert_eq!(numbers_of, [3, 1, 4, 2]);
        assert!(rows[0].1 < rows[2].1 && rows[1].1 < rows[3].1);
        assert_eq!(numbers.entry, 5);
    }

    #[test]
    fn rows_of_a_queue_that_nobody_empties_lie_behind_the_others() {
        let (mut index, mut numbers) = (Index::new(1), Numbers { entry: 1, payload: 1 });
        commit(&mut index, &mut numbers, &[2]);
        numbers.entry += SOON;
        let rows = commit(&mut index, &mut numbers, &[2, 7]);
        assert!(rows[0].2 > rows[1].2);
    }
}
