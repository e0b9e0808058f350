//! A conversation of years: only what is in sight is in the page, and both ends are in reach.

use anyhow::{Context as _, Result, ensure};
use parlour_browser::{Driver, Limits, Native, Person, Server};

const MESSAGES: usize = 10_000;
/// Rows in the page: those in sight and some beyond each edge.
const MOST_ROWS: u64 = 120;

/// Scrolls up as a person would who wants to see the beginning; gives the steps and the most rows that were in the page.
const TO_THE_TOP: &str = "
    const stream = document.querySelector('.stream');
    let steps = 0, most = 0;
    return new Promise((resolve) => {
        const step = () => {
            most = Math.max(most, stream.querySelectorAll('.row').length);
            if (stream.textContent.includes('message 0 of') && stream.scrollTop === 0) return resolve({ steps, most });
            if (stream.scrollTop > 0) steps += 1;
            stream.scrollTop -= 2000;
            requestAnimationFrame(step);
        };
        step();
    });";

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn ten_thousand_messages_scroll_from_end_to_beginning() -> Result<()> {
    let (server, driver) = (Server::start_with(Limits::Raised).await?, Driver::start().await?);
    let ana = Person::sign_up(&server, &driver, "den", "ana", "Ana").await?;
    let mut ned = Native::sign_up(&server, "den", "ned").await?;
    let conversation = ned.write_first(&ana.address, "Hello Ana").await?;
    ana.accept().await?;
    ned.accepted(&conversation).await?;
    ana.go("#/").await?;
    ned.say_all(&conversation, (0..MESSAGES).map(|n| format!("message {n} of a long conversation"))).await?;
    ana.browser.wait_for_long(&format!("document.title.includes('({MESSAGES})')")).await?;

    ana.browser.click(".chatlink").await?;
    ana.browser.wait(".stream .row").await?;
    let rows = ana.browser.run("return document.querySelectorAll('.stream .row').length").await?;
    ensure!(rows.as_u64().is_some_and(|rows| rows <= MOST_ROWS), "{rows} rows are in the page");
    let top = ana.browser.run(TO_THE_TOP).await?;
    ensure!(top["most"].as_u64().is_some_and(|most| most <= MOST_ROWS), "{} rows were in the page", top["most"]);
    ensure!(top["steps"].as_u64().context("no steps")? > MESSAGES as u64 / 100, "the top came too soon: {top}");
    ana.sees("Hello Ana").await?;
    ana.browser.click(".jump").await?;
    ana.sees(&format!("message {} of", MESSAGES - 1)).await?;
    ana.say("That was long").await?;
    ana.sees("That was long").await?;
    ana.has_no_faults().await
}
