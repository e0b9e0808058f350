//! The embedded store: one directory, one writing thread, SQLite as its log and its ordered rows.
//!
//! Laid out as `docs/decisions/0002-embedded-store.md` tells: queue rows are only appended, the index of the queues is
//! in memory, many commits share one sync, and everything but keys of rows, kinds and rounded times is sealed. It does
//! not replicate, and it does not decide how long anything lives.
//!
//! ```text
//! DATA/lock           held while the store is open
//! DATA/store.db       rows, sealed; with -wal and -shm beside it
//! DATA/reserve        room for bad days; see `reserve`
//! DATA/keys/*.key     what opens them; see `keys`
//! ```

mod census;
mod checkpoint;
mod copy;
mod gaps;
mod index;
mod keys;
mod queues;
mod read;
mod record;
mod recover;
mod reserve;
mod rows;
mod schema;
mod seal;
mod stats;
mod upkeep;
mod writer;

use std::{
    collections::VecDeque,
    fs::{File, TryLockError},
    future::{Future, ready},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use tokio::sync::oneshot;

use self::{
    checkpoint::Checkpointer,
    gaps::Gaps,
    index::Index,
    keys::{Keys, from_io, make_dir},
    queues::Numbers,
    read::Readers,
    reserve::Reserve,
    stats::Counters,
    writer::{Command, Request, Writer},
};
pub use self::{
    copy::{Copied, CopyError, begin_anew, check_copy, copy_database, copy_size, rows_without_key},
    stats::StoreStats,
};
use crate::{
    Batch, Clock, CommitTicket, KeyRange, KindCount, PartitionId, QueueId, QueueLimit, QueueRow, Row, RowKind,
    ScanCursor, ScanPage, Seq, Sink, Store, StoreError, Swept, UnixDay, UnixTime,
};

/// How an embedded store is opened. The defaults are the measured ones.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Page cache of the writing thread, in KiB.
    pub cache_kib: u32,
    /// Page cache of each reader, in KiB.
    pub reader_cache_kib: u32,
    /// Reading connections.
    pub readers: usize,
    /// The operator's quota for the database file, in bytes; beyond it commits answer [`StoreError::Full`].
    pub max_bytes: Option<u64>,
    /// Room kept back on the disk, so that deletions go on when it is full, in bytes; less on a small disk.
    pub reserve_bytes: u64,
    /// Commits written in one transaction at most.
    pub group: usize,
    /// Days after the day it was written on which a queue row, and the day's key with it, are gone: at most
    /// [`QUEUE_ROW_MAX_DAYS`](crate::QUEUE_ROW_MAX_DAYS).
    pub queue_row_days: u32,
    /// Commits that may wait; beyond it they answer [`StoreError::Busy`].
    pub max_waiting: usize,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            cache_kib: 65_536,
            reader_cache_kib: 8_192,
            readers: 2,
            max_bytes: None,
            reserve_bytes: 8 << 20,
            group: 512,
            queue_row_days: crate::QUEUE_ROW_MAX_DAYS,
            max_waiting: 65_536,
        }
    }
}

/// The embedded store. Clones are the same open store; with the last one it ends as it would in a crash, but in order:
/// what was submitted is written. Use [`Store::close`] to leave an empty log behind.
#[derive(Clone)]
pub struct SqliteStore(Arc<Handle>);

/// What all clones share.
struct Handle {
    shared: Arc<Shared>,
    commands: Option<Sender<Command>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    max_waiting: usize,
    database: PathBuf,
    wal: PathBuf,
}

/// What handles and the writing thread share.
struct Shared {
    keys: Keys,
    clock: Arc<dyn Clock>,
    queue_row_days: u32,
    index: Mutex<Index>,
    readers: Readers,
    sink: Mutex<Option<Arc<dyn Sink>>>,
    counters: Counters,
    waiting: AtomicUsize,
    /// Dropped after the readers, and the writing thread has no connection any more when it drops its share of this.
    gaps: Arc<Gaps>,
    lock: Mutex<Option<File>>,
}

impl SqliteStore {
    /// Opens the store in the directory `data`, making it if there is none.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if it is open elsewhere, [`StoreError::NewerFormat`] if a newer release wrote it,
    /// [`StoreError::WrongKey`] if its key directory is another's.
    pub fn open(data: &Path, clock: Arc<dyn Clock>, options: &SqliteOptions) -> Result<Self, StoreError> {
        make_dir(data)?;
        let lock = lock(data)?;
        let counters = Counters::default();
        let mut reserve = Reserve::new(data, options.reserve_bytes, options.max_bytes);
        let today = clock.now().day();
        let Opened { db, keys, index, numbers } = match Opened::open(data, options, &counters, today) {
            // A start writes, too.
            Err(StoreError::Full) if reserve.give_up() => Opened::open(data, options, &counters, today)?,
            opened => opened?,
        };
        reserve.settle(&db)?;
        let shared = Arc::new(Shared {
            keys,
            clock,
            queue_row_days: row_days(options),
            index: Mutex::new(index),
            readers: Readers::open(data, options)?,
            sink: Mutex::new(None),
            counters,
            waiting: AtomicUsize::new(0),
            gaps: Arc::new(Gaps::open(&data.join("store.db")).map_err(from_io)?),
            lock: Mutex::new(Some(lock)),
        });
        File::open(data).and_then(|dir| dir.sync_all()).map_err(from_io)?;
        Self::start(data, shared, (db, reserve), numbers, options)
    }

