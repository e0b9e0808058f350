//! Somebody at a browser: what people do, by the same clicks and keys.

use crate::{Browser, Driver, Server};
use anyhow::{Context as _, Result, ensure};
use std::time::Duration;

/// One person on one app in a browser of her own.
pub struct Person {
    /// Her browser.
    pub browser: Browser,
    /// Her app's origin.
    pub origin: String,
    /// Her address, as others may type it.
    pub address: String,
    /// Her recovery key's words, as they were shown.
    pub words: Vec<String>,
}

/// What scrolling back through a conversation took.
#[derive(Debug, Clone, Copy)]
pub struct ScrolledBack {
    /// How often she scrolled.
    pub steps: u64,
    /// The most rows that were in the page at a time.
    pub most_rows: u64,
    /// Milliseconds.
    pub ms: u64,
}

/// A step in each frame; gives up when nothing has changed for many of them.
const SCROLL_BACK: &str = "
    const stream = document.querySelector('.stream');
    const began = performance.now();
    let steps = 0, most = 0, height = 0, idle = 0;
    return new Promise((resolve) => {
        const step = () => {
            most = Math.max(most, stream.querySelectorAll('.row').length);
            const top = stream.scrollTop, ms = Math.round(performance.now() - began);
            if (top === 0 && stream.textContent.includes(FIRST)) return resolve({ steps, most, ms });
            idle = top > 0 || stream.scrollHeight !== height ? 0 : idle + 1;
            if (idle > 600) return resolve({ stuck: stream.innerText.slice(0, 200), height });
            if (top > 0) steps += 1;
            height = stream.scrollHeight;
            stream.scrollTop -= 2000;
            requestAnimationFrame(step);
        };
        step();
    });";

/// The password of everybody here.
pub const PASSWORD: &str = "blue kettle on the ninth stair";

impl Person {
    /// Opens a browser on an app, signs up, keeps the recovery key and gives a name.
    ///
    /// `app` is `bell` (then `handle` is a phone number), `den` or `porch`.
    ///
    /// # Errors
    /// When a step does not show what it should.
    pub async fn sign_up(server: &Server, driver: &Driver, app: &str, handle: &str, name: &str) -> Result<Self> {
        let browser = Browser::open(driver, 1180, 800).await?;
        Self::sign_up_in(browser, server, app, handle, name).await
    }

    /// The same in a browser that is open already.
    ///
    /// # Errors
    /// When a step does not show what it should.
    pub async fn sign_up_in(browser: Browser, server: &Server, app: &str, handle: &str, name: &str) -> Result<Self> {
        let origin = server.origin(app);
        browser.client.goto(&origin).await?;
        browser.type_into("#handle", handle).await?;
        if app == "bell" {
            browser.click("form.entry .primary").await?;
            browser.wait("#code").await?;
            browser.type_into("#code", &server.code_for(handle).await?).await?;
        } else {
            browser.type_into("#password", PASSWORD).await?;
            browser.type_into("#again", PASSWORD).await?;
        }
        browser.click("form.entry .primary").await?;
        browser.wait(".words li").await.context("the recovery key does not show")?;
        let words =
            browser.run("return [...document.querySelectorAll('.words li')].map((word) => word.innerText)").await?;
        let words: Vec<String> = serde_json::from_value(words)?;
        ensure!(words.len() == 24, "{} words", words.len());
        browser.click(".agree input").await?;
        browser.click(".rite .primary").await?;
        browser.type_into("#name", name).await?;
        browser.click(".rite .primary").await?;
        browser.wait(".app").await?;
        Ok(Self { browser, address: format!("{handle}@{app}"), origin, words })
    }

    /// Opens one more browser on her app and makes it one of her devices, by the code that this one shows. It has her
    /// conversations when this returns, and both are at their lists.
    ///
    /// # Errors
    /// When a step does not show what it should.
    pub async fn link(&self, driver: &Driver, name: &str) -> Result<Self> {
        let browser = Browser::open(driver, 1180, 800).await?;
        let code = self.show_code().await?;
        let (origin, address, words) = (self.origin.clone(), self.address.clone(), self.words.clone());
        let other = Self { browser, origin, address, words };
        other.browser.client.goto(&other.origin).await?;
        other.type_code(&code, name).await?;
        self.agree_to(name).await?;
        other.browser.wait(".app").await?;
        other.browser.wait_for("!document.querySelector('.history')").await?;
        self.go("#/").await?;
        Ok(other)
    }

    /// Makes this app answer for her account on another one, too, as a device of this name; it is at its list of accounts then.
    ///
    /// # Errors
    /// When a step does not show what it should.
    pub async fn link_account(&self, other: &Self, name: &str) -> Result<()> {
        let code = other.show_code().await?;
        self.go("#/accounts").await?;
        self.browser.click("#link-account").await?;
        self.type_code(&code, name).await?;
        other.agree_to(name).await?;
        self.browser.wait_text(".account:nth-of-type(2)", &other.address).await.map(drop)
    }

