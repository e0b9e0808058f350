//! The store in memory, for tests: what the port promises and not a bit more.
//!
//! Every batch becomes durable on its own, so that [`MemoryStore::crash_after`] can stop between any two of one
//! commit. [`MemoryStore::reopen`] then gives what a server would find at its next start.

mod model;

use std::{
    future::{Future, ready},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::model::{Appended, Model};
use crate::{
    Batch, Clock, CommitTicket, KeyRange, KindCount, Outcome, PartitionId, QueueId, QueueLimit, QueueRow, Row, RowKind,
    ScanCursor, ScanPage, Seq, Sink, Store, StoreError, Swept, UnixTime,
};

/// A store in memory. Clones are the same open store.
#[derive(Clone)]
pub struct MemoryStore(Arc<Process>);

/// The memory store under the name that says what domain tests use it for: a commit may stop between two batches.
pub type CrashStore = MemoryStore;

/// What dies with a crash, around what does not.
struct Process {
    durable: Arc<Mutex<Model>>,
    clock: Arc<dyn Clock>,
    live: Mutex<Live>,
}

struct Live {
    end: Option<StoreError>,
    crash_after: Option<usize>,
    sink: Option<Arc<dyn Sink>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::start(Arc::new(Mutex::new(Model::default())), clock)
    }

    /// Crashes when `batches` more batches are durable, before their commit is answered; with 0, at the next commit.
    ///
    /// The commit that is hit, and everything after it, answers [`StoreError::Crashed`]; its rows reach no sink.
    pub fn crash_after(&self, batches: usize) {
        self.live().crash_after = Some(batches);
    }

    /// Whether the crash has happened.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        matches!(self.live().end, Some(StoreError::Crashed))
    }

    /// Ends this store as a crash does, and opens another one on what was durable.
    #[must_use]
    pub fn reopen(&self) -> Self {
        self.live().end = Some(StoreError::Crashed);
        Self::start(self.0.durable.clone(), self.0.clock.clone())
    }

    fn start(durable: Arc<Mutex<Model>>, clock: Arc<dyn Clock>) -> Self {
        durable.lock().unwrap_or_else(PoisonError::into_inner).boot();
        Self(Arc::new(Process { durable, clock, live: Mutex::new(Live { end: None, crash_after: None, sink: None }) }))
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the rows, unless the store has ended.
    fn with<T>(&self, f: impl FnOnce(&mut Model, UnixTime) -> T) -> Result<T, StoreError> {
        let live = self.live();
        match &live.end {
            Some(end) => Err(end.clone()),
            None => {
                let mut model = self.0.durable.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(f(&mut model, self.0.clock.now()))
            }
        }
    }

    fn apply(&self, live: &mut Live, batches: &[Batch]) -> Result<(Outcome, Vec<Appended>), StoreError> {
        if let Some(end) = &live.end {
            return Err(end.clone());
        }
        let mut model = self.0.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.0.clock.now();
        let mut appended = Vec::new();
        for (index, batch) in batches.iter().enumerate() {
            if live.crash_after == Some(0) {
                break;
            }
            if let Err(assert) = model.apply(batch, now, &mut appended) {
                return Ok((Outcome::Refused { batch: index, assert }, appended));
            }
            live.crash_after = live.crash_after.map(|left| left - 1);
        }
        if live.crash_after == Some(0) {
            live.end = Some(StoreError::Crashed);
            return Err(StoreError::Crashed);
        }
        let seqs = appended.iter().map(|row| row.seq).collect();
        Ok((Outcome::Applied { appended: seqs }, appended))
    }
}

impl Store for MemoryStore {
    fn commit(&self, batches: Vec<Batch>) -> CommitTicket {
        // The lock is held for the sink, too: rows reach it in the order in which they were applied.
        let mut live = self.live();
        let answer = self.apply(&mut live, &batches).map(|(outcome, appended)| {
            if let Some(sink) = &live.sink {
                for Appended { queue, seq, head, payload } in appended {
                    sink.appended(queue, seq, head, payload);
                }
            }
            outcome
        });
        CommitTicket::ready(answer)
    }

    fn get(&self, partition: &PartitionId, key: &[u8]) -> impl Future<Output = Result<Option<Row>, StoreError>> + Send {
        ready(self.with(|model, now| model.row(partition, key, now)))
    }

    fn range(
        &self,
        partition: &PartitionId,
        range: &KeyRange,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send {
        ready(self.with(|model, now| model.range(partition, range, limit, now)))
    }

    fn queue_range(
        &self,
        queue: QueueId,
        after: Seq,
        limit: QueueLimit,
    ) -> impl Future<Output = Result<Vec<QueueRow>, StoreError>> + Send {
        ready(self.with(|model, now| model.queue_range(queue, after, limit, now)))
    }

    fn queue_latest(
        &self,
        queue: QueueId,
        limit: QueueLimit,
    ) -> impl Future<Output = Result<Vec<QueueRow>, StoreError>> + Send {
        ready(self.with(|model, now| model.queue_latest(queue, limit, now)))
    }

    fn queue_len(&self, queue: QueueId) -> impl Future<Output = Result<u64, StoreError>> + Send {
        ready(self.with(|model, now| model.queue_len(queue, now)))
    }

    fn scan(
        &self,
        kind: RowKind,
        cursor: Option<ScanCursor>,
        limit: usize,
    ) -> impl Future<Output = Result<ScanPage, StoreError>> + Send {
        ready(self.with(|model, now| model.scan(kind, cursor.as_ref(), limit, now)))
    }

    fn census(&self) -> impl Future<Output = Result<Vec<KindCount>, StoreError>> + Send {
        ready(self.with(|model, _| model.census()))
    }

    fn attach(&self, sink: Arc<dyn Sink>) {
        self.live().sink = Some(sink);
    }

    fn sweep(&self, now: UnixTime) -> impl Future<Output = Result<Swept, StoreError>> + Send {
        ready(self.with(|model, _| model.sweep(now)))
    }

    fn close(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        let mut live = self.live();
        live.end.get_or_insert(StoreError::Closed);
        ready(Ok(()))
    }
}
