//! A store compared with the model, step by step, over any history of commits, time, sweeps and restarts.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;

use super::{Factory, START, mailbox, room, rows_of, waiting};
use crate::{
    Assert, Batch, KeyRange, ManualClock, MemoryStore, Outcome, PartitionId, Payload, PayloadId, QueueBatch, QueueId,
    QueueWrite, RowBatch, RowKind, Seq, Store, UnixTime, Write,
};

/// Partitions, queues, keys and payloads that a history touches: few, so that steps meet.
const PLACES: u8 = 3;

/// One step. Every number is valid; it is taken modulo what there is.
#[derive(Clone, Debug)]
pub enum Step {
    /// Commits that are all submitted before the first is awaited.
    Commits(Vec<Vec<Change>>),
    /// Time passes.
    Hours(u8),
    /// The sweeper comes by.
    Sweep,
    /// The store is closed and opened.
    Reopen,
    /// The store is dropped and opened.
    Crash,
}

/// One batch of a commit.
#[derive(Clone, Debug)]
pub enum Change {
    /// Rows: asserts and writes as (what, key, value).
    Rows {
        /// Which partition.
        place: u8,
        /// The asserts.
        asserts: Vec<(u8, u8, u8)>,
        /// The writes.
        writes: Vec<(u8, u8, u8)>,
    },
    /// Appends to a queue; shared payloads for odd numbers.
    Append {
        /// Which queue.
        place: u8,
        /// Which payload.
        payload: u8,
        /// Days until it expires.
        days: u8,
    },
    /// Acknowledges the rows before and including the one that stood here before the step.
    Ack {
        /// Which queue.
        place: u8,
        /// Which row.
        row: u8,
    },
    /// Drops a queue.
    Drop {
        /// Which queue.
        place: u8,
    },
}

struct Pair<'f, F: Factory> {
    factory: &'f F,
    store: F::Store,
    model: MemoryStore,
    highest: HashMap<QueueId, Seq>,
}

/// Takes the steps on a store and on the model.
///
/// # Panics
/// At the first difference.
pub async fn run<F: Factory>(factory: &F, steps: &[Step]) {
    let clock: Arc<ManualClock> = factory.clock().clone();
    let store = factory.open();
    let mut pair = Pair { factory, store, model: MemoryStore::new(clock), highest: HashMap::new() };
    for step in steps {
        pair = pair.take(step).await;
        pair.compare().await;
    }
}

impl<F: Factory> Pair<'_, F> {
    async fn take(mut self, step: &Step) -> Self {
        match step {
            Step::Commits(commits) => self.commit(commits).await,
            Step::Hours(hours) => self.factory.clock().advance_s(u64::from(*hours) * 3_600),
            Step::Sweep => {
                let now: UnixTime = crate::Clock::now(&**self.factory.clock());
                let (ours, model) = (self.store.sweep(now).await, self.model.sweep(now).await);
                let (ours, model) = (ours.expect("a sweep works"), model.expect("the model sweeps"));
                // An opening deletes expired queue rows, too, so that only the store may have fewer.
                assert_eq!(ours.rows, model.rows);
                assert!(ours.queue_rows <= model.queue_rows);
            }
            Step::Reopen => {
                self.store.close().await.expect("a store closes");
                return self.reopened();
            }
            Step::Crash => return self.reopened(),
        }
        self
    }

    fn reopened(self) -> Self {
        let Self { factory, store, model, highest } = self;
        drop(store);
        Self { factory, store: factory.open(), model: model.reopen(), highest }
    }

    async fn commit(&mut self, commits: &[Vec<Change>]) {
        let waiting = Waiting::read(&self.store, &self.model).await;
        let ours = commits.iter().map(|commit| commit.iter().map(|change| waiting.batch(change, Side::Ours)));
        let ours: Vec<_> = ours.map(|batches| self.store.commit(batches.collect())).collect();
        for (commit, ours) in commits.iter().zip(ours) {
            let model = commit.iter().map(|change| waiting.batch(change, Side::Model)).collect();
            let model = self.model.commit(model).await.expect("the model works");
            let ours = ours.await.expect("a commit works");
            match (&ours, &model) {
                (Outcome::Applied { appended: ours }, Outcome::Applied { appended: model }) => {
                    assert_eq!(ours.len(), model.len());
                    self.check_positions(commit, ours);
                }
                _ => assert_eq!(ours, model),
            }
        }
    }

    async fn compare(&mut self) {
        for place in 0..PLACES {
            assert_eq!(rows_of(&self.store, &room(place)).await, rows_of(&self.model, &room(place)).await);
            let queue = mailbox(place);
            let (ours, model) = (waiting(&self.store, queue).await, waiting(&self.model, queue).await);
            let content = |rows: &[crate::QueueRow]| -> Vec<_> {
                rows.iter().map(|row| (row.head.clone(), row.payload.clone())).collect()
            };
            assert_eq!(content(&ours), content(&model));
            assert!(ours.is_sorted_by(|one, next| one.seq < next.seq));
        }
    }

    /// Every position is beyond all that its queue ever had.
    fn check_positions(&mut self, commit: &[Change], seqs: &[Seq]) {
        let queues = commit.iter().filter_map(|change| match change {
            Change::Append { place, .. } => Some(mailbox(place % PLACES)),
            _ => None,
        });
        for (queue, seq) in queues.zip(seqs) {
            let highest = self.highest.entry(queue).or_default();
            assert!(seq > highest, "a position was given out again");
            *highest = *seq;
        }
    }
}