    /// Agrees to what asks to be linked, and waits until it has everything.
    async fn agree_to(&self, name: &str) -> Result<()> {
        self.browser.wait_text("#modal-title", name).await?;
        self.browser.click(".offer .answers .primary").await?;
        self.browser.wait_text("#modal-title", "is linked").await?;
        self.browser.wait_text(".offer", "All your conversations are there.").await?;
        self.browser.click(".offer .answers .primary").await
    }

    /// Shows a code by which another device can be linked; the dialog stays open.
    ///
    /// # Errors
    /// When there is none.
    pub async fn show_code(&self) -> Result<String> {
        self.go("#/devices").await?;
        self.browser.click("#add-device").await?;
        self.code().await
    }

    /// The code that the dialog shows.
    ///
    /// # Errors
    /// When it shows none.
    pub async fn code(&self) -> Result<String> {
        self.browser.wait(".offer svg.qr").await?;
        let code = self.browser.wait_text(".linkcode", "").await?;
        let digits = code.chars().filter(char::is_ascii_digit).count();
        ensure!(digits == 12, "{code:?} is no code");
        Ok(code)
    }

    /// At the door: types another device's code and a name for this one.
    ///
    /// # Errors
    /// When the form is not there.
    pub async fn type_code(&self, code: &str, name: &str) -> Result<()> {
        self.browser.wait("#link-way, #link-code").await?;
        self.browser.run("document.querySelector('#link-way')?.click()").await?;
        self.browser.type_into("#link-code", code).await?;
        self.browser.wait("#link-name").await?.clear().await?;
        self.browser.type_into("#link-name", name).await?;
        self.browser.click("form.entry .primary").await
    }

