//! Several devices, several apps, and messages that come through all of it: the real server, real homes.

use anyhow::{Context as _, Result, ensure};
use parlour_client::api::{
    Conversation, ConversationId, ConversationState, Device, IdentityId, Intent, Message, Proof, Reply, Showing, Target,
};
use parlour_proto::frames::AccountRef;
use parlour_scenario::person::{Person, Place, befriend, exactly_once, talk};
use parlour_scenario::process::Server;
use parlour_scenario::search::{Canary, search_files};
use parlour_scenario::site::{Site, app};
use std::path::Path;
use tempfile::TempDir;

const APPS: [(&str, &str); 3] = [("bell", "+4930000020"), ("den", "reader"), ("porch", "reader")];
/// Texts from each sender to each reader, if `PARLOUR_TEXTS` does not say otherwise (100,000 messages: 11112).
const TEXTS: usize = 40;
/// So many are written to everybody before they are waited for.
const BATCH: usize = 100;

fn texts_wanted() -> Result<usize> {
    match std::env::var("PARLOUR_TEXTS") {
        Ok(texts) => texts.parse().context("PARLOUR_TEXTS is a number"),
        Err(_) => Ok(TEXTS),
    }
}

async fn sign_up(dir: &Path, app: &str, handle: &str, who: &str, site: Site) -> Result<Person> {
    let person = Person::sign_up(&Place::new(dir, &format!("{who}-{app}"), site), app, handle, "correct horse").await?;
    for (other, _) in APPS.iter().filter(|(other, _)| *other != app) {
        person.reachable_from(other).await?;
    }
    Ok(person)
}

/// Makes a home a device of somebody's account; `intent` is what the home is asked, given the code.
async fn link(old: &Person, new: &Person, intent: impl FnOnce(String) -> Intent) -> Result<()> {
    let Reply::LinkCode { code, .. } = old.ask(Intent::OfferLink).await? else { anyhow::bail!("no code") };
    let joining = new.runner.submit(intent(code)).await?;
    old.until("somebody who wants to be linked", async || {
        Ok(old.try_ask(Intent::ConfirmLink { yes: true }).await?.is_ok().then_some(()))
    })
    .await?;
    tokio::time::timeout(parlour_scenario::PATIENCE, joining.done()).await.context("linking takes too long")??;
    new.sync().await
}

async fn second_device(old: &Person, dir: &Path, name: &str) -> Result<Person> {
    let new = Person::start(&Place::new(dir, name, old.place.site)).await?;
    link(old, &new, |code| Intent::Link { code, name: "Tablet".into() }).await?;
    Ok(new)
}

async fn devices(person: &Person) -> Result<Vec<Device>> {
    match person.ask(Intent::Devices).await? {
        Reply::Devices(devices) => Ok(devices),
        other => anyhow::bail!("{other:?}"),
    }
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
async fn nothing_is_lost_between_three_apps_while_devices_come_go_and_switch() -> Result<()> {
    let dir = TempDir::new()?;
    let mut server = Server::up()?;
    let (mut senders, mut readers) = (Vec::new(), Vec::new());
    for (app, handle) in APPS {
        let own = if app == "bell" { "+4930000010" } else { "sender" };
        senders.push(sign_up(dir.path(), app, own, "sender", server.site()).await?);
        readers.push(sign_up(dir.path(), app, handle, "reader", server.site()).await?);
    }
    let mut pairs = Vec::new();
    for (from, sender) in senders.iter().enumerate() {
        for (to, reader) in readers.iter().enumerate() {
            pairs.push((from, to, befriend(sender, reader).await?.0));
        }
    }
    let mut tablets = Vec::new();
    for (reader, (app, _)) in readers.iter().zip(APPS) {
        tablets.push(second_device(reader, dir.path(), &format!("tablet-{app}")).await?);
    }
    // The phone of the first app answers for the second's account, too.
    let link_den = |code| Intent::LinkAccount { code, name: "Bell".into() };
    link(&readers[1], &readers[0], link_den).await?;

    // Everybody writes to everybody; meanwhile tablets restart, where things are shown changes, the server is killed.
    let all = texts_wanted()?;
    let text = |from: usize, to: usize, n: usize| format!("{from} to {to}: {n}");
    let texts = |from: usize, to: usize| (0..all).map(|n| text(from, to, n)).collect::<Vec<_>>();
    let began = std::time::Instant::now();
    let writing = async {
        for n in 0..all {
            for (from, to, conversation) in &pairs {
                senders[*from].say(*conversation, &text(*from, *to, n)).await?;
            }
            if n % BATCH == BATCH - 1 {
                for sender in &senders {
                    sender.until_sent().await?;
                }
            }
        }
        anyhow::Ok(())
    };
    let meddling = async {
        for (round, reader) in readers.iter().enumerate() {
            let tablet = tablets.remove(0);
            let place = tablet.stop().await;
            server.kill()?;
            server.start()?;
            let device = devices(reader).await?.into_iter().find(|d| !d.this).context("a tablet")?.id;
            let showing = Showing { off: round % 2 == 0, quiet: None };
            reader.ask(Intent::SetShowing { device, showing }).await?;
            tablets.push(Person::back(&place).await?);
        }
        anyhow::Ok(())
    };
    let (written, meddled) = tokio::join!(writing, meddling);
    written?;
    meddled?;
    for sender in &senders {
        sender.until_sent().await?;
    }
    let messages = (all * pairs.len()) as f64;
    eprintln!("{messages} messages written and sent, {:.0} a second", messages / began.elapsed().as_secs_f64());
    for (from, to, _) in &pairs {
        let (account, written) = (senders[*from].account().await?, texts(*from, *to));
        let last = written.last().context("texts")?;
        for device in [&readers[*to], &tablets[*to]] {
            let conversation = with(device, &account).await?;
            exactly_once(&written, &device.until_heard(conversation, last).await?)?;
        }
    }
    // What came for Den is in the first phone, too, each conversation under its own identity.
    let phone = &readers[0];
    let mut accounts = Vec::new();
    for sender in &senders {
        accounts.push(sender.account().await?);
    }
    let for_den: Vec<_> = phone.conversations().await?.into_iter().filter(|c| c.identity != IdentityId(0)).collect();
    ensure!(for_den.len() == senders.len(), "{for_den:?}");
    for conversation in for_den {
        let from = accounts.iter().position(|account| *account == conversation.members[0].account);
        let written = texts(from.context("a sender")?, 1);
        exactly_once(&written, &phone.until_heard(conversation.id, &written[all - 1]).await?)?;
    }
    eprintln!("all of them read by all devices, {:.0} a second", messages / began.elapsed().as_secs_f64());
    for person in readers.iter().chain(&tablets).chain(&senders) {
        let status = person.status().await?;
        ensure!(status.unreadable == 0, "{status:?}");
    }
    for (from, to, conversation) in &pairs {
        let members = senders[*from].conversations().await?.into_iter().find(|c| c.id == *conversation);
        ensure!(members.context("it is there")?.members.len() == 1, "to senders {to} is one person");
    }
    Ok(())
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

    let device = devices(&ada).await?.into_iter().find(|device| !device.this).context("the tablet")?.id;
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
    ensure!(ada.heard(at_ada).await?.is_empty() && devices(&ada).await?.len() == 1);
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
    for device in devices(&back).await?.into_iter().filter(|device| !device.this) {
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
