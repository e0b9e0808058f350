//! Starting: time to the first accepted connection, and what the server weighs when it has nothing to do.

use crate::cli::Cli;
use crate::metric::{Report, median};
use crate::note;
use crate::process::{Server, ServerBin, Transport};
use anyhow::Result;
use std::time::Duration;

/// What this gives.
pub(crate) const FIGURES: &[&str] = &["idle_rss_bytes", "start_ms"];

/// Measures and reports: the first start on an empty directory (which makes keys and tables) is told apart, the figure
/// is the median of later ones.
pub(crate) fn run(cli: &Cli, bin: &ServerBin, report: &mut Report) -> Result<()> {
    let mut server = Server::prepare(bin)?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let first = ms(server.start(Transport::Plain)?);
    let mut starts = Vec::new();
    for _ in 0..cli.repeats().max(3) {
        starts.push(ms(server.start(Transport::Plain)?));
    }
    std::thread::sleep(Duration::from_secs(2));
    note!("start: {first:.1} ms the first time, then {starts:.1?}");
    report.put("start_ms", median(starts))?;
    report.put("idle_rss_bytes", server.rss_bytes()? as f64)
}
