//! A map in a sorted list, for tables of at most some thousand rows. The standard library's tree is quicker beyond that, and
//! three times the code for each kind of row, which every browser would have to download.

use std::ops::{Bound, RangeBounds};

/// Values by key, in key order. What is moved when one is put in or taken out are keys and pointers.
#[derive(Debug)]
pub(crate) struct Sorted<K, V>(Vec<(K, Box<V>)>);

impl<K: Ord, V> Sorted<K, V> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    fn find(&self, key: &K) -> Result<usize, usize> {
        // Rows are read, and most are made, in the order of their keys.
        match self.0.last() {
            Some((last, _)) if last < key => Err(self.0.len()),
            _ => self.0.binary_search_by(|(known, _)| known.cmp(key)),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.find(key).ok().map(|at| &*self.0[at].1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find(key).ok().map(|at| &mut *self.0[at].1)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.find(&key) {
            Ok(at) => *self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, Box::new(value))),
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.find(key).ok().map(|at| *self.0.remove(at).1)
    }

    pub(crate) fn range(&self, range: impl RangeBounds<K>) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        let place = |key: &K| self.find(key);
        let from = match range.start_bound() {
            Bound::Unbounded => 0,
            Bound::Included(key) => place(key).unwrap_or_else(|at| at),
            Bound::Excluded(key) => place(key).map_or_else(|at| at, |at| at + 1),
        };
        let to = match range.end_bound() {
            Bound::Unbounded => self.0.len(),
            Bound::Included(key) => place(key).map_or_else(|at| at, |at| at + 1),
            Bound::Excluded(key) => place(key).unwrap_or_else(|at| at),
        };
        self.0.get(from..to).unwrap_or_default().iter().map(|(key, value)| (key, &**value))
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.range(..)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    pub(crate) fn take_keys(&mut self) -> impl Iterator<Item = K> + use<K, V> {
        std::mem::take(&mut self.0).into_iter().map(|(key, _)| key)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore as _, SeedableRng as _};
    use std::collections::BTreeMap;

    #[test]
    fn it_does_what_the_standard_map_does() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (mut sorted, mut standard) = (Sorted::new(), BTreeMap::new());
        for step in 0..4000_u32 {
            let key = (rng.next_u32() % 64) as u8;
            match rng.next_u32() % 3 {
                0 => assert_eq!(sorted.remove(&key), standard.remove(&key)),
                1 => assert_eq!(sorted.get_mut(&key).copied(), standard.get(&key).copied()),
                _ => {
                    sorted.insert(key, step);
                    standard.insert(key, step);
                }
            }
            assert_eq!(sorted.get(&key), standard.get(&key));
            assert!(sorted.iter().eq(standard.iter()));
            assert!(sorted.range(key..).eq(standard.range(key..)));
            assert!(sorted.range(..key).rev().eq(standard.range(..key).rev()));
            assert!(sorted.range(3..=key.max(3)).eq(standard.range(3..=key.max(3))));
            assert_eq!(sorted.len(), standard.len());
        }
    }
}
