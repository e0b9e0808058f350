//! Groups: roles, rules, name and picture, who is named and who comes later, as everybody in it sees them.

use anyhow::Result;
use parlour_browser::{Driver, Person, Server};

async fn about(person: &Person) -> Result<()> {
    person.browser.click(".chathead").await?;
    person.browser.wait(".grouptitle").await.map(drop)
}

/// The switch of attributed mode, in the page about a group.
const LIMITS: &str = "[...document.querySelectorAll('.group .item')]
    .find(item => item.textContent.includes('Sender limits')).querySelector('.switch')";

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn roles_and_rules_are_the_same_for_everybody() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    ana.make_group("Choir", "Ben Moss").await?;
    ana.say("Who sings?").await?;
    ben.open("Choir").await?;
    ben.sees("Who sings?").await?;

    // Anybody may have the server limit who sends here; only admins end it.
    about(&ben).await?;
    ben.browser.run(&format!("{LIMITS}.click()")).await?;
    ben.browser.wait_for(&format!("{LIMITS}.checked && {LIMITS}.disabled")).await?;
    ben.browser.screenshot("den-group-limits").await?;
    ana.sees("Ben Moss turned sender limits on").await?;
    about(&ana).await?;
    ana.browser.run(&format!("{LIMITS}.click()")).await?;
    ben.browser.wait_for(&format!("!{LIMITS}.checked && !{LIMITS}.disabled")).await?;
    ben.open("Choir").await?;
    ben.sees("Ana Reed turned sender limits off").await?;
    ben.browser.screenshot("den-group-limits-said").await?;
    ana.open("Choir").await?;

    // Only admins write: Ben's composer goes, and says why.
    about(&ana).await?;
    ana.browser.run("document.querySelector('.group .switch').focus()").await?;
    ana.browser.keys(" ").await?;
    ben.browser.wait_for("!document.querySelector('#composer')").await?;
    ben.browser.wait_text(".notice", "Only admins write in this group. You can react.").await?;
    let stays = "document.activeElement.matches('.switch:checked') && document.activeElement.closest('.item').textContent === 'Only admins write'";
    ana.browser.wait_for(stays).await?;

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

