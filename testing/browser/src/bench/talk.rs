//! From one keyboard to another screen.

use crate::report::Report;
use crate::{Cli, median};
use anyhow::{Context as _, Result};
use parlour_browser::{Browser, Driver, Limits, Person, Server};

/// What this gives.
pub(crate) const FIGURES: &[&str] = &["web_type_to_show_ms"];

const ROUNDS: usize = 50;

/// In the sender: the instant at which the browser took the key.
const NOTE_ENTER: &str = "
    addEventListener('keydown', (event) => {
        if (event.key === 'Enter') window.parlourEnter = performance.timeOrigin + event.timeStamp;
    }, true)";

/// In the receiver: a promise for the instant at which a text is in the page.
const NOTE_SHOWN: &str = "
    window.parlourShown = (text) => new Promise((resolve) => {
        const stream = document.querySelector('.stream');
        const look = () => {
            if (!stream.textContent.includes(text)) return;
            watch.disconnect();
            resolve(performance.timeOrigin + performance.now());
        };
        const watch = new MutationObserver(look);
        watch.observe(stream, { subtree: true, childList: true, characterData: true });
    })";

const ENTER: &str = "\u{e007}";

/// Two browsers, both open at the conversation.
pub(crate) async fn run(cli: &Cli, driver: &Driver, report: &mut Report) -> Result<()> {
    let server = Server::start_with(Limits::Raised).await?;
    let ana = Person::sign_up(&server, driver, "den", "ana", "Ana").await?;
    let ben = Person::sign_up(&server, driver, "den", "ben", "Ben").await?;
    ana.write_first(&ben.address, "Hello Ben").await?;
    ben.accept().await?;
    ben.say("Hello Ana").await?;
    ana.sees("Hello Ana").await?;
    ben.ticks("read").await?;
    ana.browser.run(NOTE_ENTER).await?;
    ben.browser.run(NOTE_SHOWN).await?;
    let mut times = Vec::new();
    for round in 0..cli.scaled(ROUNDS) {
        times.push(one(&ana, &ben.browser, &format!("round {round} of many")).await?);
    }
    times.sort_by(f64::total_cmp);
    eprintln!("type to show: {:.1} ms at best, {:.1} at worst", times[0], times[times.len() - 1]);
    report.put("web_type_to_show_ms", median(&times))?;
    ana.has_no_faults().await?;
    ben.has_no_faults().await?;
    ana.browser.close().await?;
    ben.browser.close().await
}

/// Milliseconds from the key to the text.
async fn one(from: &Person, to: &Browser, text: &str) -> Result<f64> {
    let composer = from.browser.wait("#composer").await?;
    composer.send_keys(text).await?;
    let shown = format!("return window.parlourShown({})", serde_json::to_string(text)?);
    let (shown, pressed) = tokio::join!(to.run(&shown), composer.send_keys(ENTER));
    pressed?;
    let pressed = from.browser.run("return window.parlourEnter").await?.as_f64().context("no key")?;
    // Both at rest before the next one.
    from.ticks("read").await?;
    Ok(shown?.as_f64().context("no instant")? - pressed)
}
