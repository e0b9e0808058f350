//! Thousands of signed-in inboxes that do nothing, beside a few that write.

use super::curve::Crowd;
use crate::cli::Cli;
use crate::device;
use crate::metric::percentile;
use crate::net::Net;
use crate::note;
use crate::process::{Server, Transport};
use crate::runs::latency::Line;
use crate::socket::receive;
use anyhow::{Result, ensure};
use parlour_proto::frames::{Push, ServerFrame};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// So many come from one address: fewer than it has ports.
const EACH_ADDRESS: usize = 20_000;

/// Opens them in steps, up to `most`, on a server that is started anew for it.
pub(super) fn measure(cli: &Cli, server: &mut Server, most: usize) -> Result<Vec<Crowd>> {
    server.start(Transport::Plain)?;
    let to = server.endpoint();
    let devices = device::sign_up_many(&to, &device::phone_app(&to)?, most, 4)?;
    note!("capacity: {} accounts signed up", devices.len());
    // What signing up left in memory does not count.
    server.start(Transport::Plain)?;
    server.settle()?;
    let mut net = Net::new()?;
    let mut steps = Vec::new();
    let (mut open, mut frames) = (0, Vec::new());
    for part in [0.0, 0.1, 1.0 / 3.0, 1.0] {
        let count = (most as f64 * part) as usize;
        let began = Instant::now();
        for (number, device) in devices.iter().enumerate().take(count).skip(open) {
            let source = Ipv4Addr::new(127, 0, 2, 1 + (number / EACH_ADDRESS) as u8);
            let mut ws = device.sign_in(&to.from(source))?;
            while receive(&mut ws)? != ServerFrame::Push(Push::CaughtUp) {}
            net.add(ws)?;
            // Those that are open answer pings meanwhile.
            if number % 100 == 0 {
                net.turn(Duration::ZERO, &mut frames)?;
            }
        }
        if count > open {
            note!(
                "capacity: {count} connections, {:.0} sign-ins/s",
                (count - open) as f64 / began.elapsed().as_secs_f64()
            );
        }
        open = count;
        net.idle_for(Duration::from_secs(5))?;
        ensure!(net.closed() == 0, "the server closed {} idle connections", net.closed());
        let memory = server.rss_bytes()? as f64;
        // Anew: outboxes are closed when nothing is asked for a minute.
        let mut line = Line::between(server, cli.pairs)?;
        let before = server.usage()?;
        let (waited, _) = line.messages(cli.length().as_secs())?;
        let cpu_us = server.usage()?.since(before).cpu_us_per(waited.len() as u64);
        // Nobody writes: what the connections themselves cost.
        let before = server.usage()?;
        net.idle_for(Duration::from_secs(10))?;
        let used = server.usage()?.since(before);
        let step = Crowd {
            count: count as f64,
            memory,
            p50_ms: percentile(&waited, 0.5),
            p99_ms: percentile(&waited, 0.99),
            cpu_us,
            idle_cpu: used.cpu.as_secs_f64() / used.wall.as_secs_f64(),
        };
        note!("capacity: {step:?}");
        steps.push(step);
    }
    Ok(steps)
}
