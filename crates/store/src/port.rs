//! The Store port: what the server's domain modules ask of any store.

use std::{fmt, future::Future, sync::Arc};

use bytes::Bytes;

use crate::{
    Batch, CommitTicket, KeyRange, PartitionId, QueueId, QueueKind, RowKind, Seq, StoreError, UnixDay, UnixTime,
};

/// A place where the server keeps its rows and queues. Handles are cheap to clone and mean the same store.
pub trait Store: Clone + Send + Sync + 'static {
    /// Applies the batches in order, and answers when they are durable.
    ///
    /// The order of two commits is the order of the two calls: the work is submitted here, not when the ticket is
    /// first polled, so that a caller may hold a lock for the call and await the ticket without it. Each batch is
    /// atomic; a later one only becomes durable after the earlier ones. A batch whose assert does not hold is not
    /// applied, nor is any after it, while those before it are. Dropping the ticket does not cancel.
    ///
    /// # Errors
    /// By the ticket. After [`StoreError::Full`] and [`StoreError::Busy`] nothing was applied; after any other error
    /// any prefix of the batches may be, or become, durable.
    fn commit(&self, batches: Vec<Batch>) -> CommitTicket;

    /// The row under `key`.
    fn get(&self, partition: &PartitionId, key: &[u8]) -> impl Future<Output = Result<Option<Row>, StoreError>> + Send;

    /// The rows of a range in the order of their keys, at most `limit`.
    fn range(
        &self,
        partition: &PartitionId,
        range: &KeyRange,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;

    /// The rows of `queue` after position `after`, oldest first, within `limit`.
    fn queue_range(
        &self,
        queue: QueueId,
        after: Seq,
        limit: QueueLimit,
    ) -> impl Future<Output = Result<Vec<QueueRow>, StoreError>> + Send;

    /// The newest rows of `queue`, oldest first, within `limit`.
    fn queue_latest(
        &self,
        queue: QueueId,
        limit: QueueLimit,
    ) -> impl Future<Output = Result<Vec<QueueRow>, StoreError>> + Send;

    /// How many rows wait in `queue`.
    fn queue_len(&self, queue: QueueId) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// The rows of one kind over all partitions, in no promised order: pages until `next` is `None`.
    ///
    /// For resuming jobs at a start and for audit. Rows written during the scan may or may not show up.
    fn scan(
        &self,
        kind: RowKind,
        cursor: Option<ScanCursor>,
        limit: usize,
    ) -> impl Future<Output = Result<ScanPage, StoreError>> + Send;

    /// How much of each kind is stored. Reads everything: for audit, not for a request.
    fn census(&self) -> impl Future<Output = Result<Vec<KindCount>, StoreError>> + Send;

    /// Names the one who hears of appended rows; replaces an earlier one. Attach before there is traffic.
    fn attach(&self, sink: Arc<dyn Sink>);

    /// Deletes for good what has expired at `now`, in chunks between other work, and destroys old keys.
    fn sweep(&self, now: UnixTime) -> impl Future<Output = Result<Swept, StoreError>> + Send;

    /// Finishes the commits under way and closes the store; later calls answer [`StoreError::Closed`].
    fn close(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Hears of appended rows after they are durable; the live routing of mailboxes.
pub trait Sink: Send + Sync + 'static {
    /// A row was appended. Called in queue order, after it became durable and readable, before the commit is answered.
    ///
    /// The call is made by whoever writes: it must be cheap, must not block, must not call the store, and must
    /// not take a lock that somebody holds around [`Store::commit`].
    fn appended(&self, queue: QueueId, seq: Seq, head: Bytes, payload: Bytes);
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a refused batch is not an error"]
pub enum Outcome {
    /// All batches were applied.
    Applied {
        /// The positions given to the appended rows, in the order of the appends.
        appended: Vec<Seq>,
    },
    /// An assert did not hold: this batch and all after it were not applied, those before it were.
    Refused {
        /// Which batch of the commit, from 0.
        batch: usize,
        /// Which of its asserts, from 0.
        assert: usize,
    },
}

impl Outcome {
    /// Whether all batches were applied.
    #[must_use]
    pub fn is_applied(&self) -> bool {
        matches!(self, Self::Applied { .. })
    }
}

/// A row of a partition.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Bytes,
    /// What it is.
    pub kind: RowKind,
    /// When it disappears: a full hour.
    pub expires: Option<UnixTime>,
}

/// A row of a queue.
#[derive(Clone, PartialEq, Eq)]
pub struct QueueRow {
    /// Its position.
    pub seq: Seq,
    /// Its own part.
    pub head: Bytes,
    /// Its content.
    pub payload: Bytes,
    /// The day from whose start it is gone.
    pub expires: UnixDay,
}

/// How much of a queue to read at once. At least one row is given, if there is one, whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimit {
    /// At most so many rows.
    pub rows: usize,
    /// At most so many bytes of heads and payloads.
    pub bytes: usize,
}

/// A page of [`Store::scan`].
#[derive(Clone, Debug, Default)]
pub struct ScanPage {
    /// The rows and where they are.
    pub rows: Vec<(PartitionId, Row)>,
    /// Where to go on; `None` at the end.
    pub next: Option<ScanCursor>,
}

/// A place in a scan, meaningful to the store that made it.
#[derive(Clone, PartialEq, Eq)]
pub struct ScanCursor(pub(crate) Vec<u8>);

/// What is counted by [`Store::census`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Rows of one kind.
    Rows(RowKind),
    /// Rows of all queues of one class.
    Queue(QueueKind),
    /// Payloads shared by queue rows.
    Payloads,
}

/// How much there is of one kind, expired rows that wait for the sweep included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindCount {
    /// What is counted.
    pub kind: Counted,
    /// How many rows.
    pub rows: u64,
    /// How many bytes of keys and values, as stored.
    pub bytes: u64,
    /// The day on which the oldest of them was last written.
    pub oldest: Option<UnixDay>,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Expired rows deleted.
    pub rows: u64,
    /// Expired queue rows deleted.
    pub queue_rows: u64,
    /// Day keys destroyed.
    pub day_keys: u64,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Row({:?}, {} B)", self.kind, self.value.len())
    }
}

impl fmt::Debug for QueueRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueRow({}, {} + {} B)", self.seq.0, self.head.len(), self.payload.len())
    }
}

impl fmt::Debug for ScanCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScanCursor(..)")
    }
}
