//! Pictures of the main screens at three widths, in light and dark: into `target/screens`, for looking at. What is looked
//! for here is only that no screen is wider than its window, and that nothing complains.

use anyhow::{Result, ensure};
use parlour_browser::{Browser, Driver, Person, Server};

const WIDTHS: [(u32, u32); 3] = [(360, 740), (820, 900), (1280, 820)];
const PLACES: [&str; 10] =
    ["#/", "#/requests", "#/reach", "#/new", "#/invite", "#/group", "#/settings", "#/devices", "#/held", "#/kept"];

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn the_main_screens() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    doors(&server, &driver).await?;
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    let cleo = Person::sign_up(&server, &driver, "porch", "cleo", "Cleo Park").await?;
    cleo.set_reach("bell", 0).await?;
    ana.write_first("@cleo@porch", "Cleo, is the greenhouse free on Saturday?").await?;
    cleo.accept().await?;
    cleo.say("All day. Bring the kettle ☕").await?;
    ana.sees("Bring the kettle").await?;
    make_group(&ana).await?;
    ana.say("Everybody here? Seedlings are on the sill.").await?;
    for person in [&ben, &cleo] {
        person.browser.wait_text(".chatrows", "Seedlings are on the sill").await?;
    }
    cleo.browser.press(".chatlink").await?;
    cleo.sees("Seedlings are on the sill").await?;
    // They did not know each other; the group introduces them.
    cleo.browser.wait_text(".headsub", "Ben Moss").await?;
    cleo.say("Here! 🌿").await?;
    ana.sees("Here!").await?;
    ana.open("Ben Moss").await?;
    ben.open("Ana Reed").await?;
    talk(&ana, &ben).await?;
    ben.set_reach("porch", 0).await?;
    let dora = Person::sign_up(&server, &driver, "porch", "dora", "Dora").await?;
    dora.write_first("ben.moss@den", "Hi Ben, I saw your seedlings").await?;
    ben.browser.wait_text(".navitem[href='#/requests'] .count", "1").await?;
    ben.go("#/").await?;
    ben.browser.wait(".chatlink").await?;

    for (person, app) in [(&ana, "bell"), (&ben, "den"), (&cleo, "porch")] {
        for place in PLACES {
            person.go(place).await?;
            person.browser.wait(if place == "#/" { ".nothing, .chatlink" } else { ".page" }).await?;
            if place == "#/held" {
                person.browser.wait("#save-held").await?;
            }
            if place == "#/invite" {
                person.browser.wait("svg.qr").await?;
            }
            let name = place.trim_start_matches("#/");
            views(&person.browser, &format!("{app}-{}", if name.is_empty() { "list" } else { name })).await?;
        }
        if app == "den" {
            speak(person, "de").await?;
            person.go("#/held").await?;
            person.browser.wait_text(".page", "Andere prüfen Geräte an der ganzen Kette").await?;
            person.browser.wait_text(".page", "Signaturschlüssel").await?;
            person.browser.wait_text(".page", "Tage nach der letzten Benutzung").await?;
            views(&person.browser, "den-held-de").await?;
            speak(person, "en").await?;
        }
        person.open("Seedlings").await?;
        views(&person.browser, &format!("{app}-group-chat")).await?;
        person.browser.click(".chathead").await?;
        person.browser.wait(".page .person").await?;
        views(&person.browser, &format!("{app}-group-about")).await?;
        person.open(if app == "bell" { "Ben Moss" } else { "Ana Reed" }).await?;
        views(&person.browser, &format!("{app}-chat")).await?;
        lasting(&person.browser, app).await?;
        for inner in ["about", "safety"] {
            person.browser.run(&format!("location.hash += '/{inner}'")).await?;
            person.browser.wait(".page").await?;
            views(&person.browser, &format!("{app}-{inner}")).await?;
            person.browser.run("history.back()").await?;
            person.browser.wait(".said").await?;
        }
        add_a_device(&driver, person, app).await?;
        person.has_no_faults().await?;
    }
    Ok(())
}

/// Another language is chosen in the settings.
async fn speak(person: &Person, language: &str) -> Result<()> {
    person.go("#/settings").await?;
    person.browser.wait(&format!("option[value='{language}']")).await?;
    let choose = format!(
        "const select = document.querySelector(\"option[value='{language}']\").closest('select');
        select.value = '{language}';
        select.dispatchEvent(new Event('change', {{ bubbles: true }}))"
    );
    person.browser.run(&choose).await?;
    person.browser.wait_for(&format!("document.documentElement.lang === '{language}'")).await
}

