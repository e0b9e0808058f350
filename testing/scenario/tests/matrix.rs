//! Everybody of three apps writes to everybody of three apps, while all that can be switched is switched: the built binary as
//! the server, real engines on homes on disk. `PARLOUR_TEXTS` says how much (100,000 messages: 11112).

use anyhow::{Context as _, Result, ensure};
use parlour_client::api::{Conversation, ConversationId, Identity, IdentityId, Intent, Reply, Showing};
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::DeviceId;
use parlour_scenario::person::{Person, Place, befriend, exactly_once};
use parlour_scenario::process::{Circumstances, Server};
use std::cell::Cell;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const APPS: [&str; 3] = ["bell", "den", "porch"];
/// Texts from each sender to each reader, if nothing else is said.
const TEXTS: usize = 40;
/// So many are written to everybody before they are waited for, and a sender starts anew.
const BATCH: usize = 20;
/// Rounds of switching, at least; and how often an account is linked on the way (an account may offer that 20 times an hour).
const ROUNDS: usize = 4;
const MOST_LINKED: usize = 12;
/// All day long, and over midnight.
const QUIET: [Option<(u16, u16)>; 3] = [None, Some((0, 24 * 60 - 1)), Some((22 * 60, 7 * 60))];

fn texts_wanted() -> Result<usize> {
    match std::env::var("PARLOUR_TEXTS") {
        Ok(texts) => texts.parse().context("PARLOUR_TEXTS is a number"),
        Err(_) => Ok(TEXTS),
    }
}

/// What the engines said about what they could not read, or refused.
#[derive(Clone, Default)]
struct Reasons(Arc<Mutex<Vec<String>>>);

impl Reasons {
    const MOST: usize = 1_000;

    /// From now on it is kept.
    fn gather() -> Self {
        let (reasons, filter) = (Self::default(), tracing_subscriber::EnvFilter::new("parlour_client=debug"));
        let to = reasons.clone();
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(move || to.clone()).init();
        reasons
    }

