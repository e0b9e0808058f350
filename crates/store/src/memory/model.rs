//! What a store means, in its plainest form: the model that every adapter is compared with.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use crate::{
    Batch, Counted, KeyRange, KindCount, PartitionId, PayloadId, QueueBatch, QueueId, QueueLimit, QueueRow, QueueWrite,
    Row, RowBatch, RowKind, ScanCursor, ScanPage, Seq, Swept, UnixDay, UnixTime, Write,
};

/// A row that was appended, for the sink.
pub(super) struct Appended {
    pub(super) queue: QueueId,
    pub(super) seq: Seq,
    pub(super) head: Bytes,
    pub(super) payload: Bytes,
}

/// All rows and queues.
#[derive(Default)]
pub(super) struct Model {
    boot: u32,
    rows: BTreeMap<(PartitionId, Vec<u8>), Held>,
    queues: BTreeMap<QueueId, BTreeMap<Seq, HeldQueueRow>>,
    next: HashMap<QueueId, Seq>,
}

struct Held {
    row: Row,
    written: UnixDay,
}

struct HeldQueueRow {
    row: QueueRow,
    shared: Option<PayloadId>,
    written: UnixDay,
}

impl Held {
    fn is_live(&self, now: UnixTime) -> bool {
        self.row.expires.is_none_or(|expires| expires > now)
    }
}

impl Model {
    /// What an opening does: positions of this start are beyond those of all starts before.
    pub(super) fn boot(&mut self) {
        self.boot += 1;
        self.next.clear();
    }

    /// Applies one batch, or names the assert that does not hold.
    pub(super) fn apply(&mut self, batch: &Batch, now: UnixTime, appended: &mut Vec<Appended>) -> Result<(), usize> {
        match batch {
            Batch::Rows(batch) => self.apply_rows(batch, now),
            Batch::Queue(batch) => {
                self.apply_queue(batch, now, appended);
                Ok(())
            }
        }
    }

    fn apply_rows(&mut self, batch: &RowBatch, now: UnixTime) -> Result<(), usize> {
        for (index, assert) in batch.asserts.iter().enumerate() {
            let stored = self.row(&batch.partition, assert.key(), now);
            if !assert.holds(stored.as_ref().map(|row| &row.value[..])) {
                return Err(index);
            }
        }
        for write in &batch.writes {
            match write {
                Write::Put { key, value, kind, expires, new: _ } => {
                    let expires = expires.map(UnixTime::rounded_up_to_hour);
                    let row = Row { key: key.clone(), value: value.clone(), kind: *kind, expires };
                    self.rows.insert((batch.partition.clone(), key.clone()), Held { row, written: now.day() });
                }
                Write::Delete { key } => {
                    self.rows.remove(&(batch.partition.clone(), key.clone()));
                }
                Write::DeleteRange(range) => {
                    self.rows.retain(|(partition, key), _| *partition != batch.partition || !range.contains(key));
                }
            }
        }
        Ok(())
    }

    fn apply_queue(&mut self, batch: &QueueBatch, now: UnixTime, appended: &mut Vec<Appended>) {
        let first = Seq::first_of_boot(self.boot);
        let next = self.next.entry(batch.queue).or_insert(first);
        let rows = self.queues.entry(batch.queue).or_default();
        for write in &batch.writes {
            match write {
                QueueWrite::Append { head, payload, expires } => {
                    let seq = *next;
                    *next = seq.next();
                    let shared = match payload {
                        crate::Payload::Inline(_) => None,
                        crate::Payload::Shared { id, .. } => Some(*id),
                    };
                    let expires = expires.capped(now.day());
                    let row = QueueRow { seq, head: head.clone(), payload: payload.bytes().clone(), expires };
                    let (head, payload) = (row.head.clone(), row.payload.clone());
                    rows.insert(seq, HeldQueueRow { row, shared, written: now.day() });
                    appended.push(Appended { queue: batch.queue, seq, head, payload });
                }
                QueueWrite::AckThrough(seq) => rows.retain(|held, _| held > seq),
                QueueWrite::Drop => rows.clear(),
            }
        }
    }

    pub(super) fn row(&self, partition: &PartitionId, key: &[u8], now: UnixTime) -> Option<Row> {
        let held = self.rows.get(&(partition.clone(), key.to_vec()))?;
        held.is_live(now).then(|| held.row.clone())
    }

