//! Rows in memory: for tests, demos, and accounts that shall leave nothing behind.

use super::{Row, Rows, RowsError};
use parlour_client::api::Changes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows in memory. Clones share the same rows, so that an engine can be dropped and opened again on them.
#[derive(Clone, Default)]
pub struct MemoryRows(Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>);

impl MemoryRows {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Rows for MemoryRows {
    fn load(&mut self, prefix: &[u8]) -> Result<Vec<Row>, RowsError> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = map.range(prefix.to_vec()..);
        Ok(from.take_while(|(key, _)| key.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), RowsError> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in &changes.0 {
            match value {
                Some(value) => map.insert(key.clone(), value.clone()),
                None => map.remove(key),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_rows_conform() {
        let rows = MemoryRows::new();
        crate::rows::conformance::suite(&mut || Box::new(rows.clone()));
    }
}
