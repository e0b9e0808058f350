//! "Forget me", by people's own clients on the built server: others see that the account is gone, nobody gets its handle, and nothing
//! of it is in any file.

use anyhow::{Context as _, Result, ensure};
use parlour_client::api::{ConversationState, Intent, Reply, Target};
use parlour_scenario::person::{Person, Place, befriend, talk};
use parlour_scenario::process::Server;
use std::collections::BTreeMap;
use std::path::Path;

const PASSWORD: &str = "a password to forget";
/// Of the server's table: freed handles and closed mailboxes, all that stays of an account.
const STAYS: [u8; 2] = [9, 24];

/// How many rows there are of each kind that is not a room's; 255: waiting rows.
fn kinds(data: &Path) -> Result<BTreeMap<u8, u64>> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(data.join("store.db"), flags)?;
    let sql = "SELECT kind, count(*) FROM row WHERE kind NOT BETWEEN 16 AND 21 GROUP BY kind
        UNION ALL SELECT 255, count(*) FROM entry";
    let mut statement = database.prepare(sql)?;
    let counts = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(counts.collect::<Result<_, _>>()?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_goes_is_gone_for_everybody() -> Result<()> {
    let server = Server::up()?;
    let place = |name: &str| Place::new(server.scratch(), name, server.site());
    let (at, den, eve) = (place("ana"), place("ben"), place("eve"));
    let ana = Person::sign_up(&at, "den", "anaforgotten", PASSWORD).await?;
    let ben = Person::sign_up(&den, "den", "benstays", PASSWORD).await?;
    let (at_ana, at_ben) = befriend(&ana, &ben).await?;
    talk((&ana, at_ana), (&ben, at_ben), "before").await?;
    let eve = Person::sign_up(&eve, "den", "evestays", PASSWORD).await?;
    let (_, eve_at_ben) = befriend(&eve, &ben).await?;
    let (ana_at_eve, _) = befriend(&eve, &ana).await?;
    let members = [&ana, &eve].map(|person| Target::Address(person.address.clone())).to_vec();
    let created = ben.ask(Intent::CreateGroup { title: "three".to_owned(), members }).await?;
    let Reply::Conversation(group) = created else { anyhow::bail!("no group") };
    for person in [&ana, &eve] {
        person.until_conversation(|c| c.is_group && c.state == ConversationState::Open).await?;
    }
    ben.say(group.id, "to all").await?;
    ben.until_sent().await?;
    let who = ana.account().await?;
    // Her home is told all that is held of her, as long as she is there.
    let Reply::Holdings(held) = ana.ask(Intent::Holdings).await? else { anyhow::bail!("no holdings") };
    ensure!(held.rows.iter().any(|row| row.which.starts_with("anaforgotten on den")), "{held:?}");
    let before = kinds(server.data())?;

    ana.ask(Intent::DeleteAccount).await?;
    let after = kinds(server.data())?;
    // Others see it: the conversations end, and the group goes on without her.
    ben.until_state(at_ben, ConversationState::Closed).await?;
    eve.until_state(ana_at_eve, ConversationState::Closed).await?;
    ben.until("the group without her", async || {
        let all = ben.conversations().await?;
        let found = all.iter().find(|c| c.id == group.id).context("the group")?;
        Ok((!found.members.iter().any(|member| member.account == who)).then_some(()))
    })
    .await?;
    ben.say(eve_at_ben, "life goes on").await?;
    ben.say(group.id, "so does the group").await?;
    let in_group = eve.until_conversation(|c| c.is_group).await?;
    eve.until_heard(in_group, "so does the group").await?;

    // Nothing more of her than keyed hashes, at once; others' rows come and go.
    let mine = |kind: u8| held.rows.iter().filter(|row| row.kind == u32::from(kind)).count() as u64;
    for kind in (1..=27).filter(|kind| !STAYS.contains(kind) && !(16..=21).contains(kind)) {
        let (was, is) = (before.get(&kind).copied().unwrap_or(0), after.get(&kind).copied().unwrap_or(0));
        let (least, most) = match kind {
            // Packages and counters of all devices move with each claim, doors and backups with each contact.
            5 | 13..=15 | 22 | 23 | 26 | 27 => (0, was),
            _ => (was - mine(kind), was - mine(kind)),
        };
        ensure!((least..=most).contains(&is), "kind {kind}: {was} before, {is} after, {} hers", mine(kind));
    }
    ensure!(after.get(&9) == Some(&2) && after.get(&24) == Some(&1), "{after:?}");
    // Nobody takes over her handle.
    let taken = Person::sign_up(&place("another"), "den", "anaforgotten", PASSWORD).await;
    ensure!(taken.is_err(), "the handle is free at once");
    let refused = ben.try_ask(Intent::Send {
        to: Target::Address("anaforgotten@den".to_owned()),
        body: parlour_client::api::Body::Text { text: "there?".to_owned(), in_reply_to: None, timer: None },
    });
    ensure!(refused.await?.is_err(), "a request to nobody is taken");
    for person in [ana, ben, eve] {
        person.stop().await;
    }
    Ok(())
}
