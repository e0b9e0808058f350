//! What an operation costs: `cargo run --release -p parlour-store --example store_probe [directory]`.
//!
//! CPU is that of the whole process, from `/proc/self/stat` (10 ms resolution), so that threads count, too.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use bytes::Bytes;
use parlour_store::conformance::{START, block_on};
use parlour_store::{
    Batch, ManualClock, PartitionId, PartitionKind, Payload, PayloadId, QueueId, QueueLimit, RowBatch, RowKind, Seq,
    SqliteOptions, SqliteStore, Store,
};

const MAILBOXES: u64 = 10_000;
const PRODUCERS: u64 = 64;

fn main() {
    let given = std::env::args().nth(1);
    let directory = tempfile::tempdir().expect("a directory for the probe");
    let base = given.as_ref().map_or(directory.path(), Path::new);
    let data = base.join("store-probe");
    let store = open(&data);
    append_and_ack(&store);
    fan_out(&store);
    room_heads(&store);
    let stats = store.stats();
    println!(
        "{:.1} commits per sync, largest group {}",
        stats.commits as f64 / stats.syncs as f64,
        stats.largest_group
    );
    let reopened = Instant::now();
    drop(store);
    let store = open(&data);
    println!("reopen                             {:>9.1} ms", reopened.elapsed().as_secs_f64() * 1e3);
    block_on(store.close()).expect("the store closes");
    fs::remove_dir_all(&data).expect("the probe's directory can be removed");
}

fn open(data: &Path) -> SqliteStore {
    SqliteStore::open(data, Arc::new(ManualClock::new(START)), &SqliteOptions::default()).expect("a store opens")
}

fn mailbox(number: u64) -> QueueId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    QueueId::Mailbox(id)
}

fn row(number: u64, size: usize) -> Batch {
    let payload = Payload::Inline(Bytes::from(vec![7; size]));
    Batch::append(mailbox(number), Bytes::from_static(&[1; 40]), payload, START.day().plus(30))
}

fn append_and_ack(store: &SqliteStore) {
    let next = Arc::new(AtomicU64::new(0));
    let mut acks = Vec::new();
    measure("append, 1 payload in 2 rows, 64 producers", 100_000, |operations| {
        acks = produce(operations, |_| {
            let number = next.fetch_add(2, Ordering::Relaxed);
            let batches = vec![row(number % MAILBOXES, 400), row((number + 1) % MAILBOXES, 400)];
            let outcome = store.commit(batches).wait().expect("a commit works");
            match outcome {
                parlour_store::Outcome::Applied { appended } => (number % MAILBOXES, appended[0]),
                parlour_store::Outcome::Refused { .. } => unreachable!("there is no assert"),
            }
        });
    });
    let limit = QueueLimit { rows: 100, bytes: usize::MAX };
    measure("drain of 20 rows, idle", 5_000, |operations| {
        for number in 0..operations {
            let rows = block_on_ready(store.queue_range(mailbox(number % MAILBOXES), Seq::START, limit));
            assert_eq!(rows.expect("a queue is readable").len(), 20);
        }
    });
    acks.sort_unstable();
    let acks = Arc::new(acks);
    let next = AtomicU64::new(0);
    measure("ack of 1 row, 64 producers", 50_000, |operations| {
        produce(operations, |_| {
            let index = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).expect("an index fits");
            let (queue, seq) = acks[index];
            store.commit(vec![Batch::ack(mailbox(queue), seq)]).wait().expect("a commit works")
        });
    });
}

fn fan_out(store: &SqliteStore) {
    measure("fan-out of one payload to 1000 rows", 100, |operations| {
        for number in 0..operations {
            let id = PayloadId([u8::try_from(number).unwrap_or(0); 16]);
            let payload = Payload::Shared { id, data: Bytes::from(vec![7; 400]) };
            let head = Bytes::from_static(&[1; 40]);
            let rows =
                (0..1_000).map(|to| Batch::append(mailbox(to), head.clone(), payload.clone(), START.day().plus(30)));
            assert!(store.commit(rows.collect()).wait().expect("a commit works").is_applied());
        }
    });
}

/// What a send does: compare and set the room's head, put and delete the job, append two rows.
fn room_heads(store: &SqliteStore) {
    let rooms: Vec<_> = (0..PRODUCERS).map(|room| PartitionId::new(PartitionKind::Room, room.to_be_bytes())).collect();
    for room in &rooms {
        let first = RowBatch::new(room.clone()).put(*b"head", 0u64.to_be_bytes().to_vec(), RowKind(1), None);
        assert!(store.commit(vec![first.into()]).wait().expect("a commit works").is_applied());
    }
    measure("send: head, job, 2 rows, 64 rooms", 50_000, |operations| {
        produce(operations, |(producer, turn)| {
            let room = usize::try_from(producer).map(|producer| rooms[producer].clone()).expect("a room");
            let head = RowBatch::new(room.clone())
                .equals(*b"head", turn.to_be_bytes().to_vec())
                .put(*b"head", (turn + 1).to_be_bytes().to_vec(), RowKind(1), None)
                .put(*b"job", vec![1; 500], RowKind(0x80), None);
            let done = RowBatch::new(room).delete(*b"job");
            let batches = vec![head.into(), row(producer, 400), row(producer + 1_000, 400), done.into()];
            assert!(store.commit(batches).wait().expect("a commit works").is_applied());
        });
    });
}

/// Has 64 threads do something so often in all, each telling its number and turn; gathers the results.
fn produce<T: Send>(operations: u64, f: impl Fn((u64, u64)) -> T + Sync) -> Vec<T> {
    let f = &f;
    thread::scope(|scope| {
        let turns = operations / PRODUCERS;
        let work = |producer| move || (0..turns).map(|turn| f((producer, turn))).collect::<Vec<_>>();
        let threads: Vec<_> = (0..PRODUCERS).map(|producer| scope.spawn(work(producer))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a producer ends")).collect()
    })
}

fn block_on_ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => unreachable!("the embedded store reads at once"),
    }
}

fn measure(what: &str, operations: u64, work: impl FnOnce(u64)) {
    let (cpu, writing, clock) = (cpu_us(), writer_us(), Instant::now());
    work(operations);
    let (cpu, writing) = (cpu_us() - cpu, writer_us() - writing);
    let wall = clock.elapsed().as_secs_f64();
    let per = |us: f64| us / operations as f64;
    println!(
        "{what:<42} {:>9.0} op/s {:>8.2} us CPU/op, {:>8.2} of them writing {:>8.2} us/op",
        operations as f64 / wall,
        per(cpu),
        per(writing),
        per(wall * 1e6)
    );
}

/// CPU time of this process so far, user and system, in microseconds.
fn cpu_us() -> f64 {
    ticks_us(Path::new("/proc/self/stat"))
}

/// CPU time of the store's writing thread.
fn writer_us() -> f64 {
    let tasks = fs::read_dir("/proc/self/task").expect("this is Linux").flatten().map(|task| task.path());
    let is_writer = |task: &std::path::PathBuf| {
        fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "store-writer")
    };
    tasks.filter(is_writer).map(|task| ticks_us(&task.join("stat"))).sum()
}

fn ticks_us(stat: &Path) -> f64 {
    let stat = fs::read_to_string(stat).unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = [11, 12].iter().filter_map(|field| fields.get(*field)?.parse::<f64>().ok());
    ticks.sum::<f64>() * 10_000.0
}
