//! The overlay between OpenMLS and the engine's rows.
//!
//! Reads look through three layers: the running operation, finished operations that the engine has not taken yet, and
//! the committed rows. A failed or refused operation is dropped as a whole; what succeeded before it stays.
//! The OpenMLS trait over it is in [`openmls`], the splitting of the message secrets in
//! [`secrets`], the form of the values in [`codec`].

mod codec;
mod openmls;
mod secrets;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rows::{Changes, Rows};

use codec::{decode, encode};

/// A stored row does not read back, or cannot be written: our own state is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A row does not decode.
    #[error("row does not decode")]
    Decode,
    /// A value does not encode.
    #[error("value does not encode")]
    Encode,
    /// OpenMLS asked for something that this crate never uses.
    #[error("kind of row not in use")]
    NotInUse,
}

#[derive(Default)]
struct Layers {
    committed: Rows,
    finished: Changes,
    running: Changes,
}

/// Rows of one group or key package while they are loaded.
#[derive(Default)]
pub(crate) struct Store {
    layers: RefCell<Layers>,
    /// Set while an operation can only touch the current epoch's secrets: the past ones are then not encoded at all.
    past_untouched: Cell<bool>,
}

impl Store {
    pub(crate) fn new(committed: Rows) -> Self {
        Self { layers: RefCell::new(Layers { committed, ..Layers::default() }), past_untouched: Cell::new(false) }
    }

    /// The running operation succeeded.
    pub(crate) fn finish(&self) {
        let layers = &mut *self.layers.borrow_mut();
        layers.finished.extend(std::mem::take(&mut layers.running));
        self.past_untouched.set(false);
    }

    /// The running operation failed or was refused: as if it had never been.
    pub(crate) fn discard(&self) {
        self.layers.borrow_mut().running = Changes::default();
        self.past_untouched.set(false);
    }

    /// Everything finished since the last call, now counted as committed.
    pub(crate) fn take(&self) -> Changes {
        let layers = &mut *self.layers.borrow_mut();
        let changes = std::mem::take(&mut layers.finished);
        layers.committed.apply(&changes);
        changes
    }

    /// What the running operation deletes.
    pub(crate) fn running_deletes(&self) -> Changes {
        Changes { deletes: self.layers.borrow().running.deletes.clone(), ..Changes::default() }
    }

    /// What the running operation writes.
    pub(crate) fn running_puts(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.layers.borrow().running.puts.clone()
    }

    /// Until the operation ends, past epochs' secrets cannot have changed and are not written.
    pub(crate) fn leave_past_alone(&self) {
        self.past_untouched.set(true);
    }

    pub(crate) fn bytes(&self, key: &[u8]) -> Option<Vec<u8>> {
        let layers = self.layers.borrow();
        for changes in [&layers.running, &layers.finished] {
            if let Some(value) = changes.puts.get(key) {
                return Some(value.clone());
            }
            if changes.deletes.contains(key) {
                return None;
            }
        }
        layers.committed.value(key).map(<[u8]>::to_vec)
    }

    /// Keys that start with `prefix`, in order.
    pub(crate) fn keys_under(&self, prefix: &[u8]) -> Vec<Vec<u8>> {
        let layers = self.layers.borrow();
        let mut keys: std::collections::BTreeSet<Vec<u8>> =
            layers.committed.under(prefix).map(|(key, _)| key.to_vec()).collect();
        for changes in [&layers.finished, &layers.running] {
            for key in &changes.deletes {
                keys.remove(key);
            }
            keys.extend(changes.puts.keys().filter(|key| key.starts_with(prefix)).cloned());
        }
        keys.into_iter().collect()
    }

    /// Writes a row, unless it already holds just that.
    pub(crate) fn put_bytes(&self, key: &[u8], value: Vec<u8>) {
        if self.bytes(key).as_deref() != Some(value.as_slice()) {
            self.layers.borrow_mut().running.put(key.to_vec(), value);
        }
    }

    /// Deletes a row, if there is one.
    pub(crate) fn delete(&self, key: &[u8]) {
        if self.bytes(key).is_some() {
            self.layers.borrow_mut().running.delete(key.to_vec());
        }
    }

    fn put<T: Serialize + ?Sized>(&self, key: &[u8], value: &T) -> Result<(), StoreError> {
        self.put_bytes(key, encode(value)?);
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.bytes(key).map(|bytes| decode(&bytes)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discarded_operation_leaves_the_finished_ones() {
        let store = Store::new(Rows::from_iter([(b"a".to_vec(), vec![1])]));
        store.put_bytes(b"b", vec![2]);
        store.finish();
        store.put_bytes(b"b", vec![3]);
        store.delete(b"a");
        assert_eq!(store.bytes(b"a"), None);
        store.discard();
        assert_eq!((store.bytes(b"a"), store.bytes(b"b")), (Some(vec![1]), Some(vec![2])));
        let changes = store.take();
        assert_eq!((changes.puts.len(), changes.deletes.len()), (1, 0));
        assert!(store.take().is_empty());
    }

    #[test]
    fn writing_what_is_there_already_is_no_change() {
        let store = Store::new(Rows::from_iter([(b"a".to_vec(), vec![1])]));
        store.put_bytes(b"a", vec![1]);
        store.delete(b"b");
        store.finish();
        assert!(store.take().is_empty());
    }

    #[test]
    fn keys_are_listed_through_all_layers() {
        let store = Store::new(Rows::from_iter([(b"x/1".to_vec(), vec![1]), (b"x/2".to_vec(), vec![1])]));
        store.delete(b"x/1");
        store.put_bytes(b"x/3", vec![1]);
        store.finish();
        store.put_bytes(b"y/1", vec![1]);
        assert_eq!(store.keys_under(b"x/"), [b"x/2".to_vec(), b"x/3".to_vec()]);
    }
}
