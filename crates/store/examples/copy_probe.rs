//! What a copy for a backup costs those who write meanwhile: `cargo run --release -p parlour-store --example copy_probe [rows]`.
//!
//! Writers do what a send does; their latencies, and how large the log grows, are taken for a while without a copy, and then while
//! another process, a nice one, makes one copy after the other. (The other process is this program: SQLite's locks tell processes apart.)

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parlour_store::conformance::START;
use parlour_store::{
    Batch, ManualClock, PartitionId, PartitionKind, Payload, QueueId, RowBatch, RowKind, SqliteOptions, SqliteStore,
    copy_database,
};
use parlour_store::{Seq, Store};

const WRITERS: u64 = 16;
/// Of each writer.
const PAUSE: Duration = Duration::from_millis(20);
const WHILE: Duration = Duration::from_secs(15);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, copy, data, to] = &arguments[..]
        && copy == "copy"
    {
        copy_database(Path::new(data), Path::new(to)).expect("it copies");
        return;
    }
    let rows: u64 = arguments.get(1).map_or(1_000_000, |rows| rows.parse().expect("a number of rows"));
    let directory = tempfile::tempdir().expect("a directory for the probe");
    let data = directory.path().join("data");
    let store = SqliteStore::open(&data, Arc::new(ManualClock::new(START)), &SqliteOptions::default()).expect("opens");
    fill(&store, rows / 2);
    println!("{rows} rows, half of them waiting ones, {} MB; {WRITERS} writers", store.stats().database_bytes >> 20);
    let (idle, log) = writing(&store, || thread::sleep(WHILE));
    report("without a copy", &idle, log);
    let mut copies = Vec::new();
    let (busy, log) = writing(&store, || {
        let begun = Instant::now();
        while begun.elapsed() < WHILE {
            let to = directory.path().join(format!("copy{}", copies.len()));
            let one = Instant::now();
            let this = std::env::current_exe().expect("this program");
            let copied = Command::new("nice")
                .args(["-n", "19"])
                .arg(this)
                .arg("copy")
                .arg(&data)
                .arg(&to)
                .status()
                .expect("it starts");
            assert!(copied.success());
            copies.push(one.elapsed().as_secs_f64());
            std::fs::remove_file(to).expect("the copy is there");
        }
    });
    report("during copies", &busy, log);
    let mean = copies.iter().sum::<f64>() / copies.len() as f64;
    println!("{} copies, {mean:.2} s each; p99: {:.2} times", copies.len(), at(&busy, 99) / at(&idle, 99));
}

fn mailbox(number: u64) -> QueueId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    QueueId::Mailbox(id)
}

fn fill(store: &SqliteStore, each: u64) {
    for chunk in 0..each / 500 {
        let mut batches: Vec<Batch> = Vec::new();
        for number in chunk * 500..(chunk + 1) * 500 {
            let account = PartitionId::new(PartitionKind::Account, number.to_be_bytes());
            batches.push(RowBatch::new(account).put(*b"row", vec![7; 100], RowKind(1), None).into());
            let payload = Payload::Inline(Bytes::from(vec![7; 400]));
            batches.push(Batch::append(mailbox(number % 10_000), Bytes::new(), payload, START.day().plus(20)));
        }
        assert!(store.commit(batches).wait().expect("a commit works").is_applied());
    }
}

/// The latencies of writers while something else is done, milliseconds, sorted; and the largest log, in bytes.
fn writing(store: &SqliteStore, work: impl FnOnce()) -> (Vec<f64>, u64) {
    let (stop, log) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut all: Vec<f64> = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (stop, log) = (&stop, &log);
                scope.spawn(move || {
                    let mut taken = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        thread::sleep(PAUSE);
                        let begun = Instant::now();
                        send(store, writer);
                        taken.push(begun.elapsed().as_secs_f64() * 1e3);
                        log.fetch_max(store.stats().wal_bytes, Ordering::Relaxed);
                    }
                    taken
                })
            })
            .collect();
        work();
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().flat_map(|writer| writer.join().expect("it ends")).collect()
    });
    all.sort_unstable_by(f64::total_cmp);
    (all, log.into_inner())
}

/// A head, two waiting rows, and an acknowledgement of those before.
fn send(store: &SqliteStore, writer: u64) {
    let room = PartitionId::new(PartitionKind::Room, writer.to_be_bytes());
    let head = RowBatch::new(room).put(*b"head", vec![1; 300], RowKind(1), None);
    let ack = Batch::ack(mailbox(20_000 + writer), Seq(u64::MAX));
    let row = |to| {
        let payload = Payload::Inline(Bytes::from(vec![7; 400]));
        Batch::append(mailbox(20_000 + to), Bytes::new(), payload, START.day().plus(30))
    };
    let batches = vec![ack, head.into(), row(writer), row(writer + 100)];
    assert!(store.commit(batches).wait().expect("a commit works").is_applied());
}

fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100]
}

fn report(what: &str, sorted: &[f64], log: u64) {
    let (p50, p99, most) = (at(sorted, 50), at(sorted, 99), sorted[sorted.len() - 1]);
    let log = log as f64 / f64::from(1 << 20);
    println!(
        "{what:<15} {:>6} sends, p50 {p50:.2} ms, p99 {p99:.2} ms, most {most:.1} ms, log {log:.1} MB",
        sorted.len()
    );
}
