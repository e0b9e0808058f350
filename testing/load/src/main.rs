//! The load generator: speaks the real protocol over real sockets to the real binary, and measures **the server**.
//!
//! What is real: the binary (a child process, its data on a disk, rate limits lifted in its configuration and nothing
//! else changed), sign-up by one-time code, signed device lists, Ed25519 sign-in, rooms, grants, a signed commit, every
//! frame and every acknowledgement. CPU is the server's own user and system time, all threads, from `/proc`. Rows are
//! checked: each comes once and in order, or the run fails.
//!
//! What is skipped, honestly:
//! - **No MLS in the synthetic devices.** They replay one prepared random ciphertext of 446 bytes (what 300 bytes of
//!   content become) under fresh message ids, and one franking tag. The server can tell neither. A few *real* engines,
//!   which encrypt, decrypt and check the stamp, write to each other while the load runs ([`engines`]).
//! - They publish no key packages and claim none: that is not on the way of a message.
//! - They reuse one outbox socket per room; a real client opens one on demand and closes it after a minute.
//! - Acknowledgements are cumulative and late by at most 20 ms or 32 rows ([`net`]).
//! - Generator and server share the machine's cores. Throughput is what both reach together.

mod cli;
mod closed;
mod config;
mod device;
mod engines;
mod http;
mod metric;
mod net;
mod process;
mod profile;
mod room;
mod runs;
mod socket;
mod tls;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use cli::Cli;
use metric::Report;
use process::ServerBin;
use runs::{capacity, deliver, fanout, first_message, group, idle, large, latency, offline, start, sweep};
use std::process::ExitCode;

/// Progress for people, on standard error.
macro_rules! note {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($arg)*);
    }};
}
pub(crate) use note;

/// One measurement.
type Run = fn(&Cli, &ServerBin, &mut Report) -> Result<()>;

const RUNS: &[(&[&str], Run)] = &[
    (start::FIGURES, start::run),
    (first_message::FIGURES, first_message::run),
    (deliver::FIGURES, deliver::run),
    (latency::FIGURES, latency::run),
    (offline::FIGURES, offline::run),
    (fanout::FIGURES, fanout::run),
    (group::FIGURES, group::run),
    (large::FIGURES, large::run),
    (idle::FIGURES, idle::run),
    (sweep::FIGURES, sweep::run),
    (capacity::FIGURES, capacity::run),
];

fn main() -> ExitCode {
    match measure(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            note!("parlour-load: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs what is wanted; whether all of it could be measured (and, with `--check`, reached its target).
fn measure(cli: &Cli) -> Result<bool> {
    let path = cli.server_bin.canonicalize().with_context(|| format!("no {}", cli.server_bin.display()))?;
    let bin = ServerBin { path, data_root: cli.data_root.clone() };
    bin.check()?;
    // Thousands of connections here, and as many in the server, which inherits the limit.
    let limit = rlimit::increase_nofile_limit(65_536)?;
    note!("measuring {} with data under {}, {limit} descriptors", bin.path.display(), bin.data_root.display());
    note!(
        "synthetic devices replay a prepared ciphertext of {} bytes; acknowledgements are cumulative, after at most {} ms or {} rows",
        room::CIPHERTEXT_BYTES,
        net::ACK_DELAY.as_millis(),
        net::ACK_ROWS
    );

    let load: f64 = std::fs::read_to_string("/proc/loadavg")?.split(' ').next().unwrap_or_default().parse()?;
    if load > 0.7 {
        note!("WARNING: other work keeps this machine busy (load {load}): every figure will be worse than it is");
    }

    let mut report = Report::new(Some(&cli.json_out))?;
    let mut failed = false;
    for (figures, run) in RUNS.iter().filter(|(figures, _)| cli.wants(figures)) {
        if let Err(error) = run(cli, &bin, &mut report) {
            failed = true;
            note!("FAILED: {}: {error:#}", figures.join(", "));
        }
    }
    note!("{}", report.table());
    Ok(!failed && (!cli.check || report.all_met()))
}