/// On which of the two a position is to be looked up.
#[derive(Clone, Copy)]
enum Side {
    Ours,
    Model,
}

/// The positions that stand in each queue, on both sides.
struct Waiting(HashMap<QueueId, Vec<(Seq, Seq)>>);

impl Waiting {
    async fn read<S: Store>(store: &S, model: &MemoryStore) -> Self {
        let mut seqs = HashMap::new();
        for queue in (0..PLACES).map(mailbox) {
            let (ours, model) = (waiting(store, queue).await, waiting(model, queue).await);
            seqs.insert(queue, ours.iter().zip(&model).map(|(ours, model)| (ours.seq, model.seq)).collect());
        }
        Self(seqs)
    }

    fn batch(&self, change: &Change, side: Side) -> Batch {
        match change {
            Change::Rows { place, asserts, writes } => {
                let asserts = asserts.iter().map(|(what, key, value)| assert(*what, *key, *value));
                let writes = writes.iter().map(|(what, key, value)| write(*what, *key, *value));
                let partition: PartitionId = room(place % PLACES);
                RowBatch { partition, asserts: asserts.collect(), writes: writes.collect() }.into()
            }
            Change::Append { place, payload, days } => {
                let data = Bytes::from(vec![*payload; 20 * usize::from(*payload)]);
                let payload = match payload % 2 {
                    0 => Payload::Inline(data),
                    _ => Payload::Shared { id: PayloadId([*payload; 16]), data },
                };
                let head = Bytes::copy_from_slice(&[*place, *days]);
                Batch::append(mailbox(place % PLACES), head, payload, START.day().plus(u32::from(*days)))
            }
            Change::Ack { place, row } => {
                let queue = mailbox(place % PLACES);
                let seqs = &self.0[&queue];
                let seq = seqs.get(usize::from(*row) % seqs.len().max(1));
                let seq = seq.map_or(Seq::START, |(ours, model)| match side {
                    Side::Ours => *ours,
                    Side::Model => *model,
                });
                Batch::ack(queue, seq)
            }
            Change::Drop { place } => {
                QueueBatch { queue: mailbox(place % PLACES), writes: vec![QueueWrite::Drop] }.into()
            }
        }
    }
}

fn key(number: u8) -> Vec<u8> {
    vec![number % 5]
}

fn value(number: u8) -> Bytes {
    Bytes::from(vec![number % 3])
}

fn assert(what: u8, key_number: u8, value_number: u8) -> Assert {
    let key = key(key_number);
    match what % 3 {
        0 => Assert::Absent { key },
        1 => Assert::Present { key },
        _ => Assert::Equals { key, value: value(value_number) },
    }
}

fn write(what: u8, key_number: u8, value_number: u8) -> Write {
    let key = key(key_number);
    match what % 5 {
        0 => Write::Delete { key },
        1 => Write::DeleteRange(KeyRange::new(key, vec![value_number % 6])),
        2 => {
            let expires = Some(START.plus_s(u64::from(value_number) * 1_800));
            Write::Put { key, value: value(value_number), kind: RowKind(1), expires, new: false }
        }
        _ => Write::Put { key, value: value(value_number), kind: RowKind(0x80), expires: None, new: false },
    }
}
