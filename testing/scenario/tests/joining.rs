//! Coming into groups of people one does not know, across the three apps, with the real server: by links and by invitations,
//! while somebody is away and processes start anew.

use anyhow::{Context as _, Result, bail, ensure};
use parlour_client::api::{Conversation, ConversationId, ConversationState, GroupLink, Intent, Reply, Request, Target};
use parlour_proto::address::Invite;
use parlour_scenario::person::{Person, Place};
use parlour_scenario::process::Server;
use parlour_scenario::search::{Canary, search_files};
use parlour_scenario::site::Site;
use std::path::Path;
use tempfile::TempDir;

const APPS: [(&str, &str); 3] = [("bell", "+4930000031"), ("den", "maker"), ("porch", "maker")];
const TITLE: &str = "canary-title-nightingale";

/// Nobody here turns another app on.
async fn person(dir: &Path, app: &str, handle: &str, site: Site) -> Result<Person> {
    let place = Place::new(dir, &format!("{app}-{}", handle.trim_start_matches('+')), site);
    Person::sign_up(&place, app, handle, "correct horse").await
}

fn joiner_of(app: &str) -> &'static str {
    if app == "bell" { "+4930000041" } else { "joiner" }
}

async fn group(maker: &Person) -> Result<ConversationId> {
    match maker.ask(Intent::CreateGroup { title: TITLE.to_owned(), members: Vec::new() }).await? {
        Reply::Conversation(group) => Ok(group.id),
        other => bail!("{other:?}"),
    }
}

async fn link(maker: &Person, conversation: ConversationId, approve: bool) -> Result<GroupLink> {
    match maker.ask(Intent::CreateGroupLink { conversation, approve, uses: 3, ttl_s: 3_600 }).await? {
        Reply::GroupLink(link) => Ok(link),
        other => bail!("{other:?}"),
    }
}

fn is_group(c: &Conversation, members: usize) -> bool {
    c.is_group && c.state == ConversationState::Open && c.members.len() == members
}

async fn the_request(person: &Person) -> Result<Request> {
    person.request().await?;
    match person.ask(Intent::Requests).await? {
        Reply::Requests(requests) => requests.into_iter().next().context("a request"),
        other => bail!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_leads_from_any_app_into_a_group_of_any_other_though_both_are_off() -> Result<()> {
    let dir = TempDir::new()?;
    let server = Server::up()?;
    let mut secrets = vec![Canary::new(TITLE)];
    let mut joiners = Vec::new();
    for (app, _) in APPS {
        joiners.push(person(dir.path(), app, joiner_of(app), server.site()).await?);
    }
    for (at, (app, handle)) in APPS.into_iter().enumerate() {
        let maker = person(dir.path(), app, handle, server.site()).await?;
        let (conversation, account) = (group(&maker).await?, maker.account().await?);
        let is_theirs = |c: &Conversation, members: usize| {
            is_group(c, members) && c.members.iter().any(|member| member.account == account)
        };
        // The next app's joiner without approval, that of the one after it with.
        let (open, asked) = (&joiners[(at + 1) % 3], &joiners[(at + 2) % 3]);
        let first = link(&maker, conversation, false).await?;
        open.ask(Intent::JoinByLink { link: first.text.clone() }).await?;
        let at_open = open.until_conversation(|c| is_theirs(c, 1)).await?;
        let second = link(&maker, conversation, true).await?;
        asked.ask(Intent::JoinByLink { link: second.text.clone() }).await?;
        let request = the_request(&maker).await?;
        ensure!(request.joins == Some(conversation) && request.text.is_none(), "{request:?}");
        maker.accept(request.id).await?;
        let at_asked = asked.until_conversation(|c| is_theirs(c, 2)).await?;
        asked.say(at_asked, "here I am").await?;
        open.until_heard(at_open, "here I am").await?;
        maker.until_heard(conversation, "here I am").await?;
        ensure!(maker.conversations().await?.len() == 1, "no conversation of two is left");
        for text in [&first.text, &second.text] {
            let invite = Invite::parse(text)?;
            secrets.push(Canary::new(text.rsplit('.').next().context("a secret")?));
            secrets.push(Canary::new(&hex::encode(invite.group.context("a secret")?.0)));
        }
        for who in [&maker, open, asked] {
            who.until_sent().await?;
            ensure!(who.status().await?.unreadable == 0);
        }
    }
    for joiner in &joiners {
        ensure!(joiner.conversations().await?.iter().all(|c| c.is_group));
    }
    let search = search_files(server.data(), &secrets, &[])?;
    ensure!(search.bytes > 100_000 && search.finds.is_empty(), "{:#?}", search.finds);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_that_is_accepted_while_the_adder_is_away_counts_when_it_starts_again() -> Result<()> {
    let dir = TempDir::new()?;
    let mut server = Server::up()?;
    let maker = person(dir.path(), "den", "maker", server.site()).await?;
    let (one, two) = (
        person(dir.path(), "den", "one", server.site()).await?,
        person(dir.path(), "porch", "two", server.site()).await?,
    );
    two.reachable_from("den").await?;
    let conversation = group(&maker).await?;
    let members = [&one, &two].map(|person| Target::Address(person.address.clone())).to_vec();
    let Reply::Conversation(shown) = maker.ask(Intent::AddMembers { conversation, members }).await? else {
        bail!("no group")
    };
    ensure!(shown.group.context("a view")?.invited.len() == 2);
    maker.until_sent().await?;
    let place = maker.stop().await;
    for person in [&one, &two] {
        let request = the_request(person).await?;
        ensure!(request.group.as_deref() == Some(TITLE) && request.joins.is_none(), "{request:?}");
        person.accept(request.id).await?;
        person.until_sent().await?;
    }
    // The server starts anew, too.
    server.kill()?;
    server.start()?;
    let maker = Person::back(&place).await?;
    for person in [&one, &two] {
        person.until_conversation(|c| is_group(c, 2)).await?;
    }
    let at_maker = maker.until_conversation(|c| is_group(c, 2)).await?;
    ensure!(at_maker == conversation);
    let at_two = two.until_conversation(|c| is_group(c, 2)).await?;
    two.say(at_two, "good morning").await?;
    maker.until_heard(conversation, "good morning").await?;
    Ok(())
}
