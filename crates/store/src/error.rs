//! What can go wrong in a store, apart from a refused assert, which is an ordinary outcome.

use std::path::PathBuf;

/// Why a store could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no room left, on the disk or within the operator's quota. Nothing of the commit was applied;
    /// reads and deletions go on, and the same commit works again when there is room.
    #[error("no space left for the store")]
    Full,
    /// More commits wait than the store is willing to hold. Nothing of the commit was applied.
    #[error("too many commits are waiting")]
    Busy,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// A test store crashed on request: some prefix of the batches is durable.
    #[error("the store crashed")]
    Crashed,
    /// Another process has this data directory open.
    #[error("another process uses {}", .0.display())]
    Locked(PathBuf),
    /// The data was written by a newer release.
    #[error("the store has format {found}, and this release reads up to {known}")]
    NewerFormat {
        /// The format found in the database.
        found: u32,
        /// The newest format that this release reads.
        known: u32,
    },
    /// The key directory lacks the storage key, or holds that of another database.
    #[error("the storage key in {} does not belong to this store", .0.display())]
    WrongKey(PathBuf),
    /// A stored row does not open: it was damaged or put into another's place.
    #[error("a stored row is damaged")]
    Damaged,
    /// The disk or the database failed. Whether the commit became durable is not known.
    #[error("the store failed: {0}")]
    Failed(String),
}
