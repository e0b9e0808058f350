//! Signing out and deleting an account leave nothing behind that could be read.

use anyhow::{Context as _, Result, ensure};
use parlour_browser::{Driver, PASSWORD, Person, Server, find};

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn signing_out_leaves_nothing_readable_in_the_profile() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    ana.say("Zanzibar at nine").await?;
    ben.sees("Zanzibar at nine").await?;
    ana.browser.type_into("#composer", "Quagmire draft").await?;
    ana.browser.wait_for("document.querySelector('#composer').value === 'Quagmire draft'").await?;

    // While signed in nothing of it lies there as plain text either.
    ana.browser.client.refresh().await?;
    ana.sees("Zanzibar at nine").await?;
    let phrase = ana.words.get(..3).context("words")?.join(" ");
    let said = ["Zanzibar at nine", "Quagmire draft", "from the garden"];
    let named = ["ben.moss", "Ben Moss", "Ana Reed", "4917012345678"];
    let searched: Vec<&str> = said.into_iter().chain(named).chain([phrase.as_str(), PASSWORD]).collect();
    let found = find(ana.browser.profile(), &searched)?;
    ensure!(found.is_empty(), "in the profile of somebody signed in: {found:#?}");

    ana.go("#/settings").await?;
    ana.browser.click(".group button.item:not(.bad)").await?;
    ana.browser.click("dialog .button.bad").await?;
    ana.browser.wait("#handle").await?;
    let kept = "return indexedDB.databases().then((all) => all.map((one) => one.name))";
    println!("databases after signing out: {}", ana.browser.run(kept).await?);
    ensure!(ana.browser.run("return localStorage.length").await? == 0, "local storage holds something");
    let profile = ana.browser.keep_profile().await?;
    let found = find(profile.path(), &searched)?;
    ensure!(found.is_empty(), "in the profile of somebody signed out: {found:#?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn a_deleted_account_is_gone_for_its_friends_too() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    ben.go("#/settings").await?;
    ben.browser.click(".group button.item.bad").await?;
    ben.browser.type_into("dialog input", "delete").await?;
    ben.browser.click("dialog .button.bad").await?;
    ben.browser.wait("#handle").await?;
    ana.browser.wait_text(".notice", "").await?;
    ana.browser.wait_for("!document.querySelector('#composer')").await?;
    ana.has_no_faults().await
}
