//! What a machine can tell about how usable the screens are without eyes, hands or patience: axe-core, light and dark.
#![allow(clippy::print_stdout, reason = "what is no failure is told, too")]

use anyhow::{Context as _, Result, ensure};
use parlour_browser::{Browser, Driver, Limits, Native, Person, Server};
use serde_json::Value;
use std::fmt::Write as _;

const LOOK: &str = "return axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations)";

/// One browser's findings so far.
struct Audit {
    axe: String,
    found: String,
}

impl Audit {
    /// With the axe-core that `cargo xtask test` has fetched.
    fn start() -> Result<Self> {
        let path = std::env::var_os("PARLOUR_AXE").context("no PARLOUR_AXE: run this by `cargo xtask test access`")?;
        Ok(Self { axe: std::fs::read_to_string(path)?, found: String::new() })
    }

    /// Looks at what a page shows, in light and in dark.
    async fn look(&mut self, browser: &Browser, screen: &str) -> Result<()> {
        if browser.run("return typeof axe").await? != "object" {
            browser.run(&self.axe).await?;
        }
        for scheme in ["light", "dark"] {
            browser.colours(scheme).await?;
            // What fades in has too little contrast for a moment.
            browser.settled().await?;
            let violations = browser.run(LOOK).await?;
            for violation in violations.as_array().context("no list of violations")? {
                self.note(&format!("{screen}, {scheme}"), violation)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, screen: &str, violation: &Value) -> Result<()> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let impact = text(&violation["impact"]);
        let mut told = format!("{screen}: {impact}: {} ({})\n", text(&violation["help"]), text(&violation["id"]));
        for node in violation["nodes"].as_array().into_iter().flatten() {
            writeln!(told, "    {}", node["target"][0])?;
            writeln!(told, "        {}", text(&node["failureSummary"]).replace('\n', "\n        "))?;
        }
        println!("{told}");
        if impact != "minor" {
            self.found += &told;
        }
        Ok(())
    }

    fn end(self) -> Result<()> {
        ensure!(self.found.is_empty(), "barriers:\n{}", self.found);
        Ok(())
    }
}

#[tokio::test]
#[ignore = "needs Chromium, the built apps and axe-core: cargo xtask test"]
async fn nothing_stands_in_the_way_at_the_door() -> Result<()> {
    let (server, driver, mut audit) = (Server::start().await?, Driver::start().await?, Audit::start()?);
    for app in ["bell", "den", "porch"] {
        let browser = Browser::open(&driver, 1180, 800).await?;
        browser.client.goto(&server.origin(app)).await?;
        browser.wait("#handle").await?;
        audit.look(&browser, &format!("{app}'s door")).await?;
        browser.click("#link-way").await?;
        browser.wait("#link-code").await?;
        audit.look(&browser, &format!("{app}'s door, with another device")).await?;
        browser.close().await?;
    }
    audit.end()
}

#[tokio::test]
#[ignore = "needs Chromium, the built apps and axe-core: cargo xtask test"]
async fn nothing_stands_in_the_way_inside() -> Result<()> {
    let (server, driver) = (Server::start_with(Limits::Raised).await?, Driver::start().await?);
    let mut audit = Audit::start()?;
    let ana = Person::sign_up(&server, &driver, "den", "ana", "Ana").await?;
    let chat = furnish(&server, &ana).await?;
    let page = &ana.browser;
    audit.look(page, "conversation").await?;
    lasting(&mut audit, page, &chat).await?;
    let screens = [
        ("list", "#/".to_owned(), ".chatrow"),
        ("about", format!("{chat}/about"), ".main h1"),
        ("safety", format!("{chat}/safety"), ".main h1"),
        ("requests", "#/requests".to_owned(), ".request"),
        ("reach", "#/reach".to_owned(), ".boardrow"),
        ("new", "#/new".to_owned(), "#whom"),
        ("group", "#/group".to_owned(), ".main h1"),
        ("invite", "#/invite".to_owned(), ".main svg"),
        ("settings", "#/settings".to_owned(), ".figures"),
        ("held", "#/held".to_owned(), "#save-held"),
        ("devices", "#/devices".to_owned(), ".device"),
    ];
    for (screen, hash, shows) in screens {
        ana.go(&hash).await?;
        page.wait(shows).await?;
        audit.look(page, screen).await?;
    }
    let porch = Person::sign_up(&server, &driver, "porch", "ana", "Ana").await?;
    ana.link_account(&porch, "Den").await?;
    for (screen, hash, shows) in [
        ("accounts", "#/accounts", ".account"),
        ("a linked account", "#/accounts/1", ".mechoose"),
        ("its invite", "#/invite/1", ".main svg.qr"),
        ("its reach", "#/reach/1", ".boardrow"),
    ] {
        ana.go(hash).await?;
        page.wait(shows).await?;
        audit.look(page, screen).await?;
    }
    add_a_device(&mut audit, &server, &ana).await?;
    page.size(390, 800).await?;
    for (screen, hash, shows) in
        [("narrow list", "#/", ".chatrow"), ("narrow conversation", chat.as_str(), "#composer")]
    {
        ana.go(hash).await?;
        page.wait(shows).await?;
        audit.look(page, screen).await?;
    }
    audit.end()
}

/// How messages disappear.
async fn lasting(audit: &mut Audit, page: &Browser, chat: &str) -> Result<()> {
    for timer in ["1 week after reading", "View once"] {
        page.click(".timerbutton").await?;
        page.wait(".timers").await?;
        audit.look(page, "timers").await?;
        page.click(&format!(".timers .chip[aria-label='{timer}']")).await?;
        page.type_into("#composer", "Not for long").await?;
        audit.look(page, "a timer").await?;
        page.click(".sendbutton").await?;
        page.wait_for("!document.querySelector('.timerchip')").await?;
    }
    page.wait(".said.own .clock").await?;
    audit.look(page, "conversation with timers").await?;
    page.run(&format!("location.hash = '{chat}/about'")).await?;
    page.click("#expiry").await?;
    page.click("#expiry-after option[value='custom']").await?;
    page.press("#expiry-existing").await?;
    audit.look(page, "expiry").await?;
    page.keys("\u{e00c}").await?;
    page.wait_for("!document.querySelector('dialog')").await
}

/// The dialog that adds a device, on both sides, step by step.
async fn add_a_device(audit: &mut Audit, server: &Server, ana: &Person) -> Result<()> {
    let driver = Driver::start().await?;
    let other = Browser::open(&driver, 1180, 800).await?;
    other.client.goto(&server.origin("den")).await?;
    let other = Person { browser: other, origin: ana.origin.clone(), address: ana.address.clone(), words: Vec::new() };
    let code = ana.show_code().await?;
    audit.look(&ana.browser, "the code of a device").await?;
    other.type_code(&code, "Kitchen browser").await?;
    other.browser.wait("#link-cancel").await?;
    audit.look(&other.browser, "waiting to be linked").await?;
    ana.browser.wait_text("#modal-title", "Kitchen browser").await?;
    audit.look(&ana.browser, "a device asks").await?;
    ana.browser.click(".offer .answers .button:not(.primary)").await?;
    other.browser.wait("form.entry .problem").await?;
    audit.look(&other.browser, "not linked").await
}

/// A conversation with words from both sides, a group, and a request; gives the conversation's place, which is open.
async fn furnish(server: &Server, ana: &Person) -> Result<String> {
    let mut ned = Native::sign_up(server, "den", "ned").await?;
    let conversation = ned.write_first(&ana.address, "Hello Ana").await?;
    ana.accept().await?;
    ned.accepted(&conversation).await?;
    ned.make_groups(&ana.address, &["Choir".to_owned()]).await?;
    ned.say_all(&conversation, ["See https://example.org for the notes".to_owned(), "🎶".to_owned()]).await?;
    ana.sees("for the notes").await?;
    ana.say("Thank you!").await?;
    ana.ticks("delivered").await?;
    let mut eve = Native::sign_up(server, "den", "eve").await?;
    eve.write_first(&ana.address, "We met at the market").await?;
    ana.browser.wait_text(".navitem[href='#/requests'] .count", "1").await?;
    Ok(ana.browser.run("return location.hash").await?.as_str().context("no place")?.to_owned())
}
