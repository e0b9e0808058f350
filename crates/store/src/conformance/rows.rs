//! Ordered rows, asserts and the order of commits.

use super::{Factory, JOB, PLAIN, START, append, applied, heads, mailbox, put, room, rows_of};
use crate::{Batch, Counted, KeyRange, Outcome, PartitionId, PartitionKind, QueueKind, RowBatch, Store};

/// A row has the value, kind and expiry it was given, until it is replaced or deleted.
pub async fn a_put_row_is_read_back<F: Factory>(factory: &F) {
    let store = factory.open();
    let batch = RowBatch::new(room(1)).put(*b"k", &b"one"[..], PLAIN, Some(START.plus_s(3_600))).put(
        *b"empty",
        &b""[..],
        JOB,
        None,
    );
    applied(&store, [batch.into()]).await;
    let row = store.get(&room(1), b"k").await.expect("readable").expect("the row is there");
    assert_eq!((&row.value[..], row.kind, row.expires), (&b"one"[..], PLAIN, Some(START.plus_s(3_600))));
    applied(&store, [put(room(1), b"k", b"two").delete(*b"empty").into()]).await;
    let row = store.get(&room(1), b"k").await.expect("readable").expect("the row is there");
    assert_eq!((&row.value[..], row.expires), (&b"two"[..], None));
    assert_eq!(store.get(&room(1), b"empty").await.expect("readable"), None);
}

/// Each assert refuses what it should, by its number, and the batch changes nothing.
pub async fn an_assert_that_does_not_hold_refuses<F: Factory>(factory: &F) {
    let store = factory.open();
    applied(&store, [put(room(1), b"k", b"v").into()]).await;
    let wrong = [
        RowBatch::new(room(1)).absent(*b"none").absent(*b"k"),
        RowBatch::new(room(1)).absent(*b"none").present(*b"none"),
        RowBatch::new(room(1)).absent(*b"none").equals(*b"none", &b"v"[..]),
        RowBatch::new(room(1)).absent(*b"none").equals(*b"k", &b"w"[..]),
    ];
    for batch in wrong {
        let outcome = store.commit(vec![batch.put(*b"k", &b"bad"[..], PLAIN, None).into()]).await;
        assert_eq!(outcome.expect("no error"), Outcome::Refused { batch: 0, assert: 1 });
    }
    let right = put(room(1), b"k", b"new").absent(*b"none").present(*b"k").equals(*b"k", &b"v"[..]);
    applied(&store, [right.into()]).await;
    assert_eq!(rows_of(&store, &room(1)).await.len(), 1);
}

/// A refusal stops the commit there: the batches before it stay, those after it never happen.
pub async fn a_refused_batch_stops_the_commit_and_keeps_what_was_before<F: Factory>(factory: &F) {
    let store = factory.open();
    let batches = vec![
        put(room(1), b"before", b"1").into(),
        append(mailbox(1), b"before", b""),
        RowBatch::new(room(2)).present(*b"none").into(),
        put(room(1), b"after", b"1").into(),
        append(mailbox(1), b"after", b""),
    ];
    let outcome = store.commit(batches).await.expect("no error");
    assert_eq!(outcome, Outcome::Refused { batch: 2, assert: 0 });
    let keys: Vec<_> = rows_of(&store, &room(1)).await.into_iter().map(|row| row.key).collect();
    assert_eq!(keys, [b"before"]);
    assert_eq!(heads(&store, mailbox(1)).await, [&b"before"[..]]);
}

/// Within a commit and between two submitted together, asserts judge what the earlier batches left.
pub async fn asserts_see_the_batches_before_them<F: Factory>(factory: &F) {
    let store = factory.open();
    let first = store.commit(vec![
        put(room(1), b"k", b"1").into(),
        put(room(1), b"k", b"2").equals(*b"k", &b"1"[..]).into(),
        RowBatch::new(room(1)).delete(*b"k").into(),
        put(room(1), b"k", b"3").absent(*b"k").into(),
    ]);
    let second = store.commit(vec![put(room(1), b"k", b"4").equals(*b"k", &b"3"[..]).into()]);
    let third = store.commit(vec![put(room(1), b"k", b"5").equals(*b"k", &b"3"[..]).into()]);
    assert!(first.await.expect("no error").is_applied());
    assert!(second.await.expect("no error").is_applied());
    assert_eq!(third.await.expect("no error"), Outcome::Refused { batch: 0, assert: 0 });
    let row = store.get(&room(1), b"k").await.expect("readable").expect("the row is there");
    assert_eq!(&row.value[..], b"4");
}

/// Ranges are in the order of the keys, half-open and limited.
pub async fn ranges_are_ordered_and_bounded<F: Factory>(factory: &F) {
    let store = factory.open();
    let keys = [&b"b"[..], b"a", b"ab", b"\xff", b"", b"a\xff", b"c"];
    let batch = keys.iter().fold(RowBatch::new(room(1)), |batch, key| batch.put(*key, &b"v"[..], PLAIN, None));
    applied(&store, [batch.into()]).await;
    let read = async |range: KeyRange, limit| -> Vec<Vec<u8>> {
        let rows = store.range(&room(1), &range, limit).await.expect("readable");
        rows.into_iter().map(|row| row.key).collect()
    };
    assert_eq!(read(KeyRange::all(), 99).await, [&b""[..], b"a", b"ab", b"a\xff", b"b", b"c", b"\xff"]);
    assert_eq!(read(KeyRange::prefix(*b"a"), 99).await, [&b"a"[..], b"ab", b"a\xff"]);
    assert_eq!(read(KeyRange::new(*b"a", *b"b"), 2).await, [&b"a"[..], b"ab"]);
    assert_eq!(read(KeyRange::from(*b"c"), 99).await, [&b"c"[..], b"\xff"]);
    assert_eq!(read(KeyRange::new(*b"b", *b"a"), 99).await, [&b""[..]; 0]);
    assert_eq!(read(KeyRange::all(), 0).await, [&b""[..]; 0]);
}

