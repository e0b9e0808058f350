//! The first visit: what it transfers, and how soon one can sign up.

use crate::report::Report;
use crate::{Cli, median};
use anyhow::{Context as _, Result};
use parlour_browser::{Browser, Driver, Server, Wire};

/// What this gives.
pub(crate) const FIGURES: &[&str] = &["web_transfer_bytes", "web_cold_ms"];

const RUNS: usize = 5;

/// Notes when the sign-up screen is painted and takes a handle.
const WATCH: &str = "
    const look = () => {
        const field = document.getElementById('handle');
        if (field && !field.disabled) window.parlourUsable = performance.now();
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);";

/// When what came, for people.
const TOLD: &str = "
    const of = (entry) => `${Math.round(entry.startTime)}-${Math.round(entry.responseEnd)} ${new URL(entry.name).pathname}`;
    return performance.getEntriesByType('resource').map(of).join(', ')";

/// Runs both: each visit is a browser with a profile of its own.
pub(crate) async fn run(cli: &Cli, driver: &Driver, report: &mut Report) -> Result<()> {
    let server = Server::start().await?;
    let (mut bytes, mut times) = (Vec::new(), Vec::new());
    for _ in 0..if cli.quick { 1 } else { RUNS } {
        let browser = Browser::open(driver, 1180, 800).await?;
        browser.run_first(WATCH).await?;
        let wire = Wire::to(&server).await?;
        browser.client.goto(&wire.origin("bell")).await?;
        browser.wait_for("window.parlourUsable").await?;
        times.push(browser.run("return window.parlourUsable").await?.as_f64().context("no time")?);
        browser.run("return navigator.serviceWorker.ready.then(() => true)").await?;
        bytes.push(wire.quiet().await as f64);
        eprintln!("first visit: {:.0} ms, {} bytes", times[times.len() - 1], bytes[bytes.len() - 1]);
        eprintln!("  the page loaded, in ms: {}", browser.run(TOLD).await?.as_str().unwrap_or_default());
        browser.close().await?;
    }
    report.put("web_transfer_bytes", median(&bytes))?;
    report.put("web_cold_ms", median(&times))
}
