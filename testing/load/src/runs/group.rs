//! Somebody with a hundred friends, by real clients: a group of all of them, and a second device that is to have everything.

use crate::cli::Cli;
use crate::device;
use crate::engines::{Client, runtime};
use crate::metric::Report;
use crate::note;
use crate::process::{Server, ServerBin};
use anyhow::{Context as _, Result, bail};
use parlour_client::api::{Event, Intent, Reply, Target};
use std::time::Instant;

/// What this gives.
pub(crate) const FIGURES: &[&str] = &["group_100_ms", "group_100_all_ms", "link_100_ms"];
const MEMBERS: usize = 100;
/// Messages with each friend, beside the two of the first contact.
const MESSAGES: usize = 10;

/// Measures and reports.
pub(crate) fn run(cli: &Cli, bin: &ServerBin, report: &mut Report) -> Result<()> {
    let server = Server::fresh(bin)?;
    let members = if cli.quick { 10 } else { MEMBERS };
    let [made, all, linked] = runtime()?.block_on(measure(&server, members))?;
    note!("a group of {members}: {made:.0} ms until it stands, {all:.0} ms until all are in; linking: {linked:.0} ms");
    report.put("group_100_ms", made)?;
    report.put("group_100_all_ms", all)?;
    report.put("link_100_ms", linked)
}

async fn measure(server: &Server, members: usize) -> Result<[f64; 3]> {
    let (to, url, homes) = (server.endpoint(), server.url(), server.scratch().join("homes"));
    let app = device::phone_app(&to)?;
    let mut founder = Client::sign_up(&to, &url, &app, &homes.join("founder")).await?;
    let mut friends = Vec::with_capacity(members);
    let mut targets = Vec::with_capacity(members);
    for number in 1..members {
        let mut friend = Client::sign_up(&to, &url, &app, &homes.join(number.to_string())).await?;
        let conversation = founder.send(Target::Address(friend.address.clone()), "may I?".to_owned()).await?;
        let request = friend.request().await?;
        friend.runner().intent(Intent::Accept { request }).await?;
        for message in 0..MESSAGES {
            founder.send(Target::Conversation(conversation), format!("message {message}")).await?;
        }
        friend.message(&format!("message {}", MESSAGES - 1)).await?;
        // An engine waits for who does not read its events.
        friend.forget_events();
        founder.forget_events();
        targets.push(Target::Conversation(conversation));
        friends.push(friend);
    }

    let started = Instant::now();
    let create = Intent::CreateGroup { title: "Everybody".to_owned(), members: targets };
    let Reply::Conversation(group) = founder.runner().intent(create).await? else { bail!("no group") };
    let made = started.elapsed();
    for friend in &mut friends {
        friend.group("Everybody").await?;
    }
    let all = started.elapsed();
    anyhow::ensure!(group.members.len() == members - 1, "{} members", group.members.len());

    let new = Client::start(&url, &homes.join("second")).await?;
    founder.forget_events();
    let linked = link(&mut founder, new, members).await?;
    for friend in friends {
        friend.stop().await;
    }
    founder.stop().await;
    Ok([made, all, linked].map(|time| time.as_secs_f64() * 1e3))
}

/// From the code that was typed until every conversation and every message is there.
async fn link(founder: &mut Client, mut new: Client, members: usize) -> Result<std::time::Duration> {
    let Reply::LinkCode { code, .. } = founder.runner().intent(Intent::OfferLink).await? else { bail!("no code") };
    let started = Instant::now();
    let joining = new.runner().submit(Intent::Link { code, name: "second".to_owned() }).await?;
    founder.until(|event| matches!(event, Event::LinkAsked { .. }).then_some(())).await?;
    founder.runner().intent(Intent::ConfirmLink { yes: true }).await?;
    joining.done().await?;
    new.runner().intent(Intent::Sync).await?;
    let whole = |event| match event {
        Event::History { to: None, done, of } => (done == of).then_some(of),
        _ => None,
    };
    new.until(whole).await.context("history")?;
    let linked = started.elapsed();
    let Reply::Conversations(all) = new.runner().intent(Intent::Conversations).await? else { bail!("no list") };
    anyhow::ensure!(all.len() == members, "{} conversations", all.len());
    for conversation in all.iter().filter(|c| !c.is_group) {
        let read = Intent::Messages { conversation: conversation.id, before: None, limit: 1_000 };
        let Reply::Messages(messages) = new.runner().intent(read).await? else { bail!("no messages") };
        anyhow::ensure!(messages.len() == MESSAGES + 1, "{} messages", messages.len());
    }
    new.stop().await;
    Ok(linked)
}
