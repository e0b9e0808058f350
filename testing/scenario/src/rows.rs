//! A home's rows that fail: the client's process dies right before or right after its n-th transaction.

use parlour_client::api::Changes;
use parlour_shell::rows::{Row, Rows, RowsError};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// On which side of the transaction the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Nothing of it was written.
    Before,
    /// All of it was written, and nothing was sent or told after it.
    After,
}

/// Rows whose n-th commit from now on is the last thing that happens.
pub struct FailingRows {
    inner: Box<dyn Rows>,
    left: Arc<AtomicUsize>,
    side: Side,
}

impl FailingRows {
    /// Wraps rows; the commit numbered `nth` (from 1) fails. The counter tells how many are left: 0 when it happened.
    pub fn new(inner: Box<dyn Rows>, nth: usize, side: Side) -> (Self, Arc<AtomicUsize>) {
        let left = Arc::new(AtomicUsize::new(nth));
        (Self { inner, left: left.clone(), side }, left)
    }
}

impl Rows for FailingRows {
    fn load(&mut self, prefix: &[u8]) -> Result<Vec<Row>, RowsError> {
        self.inner.load(prefix)
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), RowsError> {
        let left = self.left.load(Ordering::SeqCst);
        if left > 1 {
            self.left.store(left - 1, Ordering::SeqCst);
            return self.inner.commit(changes);
        }
        if left == 1 && self.side == Side::After {
            self.inner.commit(changes)?;
        }
        self.left.store(0, Ordering::SeqCst);
        Err(RowsError::Crashed)
    }
}
