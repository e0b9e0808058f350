//! Rows: what one MLS group (or one key package) looks like to storage, and the batch an operation leaves behind.
//!
//! The crate never touches a disk. The engine loads the rows of one group, runs operations, and commits the one
//! [`Changes`] batch it takes afterwards. Keys are short and relative; the engine puts its own prefix before them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Ordered rows of one group or of one key package.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Rows(BTreeMap<Vec<u8>, Vec<u8>>);

impl Rows {
    /// The value under `key`.
    pub fn value(&self, key: &[u8]) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// All rows, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// Rows whose key starts with `prefix`, by key.
    pub fn under<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.0
            .range(prefix.to_vec()..)
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(key, value)| key.len() + value.len()).sum()
    }

    /// Does what a batch says.
    pub fn apply(&mut self, changes: &Changes) {
        for key in &changes.deletes {
            self.0.remove(key);
        }
        for (key, value) in &changes.puts {
            self.0.insert(key.clone(), value.clone());
        }
    }
}

impl From<BTreeMap<Vec<u8>, Vec<u8>>> for Rows {
    fn from(rows: BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        Self(rows)
    }
}

impl From<Rows> for BTreeMap<Vec<u8>, Vec<u8>> {
    fn from(rows: Rows) -> Self {
        rows.0
    }
}

impl FromIterator<(Vec<u8>, Vec<u8>)> for Rows {
    fn from_iter<I: IntoIterator<Item = (Vec<u8>, Vec<u8>)>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({} rows, {} bytes)", self.len(), self.bytes())
    }
}

/// One batch of writes; no key is in both halves.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows to write.
    pub puts: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Keys to delete.
    pub deletes: BTreeSet<Vec<u8>>,
}

impl Changes {
    /// True if there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty()
    }

    /// Bytes of all keys and values that are put.
    pub fn bytes(&self) -> usize {
        self.puts.iter().map(|(key, value)| key.len() + value.len()).sum()
    }

    /// Adds a later batch to this one.
    pub fn extend(&mut self, later: Changes) {
        for (key, value) in later.puts {
            self.put(key, value);
        }
        for key in later.deletes {
            self.delete(key);
        }
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.deletes.remove(&key);
        self.puts.insert(key, value);
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.puts.remove(&key);
        self.deletes.insert(key);
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Changes({} puts of {} bytes, {} deletes)", self.puts.len(), self.bytes(), self.deletes.len())
    }
}
