//! Without the network, with a killed page, with two tabs: nothing that was shown is lost, nothing comes twice.

use anyhow::{Result, ensure};
use parlour_browser::{Driver, Person, Server};

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn what_is_written_offline_survives_a_reload_and_goes_out_later() -> Result<()> {
    let (mut server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    ana.is_ready_offline().await?;

    server.stop().await?;
    ana.browser.wait(".banner.shown").await?;
    ana.say("Written in a tunnel").await?;
    ana.ticks("queued").await?;
    ana.browser.type_into("#composer", "A draft about plums").await?;
    ana.browser.wait_for("document.activeElement.id === 'composer'").await?;
    ana.browser.client.refresh().await?;
    ana.sees("Written in a tunnel").await?;
    ana.sees("from the garden").await?;
    ana.browser.wait_for("document.querySelector('#composer')?.value === 'A draft about plums'").await?;
    ana.ticks("queued").await?;
    ana.browser.screenshot("offline").await?;

    server.restart().await?;
    ben.sees("Written in a tunnel").await?;
    ana.ticks("read").await?;
    ana.browser.wait_for("!document.querySelector('.banner.shown')").await?;
    let shown = "return [...document.querySelectorAll('.said')].filter((said) => said.innerText.includes('Written in a tunnel')).length";
    ensure!(ben.browser.run(shown).await? == 1, "it came more than once");
    ensure!(ana.browser.run(shown).await? == 1, "it stands there more than once");
    Ok(())
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn a_page_that_dies_while_it_sends_loses_and_doubles_nothing() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    for round in 0..8 {
        // Enter and reload in one breath: the page dies somewhere on the way.
        ana.browser.type_into("#composer", &format!("round {round} ends here")).await?;
        // Elsewhere and back: the draft is with the engine before the conversation is read from it again.
        let open = ana.browser.run("const open = location.hash; location.hash = '#/settings'; return open").await?;
        ana.browser.wait_for("document.querySelector('#composer') === null").await?;
        ana.browser.run(&format!("location.hash = {open}")).await?;
        ana.browser.wait("#composer").await?;
        ana.browser.wait_for("document.querySelectorAll('.said').length > 0").await?;
        ana.browser.run("document.querySelector('.sendbutton').click(); location.reload()").await?;
        ana.browser.wait("#composer").await?;
        ana.browser.wait_for("document.querySelectorAll('.said').length > 0").await?;
        let kept = format!("round {round} ends here");
        // Shown as a message: then it is sent. Lost with the page before that: then it is still the draft.
        let is_message =
            format!("[...document.querySelectorAll('.said')].some((said) => said.innerText.includes('{kept}'))");
        let is_draft = format!("document.querySelector('#composer').value.includes('{kept}')");
        ana.browser.wait_for(&format!("{is_message} || {is_draft}")).await?;
        if ana.browser.run(&format!("return {is_message}")).await? == true {
            ben.sees(&kept).await?;
            ana.browser.run("const area = document.querySelector('#composer'); area.value = ''; area.dispatchEvent(new Event('input'))").await?;
        } else {
            ana.browser.click(".sendbutton").await?;
            ben.sees(&kept).await?;
        }
        let count = format!(
            "return [...document.querySelectorAll('.said')].filter((said) => said.innerText.includes('{kept}')).length"
        );
        ensure!(ben.browser.run(&count).await? == 1, "{kept}: more than once");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs Chromium and the built apps: cargo xtask test"]
async fn two_tabs_are_one_app() -> Result<()> {
    let (server, driver) = (Server::start().await?, Driver::start().await?);
    let (ana, ben) = Person::two_friends(&server, &driver).await?;
    let open = ana.browser.client.current_url().await?;
    let first = ana.browser.client.window().await?;

    let second = ana.browser.client.new_window(true).await?.handle;
    ana.browser.client.switch_to_window(second.clone()).await?;
    ana.browser.client.goto(open.as_str()).await?;
    ana.sees("from the garden").await?;
    ana.say("From the second tab").await?;
    ben.sees("From the second tab").await?;
    ana.ticks("read").await?;

    ana.browser.client.switch_to_window(first).await?;
    ana.sees("From the second tab").await?;
    // The tab that runs the engine goes; the other takes over.
    ana.browser.client.close_window().await?;
    ana.browser.client.switch_to_window(second).await?;
    ben.say("Still there?").await?;
    ana.sees("Still there?").await?;
    ana.say("Still here.").await?;
    ben.sees("Still here.").await?;
    ana.has_no_faults().await
}
