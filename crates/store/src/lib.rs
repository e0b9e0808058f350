//! The server's Store port, its conformance suite, and the stores that need no other machine.
//!
//! The server keeps two classes of data (`DESIGN.md` §6, §11):
//!
//! - **rows**: small ordered key-value rows in partitions (an account, a room, a device), changed by
//!   compare-and-set batches;
//! - **queues**: rows appended in order, read from a cursor and deleted by a cumulative acknowledgement
//!   (mailboxes, and the recent rows of a room).
//!
//! A [`Batch`] is atomic within its partition. **Nothing is atomic over two**: a crash may leave any prefix of
//! the batches of one [`Store::commit`]. [`SqliteStore`] happens to write all of them in one transaction, and
//! [`CrashStore`] exists so that no domain code comes to rely on that.
//!
//! What this crate does not know: what a row means. The domain names its kinds ([`RowKind`]) and their life times.

pub mod conformance;

mod batch;
mod clock;
mod error;
mod id;
mod key_range;

mod memory;
mod port;
mod sqlite;
mod ticket;

pub use batch::{Assert, Batch, Payload, QueueBatch, QueueWrite, RowBatch, Write};
pub use clock::{Clock, ManualClock, QUEUE_ROW_MAX_DAYS, UnixDay, UnixTime};
pub use error::StoreError;
pub use id::{PartitionId, PartitionKind, PayloadId, QueueId, QueueKind, RowKind, Seq};

pub use key_range::KeyRange;
pub use memory::{CrashStore, MemoryStore};
pub use port::{Counted, KindCount, Outcome, QueueLimit, QueueRow, Row, ScanCursor, ScanPage, Sink, Store, Swept};
pub use sqlite::{
    Copied, CopyError, SqliteOptions, SqliteStore, StoreStats, begin_anew, check_copy, copy_database, copy_size,
    rows_without_key,
};
pub use ticket::{Answer, CommitTicket};
