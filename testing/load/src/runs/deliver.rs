//! Messages to online recipients in a closed loop, real clients among them.

use super::{lane, pairs};
use crate::cli::Cli;
use crate::closed::ClosedLoop;
use crate::engines::Sample;
use crate::metric::{Report, median};
use crate::net::Net;
use crate::note;
use crate::process::{Server, ServerBin, own_cpu};
use crate::profile::Profiler;
use anyhow::Result;
use std::time::Duration;

/// What this gives.
pub(crate) const FIGURES: &[&str] = &["deliver_cpu_us", "deliver_per_s", "deliver_fsyncs", "engines_decrypted"];

/// Measures and reports.
pub(crate) fn run(cli: &Cli, bin: &ServerBin, report: &mut Report) -> Result<()> {
    let server = Server::fresh(bin)?;
    let mut net = Net::new()?;
    let mut lanes = Vec::new();
    for pair in pairs(&server, cli.pairs)? {
        lanes.push(lane(&server, &mut net, &pair.room, vec![pair.sender.1, pair.recipient.1])?);
    }
    let sample = if cli.no_engines { None } else { Some(Sample::start(&server)?) };
    let mut load = ClosedLoop::new(net, lanes)?;
    load.begin()?;
    load.run_for(Duration::from_secs(1))?;

    let (mut cpu, mut rate, mut fsyncs) = (Vec::new(), Vec::new(), Vec::new());
    let profiler = Profiler::attach(cli, &server)?;
    for run in 1..=cli.repeats() {
        let (before, own, real) = (server.usage()?, own_cpu()?, sample.as_ref().map_or(0, Sample::read));
        let synthetic = load.run_for(cli.length())?;
        let used = server.usage()?.since(before);
        let done = synthetic + sample.as_ref().map_or(0, Sample::read) - real;
        let generator = (own_cpu()? - own).as_secs_f64() * 1e6 / done as f64;
        cpu.push(used.cpu_us_per(done));
        rate.push(done as f64 / used.wall.as_secs_f64());
        fsyncs.extend(used.fsyncs.map(|count| count / done as f64));
        note!("deliver, run {run}: {done} messages, {}; {generator:.1} us of generator", used.describe(done));
    }
    profiler.finish()?;
    load.stop()?;
    report.put("deliver_cpu_us", median(cpu))?;
    report.put("deliver_per_s", median(rate))?;
    if !fsyncs.is_empty() {
        report.put("deliver_fsyncs", median(fsyncs))?;
    }
    if let Some(sample) = sample {
        report.put("engines_decrypted", sample.finish()? as f64)?;
    }
    Ok(())
}
