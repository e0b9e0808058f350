//! One home that answers for several accounts: linked, read in one place, written from as each, unlinked.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use parlour_client::api::*;
use parlour_proto::frames::{AppId, ReachRule};
use support::*;

/// Somebody signed up on Den, whom everybody on Bell may ask.
fn den_user(w: &mut World, handle: &str) -> usize {
    let client = w.home();
    assert!(matches!(w.ask(client, sign_up("den", handle)), Ok(Reply::SignedUp { .. })));
    w.sync(client);
    let from = AppId::parse("bell").unwrap();
    w.ask(client, Intent::SetReach { from, rule: ReachRule::Ask }).unwrap();
    client
}

/// Links the account of `from` into the home `into`; the identity that it has there.
fn link_account(w: &mut World, from: usize, into: usize) -> IdentityId {
    let Ok(Reply::LinkCode { code, .. }) = w.ask(from, Intent::OfferLink) else { panic!() };
    let linking = w.start_intent(into, Intent::LinkAccount { code, name: "Bell on the phone".into() });
    w.run();
    w.ask(from, Intent::ConfirmLink { yes: true }).unwrap();
    w.run();
    assert!(matches!(w.reply(into, linking), Some(Ok(Reply::Linked { .. }))), "{:?}", w.reply(into, linking));
    w.run_for(30_000);
    identities(w, into).last().unwrap().id
}

fn identities(w: &mut World, client: usize) -> Vec<Identity> {
    match w.ask(client, Intent::WhoAmI) {
        Ok(Reply::Identities(all)) => all,
        other => panic!("{other:?}"),
    }
}

/// Ada has a Bell account and, on another device, a Den account; Ben writes with both, not knowing.
fn ada_and_ben(seed: u64) -> (World, usize, usize, usize) {
    let mut w = World::new(seed);
    let (phone, ben) = (w.user(0), w.user(1));
    let laptop = den_user(&mut w, "ada");
    w.befriend(phone, ben, &bell(1));
    w.befriend(ben, laptop, "ada@den");
    (w, phone, laptop, ben)
}

#[test]
fn a_linked_account_is_read_in_one_place_and_written_from_as_itself() {
    let (mut w, phone, laptop, ben) = ada_and_ben(1);
    let identity = link_account(&mut w, laptop, phone);
    let addresses: Vec<_> = identities(&mut w, phone).into_iter().map(|identity| identity.address).collect();
    assert_eq!(addresses, [bell(0), "ada@den".to_owned()]);
    let all = w.conversations(phone);
    assert_eq!(all.iter().map(|c| c.identity).collect::<Vec<_>>(), [identity, IdentityId(0)], "the newest first");
    assert_eq!(w.texts(phone, all[0].id), ["hello"]);

    // Each reply leaves under the address that was written to: Ben sees two people, each with what was said to them.
    w.say(phone, all[0].id, "as Den");
    w.say(phone, all[1].id, "as Bell");
    w.run_for(2_000);
    let mut at_ben: Vec<Vec<String>> = w
        .conversations(ben)
        .into_iter()
        .map(|c| c.id)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|id| w.texts(ben, id))
        .collect();
    at_ben.sort();
    assert_eq!(at_ben, [["hello", "as Bell"], ["hello", "as Den"]]);
    assert_eq!(w.all_texts(laptop), ["hello", "as Den"], "the app that it was linked from has it, too");

    // After a restart, too.
    w.crash(phone);
    w.run_for(10_000);
    for conversation in w.conversations(ben) {
        w.say(ben, conversation.id, "again");
    }
    w.run_for(5_000);
    for conversation in w.conversations(phone) {
        assert_eq!(w.texts(phone, conversation.id).last().unwrap(), "again");
    }
    assert_eq!(w.status(phone).unreadable, 0);
    let sockets: Vec<_> =
        w.clients[phone].sockets.iter().filter(|s| s.role == Role::Inbox).map(|s| s.identity).collect();
    assert_eq!(sockets, [IdentityId(0), identity], "each has a socket of its own");
}

fn rows_of(w: &World, client: usize, identity: IdentityId) -> usize {
    w.clients[client].rows.keys().filter(|key| key[2..4] == identity.0.to_be_bytes()).count()
}

