//! One room, 500 members online: the cost of each delivered copy. Twice: each message sent when everybody has the one
//! before (a row for a member is then a write of its own), and all of them in one burst (rows may share a write).

use super::lane;
use crate::cli::Cli;
use crate::closed::ClosedLoop;
use crate::metric::{Report, median};
use crate::net::Net;
use crate::process::{Server, ServerBin};
use crate::profile::Profiler;
use crate::{device, note, room};
use anyhow::Result;

/// What this gives.
pub(crate) const FIGURES: &[&str] = &["fanout_cpu_us", "fanout_copies_per_s", "fanout_burst_cpu_us"];
const MEMBERS: usize = 500;
const MESSAGES: usize = 100;

/// Measures and reports.
pub(crate) fn run(cli: &Cli, bin: &ServerBin, report: &mut Report) -> Result<()> {
    let server = Server::fresh(bin)?;
    let to = server.endpoint();
    let app = device::phone_app(&to)?;
    let members = cli.scaled(MEMBERS).max(3);
    let mut devices = device::sign_up(&to, &app, members)?;
    let room = room::make(&to, &mut devices.iter_mut().map(|(_, ws)| ws).collect::<Vec<_>>())?;
    let mut net = Net::new()?;
    let online = devices.into_iter().map(|(_, ws)| ws).collect();
    let lane = lane(&server, &mut net, &room, online)?;
    let mut load = ClosedLoop::new(net, vec![lane])?;
    load.run_messages(5)?;
    server.settle()?;

    let (mut cpu, mut rate, mut burst) = (Vec::new(), Vec::new(), Vec::new());
    let profiler = Profiler::attach(cli, &server)?;
    for run in 1..=cli.repeats() {
        let before = server.usage()?;
        let copies = load.run_messages(MESSAGES as u64)? * members as u64;
        let used = server.usage()?.since(before);
        cpu.push(used.cpu_us_per(copies));
        rate.push(copies as f64 / used.wall.as_secs_f64());
        note!("fan-out, run {run}: {copies} copies, {}", used.describe(copies));
    }
    profiler.finish()?;
    for _ in 0..cli.repeats() {
        let before = server.usage()?;
        let copies = load.burst(MESSAGES as u64)?;
        burst.push(server.usage()?.since(before).cpu_us_per(copies));
    }
    note!("fan-out in bursts of {MESSAGES}: {burst:.1?} us of server CPU for each copy");
    report.put("fanout_cpu_us", median(cpu))?;
    report.put("fanout_copies_per_s", median(rate))?;
    report.put("fanout_burst_cpu_us", median(burst))
}
