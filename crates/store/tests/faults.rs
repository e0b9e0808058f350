//! The embedded store when something is wrong: no space, damage, another's keys, another process, a kill.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::Arc,
};

use common::Embedded;
use parlour_store::conformance::{
    Factory, PLAIN, START, append, append_shared, applied, block_on, heads, mailbox, put, room, rows_of, waiting,
};
use parlour_store::{Batch, ManualClock, RowBatch, Seq, SqliteOptions, SqliteStore, Store, StoreError, UnixDay};
use rusqlite::Connection;

fn database(embedded: &Embedded) -> Connection {
    Connection::open(embedded.data().join("store.db")).unwrap()
}

fn count(embedded: &Embedded, table: &str) -> i64 {
    let count = format!("SELECT count(*) FROM {table}");
    database(embedded).query_row(&count, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_full_store_refuses_reads_on_and_recovers() {
    let mut embedded = Embedded::new();
    embedded.options.max_bytes = Some(1 << 20);
    block_on(async {
        let store = embedded.open();
        applied(&store, [put(room(1), b"k", b"v").into()]).await;
        let mut stored = 0u64;
        let full = loop {
            match store.commit(vec![append(mailbox(1), b"h", &[3; 20_000])]).await {
                Ok(_) => stored += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(full, StoreError::Full), "{full:?}");
        assert!(stored > 20);
        assert_eq!(rows_of(&store, &room(1)).await.len(), 1);
        let rows = heads(&store, mailbox(1)).await.len() as u64;
        assert_eq!(rows, stored);
        // What deletes still works, also in one group with what will never fit.
        let hopeless = store.commit(vec![append(mailbox(2), b"h", &[3; 2 << 20])]);
        let drop_queue = store.commit(vec![Batch::drop_queue(mailbox(1))]);
        assert!(matches!(hopeless.await, Err(StoreError::Full)));
        assert!(drop_queue.await.unwrap().is_applied());
        applied(&store, [append(mailbox(2), b"again", &[3; 200_000])]).await;
        drop(store);
        let store = embedded.open();
        assert_eq!(heads(&store, mailbox(1)).await.len(), 0);
        assert_eq!(heads(&store, mailbox(2)).await, [b"again"]);
    });
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let embedded = Embedded::new();
    drop(embedded.open());
    database(&embedded).pragma_update(None, "user_version", 99).unwrap();
    let error = embedded.try_open().err().unwrap();
    assert!(matches!(error, StoreError::NewerFormat { found: 99, .. }), "{error:?}");
    database(&embedded).pragma_update(None, "user_version", 1).unwrap();
    drop(embedded.open());
}

#[test]
fn a_directory_opens_only_once_at_a_time() {
    let embedded = Embedded::new();
    let store = embedded.open();
    assert!(matches!(embedded.try_open().err().unwrap(), StoreError::Locked(_)));
    block_on(store.close()).unwrap();
    drop(embedded.open());
}

#[test]
fn a_missing_or_foreign_storage_key_is_refused() {
    let embedded = Embedded::new();
    block_on(applied(&embedded.open(), [put(room(1), b"k", b"v").into()]));
    let path = embedded.data().join("keys/store.key");
    let key = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(matches!(embedded.try_open().err().unwrap(), StoreError::WrongKey(_)));
    assert!(!path.exists());
    for wrong in [vec![1; 32], vec![], key[..31].to_vec()] {
        fs::write(&path, wrong).unwrap();
        assert!(matches!(embedded.try_open().err().unwrap(), StoreError::WrongKey(_)));
    }
    fs::write(&path, key).unwrap();
    assert_eq!(block_on(rows_of(&embedded.open(), &room(1))).len(), 1);
}

#[test]
fn a_damaged_queue_row_is_counted_and_the_others_are_read() {
    let embedded = Embedded::new();
    block_on(async {
        let store = embedded.open();
        applied(&store, (0..6).map(|number| append(mailbox(1), &[number], b"payload"))).await;
        drop(store);
        // One torn, one changed, and one put into another's place.
        let torn = "UPDATE entry SET data = substr(data, 1, 30) WHERE id = 2;
            UPDATE entry SET data = zeroblob(99) WHERE id = 3;
            UPDATE entry SET data = (SELECT data FROM entry WHERE id = 1) WHERE id = 5;";
        database(&embedded).execute_batch(torn).unwrap();
        let store = embedded.open();
        assert_eq!(store.stats().damaged, 3);
        assert_eq!(heads(&store, mailbox(1)).await, [[0], [3], [5]]);
        // Damaged while open.
        database(&embedded).execute_batch("UPDATE entry SET data = x'00' WHERE id = 4").unwrap();
        let limit = parlour_store::conformance::ALL;
        let rows = store.queue_range(mailbox(1), Seq::START, limit).await.unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(store.stats().damaged, 4);
    });
}

#[test]
fn a_damaged_row_is_an_error_to_whoever_needs_it() {
    let embedded = Embedded::new();
    block_on(async {
        let store = embedded.open();
        applied(&store, [put(room(1), b"k", b"v").into()]).await;
        let first: i64 = database(&embedded).query_row("SELECT id FROM row", [], |row| row.get(0)).unwrap();
        applied(&store, [put(room(2), b"k", b"v").into()]).await;
        let swap = "UPDATE row SET data = (SELECT data FROM row WHERE id <> ?1) WHERE id = ?1";
        database(&embedded).execute(swap, [first]).unwrap();
        assert!(matches!(store.get(&room(1), b"k").await, Err(StoreError::Damaged)));
        let needs = put(room(1), b"k", b"w").equals(*b"k", &b"v"[..]);
        assert!(matches!(store.commit(vec![needs.into()]).await, Err(StoreError::Damaged)));
        assert_eq!(rows_of(&store, &room(2)).await.len(), 1);
        applied(&store, [put(room(1), b"k", b"mended").into()]).await;
        assert_eq!(&rows_of(&store, &room(1)).await[0].value[..], b"mended");
    });
}

#[test]
fn a_row_without_its_days_key_is_dropped() {
    let embedded = Embedded::new();
    block_on(async {
        let store = embedded.open();
        applied(&store, [append(mailbox(1), b"old", b""), append_shared(mailbox(1), b"old", 1, b"p")]).await;
        embedded.clock().set(START.day().plus(1).start());
        applied(&store, [append_shared(mailbox(1), b"new", 1, b"p")]).await;
        drop(store);
        fs::remove_file(embedded.data().join(format!("keys/day-{}.key", START.day().0))).unwrap();
        let store = embedded.open();
        assert_eq!(heads(&store, mailbox(1)).await, [b"new"]);
        assert_eq!((count(&embedded, "entry"), count(&embedded, "payload")), (1, 1));
        assert_eq!(store.stats().damaged, 0);
    });
}

#[test]
fn day_keys_end_with_the_last_row_they_can_have() {
    let embedded = Embedded::new();
    block_on(async {
        let store = embedded.open();
        applied(&store, [append(mailbox(1), b"h", b"")]).await;
        let key = embedded.data().join(format!("keys/day-{}.key", START.day().0));
        let on = |days| UnixDay(START.day().0 + days).start();
        embedded.clock().set(on(31));
        assert_eq!(store.sweep(on(30)).await.unwrap().day_keys, 0);
        assert!(key.exists());
        embedded.clock().set(on(32));
        assert_eq!(store.sweep(on(31)).await.unwrap().day_keys, 1);
        assert!(!key.exists());
        applied(&store, [append(mailbox(1), b"h", b"")]).await;
    });
}

#[test]
fn a_shared_payload_is_stored_once_and_goes_with_its_last_row() {
    let embedded = Embedded::new();
    block_on(async {
        let store = embedded.open();
        applied(&store, (0..100).map(|number| append_shared(mailbox(number), b"h", 1, b"payload"))).await;
        assert_eq!((count(&embedded, "entry"), count(&embedded, "payload")), (100, 1));
        applied(&store, (0..99).map(|number| Batch::drop_queue(mailbox(number)))).await;
        drop(store);
        let store = embedded.open();
        assert_eq!((count(&embedded, "entry"), count(&embedded, "payload")), (1, 1));
        applied(&store, [Batch::drop_queue(mailbox(99))]).await;
        assert_eq!((count(&embedded, "entry"), count(&embedded, "payload")), (0, 0));
    });
}

#[test]
fn a_row_put_and_deleted_in_one_commit_costs_nothing() {
    let embedded = Embedded::new();
    block_on(async {
        let store = embedded.open();
        let before = store.stats();
        let job = RowBatch::new(room(1)).put(*b"job", vec![1; 9_000], PLAIN, None);
        applied(&store, [job.into(), RowBatch::new(room(1)).delete(*b"job").into()]).await;
        let after = store.stats();
        assert_eq!((after.syncs, after.wal_bytes), (before.syncs, before.wal_bytes));
    });
}

#[test]
fn commits_that_wait_share_a_sync() {
    let embedded = Embedded::new();
    block_on(async {
        let store = embedded.open();
        let tickets: Vec<_> = (0..1_000).map(|_| store.commit(vec![append(mailbox(1), b"h", b"p")])).collect();
        for ticket in tickets {
            assert!(ticket.await.unwrap().is_applied());
        }
        let stats = store.stats();
        assert_eq!((stats.commits, stats.appended), (1_000, 1_000));
        assert!(stats.syncs < 200, "{} syncs", stats.syncs);
    });
}

#[test]
fn too_many_waiting_commits_are_turned_away() {
    let mut embedded = Embedded::new();
    embedded.options.max_waiting = 0;
    let store = embedded.open();
    assert!(matches!(store.commit(Vec::new()).wait(), Err(StoreError::Busy)));
}

const CHILD: &str = "PARLOUR_STORE_TEST_CHILD";

/// Not a test of its own: the process that `nothing_answered_is_lost_by_a_kill` kills.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(data) = std::env::var_os(CHILD) else { return };
    let clock = Arc::new(ManualClock::new(START));
    let store = SqliteStore::open(data.as_ref(), clock, &SqliteOptions::default()).unwrap();
    for number in 0u32.. {
        let head = number.to_be_bytes();
        let tickets = [1, 2].map(|queue| store.commit(vec![append(mailbox(queue), &head, &[queue; 700])]));
        for ticket in tickets {
            assert!(ticket.wait().unwrap().is_applied());
        }
        println!("answered {number}");
    }
}

#[test]
fn nothing_answered_is_lost_by_a_kill() {
    let embedded = Embedded::new();
    let mut expected = 0;
    for round in 1..=4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD, embedded.data())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let answered = lines.filter(|line| line.contains("answered")).take(40 * round).count();
        child.kill().unwrap();
        child.wait().unwrap();
        expected += answered;
        block_on(async {
            let store = embedded.open();
            let stored = [heads(&store, mailbox(1)).await.len(), heads(&store, mailbox(2)).await.len()];
            assert!(stored.iter().all(|rows| *rows >= expected), "{stored:?} of {expected}");
            assert_eq!(store.stats().damaged, 0);
        });
    }
}

