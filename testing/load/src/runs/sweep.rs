//! What a sweep costs those who write meanwhile: the latency of messages through sockets, on a server that sweeps a million rows
//! and on one with as many that are not over. Turn about, a few seconds each while the other process stands still: what else the
//! disk does in these minutes falls on both.

use super::latency::Line;
use crate::cli::Cli;
use crate::metric::{Report, percentile};
use crate::note;
use crate::process::{Server, ServerBin, Transport};
use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use parlour_store::conformance::block_on;
use parlour_store::{
    Batch, PartitionId, PartitionKind, Payload, QueueId, RowBatch, RowKind, SqliteOptions, SqliteStore, Store, UnixTime,
};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What this gives. The second takes as long as two sweeps: only when it is asked for by name.
pub(crate) const FIGURES: &[&str] = &["sweep_p99_times", "sweep_whole_p99_times"];
/// Half of them wait in mailboxes.
const ROWS: usize = 1_000_000;
/// The server sweeps so long after it was started.
const FIRST: Duration = Duration::from_secs(60);
/// So many seconds of each turn do not count: what stood still comes into motion.
const WARM_S: u64 = 2;
/// Turns of each, but for the whole of it.
const TURNS: usize = 6;
/// The disk is given so many looks, a bit over a second each, to become calm.
const PATIENCE: usize = 300;
/// Syncs within so long are quick.
const QUICK_MS: f64 = 2.0;

/// Measures and reports.
pub(crate) fn run(cli: &Cli, bin: &ServerBin, report: &mut Report) -> Result<()> {
    let whole = cli.only.iter().any(|only| only == "sweep_whole_p99_times");
    let rows = cli.scaled(ROWS);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let (mut idle, mut busy) = (Server::prepare(bin)?, Server::prepare(bin)?);
    block_on(fill(&idle.data(), rows as u64, UnixTime(now)))?;
    block_on(fill(&busy.data(), rows as u64, UnixTime(now - 33 * 86_400)))?;
    let calm = until_calm(&busy.data())?;
    note!("sweep: the disk is calm, 99 of 100 syncs within {calm:.2} ms");
    idle.start(Transport::Plain)?;
    busy.start(Transport::Plain)?;
    let started = Instant::now();
    std::thread::sleep((FIRST + Duration::from_secs(1)).saturating_sub(started.elapsed()));
    busy.hold(true)?;
    ensure!(busy.words("swept").is_none(), "the sweep is over");
    while idle.words("swept").is_none() {
        // It found nothing; but it looks at each page.
        ensure!(started.elapsed() < 3 * FIRST, "a sweep of nothing does not end");
        std::thread::sleep(Duration::from_millis(100));
    }
    let servers = [&idle, &busy];
    let mut lines = Vec::new();
    for server in servers {
        server.hold(false)?;
        lines.push(Line::between(server, cli.pairs)?);
        server.hold(true)?;
    }

    let mut waited = [Vec::new(), Vec::new()];
    let mut turn = 0;
    while busy.words("swept").is_none() && (whole || turn < TURNS) {
        // Who was first is second the next time.
        for which in [turn % 2, (turn + 1) % 2] {
            servers[which].hold(false)?;
            lines[which].look()?;
            lines[which].messages(WARM_S)?;
            let these = lines[which].messages(cli.length().as_secs())?.0;
            servers[which].hold(true)?;
            note!("turn {turn}, {}: p99 {:.2} ms", ["idle", "sweep"][which], percentile(&these, 0.99));
            waited[which].extend(these);
        }
        turn += 1;
        if turn.is_multiple_of(TURNS) {
            told(&mut waited, rows, turn);
        }
    }
    servers.iter().try_for_each(|server| server.hold(false))?;
    note!("sweep: over when it was measured: {}", busy.words("swept").is_some());
    let times = told(&mut waited, rows, turn);
    report.put(if whole { "sweep_whole_p99_times" } else { "sweep_p99_times" }, times)
}

/// Says how long messages took up to now, without and with a sweep; gives how many times longer the slowest in a hundred took with it.
fn told(waited: &mut [Vec<f64>; 2], rows: usize, turns: usize) -> f64 {
    waited.iter_mut().for_each(|waited| waited.sort_by(f64::total_cmp));
    let [idle, busy] = waited.each_ref().map(|waited| [0.5, 0.99, 0.999].map(|share| percentile(waited, share)));
    note!("sweep of {rows} rows, {turns} turns: p50, p99, p99.9 {idle:.2?} ms without, {busy:.2?} ms with it");
    busy[1] / idle[1]
}

/// Rows of accounts, written `then` for a month, and in mailboxes, for 30 days.
async fn fill(data: &Path, rows: u64, then: UnixTime) -> Result<()> {
    let store = SqliteStore::open(data, Arc::new(move || then), &SqliteOptions::default())?;
    for chunk in 0..rows / 1_000 {
        let mut batches: Vec<Batch> = Vec::new();
        for number in chunk * 500..(chunk + 1) * 500 {
            let account = PartitionId::new(PartitionKind::Account, number.to_be_bytes());
            batches.push(
                RowBatch::new(account).put(*b"row", vec![7; 100], RowKind(1), Some(then.plus_s(30 * 86_400))).into(),
            );
            let mut mailbox = [0; 16];
            mailbox[..8].copy_from_slice(&(number % 10_000).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            let payload = Payload::Inline(Bytes::from(vec![7; 400]));
            batches.push(Batch::append(QueueId::Mailbox(mailbox), Bytes::new(), payload, then.day().plus(30)));
        }
        ensure!(store.commit(batches).await?.is_applied(), "the rows are not taken");
    }
    store.close().await?;
    ensure!(std::process::Command::new("sync").status()?.success(), "sync");
    Ok(())
}

/// Waits until the disk has done what it was given: else the latency before the sweep pays for what was filled in. Calm is when
/// syncs of a small file are quick, or not much slower than the quickest seen, five times in a row. Gives the last 99th percentile, in ms.
fn until_calm(dir: &Path) -> Result<f64> {
    let mut file = tempfile::tempfile_in(dir)?;
    let (mut best, mut calm) = (f64::MAX, 0);
    for _ in 0..PATIENCE {
        let mut took = Vec::new();
        for _ in 0..200 {
            let asked = Instant::now();
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&[7; 4096])?;
            file.sync_data()?;
            took.push(asked.elapsed().as_secs_f64() * 1e3);
            std::thread::sleep(Duration::from_millis(5));
        }
        took.sort_by(f64::total_cmp);
        let slow = percentile(&took, 0.99);
        best = best.min(slow);
        calm = if slow < (3.0 * best).max(QUICK_MS) { calm + 1 } else { 0 };
        if calm == 5 {
            return Ok(slow);
        }
    }
    bail!("the disk does not become calm: 99 of 100 syncs took up to {best:.2} ms at best")
}
