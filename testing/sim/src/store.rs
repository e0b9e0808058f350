//! The server's store with an eye on it: the memory store, all that is written being looked at, and some planted bugs.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex},
};

use parlour_store::{
    Batch, Clock, CommitTicket, KeyRange, KindCount, MemoryStore, PartitionId, QueueBatch, QueueId, QueueLimit,
    QueueRow, QueueWrite, Row, RowKind, ScanCursor, ScanPage, Seq, Sink, Store, StoreError, Swept, UnixTime, Write,
};
use sha2::{Digest as _, Sha256};

use crate::{clockwork::locked, plant::Plant, secrets::Secrets};

/// The kind of the rows that are deliveries under way.
const DELIVERY: RowKind = RowKind(0x80);
/// So many of the last appended rows does a crash undo, if the store lies.
const UNDONE: usize = 4;

/// What is known of what was written, over all starts.
pub(crate) struct Seen {
    /// What the server must never see.
    pub secrets: Secrets,
    /// What it saw, in words.
    pub leaks: Vec<String>,
    /// The next commit is torn.
    tears: bool,
    digest: Sha256,
    batches: u64,
    last: VecDeque<(QueueId, Seq)>,
}

impl Seen {
    fn look_at(&mut self, what: &str, bytes: &[u8]) {
        self.digest.update(bytes);
        if let Some(secret) = self.secrets.find(bytes) {
            self.leaks.push(format!("{secret} in {what} of the server's store"));
        }
    }

    fn batch(&mut self, batch: &Batch) {
        self.batches += 1;
        match batch {
            Batch::Rows(batch) => {
                for write in &batch.writes {
                    match write {
                        Write::Put { key, value, kind, .. } => {
                            self.digest.update([1, kind.0]);
                            self.look_at("a key", key);
                            self.look_at("a row", value);
                        }
                        Write::Delete { key } => self.look_at("a key", key),
                        Write::DeleteRange(_) => self.digest.update([3]),
                    }
                }
            }
            Batch::Queue(batch) => {
                self.digest.update(batch.queue.id());
                for write in &batch.writes {
                    match write {
                        QueueWrite::Append { head, payload, .. } => {
                            self.look_at("a queue row's head", head);
                            self.look_at("a queue row", payload.bytes());
                        }
                        QueueWrite::AckThrough(seq) => self.digest.update(seq.0.to_be_bytes()),
                        QueueWrite::Drop => self.digest.update([5]),
                    }
                }
            }
        }
    }
}

/// The store that the simulated server gets.
#[derive(Clone)]
pub(crate) struct Watched {
    inner: MemoryStore,
    seen: Arc<Mutex<Seen>>,
    plant: Option<Plant>,
}

impl Watched {
    /// An empty one.
    #[must_use]
    pub(crate) fn new(clock: Arc<dyn Clock>, plant: Option<Plant>) -> Self {
        let seen = Seen {
            secrets: Secrets::default(),
            leaks: Vec::new(),
            tears: false,
            digest: Sha256::new(),
            batches: 0,
            last: VecDeque::new(),
        };
        Self { inner: MemoryStore::new(clock), seen: Arc::new(Mutex::new(seen)), plant }
    }

    /// What was seen.
    pub(crate) fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut locked(&self.seen))
    }

    /// How many batches were written, and a digest over all of them.
    #[must_use]
    pub(crate) fn written(&self) -> (u64, [u8; 32]) {
        self.seen(|seen| (seen.batches, seen.digest.clone().finalize().into()))
    }

    /// Crashes after so many more batches.
    pub(crate) fn crash_after(&self, batches: usize) {
        self.inner.crash_after(batches);
    }

    /// Crashes within the next commit: the first half of its batches is there.
    pub(crate) fn tear(&self, tears: bool) {
        self.seen(|seen| seen.tears = tears);
    }

    /// Whether it has.
    #[must_use]
    pub(crate) fn has_crashed(&self) -> bool {
        self.inner.has_crashed()
    }

    /// What the next start finds.
    #[must_use]
    pub(crate) fn reopen(&self) -> Self {
        let inner = self.inner.reopen();
        if self.plant == Some(Plant::NotDurable) {
            for (queue, seq) in self.seen(|seen| std::mem::take(&mut seen.last)) {
                let undone = Batch::Queue(QueueBatch { queue, writes: vec![QueueWrite::AckThrough(seq)] });
                drop(inner.commit(vec![undone]));
            }
        }
        Self { inner, seen: self.seen.clone(), plant: self.plant }
    }

    /// How many rows were over at this time and are there.
    pub(crate) fn overdue(&self, at: UnixTime) -> Swept {
        crate::clockwork::at_once(self.inner.sweep(at)).unwrap_or_default()
    }
}