    fn start(
        data: &Path,
        shared: Arc<Shared>,
        (db, reserve): (rusqlite::Connection, Reserve),
        numbers: Numbers,
        options: &SqliteOptions,
    ) -> Result<Self, StoreError> {
        let (commands, inbox) = channel();
        let checkpointer = Checkpointer::start(data, &db)?;
        let writer = Writer {
            db,
            checkpointer,
            reserve,
            shared: shared.clone(),
            rng: seal::system_rng(),
            numbers,
            wal: data.join("store.db-wal"),
            group: options.group.max(1),
            chores: VecDeque::new(),
            last_chore: Instant::now(),
            last_commit: Instant::now(),
            unsettled: true,
            hindered: false,
        };
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(from_io)?;
        Ok(Self(Arc::new(Handle {
            shared,
            commands: Some(commands),
            writer: Mutex::new(Some(writer)),
            max_waiting: options.max_waiting,
            database: data.join("store.db"),
            wal: data.join("store.db-wal"),
        })))
    }

    /// What the store counts about itself.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let len = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        StoreStats {
            waiting: self.0.shared.waiting.load(Ordering::Relaxed) as u64,
            database_bytes: len(&self.0.database),
            wal_bytes: len(&self.0.wal),
            ..self.0.shared.counters.totals()
        }
    }
}

/// What is read at a start.
struct Opened {
    db: rusqlite::Connection,
    keys: Keys,
    index: Index,
    numbers: Numbers,
}

impl Opened {
    fn open(data: &Path, options: &SqliteOptions, counters: &Counters, today: UnixDay) -> Result<Self, StoreError> {
        let (mut db, keys, boot) = schema::open(data, options)?;
        let (index, numbers) = recover::recover(&mut db, &keys, counters, boot, (today, row_days(options)))?;
        Ok(Self { db, keys, index, numbers })
    }
}

fn row_days(options: &SqliteOptions) -> u32 {
    options.queue_row_days.min(crate::QUEUE_ROW_MAX_DAYS)
}

fn lock(data: &Path) -> Result<File, StoreError> {
    let file = File::create(data.join("lock")).map_err(from_io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(data.to_owned())),
        Err(TryLockError::Error(error)) => Err(from_io(error)),
    }
}

impl Shared {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sink(&self) -> Option<Arc<dyn Sink>> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.commands = None;
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer.filter(|writer| writer.thread().id() != thread::current().id()) {
            let _ = writer.join();
        }
    }
}

impl Store for SqliteStore {
    fn commit(&self, batches: Vec<Batch>) -> CommitTicket {
        let waiting = &self.0.shared.waiting;
        let Some(commands) = &self.0.commands else { return CommitTicket::ready(Err(StoreError::Closed)) };
        if waiting.fetch_add(1, Ordering::Relaxed) >= self.0.max_waiting {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return CommitTicket::ready(Err(StoreError::Busy));
        }
        let (answer, ticket) = CommitTicket::pending();
        if commands.send(Command::Commit(Request { batches, answer })).is_err() {
            // The sender was dropped with the command: the ticket answers `Closed`.
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
        ticket
    }

    fn get(&self, partition: &PartitionId, key: &[u8]) -> impl Future<Output = Result<Option<Row>, StoreError>> + Send {
        ready(self.0.shared.row(partition, key))
    }

    fn range(
        &self,
        partition: &PartitionId,
        range: &KeyRange,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send {
        ready(self.0.shared.rows(partition, range, limit))
    }

    fn queue_range(
        &self,
        queue: QueueId,
        after: Seq,
        limit: QueueLimit,
    ) -> impl Future<Output = Result<Vec<QueueRow>, StoreError>> + Send {
        ready(self.0.shared.queue_rows(queue, after, limit))
    }

    fn queue_latest(
        &self,
        queue: QueueId,
        limit: QueueLimit,
    ) -> impl Future<Output = Result<Vec<QueueRow>, StoreError>> + Send {
        ready(self.0.shared.latest_queue_rows(queue, limit))
    }

    fn queue_len(&self, queue: QueueId) -> impl Future<Output = Result<u64, StoreError>> + Send {
        let today = self.0.shared.clock.now().day();
        ready(Ok(self.0.shared.index().len(queue, today)))
    }

    fn scan(
        &self,
        kind: RowKind,
        cursor: Option<ScanCursor>,
        limit: usize,
    ) -> impl Future<Output = Result<ScanPage, StoreError>> + Send {
        ready(self.0.shared.scan_rows(kind, cursor.as_ref(), limit))
    }

    async fn census(&self) -> Result<Vec<KindCount>, StoreError> {
        let (sender, answer) = oneshot::channel();
        let shared = self.0.shared.clone();
        thread::Builder::new()
            .name("store-census".to_owned())
            .spawn(move || {
                let _ = sender.send(shared.count_kinds());
            })
            .map_err(from_io)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    fn attach(&self, sink: Arc<dyn Sink>) {
        *self.0.shared.sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
    }

    fn sweep(&self, now: UnixTime) -> impl Future<Output = Result<Swept, StoreError>> + Send {
        self.sweep_expired(now)
    }

    fn close(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.shut_down()
    }
}
