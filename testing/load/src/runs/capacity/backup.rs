//! What a backup takes, what it costs those who write meanwhile, and how long a restore is.

use crate::cli::Cli;
use crate::metric::percentile;
use crate::process::{Server, ServerBin, cpu_of};
use crate::runs::latency::Line;
use anyhow::{Context as _, Result, bail, ensure};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The figures of one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backup {
    /// From the command to its end.
    pub(super) took_s: f64,
    /// CPU of the command.
    pub(super) cpu_s: f64,
    /// What it wrote.
    pub(super) bytes: f64,
    /// Latency of messages in the seconds before it.
    pub(super) p99_before_ms: f64,
    /// While it is made.
    pub(super) p99_during_ms: f64,
    /// In the seconds after it.
    pub(super) p99_after_ms: f64,
    /// The longest message while it is made.
    pub(super) longest_ms: f64,
    /// What it takes to make a data directory of it.
    pub(super) restore_s: f64,
}

impl Backup {
    /// Makes one while messages go, and restores it.
    pub(super) fn measure(cli: &Cli, bin: &ServerBin, server: &Server, line: &mut Line) -> Result<Self> {
        let seconds = cli.length().as_secs();
        let scratch = server.scratch();
        let (to, keys, data) = (scratch.join("backup"), scratch.join("backup.keys"), scratch.join("restored"));
        line.messages(2)?;
        let (before, _) = line.messages(seconds)?;
        let began = Instant::now();
        let mut command = Command::new(&bin.path);
        command.args(["backup", "--data"]).arg(server.data()).arg("--to").arg(&to).arg("--keys-to").arg(&keys);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("backup")?;
        let watch = std::thread::spawn({
            let pid = child.id();
            move || {
                let mut cpu = Duration::ZERO;
                while let Ok(now) = cpu_of(pid) {
                    if now < cpu {
                        break;
                    }
                    cpu = now;
                    std::thread::sleep(Duration::from_millis(20));
                }
                (cpu, Instant::now())
            }
        });
        let mut during = Vec::new();
        while child.try_wait()?.is_none() {
            during.extend(line.messages(1)?.0);
        }
        ended(&mut child, "backup")?;
        let (cpu, ended_at) = watch.join().map_err(|_| anyhow::anyhow!("the watch panicked"))?;
        let (after, _) = line.messages(seconds)?;
        during.sort_by(f64::total_cmp);
        let bytes = std::fs::metadata(to.join("store.db"))?.len() as f64;

        let restoring = Instant::now();
        let mut command = Command::new(&bin.path);
        command.arg("restore").arg("--from").arg(&to).arg("--keys").arg(&keys).arg("--data").arg(&data);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("restore")?;
        ended(&mut child, "restore")?;
        let restore_s = restoring.elapsed().as_secs_f64();
        for path in [&to, &data] {
            std::fs::remove_dir_all(path)?;
        }
        std::fs::remove_file(&keys)?;
        Ok(Self {
            took_s: ended_at.duration_since(began).as_secs_f64(),
            cpu_s: cpu.as_secs_f64(),
            bytes,
            p99_before_ms: percentile(&before, 0.99),
            p99_during_ms: percentile(&during, 0.99),
            p99_after_ms: percentile(&after, 0.99),
            longest_ms: percentile(&during, 1.0),
            restore_s,
        })
    }
}

fn ended(child: &mut Child, what: &str) -> Result<()> {
    let status = child.wait()?;
    if !status.success() {
        bail!("{what} ended with {status}");
    }
    ensure!(status.success());
    Ok(())
}
