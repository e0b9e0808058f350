//! How long messages stay: set for all, timed, seen once, kept. Two people on two apps.

use anyhow::{Result, ensure};
use parlour_browser::{Browser, Driver, Person, Server, find};
use serde_json::Value;

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn how_long_messages_stay_is_set_by_one_and_seen_by_both() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    let place = here(&ana.browser).await?;

    ana.go(&format!("{place}/about")).await?;
    ana.browser.wait_text("#expiry", "after 1 year").await?;
    ana.browser.click("#expiry").await?;
    ana.browser.wait("dialog.modal #expiry-after").await?;
    choose(&ana.browser, "#expiry-after", "604800").await?;
    ana.browser.press("#expiry-existing").await?;
    ana.browser.wait_text(".expiryform .problem", "more than 1 week ago").await?;
    if ana.browser.run("return !document.querySelector('#expiry-archive').checked").await? == true {
        ana.browser.press("#expiry-archive").await?;
    }
    ana.browser.click(".expiryform .primary").await?;
    ana.browser.wait_for("!document.querySelector('dialog')").await?;
    ana.browser.wait_text("#expiry", "after 1 week").await?;
    ana.go(&place).await?;

    let says = "set messages to disappear after 1 week, also those that were here";
    ana.sees(&format!("You {says}")).await?;
    ben.sees(&format!("Ana Reed {says}")).await?;
    ben.browser.wait_text(".chatrows", says).await?;
    ben.browser.run("location.hash += '/about'").await?;
    ben.browser.wait_text("#expiry", "after 1 week").await?;
    ana.has_no_faults().await?;
    ben.has_no_faults().await
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn a_timed_message_leaves_both_screens_with_all_that_was_of_it() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    let page = page_key(&ben.browser).await?;

    time(&ana.browser, "5 seconds after reading").await?;
    ana.browser.wait_text(".timerchip", "5 seconds after reading").await?;
    ana.say("Soon forgotten").await?;
    ana.browser.wait_for("!document.querySelector('.timerchip')").await?;
    ben.sees("Soon forgotten").await?;
    ben.browser.wait(".said.theirs .clock[aria-label^='disappears today at']").await?;
    nothing_of_it_lies_in_the_profiles(&[&ana, &ben])?;
    // An answer that is being written to it does not hold it.
    ben.act_on("Soon forgotten", 1).await?;
    ben.browser.wait_text(".context", "Soon forgotten").await?;
    for person in [&ana, &ben] {
        person.browser.wait_for("!document.body.textContent.includes('Soon forgotten')").await?;
    }
    ben.browser.wait_for("!document.querySelector('.context')").await?;
    ensure!(page_key(&ben.browser).await? != page, "the page key of the key ring is the one of before");
    nothing_of_it_lies_in_the_profiles(&[&ana, &ben])?;

    ana.say("Still here").await?;
    ben.sees("Still here").await?;
    // Whoever opens the app anew opens the key ring's page of now.
    ben.browser.client.refresh().await?;
    ben.sees("Still here").await?;
    ana.has_no_faults().await?;
    ben.has_no_faults().await
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn what_can_be_seen_once_is_seen_once() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    time(&ana.browser, "View once").await?;
    ana.say("The code is 4711").await?;
    ana.sees("Not opened yet").await?;
    ben.browser.wait(".oncebutton").await?;
    ben.browser.wait_text(".chatrows", "View-once message").await?;
    let told = "document.body.textContent.includes('4711')";
    for person in [&ana, &ben] {
        ensure!(person.browser.run(&format!("return {told}")).await? == false, "{} shows it", person.address);
    }

    ben.browser.click(".oncebutton").await?;
    ben.browser.wait_text("dialog .oncetext", "The code is 4711").await?;
    ben.browser.wait_for("!document.querySelector('.oncebutton')").await?;
    ben.browser.click("dialog .answers .primary").await?;
    ben.browser.wait_for(&format!("!document.querySelector('dialog') && !{told}")).await?;
    ben.browser.wait_for("document.activeElement.id === 'composer'").await?;
    ana.browser.wait_for("!document.querySelector('.stream').innerText.includes('Not opened yet')").await?;
    ana.has_no_faults().await?;
    ben.has_no_faults().await
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn who_may_keep_messages_keeps_them_for_themselves() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    let place = here(&ana.browser).await?;
    ana.go(&format!("{place}/about")).await?;
    ana.browser.click("#expiry").await?;
    ana.browser.wait("dialog.modal #expiry-after").await?;
    choose(&ana.browser, "#expiry-after", "86400").await?;
    if ana.browser.run("return !document.querySelector('#expiry-archive').checked").await? == true {
        ana.browser.press("#expiry-archive").await?;
    }
    ana.browser.click(".expiryform .primary").await?;
    ana.browser.wait_text("#expiry", "People may keep messages").await?;
    ana.go(&place).await?;
    ana.say("Worth keeping").await?;

    ben.sees("People may keep messages here").await?;
    ben.menu_of("Worth keeping").await?;
    ben.browser.click("dialog.menu .keep").await?;
    ben.browser.wait(".said.theirs .keptmark").await?;
    // What is kept is found in one place, and let go of there.
    ben.go("#/settings").await?;
    ben.browser.click("#archive").await?;
    ben.browser.wait_text("#kept .keptcard", "Worth keeping").await?;
    ben.browser.wait_text("#kept .keptabout", "Ana Reed").await?;
    ben.browser.screenshot("den-kept-one").await?;
    ensure!(ben.browser.run("return document.querySelector('#kept-older') === null").await? == true, "there are none");
    ben.browser.click("#kept .keptcard .quiet").await?;
    ben.browser.wait_text(".page .blank", "Nothing yet").await?;
    ben.open("Ana Reed").await?;
    ben.sees("Worth keeping").await?;
    ben.browser.wait_for("!document.querySelector('.keptmark')").await?;
    ben.menu_of("Worth keeping").await?;
    ben.browser.wait_text("dialog.menu .keep", "Keep for me").await?;
    ben.browser.click("dialog.menu .keep").await?;
    ben.browser.wait(".said.theirs .keptmark").await?;
    ben.menu_of("Worth keeping").await?;
    ben.browser.wait_text("dialog.menu .keep", "Do not keep").await?;
    ben.browser.click("dialog.menu .keep").await?;
    ben.browser.wait_for("!document.querySelector('.keptmark')").await?;

    ben.browser.run("location.hash += '/about'").await?;
    ben.browser.press("#keep-all").await?;
    ben.browser.wait("#keep-all:checked").await?;
    ben.open("Ana Reed").await?;
    ben.browser.wait(".said.theirs .keptmark").await?;
    ben.go("#/kept").await?;
    ben.browser.wait_text("#kept-whole", "Ana Reed").await?;
    ben.browser.screenshot("den-kept-whole").await?;
    ensure!(ana.browser.run("return document.querySelector('.keptmark') === null").await? == true, "she keeps it, too");
    ana.has_no_faults().await?;
    ben.has_no_faults().await
}

