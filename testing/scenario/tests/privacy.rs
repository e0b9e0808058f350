//! What the server wrote down: no text, name, handle, number, password, network address or user agent, anywhere.

use anyhow::{Context as _, Result, ensure};
use parlour_client::api::{Body, Intent, Reply, Target};
use parlour_scenario::http;
use parlour_scenario::person::{Person, Place, befriend, talk};
use parlour_scenario::process::Server;
use parlour_scenario::search::{Canary, Search, search_files};
use parlour_scenario::wire::{From, Role, Wire};
use std::path::Path;

const NUMBER: &str = "+493017171717171";
const DEN: &str = "canaryquetzal";
const PORCH: &str = "canary_bunting";
const PASSWORD: &str = "canary-Flamingo-Passw0rd!";
const NAMES: [&str; 3] = ["Canary Kestrel", "Canary Osprey", "Canary Pelican"];
const TEXTS: [&str; 8] = [
    "canary-text-first-contact-heron",
    "canary-text-online-plover",
    "canary-text-offline-curlew",
    "canary-text-invited-godwit",
    "canary-text-edited-dunlin",
    "canary-text-group-avocet",
    "canary-text-declined-stilt",
    "canary-text-across-apps-whimbrel",
];
const TITLE: &str = "Canary Group Lapwing";
const AGENT: &str = "CanaryAgent/77.7";
const SOURCE: [u8; 4] = [127, 0, 43, 177];

fn canaries() -> Vec<Canary> {
    let texts = [NUMBER, DEN, PORCH, PASSWORD, TITLE, AGENT, "127.0.43.177"];
    texts.iter().chain(&NAMES).chain(&TEXTS).map(|text| Canary::new(text)).collect()
}

/// Everything there is to read: files below the data directory, logs, metrics.
async fn search(server: &Server) -> Result<Search> {
    let canaries = canaries();
    let mut search = search_files(server.data(), &canaries, &[])?;
    search.add(Path::new("stderr"), server.log()?.as_bytes(), &canaries);
    if let Ok(metrics) = http::get(server.site().addr, "/metrics").await {
        search.add(Path::new("/metrics"), metrics.as_bytes(), &canaries);
    }
    // Clients come from loopback, which only the configuration may name.
    let loopback = [Canary::new("127.0.0.1")];
    search.finds.extend(search_files(server.data(), &loopback, &["parlour.toml"])?.finds);
    search.add(Path::new("stderr"), server.log()?.as_bytes(), &loopback);
    Ok(search)
}

