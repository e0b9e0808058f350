//! Who is writing, and who has read: seen by those who are there, as far as the others let it be seen.

use anyhow::Result;
use parlour_browser::{Driver, Person, Server};

/// Backspace.
const BACK: &str = "\u{e003}";

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn who_writes_is_seen_while_they_do_and_who_has_read_is_named_in_a_group() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    ben.browser.type_into("#composer", "Hm").await?;
    ana.browser.wait_text(".headsub .writing", "Ben Moss is writing").await?;
    ben.browser.keys(&BACK.repeat(2)).await?;
    ana.browser.wait_for("!document.querySelector('.writing')").await?;

    // The list says it, too; and what was sent ends it.
    ana.go("#/settings").await?;
    // It is told seldom.
    ben.browser.run("return new Promise((later) => setTimeout(() => later(true), 4200))").await?;
    ben.browser.type_into("#composer", "So").await?;
    ana.browser.wait_text(".chatlink .writing", "Ben Moss is writing").await?;
    ben.browser.click(".sendbutton").await?;
    ana.browser.wait_for("!document.querySelector('.writing')").await?;

    ana.make_group("Choir", "Ben Moss").await?;
    ana.say("Who sings?").await?;
    ben.open("Choir").await?;
    ben.sees("Who sings?").await?;
    ana.ticks("read").await?;
    ana.act_on("Who sings?", 3).await?;
    ana.browser.wait_text(".readers .person", "Ben Moss").await?;
    ana.browser.wait_text(".readers .person", "Read").await?;
    ana.browser.click("dialog .button").await?;
    ana.browser.wait_for("!document.querySelector('dialog')").await?;
    ana.has_no_faults().await?;
    ben.has_no_faults().await
}
