//! The door: who may knock, and what a stranger gets to show before somebody opens.

use anyhow::{Result, ensure};
use parlour_browser::{Driver, Person, Server};

/// Positions of the rules on the board.
const ASK: usize = 0;
const NOBODY: usize = 2;

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn a_stranger_shows_nothing_before_the_choice() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let ana = Person::sign_up(&server, &driver, "bell", "+4917012345671", "Ana Walrus").await?;
    let ben = Person::sign_up(&server, &driver, "den", "ben.moss", "Ben").await?;
    let cleo = Person::sign_up(&server, &driver, "porch", "cleo", "Cleo").await?;

    // Other apps are off until turned on, and a refusal tells nothing.
    cleo.go("#/new").await?;
    cleo.fill_letter("ben.moss@den", "Anybody home?").await?;
    let refusal = cleo.browser.wait_text(".letter .problem", "").await?;
    cleo.fill_letter("nobody.at.all@den", "Anybody home?").await?;
    cleo.browser.wait_text(".letter .problem", &refusal).await?;

    ben.set_reach("bell", ASK).await?;
    ana.write_first("ben.moss@den", "The secret word is kumquat").await?;
    ben.browser.wait_text(".navitem[href='#/requests'] .count", "1").await?;
    ben.go("#/requests").await?;
    ben.browser.wait(".request").await?;
    let page = ben.browser.run("return document.documentElement.outerHTML").await?;
    let page = page.as_str().unwrap_or_default();
    ensure!(!page.contains("kumquat") && !page.contains("Walrus"), "the page shows something of the stranger's");
    ensure!(!page.contains("12345671"), "the page shows a phone number");

    // Declined in silence: the one who asked cannot tell.
    ben.browser.click(".request .choices .button:nth-child(2)").await?;
    ben.browser.wait_for("document.querySelector('.request') === null").await?;
    ana.browser.wait(".notice").await?;
    let notice = ana.browser.run("return document.querySelector('.notice').innerText").await?;

    // The door closes again: the same answer as ever for somebody who is not expected.
    ben.set_reach("bell", NOBODY).await?;
    let dora = Person::sign_up(&server, &driver, "bell", "+4917012345672", "Dora").await?;
    dora.go("#/new").await?;
    dora.fill_letter("ben.moss@den", "And me?").await?;
    dora.browser.wait_text(".letter .problem", &refusal).await?;
    let still = ana.browser.run("return document.querySelector('.notice').innerText").await?;
    ensure!(notice == still, "the one who was declined sees a difference: {notice} / {still}");

    for person in [&ana, &ben, &cleo, &dora] {
        person.has_no_faults().await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn an_invite_leads_to_its_person_and_a_block_ends_it() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let ben = Person::sign_up(&server, &driver, "den", "ben.moss", "Ben").await?;
    let ana = Person::sign_up(&server, &driver, "bell", "+4917012345675", "Ana").await?;

    // An invite does not open a door that its owner keeps shut; the same page opens it.
    ben.go("#/invite").await?;
    ben.browser.click("#open-to-invites").await?;
    ben.browser.wait_for("!document.querySelector('#open-to-invites')").await?;
    ben.browser.wait("svg.qr").await?;
    let link = ben.browser.run("return document.querySelector('.invitecard .link').innerText").await?;
    let link = format!("http://{}", link.as_str().unwrap_or_default());
    ensure!(!link.contains("ben"), "an invite names a handle: {link}");

    ana.go("#/new").await?;
    ana.browser.type_into("#whom", &link).await?;
    ana.browser.type_into(".letter textarea", "You gave me this link").await?;
    ana.browser.click(".letter .primary").await?;
    ana.browser.wait("#composer").await?;
    ben.accept().await?;
    ben.sees("You gave me this link").await?;
    ben.say("So I did.").await?;
    ana.sees("So I did.").await?;

    ben.browser.click(".chathead").await?;
    ben.browser.click(".group .item.bad").await?;
    ben.browser.click("dialog .button.bad").await?;
    ben.browser.wait_text(".page", "Unblock").await?;
    ana.say("Are you there?").await?;
    ana.ticks("sent").await?;
    ben.go("#/").await?;
    let shown = ben.browser.run("return document.body.innerText").await?;
    ensure!(!shown.as_str().unwrap_or_default().contains("Are you there?"), "what a blocked person writes shows");
    ana.has_no_faults().await?;
    ben.has_no_faults().await
}
