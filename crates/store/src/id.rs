//! The names of what is stored. Their `Debug` shows the kind only: an id must not reach a log.

use std::fmt;

use bytes::Bytes;

/// The class of a partition. The numbers are part of the storage format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PartitionKind {
    /// The deployment itself: its keys' public parts, counters, configuration marks.
    Meta = 0,
    /// One account.
    Account = 1,
    /// One name of a directory (a handle, an invite).
    Directory = 2,
    /// One room.
    Room = 3,
    /// One device: its key packages and what else peers claim from it.
    Device = 4,
    /// One blob's description.
    Blob = 5,
    /// Safety: claims, counters, reports.
    Safety = 6,
}

impl PartitionKind {
    /// The kind with this number, if there is one.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Meta,
            1 => Self::Account,
            2 => Self::Directory,
            3 => Self::Room,
            4 => Self::Device,
            5 => Self::Blob,
            6 => Self::Safety,
            _ => return None,
        })
    }
}

/// One partition: the unit within which a batch is atomic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// Its class.
    pub kind: PartitionKind,
    /// Its id within the class, 0 to 255 bytes. On disk it is only found under a keyed hash.
    pub id: Bytes,
}

impl PartitionId {
    /// The partition `id` of class `kind`.
    #[must_use]
    pub fn new(kind: PartitionKind, id: impl AsRef<[u8]>) -> Self {
        Self { kind, id: Bytes::copy_from_slice(id.as_ref()) }
    }
}

impl fmt::Debug for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(..)", self.kind)
    }
}

/// What a row is, as the domain declares it, for retention and audit; stored in the plain.
///
/// Kinds from 0x80 are found fast by [`Store::scan`](crate::Store::scan): use them for jobs that a start resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKind(pub u8);

impl RowKind {
    /// The first kind that [`Store::scan`](crate::Store::scan) finds through an index.
    pub const FIRST_INDEXED: Self = Self(0x80);
}

/// One queue. A queue is a partition of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueId {
    /// The ciphertext waiting for one device.
    Mailbox([u8; 16]),
}

/// The class of a queue. The numbers are part of the storage format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QueueKind {
    /// See [`QueueId::Mailbox`].
    Mailbox = 0,
}

impl QueueId {
    /// The class of this queue.
    #[must_use]
    pub fn kind(&self) -> QueueKind {
        match self {
            Self::Mailbox(_) => QueueKind::Mailbox,
        }
    }

    /// The id within the class.
    #[must_use]
    pub fn id(&self) -> &[u8; 16] {
        match self {
            Self::Mailbox(id) => id,
        }
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(..)", self.kind())
    }
}

/// The position of a row in its queue: strictly increasing, never reused, not dense.
///
/// Stays monotonic when the queue was emptied or dropped, and over restarts. Zero is before every row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// Before every row.
    pub const START: Self = Self(0);

    /// The first position given out after start number `boot`.
    pub(crate) fn first_of_boot(boot: u32) -> Self {
        Self((u64::from(boot) << 40) + 1)
    }

    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Names a payload that several queue rows share; the domain picks it, and the same id always means the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadId(pub [u8; 16]);

impl fmt::Debug for PayloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PayloadId(..)")
    }
}
