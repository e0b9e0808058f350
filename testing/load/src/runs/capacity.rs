//! What one node carries: the store filled step by step, connections opened step by step, and at each step the time of a start, memory,
//! CPU and latency of messages through sockets, and what a backup costs those who write.
//!
//! The rows are written through the store's port, of the sizes that real ones have; what is measured goes through sockets of the built
//! binary. The store is filled to the full measure in steps of one data directory, so that each start reads what the one before left.
//! Only when it is asked for by name: it takes half an hour and 20 GB.

mod backup;
mod crowd;
mod curve;
mod fill;

use super::latency::Line;
use crate::cli::Cli;
use crate::metric::{Report, percentile};
use crate::note;
use crate::process::{Server, ServerBin, Transport};
use anyhow::Result;
use backup::Backup;
use curve::{Curves, Step};
use parlour_store::conformance::block_on;
use std::time::Duration;

/// What this gives.
pub(crate) const FIGURES: &[&str] = &[
    "capacity_start_ms",
    "capacity_row_bytes",
    "capacity_conn_bytes",
    "capacity_cpu_times",
    "capacity_p99_ms",
    "capacity_backup_s",
    "capacity_backup_p99_times",
    "capacity_restore_s",
];
const ACCOUNTS: u64 = 1_000_000;
/// Ten for each account's mailbox.
const ROWS: u64 = 10_000_000;
const CONNECTIONS: usize = 50_000;
/// Descriptors that both processes need beside the connections.
const OTHERS: u64 = 600;

/// Measures and reports.
pub(crate) fn run(cli: &Cli, bin: &ServerBin, report: &mut Report) -> Result<()> {
    if !FIGURES.iter().any(|figure| cli.only.iter().any(|only| only == figure)) {
        note!("capacity: only when one of its figures is asked for by name");
        return Ok(());
    }
    let mut server = Server::prepare(bin)?;
    server.be_patient(Duration::from_secs(600));
    let mut curves = Curves::read(&cli.plots)?;
    let mut filled = fill::Filled::default();
    // Who asks for one part only gets it alone: the backup of a full store, or connections beside a tenth of it.
    let only = |prefix: &str| cli.only.iter().all(|only| only.starts_with(prefix));
    let (only_backup, only_connections) = (only("capacity_backup"), only("capacity_conn"));
    let parts: &[f64] = match (only_backup, only_connections) {
        (true, _) => &[1.0],
        (_, true) => &[],
        _ => &[0.0, 0.1, 1.0 / 3.0, 1.0],
    };
    if !parts.is_empty() {
        curves.store.clear();
    }
    for part in parts.iter().copied() {
        let (accounts, rows) = (scaled(cli, ACCOUNTS, part), scaled(cli, ROWS, part));
        block_on(fill::fill(&server.data(), &mut filled, fill::Filled { accounts, rows }))?;
        let step = full_of(cli, bin, &mut server, filled)?;
        note!("capacity: {step:?}");
        curves.store.push(step);
    }
    if only_backup {
        return put(report, &curves);
    }
    if only_connections {
        let tenth = fill::Filled { accounts: scaled(cli, ACCOUNTS, 0.1), rows: scaled(cli, ROWS, 0.1) };
        block_on(fill::fill(&server.data(), &mut filled, tenth))?;
    }
    let limit = rlimit::getrlimit(rlimit::Resource::NOFILE)?.0;
    let most = cli.scaled(CONNECTIONS).min(usize::try_from(limit.saturating_sub(OTHERS))?);
    if most < cli.scaled(CONNECTIONS) {
        note!("capacity: {most} connections: this machine gives a process {limit} descriptors");
    }
    curves.connections = crowd::measure(cli, &mut server, most)?;
    server.stop()?;
    curves.write(&cli.plots)?;
    put(report, &curves)
}

fn scaled(cli: &Cli, full: u64, part: f64) -> u64 {
    (cli.scaled(full as usize) as f64 * part) as u64
}

/// All that is measured of a server with so much in its store.
fn full_of(cli: &Cli, bin: &ServerBin, server: &mut Server, filled: fill::Filled) -> Result<Step> {
    let start = server.start(Transport::Plain)?;
    server.settle()?;
    let memory = server.rss_bytes()? as f64;
    let mut line = Line::between(server, cli.pairs)?;
    let seconds = cli.length().as_secs();
    let before = server.usage()?;
    let (waited, _) = line.messages(seconds)?;
    let cpu_us = server.usage()?.since(before).cpu_us_per(waited.len() as u64);
    let backup = Backup::measure(cli, bin, server, &mut line)?;
    drop(line);
    server.stop()?;
    Ok(Step {
        accounts: filled.accounts as f64,
        rows: filled.rows as f64,
        start_s: start.as_secs_f64(),
        memory,
        database: std::fs::metadata(server.data().join("store.db"))?.len() as f64,
        p50_ms: percentile(&waited, 0.5),
        p99_ms: percentile(&waited, 0.99),
        cpu_us,
        backup,
    })
}

fn put(report: &mut Report, curves: &Curves) -> Result<()> {
    let (Some(empty), Some(full)) = (curves.store.first(), curves.store.last()) else { return Ok(()) };
    report.put("capacity_backup_s", full.backup.took_s)?;
    report.put("capacity_backup_p99_times", full.backup.p99_during_ms / full.backup.p99_before_ms)?;
    let (Some(alone), Some(crowded)) = (curves.connections.first(), curves.connections.last()) else { return Ok(()) };
    report.put("capacity_start_ms", full.start_s * 1e3)?;
    report.put("capacity_row_bytes", (full.memory - empty.memory) / full.rows)?;
    report.put("capacity_conn_bytes", (crowded.memory - alone.memory) / crowded.count)?;
    report.put("capacity_cpu_times", crowded.cpu_us / empty.cpu_us)?;
    report.put("capacity_p99_ms", crowded.p99_ms)?;
    report.put("capacity_restore_s", full.backup.restore_s)
}
