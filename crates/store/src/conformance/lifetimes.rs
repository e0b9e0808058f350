//! Expiry, the sweep, and the end of a store.

use bytes::Bytes;

use super::{Factory, PLAIN, START, append, applied, heads, mailbox, put, room, rows_of, waiting};
use crate::{Batch, Payload, QUEUE_ROW_MAX_DAYS, RowBatch, Store, StoreError, UnixDay};

fn append_until(head: &'static [u8], expires: UnixDay) -> Batch {
    Batch::append(mailbox(1), Bytes::from_static(head), Payload::Inline(Bytes::new()), expires)
}

/// An expired row is not read, counts as absent, and can be written anew before any sweep.
pub async fn an_expired_row_is_absent<F: Factory>(factory: &F) {
    let store = factory.open();
    let batch = RowBatch::new(room(1)).put(*b"k", &b"old"[..], PLAIN, Some(START.plus_s(3_600)));
    applied(&store, [batch.into()]).await;
    factory.clock().advance_s(3_600);
    assert_eq!(store.get(&room(1), b"k").await.expect("readable"), None);
    assert_eq!(rows_of(&store, &room(1)).await, []);
    assert!(store.scan(PLAIN, None, 9).await.expect("a scan works").rows.is_empty());
    applied(&store, [put(room(1), b"k", b"new").absent(*b"k").into()]).await;
    store.sweep(START.plus_s(7_200)).await.expect("a sweep works");
    assert_eq!(rows_of(&store, &room(1)).await.len(), 1);
}

/// The expiry of a row is rounded up to the hour.
pub async fn rows_expire_at_the_full_hour<F: Factory>(factory: &F) {
    let store = factory.open();
    let batch = RowBatch::new(room(1)).put(*b"k", &b"v"[..], PLAIN, Some(START.plus_s(1)));
    applied(&store, [batch.into()]).await;
    factory.clock().advance_s(3_599);
    assert_eq!(rows_of(&store, &room(1)).await[0].expires, Some(START.plus_s(3_600)));
    factory.clock().advance_s(1);
    assert_eq!(rows_of(&store, &room(1)).await, []);
}

/// A queue row is gone from the start of its day on, also where it stands between others.
pub async fn queue_rows_expire_by_day<F: Factory>(factory: &F) {
    let store = factory.open();
    let tomorrow = START.day().plus(1);
    let batches = [append(mailbox(1), b"1", b""), append_until(b"2", tomorrow), append(mailbox(1), b"3", b"")];
    applied(&store, batches).await;
    assert_eq!(heads(&store, mailbox(1)).await, [b"1", b"2", b"3"].map(|head| &head[..]));
    factory.clock().set(tomorrow.start());
    assert_eq!(heads(&store, mailbox(1)).await, [b"1", b"3"].map(|head| &head[..]));
    drop(store);
    assert_eq!(heads(&factory.open(), mailbox(1)).await, [b"1", b"3"].map(|head| &head[..]));
}

/// Whatever expiry is asked for, a queue row ends when its day's key does.
pub async fn a_queue_row_lives_no_longer_than_its_key<F: Factory>(factory: &F) {
    let store = factory.open();
    applied(&store, [append_until(b"row", UnixDay(u32::MAX))]).await;
    let last = START.day().plus(QUEUE_ROW_MAX_DAYS);
    factory.clock().set(UnixDay(last.0 - 1).start());
    store.sweep(UnixDay(last.0 - 1).start()).await.expect("a sweep works");
    assert_eq!(waiting(&store, mailbox(1)).await.len(), 1);
    factory.clock().set(last.start());
    assert_eq!(waiting(&store, mailbox(1)).await.len(), 0);
}

/// A sweep deletes what has expired and nothing else, however much it is.
pub async fn a_sweep_deletes_what_has_expired<F: Factory>(factory: &F) {
    let store = factory.open();
    let tomorrow = START.day().plus(1);
    let rows = (0..700u16).fold(put(room(1), b"stays", b""), |batch, number| {
        batch.put(number.to_be_bytes(), &b"v"[..], PLAIN, Some(START.plus_s(3_600)))
    });
    let mut batches = vec![rows.into(), append(mailbox(2), b"stays", b"")];
    batches.extend((0..700).map(|_| append_until(b"goes", tomorrow)));
    batches.push(append(mailbox(1), b"stays", b""));
    applied(&store, batches).await;
    let now = tomorrow.start();
    factory.clock().set(now);
    let swept = store.sweep(now).await.expect("a sweep works");
    assert_eq!((swept.rows, swept.queue_rows), (700, 700));
    let swept = store.sweep(now).await.expect("a sweep works");
    assert_eq!((swept.rows, swept.queue_rows), (0, 0));
    let census = store.census().await.expect("a census works");
    assert_eq!(census.iter().map(|count| count.rows).sum::<u64>(), 3);
    assert_eq!(heads(&store, mailbox(1)).await, [&b"stays"[..]]);
}

/// After a close, everything answers that the store is closed.
pub async fn a_closed_store_says_so<F: Factory>(factory: &F) {
    let store = factory.open();
    applied(&store, [put(room(1), b"k", b"v").into()]).await;
    store.close().await.expect("a store closes");
    let commit = store.commit(vec![put(room(1), b"k", b"w").into()]).await;
    assert!(matches!(commit, Err(StoreError::Closed)));
    assert!(matches!(store.get(&room(1), b"k").await, Err(StoreError::Closed)));
    assert!(matches!(store.sweep(START).await, Err(StoreError::Closed)));
    assert_eq!(rows_of(&factory.open(), &room(1)).await[0].value, &b"v"[..]);
}
