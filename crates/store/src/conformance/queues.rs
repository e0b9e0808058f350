//! Queues: order, acknowledgement, positions, shared payloads and the sink.

use std::sync::Arc;

use super::{ALL, Ear, Factory, append, append_shared, applied, heads, mailbox, waiting};
use crate::{Batch, QueueLimit, Seq, Store};

/// Rows of several queues keep the order of their appends, in each queue and over commits.
pub async fn rows_come_in_the_order_of_the_appends<F: Factory>(factory: &F) {
    let store = factory.open();
    let recent = mailbox(9);
    for round in 0..3u8 {
        let batches = [mailbox(1), recent, mailbox(2), mailbox(1)];
        let batches = (0u8..).zip(batches).map(|(number, queue)| append(queue, &[round, number], b"p"));
        let seqs = applied(&store, batches).await;
        assert_eq!(seqs.len(), 4);
        assert!(seqs[0] < seqs[3]);
    }
    assert_eq!(heads(&store, mailbox(1)).await, [[0, 0], [0, 3], [1, 0], [1, 3], [2, 0], [2, 3]]);
    assert_eq!(heads(&store, recent).await, [[0, 1], [1, 1], [2, 1]]);
    assert_eq!(heads(&store, mailbox(2)).await, [[0, 2], [1, 2], [2, 2]]);
    assert_eq!(heads(&store, mailbox(3)).await.len(), 0);
    let rows = waiting(&store, mailbox(1)).await;
    assert!(rows.is_sorted_by(|one, next| one.seq < next.seq));
    let later = store.queue_range(mailbox(1), rows[3].seq, ALL).await.expect("readable");
    assert_eq!(later, rows[4..]);
}

/// Limits of rows and bytes hold, but a first row is given whatever its size.
pub async fn a_limit_gives_at_least_one_row<F: Factory>(factory: &F) {
    let store = factory.open();
    applied(&store, (0..5).map(|number| append(mailbox(1), &[number], &[0; 99]))).await;
    let read = async |rows, bytes| {
        let limit = QueueLimit { rows, bytes };
        store.queue_range(mailbox(1), Seq::START, limit).await.expect("readable").len()
    };
    assert_eq!(read(3, usize::MAX).await, 3);
    assert_eq!(read(9, 200).await, 2);
    assert_eq!(read(9, 299).await, 2);
    assert_eq!(read(9, 1).await, 1);
    assert_eq!(read(0, 1).await, 0);
}

/// The newest rows are given in their order, as many as the limits allow, at least one, and no acknowledged one.
pub async fn the_newest_rows_come_without_the_older_ones<F: Factory>(factory: &F) {
    let store = factory.open();
    let seqs = applied(&store, (0..5).map(|number| append(mailbox(1), &[number], &[0; 99]))).await;
    let read = async |rows, bytes| {
        let rows = store.queue_latest(mailbox(1), QueueLimit { rows, bytes }).await.expect("readable");
        rows.iter().map(|row| row.head[0]).collect::<Vec<_>>()
    };
    assert_eq!(read(3, usize::MAX).await, [2, 3, 4]);
    assert_eq!(read(9, 200).await, [3, 4]);
    assert_eq!(read(9, 1).await, [4]);
    assert_eq!(read(0, 1).await.len(), 0);
    assert_eq!(read(9, usize::MAX).await, [0, 1, 2, 3, 4]);
    assert_eq!(store.queue_latest(mailbox(2), ALL).await.expect("readable").len(), 0);
    applied(&store, [Batch::ack(mailbox(1), seqs[2])]).await;
    assert_eq!(read(9, usize::MAX).await, [3, 4]);
}

/// An acknowledgement deletes all rows up to its position, and they stay deleted.
pub async fn an_acknowledgement_is_cumulative_and_lasts<F: Factory>(factory: &F) {
    let store = factory.open();
    let seqs = applied(&store, (0..6).map(|number| append(mailbox(1), &[number], b"p"))).await;
    applied(&store, [append(mailbox(2), b"other", b"p")]).await;
    applied(&store, [Batch::ack(mailbox(1), seqs[3])]).await;
    applied(&store, [Batch::ack(mailbox(1), seqs[1])]).await;
    assert_eq!(heads(&store, mailbox(1)).await, [[4], [5]]);
    drop(store);
    let store = factory.open();
    assert_eq!(heads(&store, mailbox(1)).await, [[4], [5]]);
    applied(&store, [Batch::drop_queue(mailbox(1))]).await;
    assert_eq!(heads(&store, mailbox(1)).await.len(), 0);
    drop(store);
    let store = factory.open();
    assert_eq!(heads(&store, mailbox(1)).await.len(), 0);
    assert_eq!(heads(&store, mailbox(2)).await, [&b"other"[..]]);
}