/// A picture is chosen, as by a click on it.
const CHOOSE_PICTURE: &str = "
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 300;
    const draw = canvas.getContext('2d');
    draw.fillStyle = '#1f7a4d';
    draw.fillRect(0, 0, 300, 300);
    draw.fillStyle = '#ffd166';
    draw.beginPath(); draw.arc(150, 150, 90, 0, 7); draw.fill();
    const bytes = atob(canvas.toDataURL('image/png').split(',')[1]);
    const file = new File([Uint8Array.from(bytes, c => c.charCodeAt(0))], 'choir.png', { type: 'image/png' });
    const given = new DataTransfer();
    given.items.add(file);
    const input = document.querySelector('#picture');
    input.files = given.files;
    input.dispatchEvent(new Event('change', { bubbles: true }))";

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn a_picture_names_and_what_newcomers_see() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    let cleo = Person::sign_up(&server, &driver, "den", "cleo", "Cleo").await?;
    cleo.set_reach("bell", 0).await?;
    ana.write_first("cleo@den", "Hello Cleo").await?;
    cleo.accept().await?;
    ana.make_group("Choir", "Ben Moss").await?;
    ana.say("Before the rule").await?;
    ben.open("Choir").await?;
    ben.sees("Before the rule").await?;

    // The picture, and what newcomers see.
    about(&ana).await?;
    ana.browser.run(CHOOSE_PICTURE).await?;
    ana.browser.wait(".profile .photo img").await?;
    let week = "const rule = document.querySelector('.group .select:not(.small)'); rule.value = '604800'; rule.dispatchEvent(new Event('change', { bubbles: true }))";
    ana.browser.run(week).await?;
    ben.browser.wait(".chathead .photo img").await?;
    about(&ben).await?;
    ben.browser.wait_for("document.querySelector('.group .select:disabled')?.value === '604800'").await?;
    ana.browser.screenshot("bell-group-rules").await?;

    // Ben is named, by the keyboard, while he looks elsewhere.
    ben.go("#/").await?;
    ana.open("Choir").await?;
    ana.browser.type_into("#composer", "Is it Friday, @be").await?;
    ana.browser.wait(".namingline.at").await?;
    ana.browser.screenshot("bell-naming").await?;
    ana.browser.keys("\u{e007}").await?;
    ana.browser.wait_for("document.querySelector('#composer').value === 'Is it Friday, @Ben Moss '").await?;
    ana.browser.keys("or not?\u{e007}").await?;
    ana.browser.wait_text(".own .mention", "@Ben Moss").await?;
    ben.browser.wait(".count.at").await?;
    ben.open("Choir").await?;
    ben.browser.wait_text(".mention.mine", "@Ben Moss").await?;
    ben.browser.screenshot("den-named").await?;

    // Cleo comes later: she sees the picture, and what was said since the rule.
    about(&ana).await?;
    ana.browser
        .run("[...document.querySelectorAll('.group .item')].find(i => i.textContent.includes('Add people')).click()")
        .await?;
    ana.browser.wait(".modal .tick").await?;
    ana.browser.press(".modal .tick").await?;
    ana.browser.click(".modal .primary").await?;
    cleo.open("Choir").await?;
    cleo.sees("Is it Friday, @Ben Moss or not?").await?;
    cleo.browser.wait(".chathead .photo img").await?;
    let said = cleo.browser.run("return document.querySelector('.stream').textContent").await?;
    anyhow::ensure!(!said.to_string().contains("Before the rule"), "{said}");
    for person in [&ana, &ben, &cleo] {
        person.has_no_faults().await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn people_join_by_link_and_by_invitation() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    // On an app whose people cannot ask Ana: the link reaches her all the same.
    let cleo = Person::sign_up(&server, &driver, "porch", "@cleo", "Cleo").await?;
    ana.make_group("Choir", "Ben Moss").await?;
    ana.say("Who sings?").await?;
    ben.open("Choir").await?;
    ben.sees("Who sings?").await?;

    // She is asked first.
    about(&ana).await?;
    ana.browser
        .run("[...document.querySelectorAll('.group .item')].find(i => i.textContent.includes('by link')).click()")
        .await?;
    ana.browser.click("#make-link").await?;
    let link = ana.browser.wait(".grouplink .link").await?.text().await?;
    ana.browser.screenshot("bell-group-link").await?;
    ana.browser.keys("\u{e00c}").await?;
    cleo.go("#/new").await?;
    cleo.browser.wait("#whom").await?;
    let paste = format!(
        "const whom = document.querySelector('#whom'); whom.value = 'http://{link}'; whom.dispatchEvent(new Event('input', {{ bubbles: true }}))"
    );
    cleo.browser.run(&paste).await?;
    cleo.browser.wait_text(".letter h2", "A group").await?;
    cleo.browser.screenshot("porch-join").await?;
    cleo.browser.click(".letter .primary").await?;
    cleo.browser
        .wait_text(
            ".letter [role=status]",
            "You asked to join. The group appears among your chats as soon as you are in.",
        )
        .await?;
    cleo.go("#/requests").await?;
    cleo.browser.wait_text(".group .item span", "You asked to join a group").await?;
    ana.go("#/requests").await?;
    ana.browser.wait_text(".request h2", "Somebody on Porch wants to join Choir").await?;
    ana.browser.click(".request .linkbutton").await?;
    ana.browser.wait_text(".request bdi", "Cleo").await?;
    ana.browser.screenshot("bell-join-request").await?;
    ana.browser.click(".request .primary").await?;
    cleo.enter("Choir").await?;
    cleo.say("I do").await?;
    ben.sees("I do").await?;

    // Nobody has become anybody's contact by it.
    anyhow::ensure!(cleo.titles().await? == ["Choir"], "{:?}", cleo.titles().await?);

    // Dora does not know Ana: she is asked, and in when she accepts.
    let dora = Person::sign_up(&server, &driver, "bell", "+4917012345999", "Dora").await?;
    ana.open("Choir").await?;
    about(&ana).await?;
    ana.browser
        .run("[...document.querySelectorAll('.group .item')].find(i => i.textContent.includes('Add people')).click()")
        .await?;
    ana.browser.type_into("#add-address", "+4917012345999@bell").await?;
    ana.browser.click(".modal .primary").await?;
    ana.browser
        .wait_for("[...document.querySelectorAll('.person small')].some(s => s.textContent === 'asked, not in yet')")
        .await?;
    dora.go("#/requests").await?;
    dora.browser.wait_text(".request h2", "Somebody on Bell invites you to a group").await?;
    dora.browser.click(".request .primary").await?;
    dora.enter("Choir").await?;
    dora.say("Me too").await?;
    cleo.sees("Me too").await?;
    for person in [&ana, &ben, &cleo, &dora] {
        person.has_no_faults().await?;
    }
    Ok(())
}
