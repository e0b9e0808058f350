//! What a sweep costs those who write meanwhile: the latency of messages through sockets, on a server in which a million rows are over,
//! before it sweeps them and while it does.

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

/// What this gives.
pub(crate) const FIGURES: &[&str] = &["sweep_p99_times"];
/// Half of them wait in mailboxes.
const ROWS: usize = 1_000_000;
/// The server sweeps so long after it was started.
const FIRST: Duration = Duration::from_secs(60);
/// The disk is given so many looks, a bit over a second each, to become calm.
const PATIENCE: usize = 300;
/// Syncs within so long are quick.
const QUICK_MS: f64 = 2.0;

/// Measures and reports.
pub(crate) fn run(cli: &Cli, bin: &ServerBin, report: &mut Report) -> Result<()> {
    let mut server = Server::prepare(bin)?;
    let rows = cli.scaled(ROWS);
    block_on(fill(&server.data(), rows as u64))?;
    let calm = until_calm(&server.data())?;
    note!("sweep: the disk is calm, 99 of 100 syncs within {calm:.2} ms");
    server.start(Transport::Plain)?;
    let started = Instant::now();
    let mut line = Line::between(&server, cli.pairs)?;
    let count = cli.length().as_secs().max(30);
    line.messages(5)?;
    let (before, _) = line.messages(count)?;
    ensure!(started.elapsed() < FIRST, "the sweep began before the latency without it was taken");
    std::thread::sleep((FIRST + Duration::from_secs(1)).saturating_sub(started.elapsed()));
    let (during, _) = line.messages(count)?;
    let [before, during] = [before, during].map(|waited| percentile(&waited, 0.99));
    let left = server.words("swept").is_none();
    note!(
        "sweep of {rows} rows: p99 {before:.2} ms before, {during:.2} ms during; over when it was measured: {}",
        !left
    );
    report.put("sweep_p99_times", during / before)
}

/// Rows of accounts and in mailboxes, all of them over for two days.
async fn fill(data: &Path, rows: u64) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let then = UnixTime(now - 33 * 86_400);
    let store = SqliteStore::open(data, Arc::new(move || then), &SqliteOptions::default())?;
    for chunk in 0..rows / 1_000 {
        let mut batches: Vec<Batch> = Vec::new();
        for number in chunk * 500..(chunk + 1) * 500 {
            let account = PartitionId::new(PartitionKind::Account, number.to_be_bytes());
            batches
                .push(RowBatch::new(account).put(*b"row", vec![7; 100], RowKind(1), Some(then.plus_s(3_600))).into());
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
