//! From one person's keyboard to another's screen, across two apps.

use anyhow::Result;
use parlour_browser::{Driver, Person, Server};

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn bell_writes_to_den() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let ana = Person::sign_up(&server, &driver, "bell", "+4917012345678", "Ana").await?;
    let ben = Person::sign_up(&server, &driver, "den", "ben.moss", "Ben").await?;

    ben.set_reach("bell", 0).await?;
    ana.write_first("ben.moss@den", "Hello Ben, it is Ana from the garden").await?;
    ben.browser.wait_text(".navitem[href='#/requests'] .count", "1").await?;
    ben.accept().await?;
    ben.sees("it is Ana from the garden").await?;
    ben.say("Ana! How are the beans?").await?;
    ana.sees("How are the beans?").await?;
    ana.say("Tall.").await?;
    ben.sees("Tall.").await?;
    ana.browser.screenshot("walk-ana").await?;
    ben.browser.screenshot("walk-ben").await?;
    ana.ticks("read").await?;
    ana.has_no_faults().await?;
    ben.has_no_faults().await
}
