//! All devices are lost: the recovery key brings back account, contacts, conversations, settings, and the way to everybody.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use parlour_client::api::*;
use support::*;
use zeroize::Zeroizing;

/// Ada, with her recovery key.
fn ada(w: &mut World) -> (usize, Zeroizing<String>) {
    let client = w.home();
    let reply = w.ask(client, sign_up("bell", "+491701234500"));
    let Ok(Reply::SignedUp { recovery_key, .. }) = reply else { panic!("{reply:?}") };
    w.sync(client);
    (client, recovery_key)
}

fn sign_in(w: &mut World, recovery_key: &Zeroizing<String>) -> Result<usize, Failure> {
    let client = w.home();
    let Intent::SignUp { app, handle, proof } = sign_up("bell", "+491701234500") else { panic!() };
    let recovery_key = recovery_key.clone();
    w.ask(client, Intent::SignIn { app, handle, proof, recovery_key })?;
    w.sync(client);
    w.run_for(5_000);
    Ok(client)
}

/// Takes all other devices off the account's list.
fn revoke_others(w: &mut World, client: usize) {
    let Ok(Reply::Devices(devices)) = w.ask(client, Intent::Devices) else { panic!() };
    for device in devices.into_iter().filter(|device| !device.this) {
        w.ask(client, Intent::RevokeDevice { device: device.id }).unwrap();
    }
    w.run_for(20_000);
}

#[test]
fn the_recovery_key_brings_back_contacts_conversations_and_the_way_to_them() {
    let mut w = World::new(1);
    let (ada, words) = ada(&mut w);
    let (ben, cleo, dora) = (w.user(1), w.user(2), w.user(3));
    let (at_ada, _) = w.befriend(ada, ben, &bell(1));
    w.befriend(ada, cleo, &bell(2));
    w.befriend(ben, cleo, &bell(2));
    w.ask(ben, Intent::SetName { name: "Ben".into() }).unwrap();
    w.ask(ada, Intent::SetName { name: "Ada".into() }).unwrap();
    w.ask(ada, Intent::SetReports { delivered: true, read: false, typing: true }).unwrap();
    w.ask(ada, Intent::SetVerified { conversation: at_ada, verified: true }).unwrap();
    let members = vec![Target::Address(bell(1)), Target::Address(bell(2))];
    w.ask(ada, Intent::CreateGroup { title: "Choir".into(), members }).unwrap();
    w.send(dora, &bell(0), "let me in").unwrap();
    w.run_for(2_000);
    let request = w.requests(ada).pop().unwrap().id;
    w.ask(ada, Intent::Block { conversation: request }).unwrap();
    w.say(ada, at_ada, "before");
    assert!(!w.status(ada).backed_up);
    w.run_for(60_000);
    assert!(w.status(ada).backed_up);

    // The phone falls into the sea.
    w.offline(ada);
    let new = sign_in(&mut w, &words).unwrap();
    revoke_others(&mut w, new);
    w.run_for(120_000);

    let Ok(Reply::Identities(me)) = w.ask(new, Intent::WhoAmI) else { panic!() };
    assert_eq!(me[0].name, "Ada");
    let mut all: Vec<_> = w.conversations(new).into_iter().map(|c| (c.title, c.state, c.verified)).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    let open = ConversationState::Open;
    assert_eq!(all[0], (bell(2), open, false));
    assert_eq!(all[1], ("Ben".into(), open, true));
    assert_eq!(all[2].0, "Choir");
    assert_eq!(all[2].1, open, "a friend who may add people has brought her in again");
    assert_eq!(all.iter().filter(|c| c.1 == ConversationState::Closed).count(), all.len() - 3, "{all:?}");

    // Both ways, with both, and in the group; each sees one conversation, and one person.
    for (friend, title) in [(ben, "Ben"), (cleo, &bell(2)[..])] {
        let mine = w.conversations(new).into_iter().find(|c| c.title == title).unwrap();
        w.say(new, mine.id, "I am back");
        w.run_for(2_000);
        let theirs: Vec<_> = w.conversations(friend).into_iter().filter(|c| !c.is_group && c.title == "Ada").collect();
        assert_eq!(theirs.len(), 1, "{theirs:?}");
        assert_eq!(w.texts(friend, theirs[0].id).last().unwrap(), "I am back");
        w.say(friend, theirs[0].id, "welcome");
        w.run_for(2_000);
        assert_eq!(w.texts(new, mine.id).last().unwrap(), "welcome");
    }
    let group = the_group(&mut w, new);
    assert_eq!(group.members.len(), 2);
    w.say(new, group.id, "la la");
    w.run_for(2_000);
    let at_cleo = the_group(&mut w, cleo);
    assert_eq!((w.texts(cleo, at_cleo.id).last().unwrap().as_str(), at_cleo.members.len()), ("la la", 2));
    // Who was blocked still is.
    assert!(w.send(dora, &bell(0), "and now?").is_err() || w.requests(new).is_empty());
    assert_eq!(w.status(new).unreadable, 0);

    // The phone is found on the beach.
    w.clients[ada].network = true;
    w.run_for(70_000);
    let out = w.clients[ada].events.iter().any(|event| matches!(event, Event::SignedOut { .. }));
    assert!(out, "it is out");
}

