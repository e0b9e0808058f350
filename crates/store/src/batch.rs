//! What a commit is made of: batches, each with the asserts that must hold and the writes that follow.

use std::fmt;

use bytes::Bytes;

use crate::{KeyRange, PartitionId, PayloadId, QueueId, RowKind, Seq, UnixDay, UnixTime};

/// Changes to one partition or one queue, applied together or not at all.
#[derive(Clone, Debug)]
pub enum Batch {
    /// Changes to ordered rows.
    Rows(RowBatch),
    /// Changes to a queue.
    Queue(QueueBatch),
}

/// Changes to the rows of one partition: all asserts are judged before the first write.
#[derive(Clone, Debug)]
pub struct RowBatch {
    /// The partition.
    pub partition: PartitionId,
    /// What must hold, on the state that the earlier batches left.
    pub asserts: Vec<Assert>,
    /// What is written, in order.
    pub writes: Vec<Write>,
}

/// Changes to one queue.
#[derive(Clone, Debug)]
pub struct QueueBatch {
    /// The queue.
    pub queue: QueueId,
    /// What is done, in order.
    pub writes: Vec<QueueWrite>,
}

/// What must hold for a [`RowBatch`]. An expired row counts as absent.
#[derive(Clone, PartialEq, Eq)]
pub enum Assert {
    /// There is no row under `key`.
    Absent {
        /// The row's key.
        key: Vec<u8>,
    },
    /// There is a row under `key`.
    Present {
        /// The row's key.
        key: Vec<u8>,
    },
    /// The row under `key` has exactly this value.
    Equals {
        /// The row's key.
        key: Vec<u8>,
        /// The value it must have.
        value: Bytes,
    },
}

impl Assert {
    /// The key that this assert looks at.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Absent { key } | Self::Present { key } | Self::Equals { key, .. } => key,
        }
    }

    /// Whether the assert holds for what is stored under its key.
    pub(crate) fn holds(&self, stored: Option<&[u8]>) -> bool {
        match self {
            Self::Absent { .. } => stored.is_none(),
            Self::Present { .. } => stored.is_some(),
            Self::Equals { value, .. } => stored.is_some_and(|stored| stored == &value[..]),
        }
    }
}

/// A change to ordered rows.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// Creates or replaces a row.
    Put {
        /// The row's key; stored in the plain, so that it must say nothing about a person.
        key: Vec<u8>,
        /// The row's value; sealed at rest.
        value: Bytes,
        /// What the row is.
        kind: RowKind,
        /// When it disappears, rounded up to the hour; `None` for when it is deleted.
        expires: Option<UnixTime>,
        /// The caller knows that nothing lies under this key (it was never used before): deleted again within the same
        /// group, it then costs nothing. A wrong `true` may leave an older row behind.
        new: bool,
    },
    /// Deletes a row, if it is there.
    Delete {
        /// The row's key.
        key: Vec<u8>,
    },
    /// Deletes all rows of a range.
    DeleteRange(KeyRange),
}

/// A change to a queue.
#[derive(Clone)]
pub enum QueueWrite {
    /// Adds a row at the end; the store picks its [`Seq`].
    Append {
        /// The row's own part.
        head: Bytes,
        /// The row's content, its own or shared.
        payload: Payload,
        /// The first day on which the row is gone, at most [`QUEUE_ROW_MAX_DAYS`](crate::QUEUE_ROW_MAX_DAYS) ahead.
        expires: UnixDay,
    },
    /// Deletes all present rows up to and including this position.
    AckThrough(Seq),
    /// Deletes all present rows.
    Drop,
}

/// The content of a queue row.
#[derive(Clone)]
pub enum Payload {
    /// Stored with the row: right for up to two rows.
    Inline(Bytes),
    /// Stored once for all rows that name `id`, and deleted with the last of them.
    ///
    /// Every append brings the bytes (a clone shares memory), so that a fan-out resumed after a crash needs to know
    /// nothing about what its first attempt stored.
    Shared {
        /// The payload's name.
        id: PayloadId,
        /// Its bytes.
        data: Bytes,
    },
}

