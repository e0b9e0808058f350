//! What sweeping a million expired rows costs those who write meanwhile:
//! `cargo run --release -p parlour-store --example sweep_probe [rows]`.
//!
//! Writers do what a send does (compare and set of a room's head, two waiting rows), so many a second as given; their latencies are
//! taken for a while without a sweep, and then during one over rows of accounts and rooms, and over waiting rows.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parlour_store::conformance::{START, block_on};
use parlour_store::{
    Batch, ManualClock, PartitionId, PartitionKind, Payload, QueueId, RowBatch, RowKind, SqliteOptions, SqliteStore,
    Store,
};

const WRITERS: u64 = 16;
/// Of each writer.
const PAUSE: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_secs(40);
const BUSY: Duration = Duration::from_secs(60);

fn main() {
    let rows: u64 = std::env::args().nth(1).map_or(1_000_000, |rows| rows.parse().expect("a number of rows"));
    let directory = tempfile::tempdir().expect("a directory for the probe");
    let clock = Arc::new(ManualClock::new(START));
    let store = SqliteStore::open(directory.path(), clock.clone(), &SqliteOptions::default()).expect("a store opens");
    fill(&store, rows / 2);
    println!("{rows} rows, half of them waiting ones; {WRITERS} writers, {} sends/s", WRITERS * 1_000 / 20);
    let idle = Writing::start(&store).for_a_while(|| thread::sleep(IDLE));
    report("without a sweep", &idle);
    let tomorrow = START.day().plus(2).start();
    clock.set(tomorrow);
    let sweeping = thread::spawn({
        let store = store.clone();
        move || block_on(store.sweep(tomorrow)).expect("it sweeps")
    });
    let busy = Writing::start(&store).for_a_while(|| thread::sleep(BUSY));
    report("during a sweep", &busy);
    println!("p99: {:.2} times", at(&busy, 99) / at(&idle, 99));
    // Without writers it hurries.
    let begun = Instant::now();
    println!("{:?}, the rest in {:.1} s", sweeping.join().expect("it ends"), begun.elapsed().as_secs_f64());
}

fn mailbox(number: u64) -> QueueId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    QueueId::Mailbox(id)
}

/// So many rows of each sort that expire tomorrow.
fn fill(store: &SqliteStore, each: u64) {
    for chunk in 0..each / 500 {
        let mut batches: Vec<Batch> = Vec::new();
        for number in chunk * 500..(chunk + 1) * 500 {
            let room = PartitionId::new(PartitionKind::Account, number.to_be_bytes());
            let row = RowBatch::new(room).put(*b"row", vec![7; 100], RowKind(1), Some(START.plus_s(3_600)));
            batches.push(row.into());
            let payload = Payload::Inline(Bytes::from(vec![7; 400]));
            batches.push(Batch::append(mailbox(number % 10_000), Bytes::new(), payload, START.day().plus(1)));
        }
        assert!(store.commit(batches).wait().expect("a commit works").is_applied());
    }
}

/// Writers at work.
struct Writing {
    stop: Arc<AtomicBool>,
    writers: Vec<thread::JoinHandle<Vec<f64>>>,
}

impl Writing {
    fn start(store: &SqliteStore) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..WRITERS).map(|writer| {
            let (store, stop) = (store.clone(), stop.clone());
            thread::spawn(move || {
                let room = PartitionId::new(PartitionKind::Room, writer.to_be_bytes());
                let mut taken = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    thread::sleep(PAUSE);
                    let begun = Instant::now();
                    let head = RowBatch::new(room.clone()).put(*b"head", vec![1; 300], RowKind(1), None);
                    let row = |to| {
                        let payload = Payload::Inline(Bytes::from(vec![7; 400]));
                        Batch::append(mailbox(20_000 + to), Bytes::new(), payload, START.day().plus(30))
                    };
                    let batches = vec![head.into(), row(writer), row(writer + 100)];
                    assert!(store.commit(batches).wait().expect("a commit works").is_applied());
                    taken.push(begun.elapsed().as_secs_f64() * 1e3);
                }
                taken
            })
        });
        let writers = writers.collect();
        Self { stop, writers }
    }

    /// The latencies while something else is done, milliseconds, sorted.
    fn for_a_while(self, work: impl FnOnce()) -> Vec<f64> {
        work();
        self.stop.store(true, Ordering::Relaxed);
        let mut all: Vec<f64> = self.writers.into_iter().flat_map(|writer| writer.join().expect("it ends")).collect();
        all.sort_unstable_by(f64::total_cmp);
        all
    }
}

fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100]
}

fn report(what: &str, sorted: &[f64]) {
    let (p50, p99, most) = (at(sorted, 50), at(sorted, 99), sorted[sorted.len() - 1]);
    println!("{what:<18} {:>7} sends, p50 {p50:.2} ms, p99 {p99:.2} ms, most {most:.1} ms", sorted.len());
}
