//! Measures the apps for browsers: real Chromium, the real binary, native clients as the other side.
//!
//! Browser, other side and server share the machine's cores: a page waits for all three. Times inside a page are the
//! page's own (`performance.now()`), never the driver's; what two browsers see is compared by the machine's clock.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod back;
mod crowd;
mod first;
mod report;
mod talk;

use anyhow::Result;
use clap::Parser;
use parlour_browser::Driver;
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures the apps in a real browser.
///
/// One JSON line per figure on standard output; progress and a table on standard error.
#[derive(Debug, Parser)]
#[command(name = "parlour-web-bench", version)]
struct Cli {
    /// Only what gives these figures (names, comma-separated).
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = report::known)]
    only: Vec<String>,
    /// Small numbers: shows that it works, measures badly.
    #[arg(long)]
    quick: bool,
    /// Appends the JSON lines to this file.
    #[arg(long, value_name = "FILE", default_value = "target/bench.jsonl")]
    json_out: PathBuf,
    /// Exit with 1 when a target is missed.
    #[arg(long)]
    check: bool,
}

impl Cli {
    fn wants(&self, names: &[&str]) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| names.contains(&only.as_str()))
    }

    /// `full`, or a twentieth of it when quick.
    fn scaled(&self, full: usize) -> usize {
        if self.quick { (full / 20).max(2) } else { full }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match measure(&Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("parlour-web-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs what is wanted; whether all of it could be measured (and, with `--check`, reached its target).
async fn measure(cli: &Cli) -> Result<bool> {
    let load: f64 = std::fs::read_to_string("/proc/loadavg")?.split(' ').next().unwrap_or_default().parse()?;
    if load > 0.7 {
        eprintln!("WARNING: other work keeps this machine busy (load {load}): every figure will be worse than it is");
    }
    let driver = Driver::start().await?;
    let mut report = Report::new(&cli.json_out)?;
    let mut failed = false;
    let mut note = |figures: &[&str], result: Result<()>| {
        if let Err(error) = result {
            failed = true;
            eprintln!("FAILED: {}: {error:#}", figures.join(", "));
        }
    };
    if cli.wants(first::FIGURES) {
        note(first::FIGURES, first::run(cli, &driver, &mut report).await);
    }
    if cli.wants(talk::FIGURES) {
        note(talk::FIGURES, talk::run(cli, &driver, &mut report).await);
    }
    if cli.wants(back::FIGURES) {
        note(back::FIGURES, back::run(cli, &driver, &mut report).await);
    }
    if cli.wants(crowd::FIGURES) {
        note(crowd::FIGURES, crowd::run(cli, &driver, &mut report).await);
    }
    eprintln!("{}", report.table());
    Ok(!failed && (!cli.check || report.all_met()))
}

/// The middle one (the upper of two middles).
fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
