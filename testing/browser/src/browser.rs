//! One Chromium with a profile of its own.

use crate::command::Command;
use crate::person::LOOK_AGAIN;
use crate::{Driver, PATIENCE};
use anyhow::{Context as _, Result};
use fantoccini::elements::Element;
use fantoccini::error::{CmdError, ErrorStatus};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Flags that work in a container, and that keep Chromium from talking to anybody else.
const FLAGS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// How long a script may wait for something in its page.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(300);

/// So often Chromium is started before a test fails.
const TRIES: u32 = 3;

/// A browser.
pub struct Browser {
    /// For everything that has no method here.
    pub client: Client,
    profile: TempDir,
}

impl Browser {
    /// Opens one, with a window of this size. Chromium itself gives up when a busy machine lets it wait; then it is asked again.
    ///
    /// # Errors
    /// When Chromium does not start.
    pub async fn open(driver: &Driver, width: u32, height: u32) -> Result<Self> {
        let mut opened = Self::open_once(driver, width, height).await;
        for _ in 1..TRIES {
            if opened.is_ok() {
                break;
            }
            opened = Self::open_once(driver, width, height).await;
        }
        opened
    }

    async fn open_once(driver: &Driver, width: u32, height: u32) -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let mut flags: Vec<String> = FLAGS.iter().map(|&flag| flag.to_owned()).collect();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        flags.push(format!("--window-size={width},{height}"));
        let capabilities = json!({
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let capabilities = capabilities.as_object().cloned().unwrap_or_default();
        let client = ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&driver.url).await?;
        let script = Some(SCRIPT_PATIENCE);
        client.update_timeouts(fantoccini::wd::TimeoutConfiguration::new(script, None, None)).await?;
        let browser = Self { client, profile };
        browser.size(width, height).await?;
        Ok(browser)
    }

    /// The profile's folder (for looking at what is stored).
    pub fn profile(&self) -> &Path {
        self.profile.path()
    }