/// The same key in two partitions is two rows, also if only the kinds differ.
pub async fn partitions_do_not_touch_each_other<F: Factory>(factory: &F) {
    let store = factory.open();
    let account = PartitionId::new(PartitionKind::Account, [1; 16]);
    let short = PartitionId::new(PartitionKind::Account, [1; 15]);
    let partitions = [&room(1), &room(2), &account, &short];
    for (value, partition) in (0u8..).zip(partitions) {
        applied(&store, [put(partition.clone(), b"k", &[value]).into()]).await;
    }
    applied(&store, [RowBatch::new(room(2)).delete_range(KeyRange::all()).into()]).await;
    for (value, partition) in (0u8..).zip(partitions) {
        let values: Vec<_> = rows_of(&store, partition).await.into_iter().map(|row| row.value).collect();
        let expected = if value == 1 { vec![] } else { vec![vec![value]] };
        assert_eq!(values, expected);
    }
}

/// Deleting a range takes rows of earlier commits and of this one, and spares what is written after it.
pub async fn a_range_is_deleted_also_where_it_was_just_written<F: Factory>(factory: &F) {
    let store = factory.open();
    let old = put(room(1), b"a1", b"").put(*b"b1", &b""[..], PLAIN, None);
    applied(&store, [old.into()]).await;
    let batch = put(room(1), b"a2", b"").delete_range(KeyRange::prefix(*b"a")).put(*b"a3", &b""[..], PLAIN, None);
    applied(&store, [batch.into()]).await;
    let keys: Vec<_> = rows_of(&store, &room(1)).await.into_iter().map(|row| row.key).collect();
    assert_eq!(keys, [b"a3", b"b1"]);
}

/// A scan pages through the rows of one kind, wherever they are, with their partitions.
pub async fn scan_finds_a_kind_in_all_partitions<F: Factory>(factory: &F) {
    let store = factory.open();
    for kind in [JOB, PLAIN] {
        for number in 0..7 {
            let batch = RowBatch::new(room(number)).put([kind.0], vec![number], kind, None);
            applied(&store, [batch.into()]).await;
        }
    }
    for kind in [JOB, PLAIN] {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = store.scan(kind, cursor, 3).await.expect("a scan works");
            found.extend(page.rows);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        found.sort_by_key(|(_, row)| row.value.clone());
        assert_eq!(found.len(), 7);
        for (number, (partition, row)) in (0u8..).zip(found) {
            assert_eq!((partition, &row.value[..], row.kind), (room(number), &[number][..], kind));
        }
    }
}

/// The census counts rows, queue rows and shared payloads, and their bytes.
pub async fn the_census_counts_what_is_there<F: Factory>(factory: &F) {
    let store = factory.open();
    let mut batches: Vec<Batch> = (0..3).map(|number| put(room(number), b"k", b"value").into()).collect();
    batches.extend((0..2).map(|number| append(mailbox(number), b"head", b"payload")));
    batches.extend((0..2).map(|number| super::append_shared(mailbox(number), b"head", 9, &[7; 100])));
    applied(&store, batches).await;
    let census = store.census().await.expect("a census works");
    let count = |kind| census.iter().find(|count| count.kind == kind).copied().expect("the kind is counted");
    assert_eq!(count(Counted::Rows(PLAIN)).rows, 3);
    assert!(count(Counted::Rows(PLAIN)).bytes >= 18);
    assert_eq!(count(Counted::Queue(QueueKind::Mailbox)).rows, 4);
    assert_eq!(count(Counted::Payloads).rows, 1);
    assert!(count(Counted::Payloads).bytes >= 100);
    assert!(census.iter().all(|count| count.oldest == Some(START.day())));
}

/// What was answered is there after a close, and after an end without one.
pub async fn rows_survive_a_close_and_a_crash<F: Factory>(factory: &F) {
    let store = factory.open();
    applied(&store, [put(room(1), b"closed", b"1").into()]).await;
    store.close().await.expect("a store closes");
    drop(store);
    let store = factory.open();
    applied(&store, [put(room(1), b"dropped", b"2").into()]).await;
    drop(store);
    let rows = rows_of(&factory.open(), &room(1)).await;
    assert_eq!(rows.iter().map(|row| &row.value[..]).collect::<Vec<_>>(), [b"1", b"2"]);
}

/// Commits apply in the order of the calls, whatever the order of the polls.
pub async fn commits_keep_the_order_of_the_calls<F: Factory>(factory: &F) {
    let store = factory.open();
    let commit =
        |number: u8| store.commit(vec![put(room(1), b"k", &[number]).into(), append(mailbox(1), &[number], b"")]);
    let mut tickets: Vec<_> = (0..100).map(commit).collect();
    while let Some(ticket) = tickets.pop() {
        assert!(ticket.await.expect("no error").is_applied());
    }
    let expected: Vec<Vec<u8>> = (0..100).map(|number| vec![number]).collect();
    assert_eq!(heads(&store, mailbox(1)).await, expected);
    assert_eq!(&rows_of(&store, &room(1)).await[0].value[..], [99]);
}
