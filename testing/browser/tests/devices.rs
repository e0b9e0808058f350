//! Two browsers of one person: linked by a code, the same conversations on both, and one of them removed again.

use anyhow::{Result, ensure};
use parlour_browser::{Browser, Driver, Native, Person, Server};

/// Her other device, as it is called.
const OTHER: &str = "Kitchen browser";

/// What the composer holds.
const DRAFT: &str = "document.querySelector('#composer')?.value";

async fn draft_is(person: &Person, text: &str) -> Result<()> {
    person.browser.wait_for(&format!("{DRAFT} === {}", serde_json::to_string(text)?)).await
}

/// How many unread messages the list says that there are.
async fn unread_is(person: &Person, count: &str) -> Result<()> {
    let unread = "(document.querySelector('.chatlink .count')?.firstChild?.data ?? '')";
    person.browser.wait_for(&format!("{unread} === '{count}'")).await
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn two_devices_are_one_person() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let ana = Person::sign_up(&server, &driver, "den", "ana", "Ana Reed").await?;
    let (mut ned, with_ana) = Native::friend_of(&server, &ana).await?;
    let said: Vec<String> = (1..=12).map(|number| format!("line {number}")).collect();
    ned.say_all(&with_ana, said).await?;
    ana.open("ned").await?;
    ana.sees("line 12").await?;
    ana.say("I have read them all").await?;
    ana.ticks("delivered").await?;
    ana.browser.type_into("#composer", "Half a sen").await?;
    ana.go("#/").await?;
    ana.browser.wait_text(".chatlink .rowtext", "Half a sen").await?;

    // The other one has it all: the conversation, its history, and what was being written.
    let other = ana.link(&driver, OTHER).await?;
    ensure!(other.titles().await? == ["ned"], "{:?}", other.titles().await?);
    other.browser.wait_text(".chatlink .rowtext", "Half a sen").await?;
    other.open("ned").await?;
    other.sees("I have read them all").await?;
    other.scroll_back("Hello Ana").await?;
    draft_is(&other, "Half a sen").await?;

    // What is written on one is on the other, and comes to the friend from one person.
    ana.open("ned").await?;
    other.browser.wait("#composer").await?.clear().await?;
    other.say("From the kitchen").await?;
    ana.sees("From the kitchen").await?;
    draft_is(&ana, "").await?;
    ana.browser
        .wait_for("[...document.querySelectorAll('.said.own')].at(-1).innerText.includes('From the kitchen')")
        .await?;
    ana.say("And from the desk").await?;
    other.sees("And from the desk").await?;
    let from_kitchen = ned.heard("From the kitchen").await?;
    let from_desk = ned.heard("And from the desk").await?;
    ensure!(from_kitchen == from_desk, "two people at the friend's: {from_kitchen:?}, {from_desk:?}");

    // What is read on one is not unread on the other.
    ana.go("#/").await?;
    other.go("#/").await?;
    ned.say_all(&with_ana, ["Which of you is it?".to_owned()]).await?;
    unread_is(&ana, "1").await?;
    unread_is(&other, "1").await?;
    ana.open("ned").await?;
    unread_is(&other, "").await?;

    // A draft follows, but not into a field where somebody is writing.
    other.open("ned").await?;
    ana.browser.type_into("#composer", "Both of").await?;
    other.browser.run("document.activeElement.blur()").await?;
    draft_is(&other, "Both of").await?;
    ana.browser.run("document.activeElement.blur()").await?;
    other.browser.type_into("#composer", " us").await?;
    draft_is(&ana, "Both of us").await?;

    // Removed, it is signed out, and starts anew with nothing.
    ana.go("#/devices").await?;
    ana.browser.wait_text("#devices", OTHER).await?;
    ana.browser.click(".device:not(.this) .iconbutton").await?;
    ana.browser.click("dialog .button.bad").await?;
    ana.browser.wait_for("document.querySelectorAll('.device').length === 1").await?;
    other.browser.wait(".lonely, #handle").await?;
    other.browser.run("document.querySelector('.lonely .button')?.click()").await?;
    other.browser.wait("#handle").await?;
    let kept = "return indexedDB.databases().then((all) => all.length)";
    ensure!(other.browser.run("return localStorage.length").await? == 0, "local storage holds something");
    ensure!(other.browser.run(kept).await?.as_u64() <= Some(1), "more than the new engine's rows is there");
    ned.say_all(&with_ana, ["Only one now".to_owned()]).await?;
    ana.open("ned").await?;
    ana.sees("Only one now").await?;
    ana.has_no_faults().await
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn a_wrong_code_burns_the_right_one() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let ana = Person::sign_up(&server, &driver, "den", "ana", "Ana Reed").await?;
    let other = door(&driver, &ana).await?;
    let code = ana.show_code().await?;
    other.type_code(&changed(&code), OTHER).await?;
    other.browser.wait("form.entry .problem").await?;
    ana.browser.wait_text("#modal-title", "A wrong code was typed").await?;

    // Not even the right one is good any more.
    other.type_code(&code, OTHER).await?;
    other.browser.wait("form.entry .problem").await?;
    ensure!(ana.browser.run("return document.querySelector('.linkcode')").await?.is_null(), "a void code shows");

    // A new one is, but it needs a yes.
    ana.browser.click(".offer .answers .primary").await?;
    let code = ana.code().await?;
    other.type_code(&code, OTHER).await?;
    ana.browser.wait_text("#modal-title", OTHER).await?;
    ana.browser.click(".offer .answers .button:not(.primary)").await?;
    other.browser.wait("form.entry .problem").await?;
    ana.browser
        .wait_for("document.querySelectorAll('.device').length === 1 && !document.querySelector('dialog')")
        .await?;

    // Closed, it is void.
    let code = ana.show_code().await?;
    ana.browser.keys("\u{e00c}").await?;
    ana.browser.wait_for("document.activeElement.id === 'add-device'").await?;
    other.type_code(&code, OTHER).await?;
    other.browser.wait("form.entry .problem").await?;
    ana.has_no_faults().await?;
    other.has_no_faults().await
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn a_device_that_nobody_here_linked_is_told_of_until_somebody_says_that_it_is_theirs() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let ana = Person::sign_up(&server, &driver, "den", "ana", "Ana Reed").await?;
    let other = door(&driver, &ana).await?;
    other.browser.click("form.entry .linkbutton").await?;
    other.browser.type_into("#handle", "ana").await?;
    other.browser.type_into("#password", parlour_browser::PASSWORD).await?;
    other.browser.type_into("form.entry textarea", &ana.words.join(" ")).await?;
    other.browser.click("form.entry .primary").await?;
    other.browser.wait(".app").await?;

    ana.browser.wait_text(".newcomer", "A new device was added").await?;
    ana.browser.client.refresh().await?;
    ana.browser.click(".newcomer a.button").await?;
    ana.browser.wait(".device .mark.fresh").await?;
    ana.browser.click(".newcomer button").await?;
    ana.browser.wait_for("!document.querySelector('.newcomer, .mark.fresh')").await?;
    ana.browser.client.refresh().await?;
    ana.browser.wait_for("document.querySelectorAll('.device').length === 2").await?;
    ensure!(ana.browser.run("return document.querySelector('.newcomer')").await?.is_null(), "told of again");

    // Signing out takes a device off the list, and says so first.
    other.go("#/settings").await?;
    other.browser.click(".group button.item:not(.bad)").await?;
    other.browser.wait_text("dialog", "taken off your account").await?;
    other.browser.click("dialog .button.bad").await?;
    other.browser.wait("#handle").await?;
    ana.browser.wait_for("document.querySelectorAll('.device').length === 1").await?;
    ana.go("#/settings").await?;
    ana.browser.click(".group button.item:not(.bad)").await?;
    ana.browser.wait_text("dialog", "This is your only device").await?;
    ana.has_no_faults().await?;
    other.has_no_faults().await
}

/// A browser at the door of her app.
async fn door(driver: &Driver, her: &Person) -> Result<Person> {
    let browser = Browser::open(driver, 1180, 800).await?;
    browser.client.goto(&her.origin).await?;
    browser.wait("#link-way").await?;
    let (origin, address) = (her.origin.clone(), her.address.clone());
    Ok(Person { browser, origin, address, words: Vec::new() })
}

/// Another code, that leads to the same device: its last digit differs.
fn changed(code: &str) -> String {
    let (most, last) = code.split_at(code.len() - 1);
    format!("{most}{}", if last == "7" { "3" } else { "7" })
}
