//! A conversation of years, scrolled from its newest message to its first.

use crate::Cli;
use crate::report::Report;
use anyhow::Result;
use parlour_browser::{Driver, Limits, Native, Person, Server};

/// What this gives.
pub(crate) const FIGURES: &[&str] = &["web_scroll_back_s"];

const MESSAGES: usize = 10_000;

/// Somebody else writes all of it; the browser reads it as it comes.
pub(crate) async fn run(cli: &Cli, driver: &Driver, report: &mut Report) -> Result<()> {
    let server = Server::start_with(Limits::Raised).await?;
    let ana = Person::sign_up(&server, driver, "den", "ana", "Ana").await?;
    let mut ned = Native::sign_up(&server, "den", "ned").await?;
    let conversation = ned.write_first(&ana.address, "Hello Ana").await?;
    ana.accept().await?;
    ned.accepted(&conversation).await?;
    ana.go("#/").await?;
    let messages = cli.scaled(MESSAGES);
    ned.say_all(&conversation, (0..messages).map(|n| format!("message {n} of a long conversation"))).await?;
    ana.browser.wait_for_long(&format!("document.title.includes('({messages})')")).await?;
    ana.browser.click(".chatlink").await?;
    ana.sees(&format!("message {} of", messages - 1)).await?;
    let back = ana.scroll_back("Hello Ana").await?;
    eprintln!("back to the first of {messages} messages: {back:?}");
    report.put("web_scroll_back_s", back.ms as f64 / 1000.0)?;
    ana.has_no_faults().await?;
    ana.browser.close().await
}
