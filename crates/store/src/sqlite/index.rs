//! What is where in the queues: kept in memory only, rebuilt by one scan at a start.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::record::{Content, RowNumber};
use crate::{PayloadId, QueueId, QueueLimit, Seq, UnixDay};

/// One waiting row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) seq: Seq,
    pub(super) number: RowNumber,
    pub(super) content: Content,
    pub(super) expires: UnixDay,
    pub(super) written: UnixDay,
    /// Bytes of head and payload.
    pub(super) len: u32,
}

/// One shared payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedPayload {
    pub(super) id: PayloadId,
    pub(super) written: UnixDay,
    pub(super) len: u32,
    pub(super) refs: u64,
}

struct Queue {
    next: Seq,
    rows: VecDeque<Entry>,
}

/// All queues and shared payloads.
pub(super) struct Index {
    queues: HashMap<QueueId, Queue>,
    /// Where a queue that has no entry here begins; at or beyond the end of every queue that was forgotten.
    floor: Seq,
    payloads: HashMap<RowNumber, SharedPayload>,
    by_id: HashMap<PayloadId, RowNumber>,
    expiring: BTreeMap<UnixDay, u64>,
}

impl Index {
    /// An empty index whose positions begin after those of every earlier start.
    pub(super) fn new(boot: u32) -> Self {
        Self {
            queues: HashMap::new(),
            floor: Seq::first_of_boot(boot),
            payloads: HashMap::new(),
            by_id: HashMap::new(),
            expiring: BTreeMap::new(),
        }
    }

    /// The next position of `queue`, which is used up by this.
    pub(super) fn take_seq(&mut self, queue: QueueId) -> Seq {
        let floor = self.floor;
        let queue = self.queues.entry(queue).or_insert_with(|| Queue { next: floor, rows: VecDeque::new() });
        let seq = queue.next;
        queue.next = seq.next();
        seq
    }

    /// The last position given out in `queue`, as far as it is remembered.
    pub(super) fn last_seq(&self, queue: QueueId) -> Seq {
        self.queues.get(&queue).map_or(Seq::START, |queue| Seq(queue.next.0 - 1))
    }

    /// The number of the oldest row of `queue`.
    pub(super) fn first_number(&self, queue: QueueId) -> Option<RowNumber> {
        self.queues.get(&queue)?.rows.front().map(|entry| entry.number)
    }

    /// Adds a durable row; `false` if it is not behind the queue's last one.
    pub(super) fn push(&mut self, queue: QueueId, entry: Entry) -> bool {
        let floor = self.floor;
        let queue = self.queues.entry(queue).or_insert_with(|| Queue { next: floor, rows: VecDeque::new() });
        if queue.rows.back().is_some_and(|last| last.seq >= entry.seq) {
            return false;
        }
        queue.rows.push_back(entry);
        queue.next = queue.next.max(entry.seq.next());
        *self.expiring.entry(entry.expires).or_default() += 1;
        true
    }

    /// The rows of `queue` up to and including `seq`.
    pub(super) fn through(&self, queue: QueueId, seq: Seq) -> impl Iterator<Item = &Entry> {
        let rows = self.queues.get(&queue).into_iter().flat_map(|queue| &queue.rows);
        rows.take_while(move |entry| entry.seq <= seq)
    }

    /// Forgets the rows of `queue` up to and including `seq`, and the queue if nothing is left.
    pub(super) fn forget_through(&mut self, queue: QueueId, seq: Seq) {
        let Some(held) = self.queues.get_mut(&queue) else { return };
        while let Some(entry) = held.rows.pop_front_if(|entry| entry.seq <= seq) {
            uncount(&mut self.expiring, entry.expires);
        }
        self.forget_if_empty(queue);
    }

    /// A row, if it is there and has expired on `today`.
    pub(super) fn expired(&self, queue: QueueId, seq: Seq, today: UnixDay) -> Option<&Entry> {
        let rows = &self.queues.get(&queue)?.rows;
        let at = rows.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
        rows.get(at).filter(|entry| entry.expires <= today)
    }

    /// Forgets single rows of `queue`.
    pub(super) fn forget(&mut self, queue: QueueId, seqs: &[Seq]) {
        let Some(held) = self.queues.get_mut(&queue) else { return };
        let expiring = &mut self.expiring;
        held.rows.retain(|entry| {
            let keep = seqs.binary_search(&entry.seq).is_err();
            if !keep {
                uncount(expiring, entry.expires);
            }
            keep
        });
        self.forget_if_empty(queue);
    }

