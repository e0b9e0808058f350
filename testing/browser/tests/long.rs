//! A long conversation: only what is in sight is in the page, and both ends are in reach. (The bench has one of 10,000.)

use anyhow::{Result, ensure};
use parlour_browser::{Driver, Limits, Native, Person, Server};

const MESSAGES: usize = 1_000;
/// Rows in the page: those in sight and some beyond each edge.
const MOST_ROWS: u64 = 120;

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn a_long_conversation_scrolls_from_end_to_beginning() -> Result<()> {
    let (server, driver) = (Server::start_with(Limits::Raised).await?, Driver::start().await?);
    let ana = Person::sign_up(&server, &driver, "den", "ana", "Ana").await?;
    let (mut ned, conversation) = Native::friend_of(&server, &ana).await?;
    ned.say_all(&conversation, (0..MESSAGES).map(|n| format!("message {n} of a long conversation"))).await?;
    ana.browser.wait_for_long(&format!("document.title.includes('({MESSAGES})')")).await?;

    ana.browser.click(".chatlink").await?;
    ana.sees(&format!("message {} of", MESSAGES - 1)).await?;
    let back = ana.scroll_back("Hello Ana").await?;
    ensure!(back.most_rows <= MOST_ROWS, "{} rows were in the page", back.most_rows);
    ensure!(back.steps > MESSAGES as u64 / 100, "the beginning came too soon: {back:?}");
    ana.browser.click(".jump").await?;
    ana.sees(&format!("message {} of", MESSAGES - 1)).await?;
    ana.say("That was long").await?;
    ana.sees("That was long").await?;
    ana.has_no_faults().await
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn what_one_looks_at_stays_while_older_messages_come() -> Result<()> {
    let (server, driver) = (Server::start_with(Limits::Raised).await?, Driver::start().await?);
    let ana = Person::sign_up(&server, &driver, "den", "ana", "Ana").await?;
    let (mut ned, conversation) = Native::friend_of(&server, &ana).await?;
    // Of very different heights: none is as high as was guessed.
    let text = |n: usize| format!("message {n} of a few{}", "\nand one line more".repeat(n % 7));
    ned.say_all(&conversation, (0..300).map(text)).await?;
    ana.browser.wait_for_long("document.title.includes('(300)')").await?;
    ana.browser.click(".chatlink").await?;
    ana.sees("message 299 of").await?;
    let moved = ana.browser.run(WATCH_A_MESSAGE).await?;
    ensure!(moved.as_f64().is_some_and(|moved| moved <= 2.0), "a message moved by {moved} pixels");
    ana.has_no_faults().await
}

/// Scrolls to where older messages are read; gives how far a message that stays in sight moved until they are there.
const WATCH_A_MESSAGE: &str = "
    const stream = document.querySelector('.stream');
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const top = (row) => row.getBoundingClientRect().top;
    return (async () => {
        // Before the scrolling: the page may be there two frames later.
        const height = stream.scrollHeight;
        stream.scrollTop = Math.min(stream.scrollTop, 1400);
        await frame();
        await frame();
        const inSight = () => [...stream.querySelectorAll('li[id]')].find((row) => top(row) > stream.getBoundingClientRect().top);
        let id = inSight().id, at = top(inSight()), moved = 0;
        for (let frames = 0; frames < 2000; frames += 1) {
            await frame();
            const row = document.getElementById(id);
            moved = Math.max(moved, row ? Math.abs(top(row) - at) : 1e6);
            if (stream.scrollHeight > height + 1000) return moved;
        }
        return 1e9;
    })()";