impl Payload {
    /// The bytes, wherever they are stored.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Inline(data) | Self::Shared { data, .. } => data,
        }
    }
}

impl Batch {
    /// A batch of one append.
    #[must_use]
    pub fn append(queue: QueueId, head: Bytes, payload: Payload, expires: UnixDay) -> Self {
        Self::queue(queue, QueueWrite::Append { head, payload, expires })
    }

    /// A batch that deletes the rows of `queue` up to and including `seq`.
    #[must_use]
    pub fn ack(queue: QueueId, seq: Seq) -> Self {
        Self::queue(queue, QueueWrite::AckThrough(seq))
    }

    /// A batch that deletes all present rows of `queue`.
    #[must_use]
    pub fn drop_queue(queue: QueueId) -> Self {
        Self::queue(queue, QueueWrite::Drop)
    }

    fn queue(queue: QueueId, write: QueueWrite) -> Self {
        Self::Queue(QueueBatch { queue, writes: vec![write] })
    }
}

impl RowBatch {
    /// An empty batch on `partition`.
    #[must_use]
    pub fn new(partition: PartitionId) -> Self {
        Self { partition, asserts: Vec::new(), writes: Vec::new() }
    }

    /// Adds an assert.
    #[must_use]
    pub fn assert(mut self, assert: Assert) -> Self {
        self.asserts.push(assert);
        self
    }

    /// Requires that there is no row under `key`.
    #[must_use]
    pub fn absent(self, key: impl Into<Vec<u8>>) -> Self {
        self.assert(Assert::Absent { key: key.into() })
    }

    /// Requires that there is a row under `key`.
    #[must_use]
    pub fn present(self, key: impl Into<Vec<u8>>) -> Self {
        self.assert(Assert::Present { key: key.into() })
    }

    /// Requires that the row under `key` has this value.
    #[must_use]
    pub fn equals(self, key: impl Into<Vec<u8>>, value: impl Into<Bytes>) -> Self {
        self.assert(Assert::Equals { key: key.into(), value: value.into() })
    }

    /// Adds a row, or replaces it.
    #[must_use]
    pub fn put(
        mut self,
        key: impl Into<Vec<u8>>,
        value: impl Into<Bytes>,
        kind: RowKind,
        expires: Option<UnixTime>,
    ) -> Self {
        self.writes.push(Write::Put { key: key.into(), value: value.into(), kind, expires, new: false });
        self
    }

    /// Writes a row under a key that was never used before, such as a job's.
    #[must_use]
    pub fn put_new(mut self, key: impl Into<Vec<u8>>, value: impl Into<Bytes>, kind: RowKind) -> Self {
        self.writes.push(Write::Put { key: key.into(), value: value.into(), kind, expires: None, new: true });
        self
    }

    /// Deletes a row.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.writes.push(Write::Delete { key: key.into() });
        self
    }

    /// Deletes the rows of `range`.
    #[must_use]
    pub fn delete_range(mut self, range: KeyRange) -> Self {
        self.writes.push(Write::DeleteRange(range));
        self
    }
}

impl From<RowBatch> for Batch {
    fn from(batch: RowBatch) -> Self {
        Self::Rows(batch)
    }
}

impl From<QueueBatch> for Batch {
    fn from(batch: QueueBatch) -> Self {
        Self::Queue(batch)
    }
}

impl fmt::Debug for Assert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent { .. } => "Absent",
            Self::Present { .. } => "Present",
            Self::Equals { .. } => "Equals",
        })
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { value, kind, .. } => write!(f, "Put({kind:?}, {} B)", value.len()),
            Self::Delete { .. } => f.write_str("Delete"),
            Self::DeleteRange(_) => f.write_str("DeleteRange"),
        }
    }
}

impl fmt::Debug for QueueWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append { payload, .. } => write!(f, "Append({} B)", payload.bytes().len()),
            Self::AckThrough(seq) => write!(f, "AckThrough({})", seq.0),
            Self::Drop => f.write_str("Drop"),
        }
    }
}