#[test]
fn a_shortened_lifetime_holds_for_rows_that_are_there_and_for_their_key() {
    let mut embedded = Embedded::new();
    block_on(async {
        let store = embedded.open();
        applied(&store, [append(mailbox(1), b"old", b"")]).await;
        drop(store);
        let on = |days| UnixDay(START.day().0 + days).start();
        let key = embedded.data().join(format!("keys/day-{}.key", START.day().0));
        embedded.options.queue_row_days = 8;
        embedded.clock().set(on(7));
        let store = embedded.open();
        assert_eq!(heads(&store, mailbox(1)).await, [b"old"]);
        assert_eq!(store.sweep(on(7)).await.unwrap().day_keys, 0);
        applied(&store, [append(mailbox(1), b"new", b"")]).await;
        embedded.clock().set(on(8));
        assert_eq!(heads(&store, mailbox(1)).await, [b"new"]);
        let swept = store.sweep(on(8)).await.unwrap();
        assert_eq!((swept.queue_rows, swept.day_keys), (1, 1));
        assert!(!key.exists() && count(&embedded, "entry") == 1);
        embedded.clock().set(on(15));
        assert_eq!(store.sweep(on(15)).await.unwrap().queue_rows, 1);
    });
}

/// Pieces of a sweep come after commits (`examples/sweep_probe.rs` measures by how much), and yet it comes to its end.
#[test]
fn a_sweep_ends_while_commits_come_without_a_pause() {
    let embedded = Embedded::new();
    block_on(async {
        let store = embedded.open();
        let rows = (0..400u16).fold(RowBatch::new(room(7)), |batch, number| {
            batch.put(number.to_be_bytes(), vec![1; 100], PLAIN, Some(START.plus_s(60)))
        });
        applied(&store, [rows.into()]).await;
        let tomorrow = START.day().plus(1).start();
        embedded.clock().set(tomorrow);
        let sweeping = std::thread::spawn({
            let store = store.clone();
            move || block_on(store.sweep(tomorrow)).unwrap()
        });
        let mut commits = 0;
        while !sweeping.is_finished() {
            applied(&store, (0..8).map(|number| append(mailbox(number), b"row", b""))).await;
            commits += 8;
        }
        assert_eq!(sweeping.join().unwrap().rows, 400);
        let mut found = 0;
        for number in 0..8 {
            found += waiting(&store, mailbox(number)).await.len();
        }
        assert_eq!((count(&embedded, "row"), found), (0, commits));
    });
}
