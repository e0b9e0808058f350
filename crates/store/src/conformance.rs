//! What every store must do, as tests that any adapter runs.
//!
//! An adapter's test file names a maker of [`Factory`] values in [`conformance!`](crate::conformance!) and gets one
//! `#[test]` for each function here. [`history`] compares a store with the model over any sequence of steps.

pub mod history;
pub mod lifetimes;
pub mod queues;
pub mod rows;

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use crate::{
    Batch, KeyRange, ManualClock, Outcome, PartitionId, PartitionKind, Payload, PayloadId, QueueId, QueueLimit,
    QueueRow, Row, RowBatch, RowKind, Seq, Sink, Store, UnixTime,
};

/// Opens one store again and again.
pub trait Factory {
    /// The adapter.
    type Store: Store;

    /// Opens what is there: at first nothing, later what earlier stores left. They have been closed or dropped by then.
    fn open(&self) -> Self::Store;

    /// The clock that the stores go by.
    fn clock(&self) -> &Arc<ManualClock>;
}

/// Where the tests' time begins: an hour after midnight.
pub const START: UnixTime = UnixTime(20_000 * 86_400 + 3_600);

/// The kind of row that most tests write.
pub const PLAIN: RowKind = RowKind(7);

/// A kind of row that [`Store::scan`] finds by its index.
pub const JOB: RowKind = RowKind(0x81);

/// No limit worth mentioning.
pub const ALL: QueueLimit = QueueLimit { rows: usize::MAX, bytes: usize::MAX };

/// Runs a test's future on this thread.
///
/// # Panics
/// If the system gives no event loop.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("the system gives an event loop").block_on(future)
}

/// Makes one `#[test]` for each conformance test: `conformance!(MyFactory::new)`.
#[macro_export]
macro_rules! conformance {
    ($factory:expr) => {
        $crate::conformance!(@each $factory;
            rows: a_put_row_is_read_back, an_assert_that_does_not_hold_refuses,
            a_refused_batch_stops_the_commit_and_keeps_what_was_before, asserts_see_the_batches_before_them,
            ranges_are_ordered_and_bounded, partitions_do_not_touch_each_other,
            a_range_is_deleted_also_where_it_was_just_written, scan_finds_a_kind_in_all_partitions,
            the_census_counts_what_is_there, rows_survive_a_close_and_a_crash, commits_keep_the_order_of_the_calls;
            queues: rows_come_in_the_order_of_the_appends, a_limit_gives_at_least_one_row,
                the_newest_rows_come_without_the_older_ones,
            an_acknowledgement_is_cumulative_and_lasts, positions_are_never_reused,
            an_acknowledgement_ahead_of_time_spares_later_rows, a_shared_payload_serves_all_its_rows,
            a_shared_payload_can_come_again, the_sink_hears_in_order_what_is_durable,
            rows_that_a_crash_left_are_readable;
            lifetimes: an_expired_row_is_absent, rows_expire_at_the_full_hour, queue_rows_expire_by_day,
            a_queue_row_lives_no_longer_than_its_key, a_sweep_deletes_what_has_expired, a_closed_store_says_so;
        );
    };
    (@each $factory:expr; $($module:ident: $($name:ident),* $(,)?;)*) => {
        $(mod $module {
            use super::*;
            $(#[test]
            fn $name() {
                $crate::conformance::block_on($crate::conformance::$module::$name(&($factory)()));
            })*
        })*
    };
}

/// A room's partition.
#[must_use]
pub fn room(number: u8) -> PartitionId {
    PartitionId::new(PartitionKind::Room, [number; 16])
}

/// A mailbox.
#[must_use]
pub fn mailbox(number: u8) -> QueueId {
    QueueId::Mailbox([number; 16])
}

/// An append of a row with its own payload, which lives as long as it may.
#[must_use]
pub fn append(queue: QueueId, head: &[u8], payload: &[u8]) -> Batch {
    let payload = Payload::Inline(Bytes::copy_from_slice(payload));
    Batch::append(queue, Bytes::copy_from_slice(head), payload, START.day().plus(30))
}

/// An append of a row with a shared payload.
#[must_use]
pub fn append_shared(queue: QueueId, head: &[u8], id: u8, payload: &[u8]) -> Batch {
    let payload = Payload::Shared { id: PayloadId([id; 16]), data: Bytes::copy_from_slice(payload) };
    Batch::append(queue, Bytes::copy_from_slice(head), payload, START.day().plus(30))
}

/// A batch that puts one row.
#[must_use]
pub fn put(partition: PartitionId, key: &[u8], value: &[u8]) -> RowBatch {
    RowBatch::new(partition).put(key, Bytes::copy_from_slice(value), PLAIN, None)
}

/// Commits, and gives the positions of the appended rows.
///
/// # Panics
/// If the commit fails or is refused.
pub async fn applied<S: Store>(store: &S, batches: impl IntoIterator<Item = Batch>) -> Vec<Seq> {
    match store.commit(batches.into_iter().collect()).await {
        Ok(Outcome::Applied { appended }) => appended,
        other => panic!("the commit should have been applied: {other:?}"),
    }
}

/// All rows of a partition.
///
/// # Panics
/// If reading fails.
pub async fn rows_of<S: Store>(store: &S, partition: &PartitionId) -> Vec<Row> {
    store.range(partition, &KeyRange::all(), usize::MAX).await.expect("a range is readable")
}

/// All rows of a queue.
///
/// # Panics
/// If reading fails, or if the queue's length is not the number of its rows.
pub async fn waiting<S: Store>(store: &S, queue: QueueId) -> Vec<QueueRow> {
    let rows = store.queue_range(queue, Seq::START, ALL).await.expect("a queue is readable");
    let len = store.queue_len(queue).await.expect("a queue has a length");
    assert_eq!(rows.len() as u64, len, "length of the queue");
    rows
}

/// The heads of all rows of a queue.
pub async fn heads<S: Store>(store: &S, queue: QueueId) -> Vec<Vec<u8>> {
    waiting(store, queue).await.into_iter().map(|row| row.head.to_vec()).collect()
}

/// A sink that remembers what it heard.
#[derive(Default)]
pub struct Ear(Mutex<Vec<(QueueId, Heard)>>);

/// What a sink is told of a row: position, its own part, its content.
pub type Heard = (Seq, Bytes, Bytes);

impl Ear {
    /// What was heard so far.
    #[must_use]
    pub fn heard(&self) -> Vec<(QueueId, Heard)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sink for Ear {
    fn appended(&self, queue: QueueId, seq: Seq, head: Bytes, payload: Bytes) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push((queue, (seq, head, payload)));
    }
}