/// Not while it is shown, and not afterwards.
fn nothing_of_it_lies_in_the_profiles(people: &[&Person]) -> Result<()> {
    for person in people {
        let found = find(person.browser.profile(), &["Soon forgotten"])?;
        ensure!(found.is_empty(), "in the profile of {}: {found:#?}", person.address);
    }
    Ok(())
}

async fn here(browser: &Browser) -> Result<String> {
    Ok(browser.run("return location.hash").await?.as_str().unwrap_or_default().to_owned())
}

/// Chooses in a list of options.
async fn choose(browser: &Browser, css: &str, value: &str) -> Result<()> {
    browser.click(&format!("{css} option[value='{value}']")).await?;
    browser.wait_for(&format!("document.querySelector('{css}').value === '{value}'")).await
}

/// Chooses how what is written next will end, by what is read out of it.
async fn time(browser: &Browser, how: &str) -> Result<()> {
    browser.click(".timerbutton").await?;
    browser.click(&format!(".timers .chip[aria-label='{how}']")).await
}

/// What tells one page key of the key ring from another.
async fn page_key(browser: &Browser) -> Result<Value> {
    let script = "return new Promise((done, fail) => {
        const open = indexedDB.open('parlour');
        open.onerror = fail;
        open.onsuccess = () => {
            const read = open.result.transaction('keys').objectStore('keys').get('page');
            read.onerror = fail;
            read.onsuccess = () => { open.result.close(); done(Array.from(read.result.nonce)); };
        };
    })";
    browser.run(script).await
}
