//! The memory store against the conformance suite, and its crashes.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::{Arc, Mutex};

use parlour_store::conformance::{Ear, Factory, START, append, applied, block_on, heads, mailbox, put, room, rows_of};
use parlour_store::{CrashStore, ManualClock, MemoryStore, RowBatch, Store, StoreError};

struct Memory {
    clock: Arc<ManualClock>,
    store: Mutex<Option<MemoryStore>>,
}

impl Memory {
    fn new() -> Self {
        Self { clock: Arc::new(ManualClock::new(START)), store: Mutex::new(None) }
    }
}

impl Factory for Memory {
    type Store = MemoryStore;

    fn open(&self) -> MemoryStore {
        let mut store = self.store.lock().unwrap();
        let opened = match store.take() {
            Some(store) => store.reopen(),
            None => MemoryStore::new(self.clock.clone()),
        };
        store.insert(opened).clone()
    }

    fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }
}

parlour_store::conformance!(Memory::new);

#[test]
fn a_crash_leaves_each_possible_prefix_and_no_answer() {
    for batches in 0..=3 {
        block_on(async {
            let store = CrashStore::new(Arc::new(ManualClock::new(START)));
            let ear = Arc::new(Ear::default());
            store.attach(ear.clone());
            store.crash_after(batches);
            let commit =
                vec![put(room(1), b"a", b"1").into(), append(mailbox(1), b"b", b""), put(room(2), b"c", b"1").into()];
            assert!(matches!(store.commit(commit).await, Err(StoreError::Crashed)));
            assert!(store.has_crashed());
            assert!(matches!(store.get(&room(1), b"a").await, Err(StoreError::Crashed)));
            assert!(ear.heard().is_empty());
            let store = store.reopen();
            assert_eq!(rows_of(&store, &room(1)).await.len(), usize::from(batches > 0));
            assert_eq!(heads(&store, mailbox(1)).await.len(), usize::from(batches > 1));
            assert_eq!(rows_of(&store, &room(2)).await.len(), usize::from(batches > 2));
            applied(&store, [put(room(2), b"d", b"1").into()]).await;
        });
    }
}

#[test]
fn a_refused_commit_does_not_hide_a_crash_to_come() {
    block_on(async {
        let store = CrashStore::new(Arc::new(ManualClock::new(START)));
        store.crash_after(1);
        let refused = RowBatch::new(room(1)).present(*b"none");
        assert!(!store.commit(vec![refused.into()]).await.unwrap().is_applied());
        assert!(store.commit(vec![put(room(1), b"k", b"v").into()]).await.is_err());
        assert_eq!(rows_of(&store.reopen(), &room(1)).await.len(), 1);
    });
}
