//! What can be done with a message, by pointer and by keyboard; and what those who look away are told.

use anyhow::{Result, ensure};
use fantoccini::key::Key;
use parlour_browser::{Driver, Person, Server};

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn reply_react_edit_delete() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;

    ana.act_on("Hello Ana", 1).await?;
    ana.browser.wait_text(".context", "Hello Ana").await?;
    ana.say("Hello to you").await?;
    ben.browser.wait_text(".said .quote", "Hello Ana").await?;

    ben.menu_of("Hello to you").await?;
    ben.browser.click("dialog.menu .quick:nth-child(2)").await?;
    ana.browser.wait(".said.own .reaction").await?;
    ben.browser.click(".reaction.own").await?;
    ana.browser.wait_for("!document.querySelector('.reaction')").await?;

    ana.act_on("Hello to you", 3).await?;
    ana.browser.wait_for("document.querySelector('#composer').value === 'Hello to you'").await?;
    ana.browser.type_into("#composer", ", Ben").await?;
    ana.browser.click(".sendbutton").await?;
    ben.sees("Hello to you, Ben").await?;
    ben.browser.wait_text(".chatrows", "Hello to you, Ben").await?;

    ana.act_on("Hello to you, Ben", 4).await?;
    ana.browser.click("dialog .button.bad").await?;
    ben.browser.wait_for("!document.querySelector('.stream').innerText.includes('Hello to you')").await?;
    ben.browser.wait_for("!document.querySelector('.chatrows').innerText.includes('Hello to you')").await?;
    ben.browser.wait(".said.deleted").await?;
    ana.has_no_faults().await?;
    ben.has_no_faults().await
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn everything_by_keyboard() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;

    // Written, sent, taken up again and mended without a pointer.
    ana.browser.keys("Mistayke").await?;
    ana.browser.keys(&String::from(char::from(Key::Enter))).await?;
    ben.sees("Mistayke").await?;
    ana.browser.keys(&String::from(char::from(Key::Up))).await?;
    ana.browser.wait_for("document.querySelector('#composer').value === 'Mistayke'").await?;
    ana.browser.run("document.querySelector('#composer').select()").await?;
    ana.browser.keys(&format!("Mistake{}", char::from(Key::Enter))).await?;
    ben.sees("Mistake").await?;

    // Out of the conversation, to the search, into it again; then to somebody new and back.
    ana.browser.keys(&String::from(char::from(Key::Escape))).await?;
    ana.browser.wait_for("location.hash === '#/'").await?;
    ana.browser.keys("/").await?;
    ana.browser.wait_for("document.activeElement.id === 'search'").await?;
    ana.browser.keys(&format!("moss{}", char::from(Key::Enter))).await?;
    ana.browser.wait_for("location.hash.startsWith('#/c/')").await?;
    ana.browser.wait_for("document.activeElement.id === 'composer'").await?;
    ana.browser.keys(&String::from(char::from(Key::Escape))).await?;
    ana.browser.wait_for("location.hash === '#/'").await?;
    ana.browser.keys("n").await?;
    ana.browser.wait_for("document.activeElement.id === 'whom'").await?;

    // What has the focus can be seen.
    ana.browser.keys(&String::from(char::from(Key::Tab))).await?;
    let outline = "const style = getComputedStyle(document.activeElement); return style.outlineStyle !== 'none' || style.boxShadow !== 'none'";
    ensure!(ana.browser.run(outline).await? == true, "the focus cannot be seen");
    ana.has_no_faults().await
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn who_looks_away_sees_what_is_new() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    ben.go("#/settings").await?;
    ben.browser.wait(".mename").await?;
    ana.say("One").await?;
    ana.say("Two").await?;
    ben.browser.wait_text(".chatrow .count", "2").await?;
    ensure!(ben.browser.client.title().await? == "(2) Den", "{}", ben.browser.client.title().await?);
    let icon = ben.browser.run("return document.querySelector('link[rel~=icon]').href").await?;
    ensure!(icon.as_str().is_some_and(|icon| icon.ends_with("den-unread.svg")), "{icon}");
    ana.ticks("delivered").await?;
    ben.browser.press(".chatlink").await?;
    ben.browser.wait(".unreadline").await?;
    ana.ticks("read").await?;
    ben.browser.wait_for("document.title === 'Den'").await?;

    // No report when the reader does not want one.
    ben.go("#/settings").await?;
    ben.browser.press(".group .switch").await?;
    ben.go("#/").await?;
    ben.browser.press(".chatlink").await?;
    ana.say("Do you see this?").await?;
    ben.sees("Do you see this?").await?;
    ben.say("I do").await?;
    ana.sees("I do").await?;
    ana.browser
        .wait_for("[...document.querySelectorAll('.said.own .ticks')].at(-1)?.classList.contains('delivered')")
        .await?;

    // Compared safety numbers leave a mark, the same number on both sides.
    let number = |person: &Person| {
        let browser = person.browser.client.clone();
        async move {
            browser.execute("return document.querySelector('.digits').innerText.replace(/\\D/g, '')", Vec::new()).await
        }
    };
    for person in [&ana, &ben] {
        person.browser.run("location.hash += '/safety'").await?;
        person.browser.wait(".digits").await?;
    }
    let (hers, his) = (number(&ana).await?, number(&ben).await?);
    ensure!(hers == his && hers.as_str().is_some_and(|digits| digits.len() == 60), "{hers} is not {his}");
    ana.browser.click(".page .primary").await?;
    ana.browser.wait(".chatrow .verified").await?;
    ana.has_no_faults().await?;
    ben.has_no_faults().await
}
