//! Several devices of one account, one of them revoked, all of them lost: the real server, real homes.

use anyhow::{Context as _, Result, ensure};
use parlour_client::api::{
    Conversation, ConversationId, ConversationState, IdentityId, Intent, Message, Proof, Reply, Target,
};
use parlour_proto::frames::AccountRef;
use parlour_scenario::person::{Person, Place, befriend, talk};
use parlour_scenario::process::Server;
use parlour_scenario::search::{Canary, search_files};
use parlour_scenario::site::{Site, app};
use std::path::Path;
use tempfile::TempDir;

async fn sign_up(dir: &Path, app: &str, handle: &str, who: &str, site: Site) -> Result<Person> {
    let person = Person::sign_up(&Place::new(dir, &format!("{who}-{app}"), site), app, handle, "correct horse").await?;
    for other in ["bell", "den", "porch"].iter().filter(|other| **other != app) {
        person.reachable_from(other).await?;
    }
    Ok(person)
}

async fn second_device(old: &Person, dir: &Path, name: &str) -> Result<Person> {
    Person::link(&Place::new(dir, name, old.place.site), old, "Tablet").await
}

/// The home's own conversation with an account, not a linked account's.
async fn with(person: &Person, account: &AccountRef) -> Result<ConversationId> {
    let own = IdentityId(0);
    let is_with = |c: &Conversation| {
        !c.is_group && c.identity == own && c.members.iter().any(|member| member.account == *account)
    };
    person.until_conversation(is_with).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_home_of_a_revoked_device_gets_nowhere() -> Result<()> {
    let dir = TempDir::new()?;
    let server = Server::up()?;
    let ada = Person::on_bell(dir.path(), "ada", "+49300000301", server.site()).await?;
    let ben = Person::on_bell(dir.path(), "ben", "+49300000302", server.site()).await?;
    let (at_ada, at_ben) = befriend(&ada, &ben).await?;
    let tablet = second_device(&ada, dir.path(), "tablet").await?;
    let at_tablet = with(&tablet, &ben.account().await?).await?;
    tablet.say(at_tablet, "from the tablet").await?;
    ben.until_heard(at_ben, "from the tablet").await?;
    let place = tablet.stop().await;
    let copy = dir.path().join("copy");
    place.copy_to(&copy)?;

    let device = ada.devices().await?.into_iter().find(|device| !device.this).context("the tablet")?.id;
    ada.ask(Intent::RevokeDevice { device }).await?;
    ada.say(at_ada, "without it").await?;
    ben.until_heard(at_ben, "without it").await?;
    ada.until_sent().await?;

    place.restore(&copy)?;
    let thief = Person::start(&place).await?;
    ensure!(thief.try_ask(Intent::Sync).await?.is_err(), "it signs in");
    ensure!(thief.try_ask(Intent::OfferLink).await?.is_err(), "it links another");
    let said = thief.try_ask(Intent::MarkRead { conversation: at_tablet }).await?;
    ensure!(said.is_err(), "it goes on as if nothing were: {said:?}");
    ensure!(!thief.heard(at_tablet).await.unwrap_or_default().iter().any(|text| text == "without it"), "it reads on");
    ensure!(ada.heard(at_ada).await?.is_empty() && ada.devices().await?.len() == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recovery_key_brings_everybody_back_after_all_is_lost() -> Result<()> {
    let dir = TempDir::new()?;
    let mut server = Server::up()?;
    let ben = sign_up(dir.path(), "bell", "+4930000040", "ben", server.site()).await?;
    let cleo = sign_up(dir.path(), "porch", "cleo", "cleo", server.site()).await?;
    let ada = Person::start(&Place::new(dir.path(), "ada", server.site())).await?;
    let (den, password) = (app("den"), || Proof::Password("correct horse".to_owned().into()));
    let signed_up = Intent::SignUp { app: den.clone(), handle: "ada".into(), proof: password() };
    let Reply::SignedUp { recovery_key, .. } = ada.ask(signed_up).await? else { anyhow::bail!("not signed up") };
    ada.sync().await?;
    let (at_ben, at_cleo) = {
        let (with_ben, at_ben) = befriend(&ada, &ben).await?;
        let (with_cleo, at_cleo) = befriend(&ada, &cleo).await?;
        let members = vec![Target::Conversation(with_ben), Target::Conversation(with_cleo)];
        ada.ask(Intent::CreateGroup { title: "Choir".into(), members }).await?;
        (at_ben, at_cleo)
    };
    let choir = cleo.until_conversation(|c| c.is_group).await?;
    let at_ada = with(&ada, &ben.account().await?).await?;
    talk((&ada, at_ada), (&ben, at_ben), "CANARY-KEPT").await?;
    let said = ada.messages(at_ada).await?;
    ada.until("a backup", async || Ok(ada.status().await?.backed_up.then_some(()))).await?;
    // House and home burn down.
    let burnt = ada.stop().await;
    std::fs::remove_dir_all(&burnt.home)?;
    server.kill()?;
    server.start()?;

    let back = Person::start(&Place::new(dir.path(), "ada-again", server.site())).await?;
    let sign_in = Intent::SignIn { app: den, handle: "ada".into(), proof: password(), recovery_key };
    back.ask(sign_in).await?;
    back.sync().await?;
    for device in back.devices().await?.into_iter().filter(|device| !device.this) {
        back.ask(Intent::RevokeDevice { device: device.id }).await?;
    }
    // What was said is there, with its states, and the server could not read it.
    let with_ben = with(&back, &ben.account().await?).await?;
    let restored = back.until("what was said", async || {
        let messages = back.messages(with_ben).await?;
        Ok((messages.len() >= said.len()).then_some(messages))
    });
    let shown = |all: &[Message]| all.iter().map(|m| (m.id, m.text.clone(), m.time, m.state)).collect::<Vec<_>>();
    ensure!(shown(&restored.await?) == shown(&said), "{said:?}");
    let found = search_files(server.data(), &[Canary::new("CANARY-KEPT")], &[])?;
    ensure!(found.finds.is_empty(), "a message is in the server's files: {:?}", found.finds);
    for (friend, at_friend) in [(&ben, at_ben), (&cleo, at_cleo)] {
        let mine = with(&back, &friend.account().await?).await?;
        back.until_state(mine, ConversationState::Open).await?;
        talk((&back, mine), (friend, at_friend), "again").await?;
    }
    let mine = back.until_conversation(|c| c.is_group && c.state == ConversationState::Open).await?;
    talk((&back, mine), (&cleo, choir), "la").await?;
    ensure!(back.status().await?.unreadable == 0);
    Ok(())
}