struct Tell {
    sink: Arc<dyn Sink>,
    seen: Arc<Mutex<Seen>>,
}

impl Sink for Tell {
    fn appended(&self, queue: QueueId, seq: Seq, head: bytes::Bytes, payload: bytes::Bytes) {
        let mut seen = locked(&self.seen);
        seen.last.push_back((queue, seq));
        if seen.last.len() > UNDONE {
            seen.last.pop_front();
        }
        drop(seen);
        self.sink.appended(queue, seq, head, payload);
    }
}

impl Store for Watched {
    fn commit(&self, mut batches: Vec<Batch>) -> CommitTicket {
        let torn = self.seen(|seen| {
            batches.iter().for_each(|batch| seen.batch(batch));
            std::mem::take(&mut seen.tears)
        });
        if torn {
            self.inner.crash_after(batches.len() / 2);
        }
        if self.plant == Some(Plant::AckTooMany) {
            for batch in &mut batches {
                let Batch::Queue(batch) = batch else { continue };
                for write in &mut batch.writes {
                    if let QueueWrite::AckThrough(seq) = write {
                        seq.0 += 8;
                    }
                }
            }
        }
        self.inner.commit(batches)
    }

    fn get(&self, partition: &PartitionId, key: &[u8]) -> impl Future<Output = Result<Option<Row>, StoreError>> + Send {
        self.inner.get(partition, key)
    }

    fn range(
        &self,
        partition: &PartitionId,
        range: &KeyRange,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send {
        self.inner.range(partition, range, limit)
    }

    fn queue_range(
        &self,
        queue: QueueId,
        after: Seq,
        limit: QueueLimit,
    ) -> impl Future<Output = Result<Vec<QueueRow>, StoreError>> + Send {
        self.inner.queue_range(queue, after, limit)
    }

    fn queue_latest(
        &self,
        queue: QueueId,
        limit: QueueLimit,
    ) -> impl Future<Output = Result<Vec<QueueRow>, StoreError>> + Send {
        self.inner.queue_latest(queue, limit)
    }

    fn queue_len(&self, queue: QueueId) -> impl Future<Output = Result<u64, StoreError>> + Send {
        self.inner.queue_len(queue)
    }

    fn scan(
        &self,
        kind: RowKind,
        cursor: Option<ScanCursor>,
        limit: usize,
    ) -> impl Future<Output = Result<ScanPage, StoreError>> + Send {
        let lost = self.plant == Some(Plant::LostDelivery) && kind == DELIVERY;
        let page = self.inner.scan(kind, cursor, limit);
        async move { if lost { Ok(ScanPage::default()) } else { page.await } }
    }

    fn census(&self) -> impl Future<Output = Result<Vec<KindCount>, StoreError>> + Send {
        self.inner.census()
    }

    fn attach(&self, sink: Arc<dyn Sink>) {
        self.inner.attach(Arc::new(Tell { sink, seen: self.seen.clone() }));
    }

    fn sweep(&self, now: UnixTime) -> impl Future<Output = Result<Swept, StoreError>> + Send {
        let off = self.plant == Some(Plant::SweepOff);
        let inner = self.inner.clone();
        async move { if off { Ok(Swept::default()) } else { inner.sweep(now).await } }
    }

    fn close(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.inner.close()
    }
}