    /// Goes to a page of the app (`/requests`, `/reach`…) as a link would.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn go(&self, hash: &str) -> Result<()> {
        self.browser.run(&format!("location.hash = {}", serde_json::to_string(hash)?)).await.map(drop)
    }

    /// Opens the door to people of another app: `0` may ask, `1` only with an invite, `2` nobody.
    ///
    /// # Errors
    /// When the board does not take it.
    pub async fn set_reach(&self, from: &str, rule: usize) -> Result<()> {
        self.go("#/reach").await?;
        let choice = format!(".boardrow[data-of='{from}'] .segment:nth-child({}) input", rule + 1);
        self.browser.wait(&choice).await?;
        self.browser.press(&choice).await?;
        self.browser.wait(&format!("{choice}:checked")).await.map(drop)
    }

    /// Writes the first words to somebody, who gets them as a request.
    ///
    /// # Errors
    /// When the form refuses.
    pub async fn write_first(&self, to: &str, text: &str) -> Result<()> {
        self.go("#/new").await?;
        self.fill_letter(to, text).await?;
        self.browser.wait("#composer").await.map(drop)
    }

    /// Fills in the form for somebody new, and sends it; what comes of it is for the caller to see.
    ///
    /// # Errors
    /// When the form is not open.
    pub async fn fill_letter(&self, to: &str, text: &str) -> Result<()> {
        let close = "document.querySelector('.letter .cardhead .iconbutton')?.click()";
        self.browser.run(close).await?;
        self.browser.wait_for("document.querySelector('#whom') && !document.querySelector('.letter')").await?;
        self.browser.type_into("#whom", to).await?;
        self.browser.type_into(".letter textarea", text).await?;
        self.browser.click(".letter .primary").await
    }

    /// Ana on Bell and Ben on Den, who talk already: both have their conversation open.
    ///
    /// # Errors
    /// When a step does not show what it should.
    pub async fn two_friends(server: &Server, driver: &Driver) -> Result<(Self, Self)> {
        let ana = Self::sign_up(server, driver, "bell", "+4917012345678", "Ana Reed").await?;
        let ben = Self::sign_up(server, driver, "den", "ben.moss", "Ben Moss").await?;
        ben.set_reach("bell", 0).await?;
        ana.write_first("ben.moss@den", "It is Ana from the garden").await?;
        ben.accept().await?;
        ben.say("Hello Ana").await?;
        ana.sees("Hello Ana").await?;
        Ok((ana, ben))
    }

    /// Waits until her app would open without the network.
    ///
    /// # Errors
    /// When it never is.
    pub async fn is_ready_offline(&self) -> Result<()> {
        self.browser.wait_for("navigator.serviceWorker.controller?.state === 'activated'").await
    }

    /// Accepts the only request; the conversation opens.
    ///
    /// # Errors
    /// When there is none.
    pub async fn accept(&self) -> Result<()> {
        self.go("#/requests").await?;
        self.browser.click(".request .primary").await?;
        self.browser.wait("#composer").await.map(drop)
    }

    /// Opens the conversation of this title.
    ///
    /// # Errors
    /// When there is none.
    pub async fn open(&self, title: &str) -> Result<()> {
        self.enter(title).await?;
        self.browser.wait(".said").await.map(drop)
    }

    /// As [`Self::open`], where nothing may have been said yet.
    ///
    /// # Errors
    /// When there is none.
    pub async fn enter(&self, title: &str) -> Result<()> {
        self.go("#/").await?;
        let title = serde_json::to_string(title)?;
        let link = format!(
            "[...document.querySelectorAll('.chatlink')].find((one) => one.querySelector('.rowname').innerText === {title})"
        );
        self.browser.wait_for(&link).await?;
        self.browser.run(&format!("{link}.click()")).await?;
        self.browser.wait_for(&format!("document.querySelector('.headname')?.innerText === {title}")).await
    }

    /// Makes a group with a friend, and opens it.
    ///
    /// # Errors
    /// When there is no such friend.
    pub async fn make_group(&self, title: &str, with: &str) -> Result<()> {
        self.go("#/group").await?;
        self.browser.wait(".person .tick").await?;
        self.browser.type_into(".page input[type=text]", title).await?;
        let with = serde_json::to_string(with)?;
        let tick = format!(
            "[...document.querySelectorAll('.person')].find((one) => one.textContent.includes({with})).querySelector('.tick').click()"
        );
        self.browser.run(&tick).await?;
        self.browser.click(".page .primary").await?;
        self.browser.wait("#composer").await.map(drop)
    }

    /// The titles in the list, newest first.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn titles(&self) -> Result<Vec<String>> {
        let script = "return [...document.querySelectorAll('.chatlink .rowname')].map((name) => name.innerText)";
        Ok(serde_json::from_value(self.browser.run(script).await?)?)
    }

    /// Writes in the open conversation.
    ///
    /// # Errors
    /// When nothing is open.
    pub async fn say(&self, text: &str) -> Result<()> {
        self.browser.type_into("#composer", text).await?;
        self.browser.click(".sendbutton").await
    }

    /// Opens the menu of the message with this text.
    ///
    /// # Errors
    /// When there is no such message.
    pub async fn menu_of(&self, text: &str) -> Result<()> {
        self.sees(text).await?;
        let bubble = format!(
            "[...document.querySelectorAll('.said .bubble')].find((one) => one.querySelector('.text')?.innerText.startsWith({}))",
            serde_json::to_string(text)?
        );
        let open = format!(
            "{bubble}.dispatchEvent(new MouseEvent('contextmenu', {{ bubbles: true, cancelable: true, clientX: 600, clientY: 300 }}))"
        );
        self.browser.run(&open).await?;
        self.browser.wait("dialog.menu[open]").await.map(drop)
    }

    /// Chooses in the menu of the message with this text: 1 reply, 2 copy, 3 edit, 4 delete for all. (Keeping it, where it is
    /// offered, does not count.)
    ///
    /// # Errors
    /// When there is no such message, or it offers less.
    pub async fn act_on(&self, text: &str, item: usize) -> Result<()> {
        self.menu_of(text).await?;
        let chosen = format!("[...document.querySelectorAll('dialog.menu .menuitem:not(.keep)')][{}]", item - 1);
        self.browser.wait_for(&chosen).await?;
        self.browser.run(&format!("{chosen}.click()")).await.map(drop)
    }

    /// Waits until the open conversation shows this text.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn sees(&self, text: &str) -> Result<()> {
        self.browser.wait_text(".stream", text).await.map(drop)
    }

    /// Scrolls the open conversation up, as one would who wants to see the beginning, until this text is there.
    ///
    /// # Errors
    /// When the beginning does not come.
    pub async fn scroll_back(&self, first: &str) -> Result<ScrolledBack> {
        let script = SCROLL_BACK.replace("FIRST", &serde_json::to_string(first)?);
        let back = self.browser.run(&script).await?;
        let figure = |name: &str| back[name].as_u64().with_context(|| format!("the beginning does not come: {back}"));
        Ok(ScrolledBack { steps: figure("steps")?, most_rows: figure("most")?, ms: figure("ms")? })
    }

    /// Waits until her newest own message has this tick (`queued`, `sent`, `delivered`, `read`).
    ///
    /// # Errors
    /// When it does not come.
    pub async fn ticks(&self, state: &str) -> Result<()> {
        self.browser
            .wait_for(&format!(
                "[...document.querySelectorAll('.said.own .ticks')].at(-1)?.classList.contains('{state}')"
            ))
            .await
    }

    /// Fails if her browser's console complained, or something broke the Content-Security-Policy.
    ///
    /// # Errors
    /// When it did.
    pub async fn has_no_faults(&self) -> Result<()> {
        let faults = self.browser.faults().await?;
        ensure!(faults.is_empty(), "{}: {faults:#?}", self.address);
        Ok(())
    }
}

/// How often a page is asked whether something shows.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(20);
