//! Groups: roles, rules and the name, as everybody in it sees them.

use anyhow::Result;
use parlour_browser::{Driver, Person, Server};

async fn about(person: &Person) -> Result<()> {
    person.browser.click(".chathead").await?;
    person.browser.wait(".grouptitle").await.map(drop)
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn roles_and_rules_are_the_same_for_everybody() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    ana.go("#/group").await?;
    ana.browser.wait(".person .tick").await?;
    ana.browser.type_into(".page input[type=text]", "Choir").await?;
    ana.browser.press(".person .tick").await?;
    ana.browser.click(".page .primary").await?;
    ana.browser.wait("#composer").await?;
    ana.say("Who sings?").await?;
    ben.open("Choir").await?;
    ben.sees("Who sings?").await?;

    // Only admins write: Ben's composer goes, and says why.
    about(&ana).await?;
    ana.browser.press(".group .switch").await?;
    ben.browser.wait_for("!document.querySelector('#composer')").await?;
    ben.browser.wait_text(".notice", "Only admins write in this group. You can react.").await?;

    // As an admin he writes, and sees the rules.
    let promote = "const role = document.querySelector('.person select'); role.value = 'admin'; role.dispatchEvent(new Event('change', { bubbles: true }))";
    ana.browser.run(promote).await?;
    ben.browser.wait("#composer").await?;
    ben.say("I do").await?;
    ana.open("Choir").await?;
    ana.sees("I do").await?;
    about(&ben).await?;
    ben.browser.wait_text(".person .tag", "Owner").await?;
    ben.browser.wait(".group .switch:checked:not(:disabled)").await?;

    // He gives it a name; she sees it where she is.
    ben.browser.click(".profile .button").await?;
    ben.browser.type_into(".modal .input", "Singers").await?;
    ben.browser.click(".modal .primary").await?;
    ana.browser.wait_text(".headname", "Singers").await?;
    for person in [&ana, &ben] {
        person.has_no_faults().await?;
    }
    Ok(())
}
