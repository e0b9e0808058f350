//! Memory per idle connection: thousands of signed-in inboxes that do nothing, plain and with TLS.

use crate::cli::Cli;
use crate::device::{self, Device};
use crate::metric::Report;
use crate::net::Net;
use crate::note;
use crate::process::{Server, ServerBin, Transport};
use crate::socket::receive;
use anyhow::{Result, ensure};
use parlour_proto::frames::{Push, ServerFrame};
use std::time::Duration;

/// What this gives.
pub(crate) const FIGURES: &[&str] = &["idle_conn_bytes", "idle_conn_tls_bytes"];
const CONNECTIONS: usize = 5000;

/// Measures and reports. The accounts are made first; then the server starts again, so that what signing up left in
/// its memory does not count.
pub(crate) fn run(cli: &Cli, bin: &ServerBin, report: &mut Report) -> Result<()> {
    let mut server = Server::fresh(bin)?;
    let to = server.endpoint();
    let app = device::phone_app(&to)?;
    let devices = device::sign_up_many(&to, &app, cli.scaled(CONNECTIONS), 4)?;
    note!("idle: {} accounts made", devices.len());
    for (name, transport) in [("idle_conn_bytes", Transport::Plain), ("idle_conn_tls_bytes", Transport::Tls)] {
        if cli.wants(&[name]) {
            server.start(transport)?;
            report.put(name, per_connection(&server, &devices)?)?;
        }
    }
    Ok(())
}

fn per_connection(server: &Server, devices: &[Device]) -> Result<f64> {
    server.settle()?;
    let before = server.rss_bytes()?;
    let mut net = Net::new()?;
    for device in devices {
        let mut ws = device.sign_in(&server.endpoint())?;
        while receive(&mut ws)? != ServerFrame::Push(Push::CaughtUp) {}
        net.add(ws)?;
    }
    net.idle_for(Duration::from_secs(5))?;
    ensure!(net.closed() == 0, "the server closed {} idle connections", net.closed());
    let after = server.rss_bytes()?;
    note!("idle: {} MB resident, then {} MB with {} connections", before / 1_000_000, after / 1_000_000, devices.len());
    Ok((after.saturating_sub(before)) as f64 / devices.len() as f64)
}
