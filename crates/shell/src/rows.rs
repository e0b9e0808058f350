//! Where an engine's rows live: an ordered key-value store with atomic batches. SQLite for homes, memory for tests and
//! demos; both pass [`conformance`].

pub mod conformance;
mod memory;
mod page;
mod seal;
mod sqlite;

pub use memory::MemoryRows;
pub use seal::HomeKey;
pub use sqlite::SqliteRows;

use parlour_client::api::Changes;

/// A row: key and value.
pub type Row = (Vec<u8>, Vec<u8>);

/// An ordered key-value store.
pub trait Rows: Send {
    /// All rows whose key starts with `prefix`, in key order (bytewise). An empty prefix means all rows.
    ///
    /// # Errors
    /// When the store cannot be read, or a row was changed by somebody without the key.
    fn load(&mut self, prefix: &[u8]) -> Result<Vec<Row>, RowsError>;

    /// Applies all changes in order, durably and in one transaction: after a crash all of them are there or none.
    ///
    /// # Errors
    /// When nothing was written. The engine that made the changes must then be dropped and opened again.
    fn commit(&mut self, changes: &Changes) -> Result<(), RowsError>;
}

/// Why rows could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// SQLite or the disk refused.
    #[error("the home's database failed")]
    Database(#[from] rusqlite::Error),
    /// A file beside the database could not be read or written.
    #[error("a file of the home could not be read or written")]
    File(#[source] std::io::Error),
    /// There is no room left on the disk; nothing was written.
    #[error("the disk is full")]
    Full,
    /// A value does not open under the home key: the file is damaged or was tampered with.
    #[error("a row of the home does not open under its key: the file is damaged, or from another home")]
    Damaged,
    /// A simulated crash (tests).
    #[error("simulated crash")]
    Crashed,
}
