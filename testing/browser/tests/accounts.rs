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

/// Opens her conversation with Cleo, of the one account or of the other, and sees this there.
async fn sees_of(bell: &Person, den: bool, text: &str) -> Result<()> {
    bell.go("#/").await?;
    let which = format!(
        "[...document.querySelectorAll('.chatlink')].find((one) => one.querySelector('.rowname').innerText.startsWith('Cleo') \
        && Boolean(one.querySelector('.mark.as')) === {den})"
    );
    bell.browser.wait_for(&which).await?;
    bell.browser.run(&format!("{which}.click()")).await?;
    bell.sees(text).await
}

async fn is_checked(person: &Person, place: &str, css: &str, checked: bool) -> Result<()> {
    person.go(place).await?;
    person.browser.wait_for(&format!("document.querySelector(\"{css}\")?.checked === {checked}")).await
}

/// Pictures for looking at, at two widths; nothing is wider than its window.
async fn look(person: &Person, name: &str) -> Result<()> {
    for (width, scheme) in [(360, "light"), (360, "dark"), (1180, "light")] {
        person.browser.colours(scheme).await?;
        person.browser.size(width, 800).await?;
        person.browser.wait_for(&format!("innerWidth === {width}")).await?;
        person.browser.settled().await?;
        let wide = person.browser.run("return document.documentElement.scrollWidth").await?;
        ensure!(wide.as_u64() <= Some(width.into()), "{name} is {wide} wide in a window of {width}");
        person.browser.screenshot(&format!("linked-{name}-{width}-{scheme}")).await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn an_account_of_another_app_is_looked_after_here_too() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let den = Person::sign_up(&server, &driver, "den", "ada", "Ada Moss").await?;
    let bell = Person::sign_up(&server, &driver, "bell", "+4917012345678", "Ada").await?;
    let cleo = Person::sign_up(&server, &driver, "porch", "cleo", "Cleo").await?;
    bell.set_reach("porch", 0).await?;
    bell.link_account(&den, BELL).await?;
    look(&bell, "accounts").await?;

    // An invite for her Den, made on Bell: who uses it comes to Den, and sees nothing of Bell.
    bell.browser.click(".account[data-of='den'] a.item").await?;
    bell.browser.wait(".mechoose").await?;
    look(&bell, "settings").await?;
    bell.browser.click("a[href='#/invite/1']").await?;
    bell.browser.click("#open-to-invites").await?;
    bell.browser.wait_for("!document.querySelector('#open-to-invites')").await?;
    bell.browser.wait_text(".page .privacy", "Ada Moss, on Den. Not your username.").await?;
    bell.browser.wait("svg.qr").await?;
    look(&bell, "invite").await?;
    let link = bell.browser.wait_text(".invitecard .link", "").await?;
    ensure!(link.starts_with(&format!("den.localhost:{}/i#", server.port)), "it leads elsewhere: {link}");
    cleo.write_first(&format!("http://{link}"), "By your invite").await?;
    bell.accept().await?;
    bell.browser.wait_text(".headsub", "as ada@den").await?;
    bell.say("Come in").await?;
    cleo.sees("Come in").await?;
    cleo.browser.wait_text(".headname", "Ada Moss").await?;
    cleo.browser.wait_text(".headsub", "on Den").await?;
    let shown = cleo.browser.run("return document.body.innerText.toLowerCase()").await?;
    ensure!(!shown.as_str().unwrap_or_default().contains("bell"), "it shows where she reads: {shown}");

    // So does the link to a group of hers there.
    bell.make_group("Choir", "Cleo").await?;
    bell.browser.wait_text(".headsub", "as ada@den").await?;
    bell.browser.click(".chathead").await?;
    let by_link = "[...document.querySelectorAll('.group .item')].find((one) => one.textContent.includes('by link'))";
    bell.browser.wait_for(by_link).await?;
    bell.browser.run(&format!("{by_link}.click()")).await?;
    bell.browser.click("#make-link").await?;
    let link = bell.browser.wait_text(".grouplink .link", "").await?;
    ensure!(link.starts_with(&format!("den.localhost:{}/i#", server.port)), "it leads elsewhere: {link}");
    bell.browser.keys("\u{e00c}").await?;

    // Another name and a picture on Den: who knows her by both addresses sees them at one.
    cleo.write_first(&bell.address, "And by phone").await?;
    bell.accept().await?;
    bell.say("By phone, too").await?;
    cleo.sees("By phone, too").await?;
    bell.go("#/accounts/1").await?;
    bell.browser.wait(".mename input").await?;
    bell.browser.run("document.querySelector('.mename input').select()").await?;
    bell.browser.type_into(".mename input", "Ada of the House").await?;
    bell.browser.click(".mename .primary").await?;
    let photograph = bell.browser.screenshot("photograph").await?.canonicalize()?;
    bell.browser.type_into("#picture", &photograph.display().to_string()).await?;
    bell.browser.wait(".mechoose .photo img").await?;
    cleo.open("Ada of the House").await?;
    cleo.browser.wait(".chathead .photo img").await?;
    cleo.open("Ada").await?;
    ensure!(cleo.browser.run("return document.querySelector('.chathead .photo')").await?.is_null(), "both have it");
    bell.browser.client.refresh().await?;
    bell.browser.wait(".mechoose .photo img").await?;
    look(&bell, "settings-named").await?;
    bell.go("#/settings").await?;
    bell.browser.wait_for("document.querySelector('.mename input')?.value === 'Ada'").await?;
    ensure!(bell.browser.run("return document.querySelector('.mechoose .photo')").await?.is_null(), "her own took it");

    // Nobody on Porch reaches her Den any more; her Bell they do.
    let nobody = ".boardrow[data-of='porch'] .segment:nth-child(3) input";
    bell.go("#/reach/1").await?;
    bell.browser.press(nobody).await?;
    let dora = Person::sign_up(&server, &driver, "porch", "dora", "Dora").await?;
    dora.go("#/new").await?;
    dora.fill_letter(&den.address, "Anybody home?").await?;
    dora.browser.wait_text(".letter .problem", "Nobody there who can be reached").await?;
    dora.write_first(&bell.address, "Anybody on the phone?").await?;
    bell.browser.wait_text(".navitem[href='#/requests'] .count", "1").await?;
    bell.browser.client.refresh().await?;
    is_checked(&bell, "#/reach/1", nobody, true).await?;
    bell.browser.wait_text(".boardrow[data-of='den']", "your app").await?;
    look(&bell, "reach").await?;
    is_checked(&bell, "#/reach", ".boardrow[data-of='porch'] .segment:nth-child(1) input", true).await?;

    // What she reads on Den is not told any more; what she reads on Bell is.
    bell.go("#/accounts/1").await?;
    bell.browser.press(".page .switch").await?;
    is_checked(&bell, "#/settings", ".page .switch", true).await?;
    is_checked(&den, "#/settings", ".page .switch", false).await?;
    den.browser.wait_for("document.querySelector('.mename input').value === 'Ada of the House'").await?;
    cleo.open("Ada of the House").await?;
    cleo.say("Seen?").await?;
    sees_of(&bell, true, "Seen?").await?;
    cleo.ticks("delivered").await?;
    cleo.open("Ada").await?;
    cleo.say("Seen, too?").await?;
    sees_of(&bell, false, "Seen, too?").await?;
    cleo.ticks("read").await?;
    cleo.open("Ada of the House").await?;
    cleo.ticks("delivered").await?;

    // Taken off the list elsewhere, it has no page here.
    bell.go("#/reach/1").await?;
    bell.browser.wait(".boardrow").await?;
    den.go("#/devices").await?;
    den.browser.click(".device:not(.this) .iconbutton").await?;
    den.browser.click("dialog .button.bad").await?;
    bell.browser.wait_for("location.hash === '#/accounts'").await?;
    bell.browser.wait_for("document.querySelectorAll('.account').length === 1").await?;
    for person in [&den, &bell, &cleo, &dora] {
        person.has_no_faults().await?;
    }
    Ok(())
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

    bell.link_account(&den, BELL).await?;

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