    pub(super) fn range(&self, partition: &PartitionId, range: &KeyRange, limit: usize, now: UnixTime) -> Vec<Row> {
        self.rows
            .range((partition.clone(), range.from.clone())..)
            .take_while(|((held, key), _)| held == partition && range.contains(key))
            .filter(|(_, held)| held.is_live(now))
            .map(|(_, held)| held.row.clone())
            .take(limit)
            .collect()
    }

    fn live_queue_rows(&self, queue: QueueId, now: UnixTime) -> impl DoubleEndedIterator<Item = &QueueRow> {
        let rows = self.queues.get(&queue).into_iter().flat_map(BTreeMap::values);
        rows.filter(move |held| held.row.expires > now.day()).map(|held| &held.row)
    }

    pub(super) fn queue_len(&self, queue: QueueId, now: UnixTime) -> u64 {
        self.live_queue_rows(queue, now).count() as u64
    }

    pub(super) fn queue_range(&self, queue: QueueId, after: Seq, limit: QueueLimit, now: UnixTime) -> Vec<QueueRow> {
        within(limit, self.live_queue_rows(queue, now).filter(|row| row.seq > after))
    }

    pub(super) fn queue_latest(&self, queue: QueueId, limit: QueueLimit, now: UnixTime) -> Vec<QueueRow> {
        let mut rows = within(limit, self.live_queue_rows(queue, now).rev());
        rows.reverse();
        rows
    }

    pub(super) fn scan(&self, kind: RowKind, cursor: Option<&ScanCursor>, limit: usize, now: UnixTime) -> ScanPage {
        let skipped = cursor.map_or(0, |cursor| cursor.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)));
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let rows: Vec<_> = self
            .rows
            .iter()
            .skip(skipped)
            .enumerate()
            .filter(|(_, (_, held))| held.row.kind == kind && held.is_live(now))
            .map(|(index, ((partition, _), held))| (index, (partition.clone(), held.row.clone())))
            .take(limit)
            .collect();
        let next = match rows.last() {
            Some((index, _)) if rows.len() == limit => {
                Some(ScanCursor(((skipped + index + 1) as u64).to_be_bytes().to_vec()))
            }
            _ => None,
        };
        ScanPage { rows: rows.into_iter().map(|(_, row)| row).collect(), next }
    }

    pub(super) fn census(&self) -> Vec<KindCount> {
        let mut counts = BTreeMap::<Counted, (u64, u64, UnixDay)>::new();
        let mut count = |kind, bytes: usize, written: UnixDay| {
            let entry = counts.entry(kind).or_insert((0, 0, written));
            *entry = (entry.0 + 1, entry.1 + bytes as u64, entry.2.min(written));
        };
        for held in self.rows.values() {
            count(Counted::Rows(held.row.kind), held.row.key.len() + held.row.value.len(), held.written);
        }
        let mut payloads = BTreeMap::new();
        for (queue, held) in self.queues.iter().flat_map(|(queue, rows)| rows.values().map(move |row| (queue, row))) {
            let own = match held.shared {
                None => held.row.payload.len(),
                Some(id) => {
                    payloads.entry(id).or_insert((held.row.payload.len(), held.written));
                    0
                }
            };
            count(Counted::Queue(queue.kind()), held.row.head.len() + own, held.written);
        }
        for (bytes, written) in payloads.into_values() {
            count(Counted::Payloads, bytes, written);
        }
        let counted = counts.into_iter();
        counted.map(|(kind, (rows, bytes, oldest))| KindCount { kind, rows, bytes, oldest: Some(oldest) }).collect()
    }

    pub(super) fn sweep(&mut self, now: UnixTime) -> Swept {
        let mut swept = Swept::default();
        self.rows.retain(|_, held| {
            swept.rows += u64::from(!held.is_live(now));
            held.is_live(now)
        });
        for rows in self.queues.values_mut() {
            rows.retain(|_, held| {
                let live = held.row.expires > now.day();
                swept.queue_rows += u64::from(!live);
                live
            });
        }
        self.queues.retain(|_, rows| !rows.is_empty());
        swept
    }
}

fn within<'a>(limit: QueueLimit, rows: impl Iterator<Item = &'a QueueRow>) -> Vec<QueueRow> {
    let mut taken: Vec<QueueRow> = Vec::new();
    let mut bytes = 0;
    for row in rows.take(limit.rows) {
        bytes += row.head.len() + row.payload.len();
        if bytes > limit.bytes && !taken.is_empty() {
            break;
        }
        taken.push(row.clone());
    }
    taken
}