/// Positions grow for ever: after everything was acknowledged or dropped, and after each opening.
pub async fn positions_are_never_reused<F: Factory>(factory: &F) {
    let mut last = Seq::START;
    for round in 0..4 {
        let store = factory.open();
        for _ in 0..3 {
            for seq in applied(&store, (0..3).map(|number| append(mailbox(1), &[number], b"p"))).await {
                assert!(seq > last);
                last = seq;
            }
            applied(&store, (0..5).map(|number| append(mailbox(2), &[number], b"p"))).await;
            let empty = if round % 2 == 0 { Batch::ack(mailbox(1), last) } else { Batch::drop_queue(mailbox(1)) };
            applied(&store, [empty]).await;
        }
        if round == 2 {
            store.close().await.expect("a store closes");
        }
    }
}

/// Acknowledging what does not exist yet does not delete it when it comes.
pub async fn an_acknowledgement_ahead_of_time_spares_later_rows<F: Factory>(factory: &F) {
    let store = factory.open();
    applied(&store, [append(mailbox(1), b"first", b""), Batch::ack(mailbox(1), Seq(u64::MAX))]).await;
    applied(&store, [append(mailbox(1), b"second", b"")]).await;
    let batches = [append(mailbox(2), b"gone", b""), Batch::drop_queue(mailbox(2)), append(mailbox(2), b"kept", b"")];
    applied(&store, batches).await;
    assert_eq!(heads(&store, mailbox(1)).await, [&b"second"[..]]);
    assert_eq!(heads(&store, mailbox(2)).await, [&b"kept"[..]]);
}

/// Each row gets the shared payload, until the last one is gone.
pub async fn a_shared_payload_serves_all_its_rows<F: Factory>(factory: &F) {
    let store = factory.open();
    let payload = vec![5; 3_000];
    applied(&store, (0..10).map(|number| append_shared(mailbox(number), &[number], 1, &payload))).await;
    applied(&store, (0..5).map(|number| Batch::drop_queue(mailbox(number)))).await;
    drop(store);
    let store = factory.open();
    applied(&store, [append_shared(mailbox(0), b"late", 1, &payload)]).await;
    applied(&store, (6..10).map(|number| Batch::drop_queue(mailbox(number)))).await;
    for number in [0, 5] {
        let rows = waiting(&store, mailbox(number)).await;
        assert_eq!(rows.iter().map(|row| &row.payload[..]).collect::<Vec<_>>(), [&payload[..]]);
    }
}

/// The same payload can come back when its last row was deleted, also within one commit.
pub async fn a_shared_payload_can_come_again<F: Factory>(factory: &F) {
    let store = factory.open();
    for _ in 0..2 {
        let batches = [
            append_shared(mailbox(1), b"1", 1, b"shared"),
            Batch::drop_queue(mailbox(1)),
            append_shared(mailbox(2), b"2", 1, b"shared"),
        ];
        applied(&store, batches).await;
        assert_eq!(waiting(&store, mailbox(2)).await[0].payload, &b"shared"[..]);
        applied(&store, [Batch::drop_queue(mailbox(2))]).await;
    }
    applied(&store, [append_shared(mailbox(2), b"2", 1, b"shared")]).await;
    drop(store);
    assert_eq!(waiting(&factory.open(), mailbox(2)).await[0].payload, &b"shared"[..]);
}

/// The sink hears each appended row once, as stored, in queue order, before the answer.
pub async fn the_sink_hears_in_order_what_is_durable<F: Factory>(factory: &F) {
    let store = factory.open();
    let ear = Arc::new(Ear::default());
    applied(&store, [append(mailbox(1), b"unheard", b"")]).await;
    store.attach(ear.clone());
    let commit = |number| {
        store.commit(vec![append(mailbox(1), &[number], b"own"), append_shared(mailbox(2), &[number], 1, b"shared")])
    };
    for ticket in (0..50).map(commit).collect::<Vec<_>>() {
        assert!(ticket.await.expect("no error").is_applied());
    }
    let heard = ear.heard();
    assert_eq!(heard.len(), 100);
    for queue in [mailbox(1), mailbox(2)] {
        let heard: Vec<_> = heard.iter().filter(|(of, _)| *of == queue).map(|(_, row)| row.clone()).collect();
        let stored = waiting(&store, queue).await;
        let stored = stored[stored.len() - 50..].iter().map(|row| (row.seq, row.head.clone(), row.payload.clone()));
        assert_eq!(heard, stored.collect::<Vec<_>>());
    }
}

/// After an end without a close, every answered row is readable and positions go on behind it.
pub async fn rows_that_a_crash_left_are_readable<F: Factory>(factory: &F) {
    let mut last = Seq::START;
    for round in 1..=3 {
        let store = factory.open();
        last = applied(&store, [append(mailbox(1), b"head", &[9; 5_000])]).await[0].max(last);
        let rows = waiting(&store, mailbox(1)).await;
        assert_eq!(rows.len(), round);
        assert_eq!(rows.last().map(|row| row.seq), Some(last));
        assert!(rows.iter().all(|row| row.payload == vec![9; 5_000]));
    }
}
