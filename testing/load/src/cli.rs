//! The command line.

use crate::metric::{METRICS, find};
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Measures a Parlour server: real sockets, the real protocol, the real binary on a real disk.
///
/// One JSON line per figure on standard output; progress and a table on standard error.
#[derive(Debug, Clone, Parser)]
#[command(name = "parlour-load", version)]
pub(crate) struct Cli {
    /// The `parlour` binary to measure (a release build).
    #[arg(long, value_name = "PATH")]
    pub(crate) server_bin: PathBuf,
    /// Only what gives these figures (names, comma-separated); see the table for the names.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = known)]
    pub(crate) only: Vec<String>,
    /// Short runs and small numbers: shows that it works, measures badly.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Pairs of devices that write to each other.
    #[arg(long, default_value_t = 50)]
    pub(crate) pairs: usize,
    /// Length of one measured run.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub(crate) seconds: u64,
    /// Appends the JSON lines to this file.
    #[arg(long, value_name = "FILE", default_value = "target/bench.jsonl")]
    pub(crate) json_out: PathBuf,
    /// Where data directories are made (erased afterwards); must not be in memory.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    pub(crate) data_root: PathBuf,
    /// Where the run `capacity` writes its plots and figures.
    #[arg(long, value_name = "DIR", default_value = "target/capacity")]
    pub(crate) plots: PathBuf,
    /// Runs of which the median is taken.
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: usize,
    /// No real clients beside the synthetic ones.
    #[arg(long)]
    pub(crate) no_engines: bool,
    /// Runs this beside each measured load, `{pid}` replaced by the server's, for instance
    /// `perf record -e cpu-clock -g -o perf.data -p {pid}`.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) profile: Option<String>,
    /// Exit with 1 when a target is missed.
    #[arg(long)]
    pub(crate) check: bool,
}

fn known(name: &str) -> Result<String, String> {
    let names = || METRICS.iter().map(|metric| metric.name).collect::<Vec<_>>().join(", ");
    find(name).map(|metric| metric.name.to_owned()).ok_or_else(|| format!("no such figure; there are: {}", names()))
}

impl Cli {
    /// Whether any of these figures is wanted.
    pub(crate) fn wants(&self, names: &[&str]) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| names.contains(&only.as_str()))
    }

    /// Length of one measured run.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs(if self.quick { 2 } else { self.seconds })
    }

    /// Runs of which the median is taken.
    pub(crate) fn repeats(&self) -> usize {
        if self.quick { 1 } else { self.runs.max(1) }
    }

    /// `full`, or a twentieth of it when quick.
    pub(crate) fn scaled(&self, full: usize) -> usize {
        if self.quick { (full / 20).max(1) } else { full }
    }
}