    fn kept(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::io::Write for Reasons {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let tells = text.contains("unreadable") || text.contains(" WARN ");
        let mut kept = self.kept();
        if tells && kept.len() < Self::MOST {
            kept.push(text.into_owned());
        }
        Ok(line.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn sign_up(dir: &Path, app: &str, handle: &str, server: &Server) -> Result<Person> {
    let person = Person::sign_up(&Place::new(dir, handle, server.site()), app, handle, "correct horse").await?;
    for other in APPS.iter().filter(|other| **other != app) {
        person.reachable_from(other).await?;
    }
    Ok(person)
}

async fn identities(person: &Person) -> Result<Vec<Identity>> {
    match person.ask(Intent::WhoAmI).await? {
        Reply::Identities(all) => Ok(all),
        other => anyhow::bail!("{other:?}"),
    }
}

/// The identity by which a home answers for somebody else's account.
async fn identity_of(home: &Person, account: &AccountRef) -> Result<Option<Identity>> {
    Ok(identities(home).await?.into_iter().find(|identity| identity.account == *account))
}

async fn own_account(person: &Person) -> Result<AccountRef> {
    let all = identities(person).await?;
    Ok(all.into_iter().find(|identity| identity.id == IdentityId(0)).context("its own account")?.account)
}

/// What needs the server, which may have been away a moment ago.
async fn once_there(person: &Person, intent: Intent) -> Result<Reply> {
    person.until("the server", async || Ok(person.try_ask(intent.clone()).await?.ok())).await
}

/// Somebody's account is linked into another home.
async fn link_account(old: &Person, home: &Person) -> Result<()> {
    once_there(home, Intent::Sync).await?;
    let Reply::LinkCode { code, .. } = once_there(old, Intent::OfferLink).await? else { anyhow::bail!("no code") };
    let joining = home.runner.submit(Intent::LinkAccount { code, name: "Bell".into() }).await?;
    old.until("somebody who wants to be linked", async || {
        Ok(old.try_ask(Intent::ConfirmLink { yes: true }).await?.is_ok().then_some(()))
    })
    .await?;
    tokio::time::timeout(parlour_scenario::PATIENCE, joining.done()).await.context("linking takes too long")??;
    once_there(home, Intent::Sync).await.map(drop)
}

/// Says on one device what another one of the account shows, and waits until that one knows: how long it took.
async fn switch(
    says: &Person,
    device: DeviceId,
    showing: Showing,
    shows: &Person,
    at: &AccountRef,
) -> Result<Duration> {
    let said = Instant::now();
    says.ask(Intent::SetShowing { device, showing }).await?;
    shows
        .until("what is shown", async || {
            Ok(identity_of(shows, at).await?.filter(|identity| identity.showing == showing).map(drop))
        })
        .await?;
    Ok(said.elapsed())
}

/// Three who write, three who read, each on a phone and a tablet. The first reader's phone answers for the second's account,
/// too, and now and then for the third's.
struct Matrix {
    dir: TempDir,
    server: Server,
    senders: Vec<Person>,
    readers: Vec<Person>,
    tablets: Vec<Person>,
    /// From, to, and the sender's conversation.
    pairs: Vec<(usize, usize, ConversationId)>,
    accounts: Vec<AccountRef>,
}

impl Matrix {
    async fn up() -> Result<Self> {
        let dir = TempDir::new()?;
        // What it says at `trace` about so many messages fills disks.
        let quiet = Circumstances { log: Some("info"), ..Circumstances::default() };
        let server = Server::up_under(TempDir::new()?, dir.path().join("data"), &[], quiet)?;
        let (mut senders, mut readers, mut tablets) = (Vec::new(), Vec::new(), Vec::new());
        for (app, (sender, reader)) in
            APPS.iter().zip([("+4930000010", "+4930000020"), ("d_sender", "d_reader"), ("p_sender", "p_reader")])
        {
            senders.push(sign_up(dir.path(), app, sender, &server).await?);
            readers.push(sign_up(dir.path(), app, reader, &server).await?);
        }
        let mut pairs = Vec::new();
        for (from, sender) in senders.iter().enumerate() {
            for (to, reader) in readers.iter().enumerate() {
                pairs.push((from, to, befriend(sender, reader).await?.0));
            }
        }
        for (reader, app) in readers.iter().zip(APPS) {
            let place = Place::new(dir.path(), &format!("tablet-{app}"), server.site());
            tablets.push(Person::link(&place, reader, "Tablet").await?);
        }
        link_account(&readers[1], &readers[0]).await?;
        let mut accounts = Vec::new();
        for reader in &readers {
            // Each has said that it is there: so it hears and is heard.
            reader
                .until("all devices", async || {
                    Ok(reader.devices().await?.iter().all(|device| device.seen.is_some()).then_some(()))
                })
                .await?;
            accounts.push(own_account(reader).await?);
        }
        Ok(Self { dir, server, senders, readers, tablets, pairs, accounts })
    }

    /// What one of them read from each sender, in order, by which of the home's identities.
    async fn read(&self, device: &Person, to: usize, texts: &[Vec<Vec<String>>]) -> Result<()> {
        let identity = identity_of(device, &self.accounts[to]).await?.context("it answers for the account")?.id;
        for (from, sender) in self.senders.iter().enumerate() {
            let (account, written) = (own_account(sender).await?, &texts[from][to]);
            let is_with = |c: &Conversation| {
                c.identity == identity && !c.is_group && c.members.iter().any(|member| member.account == account)
            };
            let conversation = device.until_conversation(is_with).await?;
            device.until_heard(conversation, written.last().context("texts")?).await?;
            // A device that was linked lately is still being told what was said before.
            device
                .until("all that was said", async || {
                    Ok((device.heard(conversation).await?.len() > written.len()).then_some(()))
                })
                .await?;
            exactly_once(written, &device.heard(conversation).await?)
                .with_context(|| format!("from {from} to {to} on {}", device.place.home.display()))?;
        }
        Ok(())
    }

    async fn stop(self) -> TempDir {
        for person in self.senders.into_iter().chain(self.readers).chain(self.tablets) {
            person.stop().await;
        }
        self.dir
    }
}

/// One round: an app is switched on or off and gets quiet hours, from another device; a linked account comes or goes; a
/// tablet and the server are stopped and started. How long it took until what was switched was so.
async fn round(
    n: usize,
    server: &mut Server,
    readers: &[Person],
    tablets: &mut Vec<Person>,
    accounts: &[AccountRef],
) -> Result<Duration> {
    let to = n % APPS.len();
    let showing = |off| Showing { off, quiet: QUIET[n % QUIET.len()] };
    let tablet = tablets.remove(0);
    let phone = readers[to].devices().await?.into_iter().find(|device| device.this).context("a phone")?.id;
    let took = switch(&tablet, phone, showing(n.is_multiple_of(2)), &readers[to], &accounts[to]).await;
    let took = took.with_context(|| format!("round {n}: said on the tablet, shown on the phone"))?;
    // Den's account is shown by Bell, or not: said in Den.
    let linked = readers[1].devices().await?.into_iter().find(|device| device.name == "Bell").context("linked")?.id;
    let took = took.max(switch(&readers[1], linked, showing(n % 4 < 2), &readers[0], &accounts[1]).await?);
    match identity_of(&readers[0], &accounts[2]).await? {
        Some(identity) => once_there(&readers[0], Intent::Unlink { identity: identity.id }).await.map(drop)?,
        None if n / 2 < MOST_LINKED => link_account(&readers[2], &readers[0]).await?,
        None => {}
    }
    let place = tablet.stop().await;
    server.kill()?;
    server.start()?;
    tablets.push(Person::back(&place).await?);
    Ok(took)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_100_000_messages_between_three_apps_none_is_lost_doubled_or_out_of_order_while_all_is_switched()
-> Result<()> {
    let reasons = Reasons::gather();
    let mut matrix = Matrix::up().await?;
    let all = texts_wanted()?;
    let text = |from: usize, to: usize, n: usize| format!("{from} to {to}: {n}");
    let texts = |from: usize, to: usize| (0..all).map(|n| text(from, to, n)).collect::<Vec<_>>();
    let (began, written, restarts) = (Instant::now(), Cell::new(false), Cell::new(0_usize));
    let Matrix { server, senders, readers, tablets, pairs, accounts, .. } = &mut matrix;
    let writing = async {
        for n in 0..all {
            for (from, to, conversation) in pairs.iter() {
                senders[*from].say(*conversation, &text(*from, *to, n)).await?;
            }
            if n % BATCH == BATCH - 1 {
                for sender in senders.iter() {
                    sender.until_sent().await?;
                }
                let at = restarts.get() % senders.len();
                let place = senders.remove(at).stop().await;
                senders.insert(at, Person::back(&place).await?);
                restarts.set(restarts.get() + 1);
            }
        }
        written.set(true);
        anyhow::Ok(())
    };
    let (rounds, slowest) = (Cell::new(0), Cell::new(Duration::ZERO));
    let switching = async {
        while !written.get() || rounds.get() < ROUNDS {
            let took = round(rounds.get(), server, readers, tablets, accounts).await?;
            slowest.set(slowest.get().max(took));
            rounds.set(rounds.get() + 1);
        }
        // Each tablet is its phone's again.
        tablets.rotate_right(rounds.get() % APPS.len());
        anyhow::Ok(())
    };
    let (wrote, switched) = tokio::join!(writing, switching);
    wrote?;
    switched?;
    for sender in &matrix.senders {
        sender.until_sent().await?;
    }
    let messages = (all * matrix.pairs.len()) as f64;
    eprintln!(
        "{messages} messages written and sent, {:.0} a second; {} rounds of switching (server and a tablet restarted in each), \
         {} restarts of senders; what was switched was so within {} ms",
        messages / began.elapsed().as_secs_f64(),
        rounds.get(),
        restarts.get(),
        slowest.get().as_millis()
    );
    if identity_of(&matrix.readers[0], &matrix.accounts[2]).await?.is_none() {
        link_account(&matrix.readers[2], &matrix.readers[0]).await?;
    }
    let texts: Vec<Vec<Vec<String>>> =
        (0..APPS.len()).map(|from| (0..APPS.len()).map(|to| texts(from, to)).collect()).collect();
    for to in 0..APPS.len() {
        matrix.read(&matrix.readers[to], to, &texts).await?;
        matrix.read(&matrix.tablets[to], to, &texts).await?;
        // What came for Den and Porch is in the first phone, too.
        matrix.read(&matrix.readers[0], to, &texts).await?;
    }
    eprintln!("all of them read on all devices, {:.0} a second", messages / began.elapsed().as_secs_f64());
    for person in matrix.readers.iter().chain(&matrix.tablets).chain(&matrix.senders) {
        let status = person.status().await?;
        let home = person.place.home.display();
        ensure!(status.unreadable == 0, "{home}: {status:?}; of all of them: {:#?}", reasons.kept());
    }
    for (from, to, conversation) in &matrix.pairs {
        let found = matrix.senders[*from].conversations().await?.into_iter().find(|c| c.id == *conversation);
        ensure!(found.context("it is there")?.members.len() == 1, "to senders {to} is one person");
    }
    matrix.stop().await;
    Ok(())
}