    /// Drops the memory of an empty queue; its positions stay used by raising the floor.
    pub(super) fn forget_if_empty(&mut self, queue: QueueId) {
        if self.queues.get(&queue).is_some_and(|held| held.rows.is_empty())
            && let Some(held) = self.queues.remove(&queue)
        {
            self.floor = self.floor.max(held.next);
        }
    }

    /// All rows that have expired on `today`, in no order.
    pub(super) fn all_expired(&self, today: UnixDay) -> Vec<(RowNumber, QueueId, Seq)> {
        if self.expiring.keys().next().is_none_or(|first| *first > today) {
            return Vec::new();
        }
        let of = |(id, queue): (&QueueId, &'_ Queue)| {
            let expired = queue.rows.iter().filter(|entry| entry.expires <= today);
            expired.map(|entry| (entry.number, *id, entry.seq)).collect::<Vec<_>>()
        };
        self.queues.iter().flat_map(of).collect()
    }

    /// The rows of `queue` after `after` that live on `today`, within `limit`.
    pub(super) fn range(&self, queue: QueueId, after: Seq, limit: QueueLimit, today: UnixDay) -> Vec<Entry> {
        let Some(held) = self.queues.get(&queue) else { return Vec::new() };
        let first = held.rows.partition_point(|entry| entry.seq <= after);
        within(limit, held.rows.range(first..).filter(|entry| entry.expires > today))
    }

    /// The newest rows of `queue` that live on `today`, oldest first, within `limit`.
    pub(super) fn latest(&self, queue: QueueId, limit: QueueLimit, today: UnixDay) -> Vec<Entry> {
        let Some(held) = self.queues.get(&queue) else { return Vec::new() };
        let mut rows = within(limit, held.rows.iter().rev().filter(|entry| entry.expires > today));
        rows.reverse();
        rows
    }

    /// How many rows of `queue` live on `today`.
    pub(super) fn len(&self, queue: QueueId, today: UnixDay) -> u64 {
        let Some(held) = self.queues.get(&queue) else { return 0 };
        held.rows.iter().filter(|entry| entry.expires > today).count() as u64
    }

    /// All rows with their queues.
    pub(super) fn all(&self) -> impl Iterator<Item = (&QueueId, &Entry)> {
        self.queues.iter().flat_map(|(id, queue)| queue.rows.iter().map(move |entry| (id, entry)))
    }

    /// The payload known as `id`, if it was sealed on `today`: an older one would be unreadable too early.
    pub(super) fn payload_of(&self, id: &PayloadId, today: UnixDay) -> Option<RowNumber> {
        let number = self.by_id.get(id)?;
        self.payloads.get(number).filter(|payload| payload.written == today).map(|_| *number)
    }

    /// The payload with this number.
    pub(super) fn payload(&self, number: RowNumber) -> Option<&SharedPayload> {
        self.payloads.get(&number)
    }

    /// Bytes that a row takes itself, without a shared payload.
    pub(super) fn own_len(&self, entry: &Entry) -> u32 {
        match entry.content {
            Content::Inline => entry.len,
            Content::Shared(number) => entry.len.saturating_sub(self.payload(number).map_or(0, |payload| payload.len)),
        }
    }

    /// All shared payloads.
    pub(super) fn payloads(&self) -> impl Iterator<Item = (&RowNumber, &SharedPayload)> {
        self.payloads.iter()
    }

    /// Adds a payload.
    pub(super) fn add_payload(&mut self, number: RowNumber, payload: SharedPayload) {
        self.by_id.insert(payload.id, number);
        self.payloads.insert(number, payload);
    }

    /// Changes how many rows refer to a payload, and forgets it with the last.
    pub(super) fn count_payload(&mut self, number: RowNumber, change: i64) {
        let Some(payload) = self.payloads.get_mut(&number) else { return };
        payload.refs = payload.refs.saturating_add_signed(change);
        if payload.refs == 0 {
            let id = payload.id;
            self.payloads.remove(&number);
            if self.by_id.get(&id) == Some(&number) {
                self.by_id.remove(&id);
            }
        }
    }
}

fn within<'a>(limit: QueueLimit, rows: impl Iterator<Item = &'a Entry>) -> Vec<Entry> {
    let mut bytes = 0usize;
    rows.take(limit.rows)
        .enumerate()
        .take_while(|(index, entry)| {
            bytes = bytes.saturating_add(entry.len as usize);
            *index == 0 || bytes <= limit.bytes
        })
        .map(|(_, entry)| *entry)
        .collect()
}

fn uncount(expiring: &mut BTreeMap<UnixDay, u64>, day: UnixDay) {
    if let Some(count) = expiring.get_mut(&day) {
        *count -= 1;
        if *count == 0 {
            expiring.remove(&day);
        }
    }
}
