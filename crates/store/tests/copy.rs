//! A copy for a backup: of one instant, without what was deleted, beside a writer that goes on; and a store made of it again.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use common::Embedded;
use parlour_store::conformance::{Factory, START};
use parlour_store::{
    Batch, CopyError, KeyRange, ManualClock, Outcome, PartitionId, PartitionKind, Payload, QueueBatch, QueueId,
    QueueLimit, QueueWrite, RowBatch, RowKind, Seq, SqliteOptions, SqliteStore, Store, StoreError, UnixTime,
    begin_anew, check_copy, copy_database, rows_without_key,
};

const ROOM: QueueId = QueueId::Mailbox([7; 16]);
const ALL: QueueLimit = QueueLimit { rows: usize::MAX, bytes: usize::MAX };

fn partition(name: &[u8]) -> PartitionId {
    PartitionId::new(PartitionKind::Account, name)
}

fn put(name: &[u8], key: &[u8], value: &[u8]) -> Batch {
    RowBatch::new(partition(name)).put(key, value.to_vec(), RowKind(1), None).into()
}

fn append(payload: &[u8]) -> Batch {
    let expires = START.day().plus(10);
    let payload = Payload::Inline(Bytes::copy_from_slice(payload));
    let write = QueueWrite::Append { head: Bytes::new(), payload, expires };
    Batch::Queue(QueueBatch { queue: ROOM, writes: vec![write] })
}

async fn seq(store: &SqliteStore, payload: &[u8]) -> Seq {
    match store.commit(vec![append(payload)]).await.unwrap() {
        Outcome::Applied { appended } => appended[0],
        refused @ Outcome::Refused { .. } => panic!("{refused:?}"),
    }
}

/// A data directory made of a copy and the keys of the store that it was taken of.
fn made_of(from: &Path, copy: &Path, at: &Path) -> SqliteStore {
    fs::create_dir_all(at.join("keys")).unwrap();
    fs::copy(copy, at.join("store.db")).unwrap();
    for key in fs::read_dir(from.join("keys")).unwrap() {
        let key = key.unwrap().path();
        fs::copy(&key, at.join("keys").join(key.file_name().unwrap())).unwrap();
    }
    begin_anew(at, UnixTime(1_800_000_000)).unwrap();
    let options = SqliteOptions { reserve_bytes: 0, ..SqliteOptions::default() };
    SqliteStore::open(at, Arc::new(ManualClock::new(START)), &options).unwrap()
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.db");
    (dir, copy)
}

/// Two partitions are written in one commit, again and again: a copy of one instant has the same in both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_made_under_writing_is_of_one_instant_and_holds_no_one_up() {
    let embedded = Embedded::new();
    let store = embedded.open();
    for n in 0..400u32 {
        let _ = store.commit(vec![put(b"ballast", &n.to_be_bytes(), &[1; 2_000])]).await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move {
            let mut n = 0u64;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                let value = n.to_be_bytes();
                let batches = vec![put(b"one", b"n", &value), append(&value), put(b"two", b"n", &value)];
                let _ = store.commit(batches).await.unwrap();
            }
            n
        }
    });
    let (dir, _) = place();
    let mut copies = Vec::new();
    for n in 0..5 {
        let (data, to) = (embedded.data(), dir.path().join(format!("{n}.db")));
        let copied = tokio::task::spawn_blocking(move || copy_database(&data, &to)).await.unwrap().unwrap();
        assert!(copied.bytes > 800_000);
        copies.push(dir.path().join(format!("{n}.db")));
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writing.await.unwrap() > 5);
    for (n, copy) in copies.iter().enumerate() {
        check_copy(copy, &embedded.data()).unwrap();
        let store = made_of(&embedded.data(), copy, &dir.path().join(format!("data{n}")));
        let one = store.get(&partition(b"one"), b"n").await.unwrap().map(|row| row.value);
        let two = store.get(&partition(b"two"), b"n").await.unwrap().map(|row| row.value);
        assert_eq!(one, two);
        let rows = store.queue_range(ROOM, Seq::START, ALL).await.unwrap();
        assert_eq!(rows.last().map(|row| row.payload.clone()), one, "the queue is of the same instant");
        assert_eq!(store.stats().damaged, 0);
    }
}

#[tokio::test]
async fn positions_given_out_after_the_copy_never_come_again() {
    let embedded = Embedded::new();
    let store = embedded.open();
    let first = seq(&store, b"in the copy").await;
    let (dir, copy) = place();
    copy_database(&embedded.data(), &copy).unwrap();
    let mut given = seq(&store, b"after it").await;
    store.close().await.unwrap();
    for _ in 0..3 {
        let store = embedded.open();
        given = given.max(seq(&store, b"after a restart").await);
        store.close().await.unwrap();
    }
    let restored = made_of(&embedded.data(), &copy, &dir.path().join("data"));
    let rows = restored.queue_range(ROOM, Seq::START, ALL).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [first]);
    assert!(seq(&restored, b"new").await > given);
}

#[tokio::test]
async fn what_was_deleted_does_not_travel_and_expired_rows_are_gone() {
    let embedded = Embedded::new();
    let store = embedded.open();
    let _ = store.commit(vec![put(b"a", b"kept", &[3; 500]), put(b"a", b"gone", &[4; 500_000])]).await.unwrap();
    let _ = store.commit(vec![RowBatch::new(partition(b"a")).delete(b"gone").into()]).await.unwrap();
    let (dir, copy) = place();
    let copied = copy_database(&embedded.data(), &copy).unwrap();
    assert!(copied.bytes < 100_000, "{copied:?}: no free pages");
    let restored = made_of(&embedded.data(), &copy, &dir.path().join("data"));
    let rows = restored.range(&partition(b"a"), &KeyRange::all(), 10).await.unwrap();
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn keys_of_another_store_and_damaged_copies_are_recognised() {
    let embedded = Embedded::new();
    let store = embedded.open();
    let _ = seq(&store, b"waits").await;
    let (_dir, copy) = place();
    copy_database(&embedded.data(), &copy).unwrap();
    let other = Embedded::new();
    drop(other.open());
    let wrong = check_copy(&copy, &other.data());
    assert!(matches!(wrong, Err(CopyError::Failed(StoreError::WrongKey(_)))), "{wrong:?}");
    assert_eq!(rows_without_key(&copy, &embedded.data()).unwrap(), []);
    let day = START.day().0;
    fs::remove_file(embedded.data().join(format!("keys/day-{day}.key"))).unwrap();
    assert_eq!(rows_without_key(&copy, &embedded.data()).unwrap(), [(START.day(), 1)]);
    let bytes = fs::read(&copy).unwrap();
    fs::write(&copy, &bytes[..bytes.len() / 2]).unwrap();
    assert!(check_copy(&copy, &embedded.data()).is_err());
    let nothing = copy_database(&other.data().join("nowhere"), &copy.with_extension("new"));
    assert!(matches!(nothing, Err(CopyError::NoStore(_))), "{nothing:?}");
    assert!(copy_database(&embedded.data(), &copy).is_err(), "a file that is there is not written over");
}