#[test]
fn unlinking_leaves_nothing_behind() {
    // From here …
    let (mut w, phone, laptop, ben) = ada_and_ben(2);
    let identity = link_account(&mut w, laptop, phone);
    assert!(rows_of(&w, phone, identity) > 100);
    w.ask(phone, Intent::Unlink { identity }).unwrap();
    w.run_for(5_000);
    assert_eq!(rows_of(&w, phone, identity), 0);
    assert_eq!((identities(&mut w, phone).len(), w.conversations(phone).len()), (1, 1));
    let Ok(Reply::Devices(devices)) = w.ask(laptop, Intent::Devices) else { panic!() };
    assert_eq!(devices.len(), 1);
    let at_ben = w.conversations(ben).into_iter().find(|c| c.title.contains("den")).unwrap().id;
    w.say(ben, at_ben, "for Den alone");
    w.run_for(2_000);
    assert_eq!(w.all_texts(laptop).last().unwrap(), "for Den alone");
    assert_eq!(w.all_texts(phone), ["hello"]);
    // … and again, from there.
    let identity = link_account(&mut w, laptop, phone);
    let Ok(Reply::Devices(devices)) = w.ask(laptop, Intent::Devices) else { panic!() };
    let device = devices.into_iter().find(|device| !device.this).unwrap();
    assert_eq!(device.name, "Bell on the phone");
    w.ask(laptop, Intent::RevokeDevice { device: device.id }).unwrap();
    w.run_for(5_000);
    assert_eq!(rows_of(&w, phone, identity), 0);
    assert_eq!(w.conversations(phone).len(), 1);
    w.crash(phone);
    w.run_for(5_000);
    assert_eq!(identities(&mut w, phone).len(), 1);
}

#[test]
fn an_account_is_linked_once_and_a_wrong_code_changes_nothing() {
    let (mut w, phone, laptop, _) = ada_and_ben(3);
    let reply = w.ask(phone, Intent::LinkAccount { code: "000000000000".into(), name: "x".into() });
    assert!(matches!(reply, Err(Failure::BadInput(_))), "{reply:?}");
    w.run_for(5_000);
    assert_eq!(rows_of(&w, phone, IdentityId(1)), 0);
    link_account(&mut w, laptop, phone);
    let Ok(Reply::LinkCode { code, .. }) = w.ask(laptop, Intent::OfferLink) else { panic!() };
    let twice = w.start_intent(phone, Intent::LinkAccount { code, name: "x".into() });
    w.run();
    w.ask(laptop, Intent::ConfirmLink { yes: true }).unwrap();
    w.run_for(5_000);
    assert!(matches!(w.reply(phone, twice), Some(Err(Failure::BadInput(_)))), "{:?}", w.reply(phone, twice));
    assert_eq!((rows_of(&w, phone, IdentityId(2)), identities(&mut w, phone).len()), (0, 2));
}

#[test]
fn a_crash_while_an_account_is_linked_or_unlinked_leaves_it_whole_or_not_at_all() {
    for n in 1..40 {
        let (mut w, phone, laptop, _) = ada_and_ben(100 + n);
        let Ok(Reply::LinkCode { code, .. }) = w.ask(laptop, Intent::OfferLink) else { panic!() };
        w.start_intent(phone, Intent::LinkAccount { code, name: "x".into() });
        w.run();
        w.clients[phone].crash_at = Some(w.clients[phone].effects + n);
        w.ask(laptop, Intent::ConfirmLink { yes: true }).unwrap();
        w.run_for(60_000);
        let linked = identities(&mut w, phone).len() == 2;
        assert_eq!(linked, w.conversations(phone).len() == 2, "{n}");
        assert_eq!(linked, rows_of(&w, phone, IdentityId(1)) > 0, "{n}");
        if linked {
            w.clients[phone].crash_at = Some(w.clients[phone].effects + n / 4);
            w.start_intent(phone, Intent::Unlink { identity: IdentityId(1) });
            w.run_for(60_000);
            if identities(&mut w, phone).len() == 2 {
                w.ask(phone, Intent::Unlink { identity: IdentityId(1) }).unwrap();
                w.run_for(5_000);
            }
            assert_eq!(rows_of(&w, phone, IdentityId(1)), 0, "{n}");
        }
    }
}
