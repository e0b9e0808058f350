//! Name and picture reach friends, end-to-end; looks stay as chosen.

use anyhow::{Result, ensure};
use parlour_browser::{Driver, Person, Server};

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn a_name_and_a_picture_reach_a_friend() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    // Any photograph will do, and this one is at hand.
    let photograph = ana.browser.screenshot("photograph").await?;
    let photograph = photograph.canonicalize()?;

    ana.go("#/settings").await?;
    ana.browser.wait(".mechoose").await?;
    ana.browser.type_into("#picture", &photograph.display().to_string()).await?;
    ana.browser.wait(".mechoose .photo img").await?;
    let shown = "document.querySelector('.chathead .photo img')?.naturalWidth === 256";
    ben.browser.wait_for(shown).await?;

    ana.browser.run("document.querySelector('.mename input').select()").await?;
    ana.browser.type_into(".mename input", "Ana of the Beans").await?;
    ana.browser.click(".mename .primary").await?;
    ben.browser.wait_text(".chathead", "Ana of the Beans").await?;
    ben.browser.wait_text(".chatrows", "Ana of the Beans").await?;
    ensure!(ben.browser.run(&format!("return {shown}")).await? == true, "a new name took the picture away");

    // After a reload both are read from what this browser keeps.
    ben.browser.client.refresh().await?;
    ben.browser.wait_for(shown).await?;
    ana.browser.client.refresh().await?;
    ana.browser.wait(".mechoose .photo img").await?;
    ana.browser.click(".mepicture .linkbutton").await?;
    ben.browser.wait_for("document.querySelector('.chathead') && !document.querySelector('.chathead .photo')").await?;
    ana.has_no_faults().await?;
    ben.has_no_faults().await
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn looks_and_language_survive_a_reload() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let ana = Person::sign_up(&server, &driver, "den", "ana", "Ana").await?;
    ana.go("#/settings").await?;
    ana.browser.press("input[name=theme]").await?;
    ana.browser.wait(".group").await?;
    ana.browser.run("document.querySelectorAll('input[name=theme]')[2].click()").await?;
    ana.browser.run("document.querySelectorAll('input[name=size]')[3].click()").await?;
    ana.browser.wait_for("document.documentElement.dataset.theme === 'dark'").await?;
    let german = "const select = document.querySelector('select'); select.value = 'de'; select.dispatchEvent(new Event('change'))";
    ana.browser.run(german).await?;
    ana.browser.wait_text(".bar h1", "Einstellungen").await?;
    ana.browser.client.refresh().await?;
    ana.browser.wait_text(".bar h1", "Einstellungen").await?;
    ana.browser
        .wait_for("document.documentElement.lang === 'de' && document.documentElement.dataset.size === 'huge'")
        .await?;
    ana.has_no_faults().await
}