async fn clean(server: &Server, when: &str) -> Result<()> {
    let search = search(server).await?;
    let names: Vec<_> = search.files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    ensure!(names.contains(&"store.db") && search.bytes > 100_000, "{when}: too little was read: {names:?}");
    ensure!(search.finds.is_empty(), "{when}: {:#?}", search.finds);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversation_leaves_no_canary_in_any_server_file() -> Result<()> {
    let mut server = Server::up()?;
    let place = |name: &str| Place::new(server.scratch(), name, server.site());
    let (bell, den, porch) = (place("bell"), place("den"), place("porch"));
    let bell = Person::sign_up(&bell, "bell", NUMBER, "").await?;
    let den = Person::sign_up(&den, "den", DEN, PASSWORD).await?;
    let porch = Person::sign_up(&porch, "porch", PORCH, PASSWORD).await?;
    for (person, name) in [&bell, &den, &porch].into_iter().zip(NAMES) {
        person.ask(Intent::SetName { name: name.to_owned() }).await?;
    }
    den.reachable_from("bell").await?;
    porch.reachable_from("bell").await?;
    porch.reachable_from("den").await?;

    // Online: a request across apps, its acceptance, talk.
    let (at_bell, _) = bell.write(Target::Address(den.address.clone()), TEXTS[0]).await?;
    let at_den = den.request().await?;
    clean(&server, "with a request waiting").await?;
    den.accept(at_den).await?;
    bell.say(at_bell, TEXTS[1]).await?;
    den.until_heard(at_den, TEXTS[1]).await?;
    talk((&den, at_den), (&bell, at_bell), TEXTS[7]).await?;
    let message = bell.say(at_bell, "to be edited").await?;
    let edit = Body::Edit { message, text: TEXTS[4].to_owned() };
    bell.ask(Intent::Send { to: Target::Conversation(at_bell), body: edit }).await?;

    // An invite; a group; a request that is declined.
    let Reply::Invite { text: invite, .. } = porch.ask(Intent::CreateInvite { uses: 1, ttl_s: 3600 }).await? else {
        anyhow::bail!("no invite")
    };
    let token = invite.rsplit(['/', '#']).next().context("a token")?.to_owned();
    den.write(Target::Invite(invite), TEXTS[3]).await?;
    let request = porch.request().await?;
    porch.ask(Intent::Decline { request }).await?;
    let (bell_porch, _) = befriend(&bell, &porch).await?;
    bell.say(bell_porch, TEXTS[6]).await?;
    let members = [&den, &porch].map(|person| Target::Address(person.address.clone())).to_vec();
    let Reply::Conversation(group) = bell.ask(Intent::CreateGroup { title: TITLE.to_owned(), members }).await? else {
        anyhow::bail!("no group")
    };
    bell.say(group.id, TEXTS[5]).await?;
    let at_porch = porch.until_conversation(|c| c.is_group).await?;
    porch.until_heard(at_porch, TEXTS[5]).await?;

    // Offline: rows wait.
    let den = den.stop().await;
    bell.say(at_bell, TEXTS[2]).await?;
    bell.until_sent().await?;
    ensure!(server.site().metric("parlour_store_appended_total").await? > 0.0, "rows were stored");
    clean(&server, "with rows waiting").await?;

    // Sign-in with a wrong password, a socket from somewhere with a name of its own, nonsense on it.
    let mut wire =
        Wire::connect_from(server.site(), Role::Inbox, From { source: SOURCE.into(), user_agent: AGENT }).await?;
    wire.send_raw(tokio_tungstenite::tungstenite::Message::binary(TEXTS[0].as_bytes().to_vec())).await?;
    wire.receive().await?;
    let handle = NUMBER.to_owned();
    let code = "000000".to_owned();
    wire.refused(parlour_proto::frames::Request::ProveCode { app: parlour_scenario::site::app("bell"), handle, code })
        .await?;
    let agent = Canary::new(&token);
    let found = search_files(server.data(), std::slice::from_ref(&agent), &[])?;
    ensure!(found.finds.is_empty(), "an invite's token: {:?}", found.finds);

    let den = Person::back(&den).await?;
    den.until_heard(at_den, TEXTS[2]).await?;
    clean(&server, "after all was read").await?;
    // No log line, metric or file names an account, not even by its id; and what people ask about themselves is not written down.
    let mut ids = Vec::new();
    for person in [&bell, &den, &porch] {
        person.ask(Intent::Holdings).await?;
        ids.push(Canary::new(&hex::encode(person.account().await?.account.0)));
    }
    let mut named = search_files(server.data(), &ids, &[])?;
    named.add(Path::new("stderr"), server.log()?.as_bytes(), &ids);
    named.add(Path::new("/metrics"), http::get(server.site().addr, "/metrics").await?.as_bytes(), &ids);
    ensure!(named.finds.is_empty(), "an account's id: {:#?}", named.finds);
    ensure!(server.stop()? == 0, "it stops in order");
    clean(&server, "after the stop").await?;
    server.start()?;
    clean(&server, "after a restart").await
}

#[test]
fn a_planted_canary_is_found() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for (index, text) in [NUMBER, PASSWORD, TEXTS[0]].iter().enumerate() {
        std::fs::write(dir.path().join(index.to_string()), format!("\0\0{text}\0"))?;
    }
    let search = search_files(dir.path(), &canaries(), &["2"])?;
    let mut found: Vec<_> = search.finds.iter().map(|find| find.text.as_str()).collect();
    found.dedup();
    found.sort_unstable();
    ensure!(found == [NUMBER, PASSWORD], "{found:?}");
    Ok(())
}
