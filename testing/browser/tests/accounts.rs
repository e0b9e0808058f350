//! One person on two apps: her account on Den in her Bell, in one list, shown or not, and gone again.

use anyhow::{Result, ensure};
use parlour_browser::{Driver, Native, Person, Server};

/// Her Bell, as her account on Den calls it.
const BELL: &str = "Bell in the hall";

/// The conversation of the account on Den, in the list.
const OF_DEN: &str = "[...document.querySelectorAll('.chatlink')].find((one) => one.querySelector('.mark.as'))";

async fn has_chats(person: &Person, count: usize) -> Result<()> {
    person.go("#/").await?;
    person.browser.wait_for(&format!("document.querySelectorAll('.chatlink').length === {count}")).await
}

/// Switches whether what comes for the account on Den is shown.
async fn switch(person: &Person, on: bool) -> Result<()> {
    let switch = ".account[data-of='den'] .shows .switch";
    person.go("#/accounts").await?;
    person.browser.wait(switch).await?;
    person.browser.press(switch).await?;
    person.browser.wait_for(&format!("document.querySelector(\"{switch}\").checked === {on}")).await
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn an_account_of_another_app_is_read_and_written_here_too() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let den = Person::sign_up(&server, &driver, "den", "ada", "Ada Moss").await?;
    let bell = Person::sign_up(&server, &driver, "bell", "+4917012345678", "Ada").await?;
    bell.set_reach("den", 0).await?;
    let mut ned = Native::sign_up(&server, "den", "ned").await?;
    let with_den = ned.write_first(&den.address, "Hello on Den").await?;
    den.accept().await?;
    ned.accepted(&with_den).await?;
    let with_bell = ned.write_first(&bell.address, "Hello on Bell").await?;
    bell.accept().await?;
    ned.accepted(&with_bell).await?;

    // Her Den is linked into her Bell by the code that it shows.
    let code = den.show_code().await?;
    bell.go("#/accounts").await?;
    bell.browser.click("#link-account").await?;
    bell.type_code(&code, BELL).await?;
    den.browser.wait_text("#modal-title", BELL).await?;
    den.browser.click(".offer .answers .primary").await?;
    den.browser.wait_text("#modal-title", "is linked").await?;
    den.browser.wait_text(".offer", "All your conversations are there.").await?;
    den.browser.click(".offer .answers .primary").await?;
    bell.browser.wait_text(".account[data-of='den']", "ada@den").await?;

    // Both conversations are in one list, and it says whose the other one is.
    has_chats(&bell, 2).await?;
    bell.browser.wait_text(".chatlink .mark.as", "den").await?;
    ensure!(bell.browser.run("return document.querySelectorAll('.mark.as').length").await? == 1, "both are marked");
    bell.browser.run(&format!("{OF_DEN}.click()")).await?;
    bell.sees("Hello on Den").await?;
    bell.browser.wait_text(".headsub", "as ada@den").await?;

    // What she writes there comes from her on Den, also to her Den.
    bell.say("From the hall").await?;
    den.open("ned").await?;
    den.sees("From the hall").await?;
    den.say("From the den").await?;
    bell.sees("From the den").await?;
    let hall = ned.heard("From the hall").await?;
    ensure!(hall == ned.heard("From the den").await?, "two people at the friend's");
    ned.say_all(&with_den, ["Which of you is it?".to_owned()]).await?;
    bell.sees("Which of you is it?").await?;

    // Not shown, it is nowhere; shown again, it is back.
    switch(&bell, false).await?;
    has_chats(&bell, 1).await?;
    switch(&bell, true).await?;
    has_chats(&bell, 2).await?;

    // A new conversation asks who writes.
    bell.go("#/new").await?;
    bell.browser.type_into("#whom", "somebody@porch").await?;
    bell.browser.wait_text("#from", "ada@den").await?;

    // Unlinked, all of it is gone here, and stays there.
    bell.go("#/accounts").await?;
    bell.browser.click(".account[data-of='den'] button.bad").await?;
    bell.browser.wait_text("dialog", "Everything of ada@den").await?;
    bell.browser.click("dialog .button.bad").await?;
    bell.browser.wait_for("document.querySelectorAll('.account').length === 1").await?;
    has_chats(&bell, 1).await?;
    ned.say_all(&with_den, ["Still on Den?".to_owned()]).await?;
    den.sees("Still on Den?").await?;
    den.go("#/devices").await?;
    den.browser.wait_for("document.querySelectorAll('.device').length === 1").await?;
    bell.open("ned").await?;
    bell.sees("Hello on Bell").await?;
    den.has_no_faults().await?;
    bell.has_no_faults().await
}