    /// The size of the page itself; a window cannot be made narrower than 500 pixels, a page can.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn size(&self, width: u32, height: u32) -> Result<()> {
        let params = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.tools("Emulation.setDeviceMetricsOverride", params).await.map(drop)
    }

    /// Light or dark.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn colours(&self, scheme: &str) -> Result<()> {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.tools("Emulation.setEmulatedMedia", json!({ "features": features })).await.map(drop)
    }

    /// Waits until this is there.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn wait(&self, css: &str) -> Result<Element> {
        match self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await {
            Ok(element) => Ok(element),
            Err(why) => {
                let shown = self.shown().await;
                Err(why).with_context(|| format!("{css} does not show\n{shown}"))
            }
        }
    }

    /// What the page shows and where it is, for whoever reads of a failure.
    async fn shown(&self) -> String {
        let shown = self.run("return `the page at ${location.hash}: ${document.body.innerText}`").await;
        shown.ok().and_then(|shown| Some(shown.as_str()?.to_owned())).unwrap_or_default()
    }

    /// Waits until this shows a text that contains that; gives the whole text, which is never empty: what is not there, or
    /// not to be seen, has none.
    ///
    /// # Errors
    /// When it does not come; says what was there instead.
    pub async fn wait_text(&self, css: &str, wanted: &str) -> Result<String> {
        let started = tokio::time::Instant::now();
        loop {
            let text = match self.client.find(Locator::Css(css)).await {
                Ok(element) => element.text().await.unwrap_or_default(),
                Err(_) => String::new(),
            };
            if !text.is_empty() && text.contains(wanted) {
                return Ok(text);
            }
            anyhow::ensure!(started.elapsed() < PATIENCE, "{css}: wanted {wanted:?}, found {text:?}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Types into this.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn type_into(&self, css: &str, text: &str) -> Result<()> {
        self.reach(css, async |element| element.send_keys(text).await).await
    }

    /// Does something to this. Where it is being drawn anew, moves, or is covered for a moment, the browser refuses and
    /// nothing was done: then it is looked for again, as anybody would who sees it.
    async fn reach(&self, css: &str, act: impl AsyncFn(&Element) -> Result<(), CmdError>) -> Result<()> {
        let started = tokio::time::Instant::now();
        loop {
            let refused = match act(&self.wait(css).await?).await {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            if !is_out_of_reach(&refused) || started.elapsed() > PATIENCE {
                return Err(refused).with_context(|| format!("{css} is out of reach"));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Presses keys wherever the focus is.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn keys(&self, keys: &str) -> Result<()> {
        Ok(self.client.active_element().await?.send_keys(keys).await?)
    }

    /// Clicks on this.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn click(&self, css: &str) -> Result<()> {
        self.reach(css, async |element| element.click().await).await
    }

    /// Clicks on this where a click would land on something that covers it (a radio button under its label).
    ///
    /// # Errors
    /// When it is not there.
    pub async fn press(&self, css: &str) -> Result<()> {
        self.wait(css).await?;
        self.run(&format!("document.querySelector({}).click()", serde_json::to_string(css)?)).await.map(drop)
    }

    /// Waits until this JavaScript expression is true.
    ///
    /// # Errors
    /// When it does not come true.
    pub async fn wait_for(&self, expression: &str) -> Result<()> {
        self.wait_within(PATIENCE, LOOK_AGAIN, expression).await
    }

    /// The same for what takes minutes; looks rarely, so that it does not slow down what it waits for.
    ///
    /// # Errors
    /// When it does not come true.
    pub async fn wait_for_long(&self, expression: &str) -> Result<()> {
        self.wait_within(10 * PATIENCE, 10 * LOOK_AGAIN, expression).await
    }

    async fn wait_within(&self, patience: Duration, look_again: Duration, expression: &str) -> Result<()> {
        let started = tokio::time::Instant::now();
        while self.run(&format!("return Boolean({expression})")).await? != true {
            if started.elapsed() > patience {
                anyhow::bail!("does not come true: {expression}\n{}", self.shown().await);
            }
            tokio::time::sleep(look_again).await;
        }
        Ok(())
    }

    /// Runs JavaScript in the page and gives what it returns.
    ///
    /// # Errors
    /// What it throws.
    pub async fn run(&self, script: &str) -> Result<Value> {
        Ok(self.client.execute(script, Vec::new()).await?)
    }

    /// Waits until nothing moves any more: all transitions and animations that end have ended, and it was drawn.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn settled(&self) -> Result<()> {
        let script = "const ends = document.getAnimations().filter((one) => one.effect?.getComputedTiming().endTime < 1e7);
            return Promise.allSettled(ends.map((one) => one.finished))
                .then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true)))))";
        self.run(script).await.map(drop)
    }

    /// Runs JavaScript in every page that is opened from now on, before any of the page's own.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn run_first(&self, script: &str) -> Result<()> {
        self.tools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await.map(drop)
    }

    /// A picture of the page, in `target/screens/NAME.png`.
    ///
    /// # Errors
    /// When it cannot be taken.
    pub async fn screenshot(&self, name: &str) -> Result<PathBuf> {
        let dir = crate::target().join("screens");
        tokio::fs::create_dir_all(&dir).await?;
        let path = dir.join(format!("{name}.png"));
        tokio::fs::write(&path, self.client.screenshot().await?).await?;
        Ok(path)
    }

    /// Errors and warnings of the console since the last time, violations of the Content-Security-Policy among them.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn faults(&self) -> Result<Vec<String>> {
        let lines = self.client.issue_cmd(Command::Log).await?;
        let lines = lines.as_array().cloned().unwrap_or_default();
        let bad = lines.iter().filter(|line| line["level"] == "SEVERE" || line["level"] == "WARNING");
        Ok(bad.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// One command of the Chrome DevTools Protocol.
    ///
    /// # Errors
    /// What it answers.
    pub async fn tools(&self, method: &'static str, params: Value) -> Result<Value> {
        Ok(self.client.issue_cmd(Command::DevTools { method, params }).await?)
    }

    /// Private memory of the page's process, bytes: what would be free without it.
    ///
    /// # Errors
    /// When there is none.
    pub fn renderer_bytes(&self) -> Result<u64> {
        let profile = self.profile.path().display().to_string();
        let mut largest = None;
        for entry in std::fs::read_dir("/proc")? {
            let process = entry?.path();
            // A process that has just ended has no files any more.
            let read = |name: &str| std::fs::read_to_string(process.join(name)).unwrap_or_default();
            let command = read("cmdline");
            if command.contains("--type=renderer") && browser_of(&process).is_some_and(|of| of.contains(&profile)) {
                largest = largest.max(Some(private_bytes(&read("smaps_rollup"))));
            }
        }
        largest.context("the browser has no renderer")
    }

    /// Closes it and keeps what it stored, for looking at.
    ///
    /// # Errors
    /// When it is gone already.
    pub async fn keep_profile(self) -> Result<TempDir> {
        self.client.close().await?;
        Ok(self.profile)
    }

    /// Closes it.
    ///
    /// # Errors
    /// When it is gone already.
    pub async fn close(self) -> Result<()> {
        Ok(self.client.close().await?)
    }
}

/// Whether the browser refused before it did anything, for what may be otherwise in a moment.
fn is_out_of_reach(refused: &CmdError) -> bool {
    use ErrorStatus::{ElementClickIntercepted, ElementNotInteractable, StaleElementReference};
    let CmdError::Standard(refused) = refused else { return false };
    matches!(refused.error, StaleElementReference | ElementClickIntercepted | ElementNotInteractable)
}

/// The command line of the browser that a process belongs to: its first ancestor that is not somebody's helper.
fn browser_of(process: &Path) -> Option<String> {
    let mut process = process.to_owned();
    loop {
        let status = std::fs::read_to_string(process.join("status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
        process = Path::new("/proc").join(parent);
        let command = std::fs::read_to_string(process.join("cmdline")).ok()?;
        if !command.contains("--type=") {
            return Some(command);
        }
    }
}

/// The sum of what is private in `smaps_rollup`.
fn private_bytes(rollup: &str) -> u64 {
    let private = rollup.lines().filter(|line| line.starts_with("Private_"));
    let kib = private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.sum::<u64>() * 1024
}
