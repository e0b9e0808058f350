//! Messages for recipients who are away, then their return: every mailbox drained and durably emptied.

use super::{lane, pairs};
use crate::cli::Cli;
use crate::closed::{ClosedLoop, message_ids};
use crate::device::Device;
use crate::metric::{Report, median};
use crate::net::Net;
use crate::note;
use crate::process::{Server, ServerBin};
use crate::profile::Profiler;
use anyhow::{Context as _, Result, ensure};
use parlour_proto::frames::{Push, ServerFrame};
use std::time::{Duration, Instant};

/// What this gives.
pub(crate) const FIGURES: &[&str] = &["store_cpu_us", "store_per_s", "store_fsyncs", "drain_cpu_us"];
/// Messages that wait for each recipient.
const EACH: usize = 1000;

/// Measures and reports.
pub(crate) fn run(cli: &Cli, bin: &ServerBin, report: &mut Report) -> Result<()> {
    let server = Server::fresh(bin)?;
    let mut net = Net::new()?;
    let (mut lanes, mut away, mut leaving) = (Vec::new(), Vec::new(), Net::new()?);
    for pair in pairs(&server, cli.pairs)? {
        lanes.push(lane(&server, &mut net, &pair.room, vec![pair.sender.1])?);
        away.push(pair.recipient.0);
        leaving.add(pair.recipient.1)?;
    }
    // The rows of the set-up are read and acknowledged before the recipients go.
    leaving.sweep(&mut Vec::new())?;
    leaving.idle_for(Duration::from_millis(500))?;
    drop(leaving);
    let mut load = ClosedLoop::new(net, lanes)?;
    server.settle()?;

    let each = cli.scaled(EACH) as u64;
    let (mut store, mut rate, mut fsyncs, mut drain) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for run in 1..=cli.repeats() {
        let profiler = Profiler::attach(cli, &server)?;
        let before = server.usage()?;
        let done = load.run_messages(each)?;
        let used = server.usage()?.since(before);
        profiler.finish()?;
        store.push(used.cpu_us_per(done));
        rate.push(done as f64 / used.wall.as_secs_f64());
        fsyncs.extend(used.fsyncs.map(|count| count / done as f64));
        note!("store, run {run}: {done} messages, {}", used.describe(done));
        server.settle()?;

        let before = server.usage()?;
        let time = drain_all(&server, &away, each)?;
        server.settle()?;
        let used = server.usage()?.since(before);
        drain.push(used.cpu_us_per(done));
        note!(
            "drain, run {run}: {done} messages, {:.1} us of server CPU each, {:.0}/s",
            drain[run - 1],
            done as f64 / time.as_secs_f64()
        );
        ensure_empty(&server, &away)?;
    }
    report.put("store_cpu_us", median(store))?;
    report.put("store_per_s", median(rate))?;
    if !fsyncs.is_empty() {
        report.put("store_fsyncs", median(fsyncs))?;
    }
    report.put("drain_cpu_us", median(drain))
}

/// Signs everybody in and reads until each has `each` messages; acknowledgements go out on the way.
fn drain_all(server: &Server, away: &[Device], each: u64) -> Result<Duration> {
    let started = Instant::now();
    let mut net = Net::new()?;
    for device in away {
        net.add(device.sign_in(&server.endpoint())?)?;
    }
    let wanted = each * away.len() as u64;
    let mut got = Vec::new();
    net.sweep(&mut got)?;
    let mut messages = count(&got);
    let mut last = Instant::now();
    while messages < wanted {
        net.turn(Duration::from_millis(50), &mut got)?;
        messages += count(&got);
        if !got.is_empty() {
            last = Instant::now();
        }
        ensure!(last.elapsed() < Duration::from_secs(30), "{messages} of {wanted} messages came");
    }
    let time = started.elapsed();
    ensure!(messages == wanted, "{messages} messages came, {wanted} were sent");
    // The last acknowledgements, and time for their commit.
    net.idle_for(Duration::from_millis(300))?;
    Ok(time)
}

/// Signs everybody in once more: nothing may wait, so every acknowledgement was carried out.
fn ensure_empty(server: &Server, away: &[Device]) -> Result<()> {
    for device in away {
        let mut ws = device.sign_in(&server.endpoint())?;
        loop {
            match crate::socket::receive(&mut ws).context("waiting for CaughtUp")? {
                ServerFrame::Push(Push::CaughtUp) => break,
                ServerFrame::Push(Push::Rows(rows)) => {
                    ensure!(rows.is_empty(), "{} rows came again after they were acknowledged", rows.len());
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn count(got: &[(usize, ServerFrame)]) -> u64 {
    got.iter().map(|(_, frame)| message_ids(frame).count() as u64).sum()
}
