//! What a thief of the disk finds: never plaintext or ids, and of deleted rows not even the ciphertext.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use bytes::Bytes;
use common::Embedded;
use parlour_store::conformance::{Factory, PLAIN, START, append, applied, block_on, heads, rows_of};
use parlour_store::{
    Batch, KeyRange, PartitionId, PartitionKind, Payload, PayloadId, QueueId, RowBatch, SqliteStore, Store,
};
use rusqlite::Connection;
use std::collections::HashSet;

const CANARY: &[u8] = b"CANARY-a-word-that-must-not-be-found";
const MAILBOX: [u8; 16] = *b"MAILBOX-CANARY-1";
/// A mailbox whose rows expire soon.
const SHORT: [u8; 16] = [0xC3; 16];
const PAYLOAD: [u8; 16] = *b"PAYLOAD-CANARY-1";
const ACCOUNT: &[u8] = b"ACCOUNT-CANARY-1";

/// Text of this size, full of canaries.
fn text(len: usize) -> Vec<u8> {
    CANARY.iter().copied().cycle().take(len).collect()
}

fn account() -> PartitionId {
    PartitionId::new(PartitionKind::Account, ACCOUNT)
}

/// Pieces of each sealed row now stored: enough to recognise any page that still holds a part of it.
fn ciphertexts(embedded: &Embedded) -> Vec<Vec<u8>> {
    let db = Connection::open(embedded.data().join("store.db")).unwrap();
    let all = "SELECT data FROM entry UNION ALL SELECT data FROM payload UNION ALL SELECT data FROM row";
    let mut statement = db.prepare(all).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    rows.flat_map(|row| {
        let row = row.unwrap();
        row.chunks(1_000).filter(|chunk| chunk.len() >= 24).map(|chunk| chunk[..24].to_vec()).collect::<Vec<_>>()
    })
    .collect()
}

async fn fill(store: &SqliteStore) {
    let expires = START.day().plus(1);
    let shared = Payload::Shared { id: PayloadId(PAYLOAD), data: text(20_000).into() };
    for round in 0..40usize {
        let value = text(50 + round * 150);
        let row = RowBatch::new(account()).put([9, u8::try_from(round).unwrap()], value, PLAIN, None);
        let expiring =
            RowBatch::new(account()).put([8, u8::try_from(round).unwrap()], text(300), PLAIN, Some(START.plus_s(60)));
        let head = Bytes::from(text(40));
        applied(
            store,
            [
                row.into(),
                expiring.into(),
                append(QueueId::Mailbox(MAILBOX), &head, &text(round * 300)),
                Batch::append(QueueId::Mailbox(MAILBOX), head.clone(), shared.clone(), expires),
                Batch::append(QueueId::Mailbox(SHORT), head, Payload::Inline(text(99).into()), expires),
            ],
        )
        .await;
    }
}

fn assert_no_plaintext(embedded: &Embedded) {
    for word in [CANARY, &MAILBOX, &PAYLOAD, ACCOUNT] {
        assert!(embedded.found(&[word]).is_empty(), "found {}", String::from_utf8_lossy(word));
    }
}

#[test]
fn neither_text_nor_ids_are_ever_in_a_file() {
    let embedded = Embedded::new();
    block_on(async {
        let store = embedded.open();
        fill(&store).await;
        assert_no_plaintext(&embedded);
        drop(store);
        let store = embedded.open();
        assert_no_plaintext(&embedded);
        store.close().await.unwrap();
        assert_no_plaintext(&embedded);
    });
}

#[test]
fn after_deletion_and_a_sweep_no_ciphertext_is_left() {
    let embedded = Embedded::new();
    block_on(async {
        let store = embedded.open();
        fill(&store).await;
        let deleted = ciphertexts(&embedded);
        assert!(deleted.len() > 500);
        let deleted: Vec<&[u8]> = deleted.iter().map(Vec::as_slice).collect();
        assert_eq!(embedded.found(&deleted).len(), deleted.len());
        // Each way to go: acknowledged, expired, deleted, replaced, deleted by range.
        let last = store.queue_range(QueueId::Mailbox(MAILBOX), Default::default(), parlour_store::conformance::ALL);
        let last = last.await.unwrap().last().unwrap().seq;
        applied(&store, [Batch::ack(QueueId::Mailbox(MAILBOX), last)]).await;
        for round in 0..20u8 {
            let batch = RowBatch::new(account()).delete([9, round]).put([9, round + 20], text(60), PLAIN, None);
            applied(&store, [batch.into()]).await;
        }
        let tomorrow = START.day().plus(1).start();
        embedded.clock().set(tomorrow);
        store.sweep(tomorrow).await.unwrap();
        assert_eq!(heads(&store, QueueId::Mailbox(SHORT)).await.len(), 0);
        assert_eq!(rows_of(&store, &account()).await.len(), 20);
        assert_eq!(embedded.found(&deleted).len(), 0);
        assert_eq!(store.stats().wal_bytes, 0);
        assert_no_plaintext(&embedded);
    });
}

#[test]
fn what_moved_cells_left_in_pages_goes_with_the_next_sweep() {
    let embedded = Embedded::new();
    block_on(async {
        let store = embedded.open();
        let partition = |number: u32| PartitionId::new(PartitionKind::Account, number.to_be_bytes());
        let put = |number: u32, row: u8| {
            let value = text(40 + (number as usize * 37 + usize::from(row) * 113) % 700);
            Batch::from(RowBatch::new(partition(number)).put([row], value, PLAIN, None))
        };
        for number in (0..800).step_by(8) {
            applied(&store, (0..64).map(|row| put(number + row % 8, (row / 8) as u8))).await;
        }
        let before = ciphertexts(&embedded);
        // Every second one goes, and others grow into the room that is left.
        let all_of = |number| RowBatch::new(partition(number)).delete_range(KeyRange::all()).into();
        for number in (0..800).step_by(8) {
            let gone = [0, 2, 4, 6].map(|even| all_of(number + even));
            let grown = (0..16).map(|row| put(number + 1 + row % 4 * 2, 8 + (row / 4) as u8));
            applied(&store, gone.into_iter().chain(grown)).await;
        }
        let after: HashSet<Vec<u8>> = ciphertexts(&embedded).into_iter().collect();
        let deleted: Vec<&[u8]> = before.iter().filter(|piece| !after.contains(*piece)).map(Vec::as_slice).collect();
        assert!(deleted.len() > 3_000);
        // When the log is written back and cut (in a copy: the writer's cache is to stay), copies stay in the pages.
        let copy = Embedded::new();
        std::fs::create_dir(copy.data()).unwrap();
        for file in ["store.db", "store.db-wal"] {
            std::fs::copy(embedded.data().join(file), copy.data().join(file)).unwrap();
        }
        let cut = Connection::open(copy.data().join("store.db")).unwrap();
        cut.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        assert!(!copy.found(&deleted).is_empty(), "nothing is left in any page, and this test shows nothing");
        store.sweep(START).await.unwrap();
        assert_eq!(embedded.found(&deleted).len(), 0);
        for number in 0..800 {
            let rows = rows_of(&store, &partition(number)).await;
            assert_eq!(rows.len(), if number % 2 == 0 { 0 } else { 12 });
        }
        // Pages that were in the cache with their copies are changed again: the copies do not come back.
        for number in (0..800).step_by(8) {
            applied(&store, [1, 3, 5, 7].map(|odd| put(number + odd, 3))).await;
        }
        store.close().await.unwrap();
        assert_eq!(embedded.found(&deleted).len(), 0);
        let db = Connection::open(embedded.data().join("store.db")).unwrap();
        let whole: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
    });
}