#[test]
fn the_server_gets_nothing_that_can_be_read_and_another_key_opens_nothing() {
    let mut w = World::new(2);
    let (ada, words) = ada(&mut w);
    let ben = w.user(1);
    w.befriend(ada, ben, &bell(1));
    w.ask(ben, Intent::SetName { name: "Benedikta".into() }).unwrap();
    w.run_for(120_000);
    let account = w.account(ada);
    let chunks = w.server.backups[&account].clone();
    assert!(chunks.len() >= 4, "{}", chunks.len());
    let has = |what: &[u8]| chunks.values().any(|chunk| chunk.windows(what.len()).any(|part| part == what));
    let ben_s = w.account(ben).account.0;
    for secret in [b"Benedikta".as_slice(), b"4917012345", &ben_s] {
        assert!(!has(secret), "{:02x?}", secret);
    }
    // A server that gives out somebody else's backup.
    let other = w.user(5);
    w.run_for(120_000);
    let other_s = w.account(other);
    let theirs = w.server.backups[&other_s].clone();
    w.server.backups.insert(account.clone(), theirs);
    w.offline(ada);
    let new = sign_in(&mut w, &words).unwrap();
    w.run_for(60_000);
    assert!(w.conversations(new).is_empty());
    // One that gives out rubbish, and an end that never comes, is endured, too.
    w.server.backups.insert(account, (0..40u8).map(|n| ([n; 16], vec![n; 100].into())).collect());
    let third = sign_in(&mut w, &words).unwrap();
    w.run_for(60_000);
    assert!(matches!(w.ask(third, Intent::WhoAmI), Ok(Reply::Identities(me)) if me.len() == 1));
}

#[test]
fn a_change_costs_a_chunk_and_a_revoked_device_changes_the_key() {
    let mut w = World::new(3);
    let (ada, words) = ada(&mut w);
    let friends: Vec<usize> = (1..8).map(|n| w.user(n)).collect();
    for (n, friend) in friends.iter().enumerate() {
        w.befriend(ada, *friend, &bell(n as u32 + 1));
    }
    w.run_for(120_000);
    let account = w.account(ada);
    let before = w.server.backups[&account].clone();
    let first = w.conversations(ada)[0].id;
    w.ask(ada, Intent::SetVerified { conversation: first, verified: true }).unwrap();
    w.run_for(120_000);
    let after = w.server.backups[&account].clone();
    let changed = after.iter().filter(|(name, chunk)| before.get(*name) != Some(*chunk)).count();
    assert_eq!((changed, after.len()), (1, before.len()));
    // A message costs the stretch of its conversation in which it is, and nothing else.
    w.say(ada, first, "hello again");
    w.run_for(120_000);
    let said = w.server.backups[&account].clone();
    let changed: Vec<_> = said.iter().filter(|(name, chunk)| after.get(*name) != Some(*chunk)).collect();
    assert_eq!((changed.len(), changed[0].0[0], said.len()), (1, 1, after.len()));
    let after = said;

    let new = sign_in(&mut w, &words).unwrap();
    w.run_for(120_000);
    let Ok(Reply::Devices(devices)) = w.ask(ada, Intent::Devices) else { panic!() };
    let device = devices.into_iter().find(|device| !device.this).unwrap().id;
    w.ask(ada, Intent::RevokeDevice { device }).unwrap();
    w.run_for(120_000);
    let renewed = w.server.backups[&account].clone();
    let page = [0; 16];
    assert_ne!(renewed[&page], after[&page]);
    let kept = renewed.keys().filter(|name| **name != page && after.contains_key(*name)).count();
    assert_eq!(kept, 0, "no chunk is left under the key that the revoked device knows");
    let _ = new;
    w.offline(ada);
    let last = sign_in(&mut w, &words).unwrap();
    w.run_for(60_000);
    assert_eq!(w.conversations(last).len(), friends.len());
}

#[test]
fn the_way_back_takes_no_word() {
    let mut w = World::new(19);
    let (ada, words) = ada(&mut w);
    let ben = w.user(1);
    w.befriend(ada, ben, &bell(1));
    let members = vec![Target::Address(bell(1))];
    w.ask(ada, Intent::CreateGroup { title: "Choir".into(), members }).unwrap();
    w.run_for(60_000);
    w.offline(ada);
    let new = sign_in(&mut w, &words).unwrap();
    revoke_others(&mut w, new);
    w.run_for(120_000);
    let states: Vec<_> = w.conversations(new).into_iter().map(|c| (c.is_group, c.state)).collect();
    assert_eq!(states.len(), 2);
    assert!(states.iter().all(|(_, state)| *state == ConversationState::Open), "{states:?}");
}
