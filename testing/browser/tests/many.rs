//! A list of many conversations: only what is in sight is in the page, and a reload shows it again.

use anyhow::{Result, ensure};
use parlour_browser::{Driver, Limits, Native, Person, Server};

const GROUPS: usize = 200;
/// Rows in the page: those in sight and some beyond each edge.
const MOST_ROWS: u64 = 60;

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn a_list_of_many_conversations_is_there_again_after_a_reload() -> Result<()> {
    let (server, driver) = (Server::start_with(Limits::Raised).await?, Driver::start().await?);
    let ana = Person::sign_up(&server, &driver, "den", "ana", "Ana").await?;
    let (mut ned, _) = Native::friend_of(&server, &ana).await?;
    let titles: Vec<String> = (0..GROUPS).map(|n| format!("Circle {n}")).collect();
    ned.make_groups(&ana.address, &titles).await?;
    ana.browser.wait_for_long(&format!("document.title.includes('({GROUPS})')")).await?;
    ana.browser.client.refresh().await?;
    ana.browser.wait(".chatrow").await?;
    let height = format!(
        "document.querySelector('.chatrows').offsetHeight === {} * document.querySelector('.chatrow').offsetHeight",
        GROUPS + 1
    );
    ana.browser.wait_for(&height).await?;
    let rows = ana.browser.run("return document.querySelectorAll('.chatrow').length").await?;
    ensure!(rows.as_u64().is_some_and(|rows| rows <= MOST_ROWS), "{rows} rows are in the page");
    ana.has_no_faults().await
}
