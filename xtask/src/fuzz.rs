//! `cargo xtask fuzz`: libFuzzer on the stable compiler, with coverage of everything but build scripts.
//!
//! The compiler's own pass counts edges (`-Cpasses=sancov-module`); no sanitizer is linked (they need a nightly), so overflow
//! and debug assertions stand in for them. What is found new goes to `target/fuzz/corpus`, not into the house.

use crate::run::{root, run, target};
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Command;

const HOST: &str = "x86_64-unknown-linux-gnu";
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions=on",
    "-Coverflow-checks=on",
];

/// Builds the instrumented binary and runs it.
pub(crate) fn fuzz(args: &[String]) -> Result<()> {
    let Some(name) = args.first() else { bail!("which target? (or `all`)") };
    let seconds = match args.iter().position(|arg| arg == "--seconds") {
        Some(at) => args.get(at + 1).context("--seconds needs a number")?.parse()?,
        None => 60u32,
    };
    let to = target().join("fuzz");
    run(Command::new("cargo")
        .args(["build", "--release", "--package", "parlour-fuzz", "--bin", "fuzz", "--features", "libfuzzer"])
        .args(["--config", "profile.release.lto=false", "--config", "profile.release.debug=false"])
        .args(["--target", HOST, "--target-dir"])
        .arg(&to)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}")))?;
    let binary = to.join(HOST).join("release/fuzz");
    let all: Vec<String> = if name == "all" { targets()? } else { vec![name.clone()] };
    all.iter().try_for_each(|name| one(&binary, &to, name, seconds))
}

/// The targets are those of the source: this tool is not built with what it runs.
fn targets() -> Result<Vec<String>> {
    let source = std::fs::read_to_string(root().join("testing/fuzz/src/lib.rs"))?;
    let names = source.lines().filter_map(|line| line.trim().strip_prefix("Target { name: \""));
    Ok(names.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect())
}

fn one(binary: &Path, to: &Path, name: &str, seconds: u32) -> Result<()> {
    let corpus = to.join("corpus").join(name);
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(to.join("found"))?;
    run(Command::new(binary).env("PARLOUR_FUZZ_SEEDS", &corpus).env("PARLOUR_FUZZ", name).args(["-runs=0"]))?;
    run(Command::new(binary)
        .env("PARLOUR_FUZZ", name)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{name}-", to.join("found").display()))
        .args(["-max_len=16384", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"])
        .arg(&corpus))
}
