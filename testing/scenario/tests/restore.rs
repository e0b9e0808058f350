//! The server's disk is lost: a backup, taken while it ran, becomes a new one, and everybody goes on.

use anyhow::{Result, ensure};
use parlour_client::api::{ConversationId, ConversationState, Failure, Intent, Reply, Target};
use parlour_scenario::binary::parlour;
use parlour_scenario::person::{Person, Place, befriend, exactly_once, talk};
use parlour_scenario::process::Server;
use parlour_shell::runner::IntentError;
use std::path::{Path, PathBuf};
use std::process::Command;

fn run(args: &[&str], paths: &[(&str, &Path)]) -> Result<()> {
    let mut command = Command::new(parlour()?);
    command.args(args);
    for (flag, path) in paths {
        command.arg(flag).arg(path);
    }
    let output = command.output()?;
    ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A backup of a running server, and its keys.
fn back_up(server: &Server, name: &str) -> Result<(PathBuf, PathBuf)> {
    let (backup, keys) = (server.scratch().join(name), server.scratch().join(format!("{name}.keys")));
    run(&["backup"], &[("--data", server.data()), ("--to", &backup), ("--keys-to", &keys)])?;
    Ok((backup, keys))
}

/// The disk is lost: the data directory is made of the backup; the configuration is the operator's.
fn restore(server: &mut Server, (backup, keys): &(PathBuf, PathBuf)) -> Result<()> {
    let data = server.data().to_owned();
    let config = std::fs::read(data.join("parlour.toml"))?;
    std::fs::remove_dir_all(&data)?;
    run(&["restore"], &[("--from", backup), ("--keys", keys), ("--data", &data)])?;
    std::fs::write(data.join("parlour.toml"), config)?;
    server.start()
}

async fn all_talk(people: &[(&Person, ConversationId)], mark: &str) -> Result<()> {
    for (index, (person, conversation)) in people.iter().enumerate() {
        person.say(*conversation, &format!("{mark} {index}")).await?;
    }
    for (listener, (person, conversation)) in people.iter().enumerate() {
        for index in (0..people.len()).filter(|index| *index != listener) {
            person.until_heard(*conversation, &format!("{mark} {index}")).await?;
        }
    }
    Ok(())
}

/// What somebody heard in a conversation of these texts is each of them, once.
async fn heard_once(person: &Person, conversation: ConversationId, texts: &[&str]) -> Result<()> {
    let heard = person.heard(conversation).await?;
    for text in texts {
        exactly_once(&[(*text).to_owned()], &heard)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_friends_and_a_group_go_on_after_the_disk_was_lost() -> Result<()> {
    let mut server = Server::up()?;
    let place = |server: &Server, name: &str| Place::new(server.scratch(), name, server.site());
    let ana = Person::sign_up(&place(&server, "ana"), "den", "ana", "a password").await?;
    let ben = Person::sign_up(&place(&server, "ben"), "den", "ben", "a password").await?;
    let cid = Person::sign_up(&place(&server, "cid"), "den", "cid", "a password").await?;
    let eve = Person::sign_up(&place(&server, "eve"), "den", "eve", "a password").await?;
    let (ab, ba) = befriend(&ana, &ben).await?;
    befriend(&ana, &cid).await?;
    befriend(&ana, &eve).await?;
    let members = [&ben, &cid, &eve].map(|person| Target::Address(person.address.clone())).to_vec();
    let made = ana.ask(Intent::CreateGroup { title: "Garden".into(), members }).await?;
    let Reply::Conversation(made) = made else { anyhow::bail!("{made:?}") };
    let mut in_group = vec![made.id];
    for person in [&ben, &cid, &eve] {
        in_group.push(person.until_conversation(|c| c.is_group && c.members.len() == 3).await?);
    }
    talk((&ana, ab), (&ben, ba), "before").await?;
    let people = [(&ana, in_group[0]), (&ben, in_group[1]), (&cid, in_group[2]), (&eve, in_group[3])];
    all_talk(&people, "group before").await?;

    let kept = back_up(&server, "kept")?;
    // After it: heard; acknowledged and not heard; somebody comes, somebody is taken out.
    talk((&ana, ab), (&ben, ba), "after").await?;
    let gone = eve.account().await?;
    ana.ask(Intent::RemoveMember { conversation: in_group[0], member: gone.clone() }).await?;
    cid.until_conversation(|c| c.is_group && c.members.len() == 2).await?;
    let dan = Person::sign_up(&place(&server, "dan"), "den", "dan", "a password").await?;
    let cid = {
        let place = cid.stop().await;
        ben.say(in_group[1], "nobody has this").await?;
        ben.until_sent().await?;
        place
    };
    let ben_place = ben.stop().await;
    ana.say(ab, "ben has it not").await?;
    ana.until_sent().await?;

    server.kill()?;
    restore(&mut server, &kept)?;
    ensure!(server.site().metric("parlour_incarnation").await? > 1.7e12, "another incarnation");
    ana.sync().await?;
    let ben = Person::back(&ben_place).await?;
    let cid = Person::back(&cid).await?;

    ben.until_heard(ba, "ben has it not").await?;
    talk((&ana, ab), (&ben, ba), "then").await?;
    let direct_ana = ["before one", "after one", "ben has it not", "then one"];
    heard_once(&ben, ba, &direct_ana).await?;
    heard_once(&ana, ab, &["before other", "after other", "then other"]).await?;
    let people = [(&ana, in_group[0]), (&ben, in_group[1]), (&cid, in_group[2])];
    all_talk(&people, "group then").await?;
    cid.until_heard(in_group[2], "nobody has this").await?;
    ana.until_heard(in_group[0], "nobody has this").await?;
    heard_once(&cid, in_group[2], &["nobody has this", "group before 0", "group then 0", "group then 1"]).await?;
    heard_once(&ana, in_group[0], &["nobody has this", "group before 1", "group then 1", "group then 2"]).await?;
    for person in [&ana, &ben, &cid] {
        let groups: Vec<_> = person.conversations().await?.into_iter().filter(|c| c.is_group).collect();
        ensure!(groups.len() == 1 && groups[0].state == ConversationState::Open, "{groups:?}");
        ensure!(!groups[0].members.iter().any(|member| member.account == gone), "who was removed is out");
        let status = person.status().await?;
        ensure!((status.queued, status.unreadable) == (0, 0), "{status:?}");
    }
    // Who was taken out hears nothing of it.
    eve.sync().await?;
    let theirs = eve.heard(in_group[3]).await?;
    ensure!(!theirs.iter().any(|text| text.starts_with("group then") || text == "nobody has this"), "{theirs:?}");
    // Who came after the backup is not known any more, and learns it.
    let refused = dan.until("being told", async || Ok(dan.try_ask(Intent::Sync).await?.err())).await?;
    ensure!(matches!(refused, IntentError::Failed(Failure::NotSignedIn)), "{refused:?}");
    Ok(())
}