/// How messages disappear: what is offered for one, a conversation with some that will, and what is set for all.
async fn lasting(browser: &Browser, app: &str) -> Result<()> {
    for (timer, text) in
        [("1 minute after sending", "The gate opens with 2580"), ("View once", "And this is for you alone")]
    {
        browser.click(".timerbutton").await?;
        browser.wait(".timers").await?;
        views(browser, &format!("{app}-timers")).await?;
        browser.click(&format!(".timers .chip[aria-label='{timer}']")).await?;
        browser.type_into("#composer", text).await?;
        views(browser, &format!("{app}-timer")).await?;
        browser.click(".sendbutton").await?;
        browser.wait_for("!document.querySelector('.timerchip')").await?;
    }
    views(browser, &format!("{app}-timed")).await?;
    browser.run("location.hash += '/about'").await?;
    browser.click("#expiry").await?;
    browser.click("#expiry-after option[value='custom']").await?;
    views(browser, &format!("{app}-expiry")).await?;
    browser.click("#expiry-after option[value='3600']").await?;
    browser.press("#expiry-existing").await?;
    browser.wait(".expiryform .problem").await?;
    views(browser, &format!("{app}-expiry-existing")).await?;
    browser.keys("\u{e00c}").await?;
    browser.wait_for("!document.querySelector('dialog')").await?;
    browser.run("history.back()").await?;
    browser.wait(".said").await.map(drop)
}

/// What adding a device looks like, until it is one of two.
async fn add_a_device(driver: &Driver, person: &Person, app: &str) -> Result<()> {
    person.show_code().await?;
    views(&person.browser, &format!("{app}-devices-code")).await?;
    person.browser.keys("\u{e00c}").await?;
    let other = person.link(driver, "Kitchen browser").await?;
    person.go("#/devices").await?;
    person.browser.wait_text("#devices", "Kitchen browser").await?;
    views(&person.browser, &format!("{app}-devices-two")).await?;
    person.browser.click(".device:not(.this) .iconbutton").await?;
    person.browser.wait("dialog").await?;
    views(&person.browser, &format!("{app}-devices-remove")).await?;
    person.browser.keys("\u{e00c}").await?;
    other.browser.close().await
}

/// A group with everybody whom she talks to.
async fn make_group(ana: &Person) -> Result<()> {
    ana.go("#/group").await?;
    ana.browser.wait(".person .tick").await?;
    ana.browser.type_into(".page input[type=text]", "Seedlings").await?;
    ana.browser.run("document.querySelectorAll('.person .tick').forEach((tick) => tick.click())").await?;
    ana.browser.click(".page .primary").await?;
    ana.browser.wait("#composer").await.map(drop)
}

/// The sign-up screens, before anybody is somebody.
async fn doors(server: &Server, driver: &Driver) -> Result<()> {
    for app in ["bell", "den", "porch"] {
        let browser = Browser::open(driver, 1280, 820).await?;
        browser.client.goto(&server.origin(app)).await?;
        browser.wait("#handle").await?;
        views(&browser, &format!("{app}-door")).await?;
        browser.click("#link-way").await?;
        browser.wait("#link-code").await?;
        views(&browser, &format!("{app}-devices-link")).await?;
        browser.close().await?;
    }
    Ok(())
}

async fn talk(ana: &Person, ben: &Person) -> Result<()> {
    for (who, other, text) in [
        (ana, ben, "The beans are as tall as the fence now"),
        (ben, ana, "Already? Mine just came up 🌱"),
        (
            ana,
            ben,
            "Come and take some. There is a whole row that nobody will ever eat, and the neighbours have stopped answering the door.",
        ),
        (ben, ana, "Saturday? https://example.org/garden-map"),
        (ana, ben, "שבת מצוין, בערך בעשר"),
        (ana, ben, "🎉"),
    ] {
        who.say(text).await?;
        other.sees(&text.chars().take(20).collect::<String>()).await?;
    }
    Ok(())
}

/// One screen at all widths, light and dark.
async fn views(browser: &Browser, name: &str) -> Result<()> {
    for scheme in ["light", "dark"] {
        browser.colours(scheme).await?;
        for (width, height) in WIDTHS {
            browser.size(width, height).await?;
            browser.wait_for(&format!("innerWidth === {width}")).await?;
            browser.settled().await?;
            let wide = browser.run("return document.documentElement.scrollWidth").await?;
            ensure!(wide.as_u64() <= Some(width.into()), "{name} is {wide} wide in a window of {width}");
            browser.screenshot(&format!("{name}-{width}-{scheme}")).await?;
        }
    }
    browser.size(1280, 820).await?;
    browser.colours("light").await
}
