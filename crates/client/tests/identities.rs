//! One home that answers for several accounts: linked, read in one place, written from as each, unlinked.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use parlour_client::api::*;
use parlour_proto::frames::{AppId, Push, ReachRule, ServerFrame};
use parlour_proto::ids::DeviceId;
use std::collections::HashSet;
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

    // So do whispers.
    let before = w.server.whispers;
    for conversation in &all {
        w.ask(phone, Intent::Typing { conversation: conversation.id, typing: true }).unwrap();
    }
    w.run_for(2_000);
    let seen = w.clients[ben].events.iter().filter_map(|event| match event {
        Event::Typing { who, typing: true, .. } => Some(who.app.as_str().to_owned()),
        _ => None,
    });
    let mut seen: Vec<String> = seen.collect();
    seen.sort();
    assert_eq!((seen, w.server.whispers - before), (vec!["bell".to_owned(), "den".to_owned()], 2));

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

/// Devices on an account's list, as one of them shows it.
fn devices(w: &mut World, client: usize) -> usize {
    let Ok(Reply::Devices(devices)) = w.ask(client, Intent::Devices) else { panic!() };
    devices.len()
}

#[test]
fn linking_an_account_twice_leaves_no_ghost_on_its_list() {
    let (mut w, phone, laptop, ben) = ada_and_ben(6);
    link_account(&mut w, laptop, phone);
    for n in 0..3 {
        let Ok(Reply::LinkCode { code, .. }) = w.ask(laptop, Intent::OfferLink) else { panic!() };
        let twice = w.start_intent(phone, Intent::LinkAccount { code, name: "a ghost".into() });
        w.run();
        w.ask(laptop, Intent::ConfirmLink { yes: true }).unwrap();
        w.run_for(30_000);
        assert!(matches!(w.reply(phone, twice), Some(Err(Failure::BadInput(_)))), "{:?}", w.reply(phone, twice));
        assert_eq!((devices(&mut w, laptop), identities(&mut w, phone).len()), (2, 2), "time {n}");
        assert!((2..8).all(|number| rows_of(&w, phone, IdentityId(number)) == 0));
    }
    // What is said comes to the one that is here, and to nobody else.
    let at_ben = w.conversations(ben).into_iter().find(|c| c.title.contains("den")).unwrap().id;
    w.say(ben, at_ben, "once");
    w.run_for(2_000);
    let said: Vec<String> = w
        .conversations(phone)
        .into_iter()
        .map(|c| c.id)
        .collect::<Vec<_>>()
        .into_iter()
        .flat_map(|id| w.texts(phone, id))
        .collect();
    assert_eq!(said.iter().filter(|text| *text == "once").count(), 1);
    assert_eq!(w.status(phone).unreadable, 0);
}

#[test]
fn a_crash_after_linking_an_account_twice_leaves_no_ghost_either() {
    // (Before the first of them its keys are not even stored: that device is nobody, and goes off the list after a day.)
    for n in (6..60).step_by(4) {
        let (mut w, phone, laptop, _) = ada_and_ben(200 + n);
        link_account(&mut w, laptop, phone);
        let Ok(Reply::LinkCode { code, .. }) = w.ask(laptop, Intent::OfferLink) else { panic!() };
        w.start_intent(phone, Intent::LinkAccount { code, name: "a ghost".into() });
        w.run();
        w.clients[phone].crash_at = Some(w.clients[phone].effects + n);
        w.ask(laptop, Intent::ConfirmLink { yes: true }).unwrap();
        w.run_for(60_000);
        assert_eq!(identities(&mut w, phone).len(), 2, "{n}");
        let stored = (2..8).map(|number| rows_of(&w, phone, IdentityId(number))).sum::<usize>();
        assert_eq!((devices(&mut w, laptop), stored), (2, 0), "{n}");
    }
}

#[test]
fn a_crash_while_an_account_is_linked_or_unlinked_leaves_it_whole_or_not_at_all() {
    for n in (1..40).step_by(3) {
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

#[test]
fn where_messages_are_shown_is_said_from_any_device_and_known_on_all() {
    let (mut w, phone, laptop, _) = ada_and_ben(4);
    let identity = link_account(&mut w, laptop, phone);
    let Ok(Reply::Devices(devices)) = w.ask(laptop, Intent::Devices) else { panic!() };
    let at_phone = devices.iter().find(|device| !device.this).unwrap().id;
    let showing = Showing { off: true, quiet: Some((22 * 60, 7 * 60)) };
    w.ask(laptop, Intent::SetShowing { device: at_phone, showing }).unwrap();
    w.run();
    assert_eq!(identities(&mut w, phone)[1].showing, showing, "at once, without any waiting");
    assert_eq!(identities(&mut w, phone)[0].showing, Showing::default(), "of the other account nothing is said");
    let back = Showing { off: false, ..showing };
    w.ask(phone, Intent::SetShowing { device: at_phone, showing: back }).unwrap();
    w.run();
    let Ok(Reply::Devices(devices)) = w.ask(laptop, Intent::Devices) else { panic!() };
    assert_eq!(devices.iter().find(|device| device.id == at_phone).unwrap().showing, back);
    let wrong = Showing { off: false, quiet: Some((1440, 0)) };
    let reply = w.ask(phone, Intent::As(identity, Box::new(Intent::SetShowing { device: at_phone, showing: wrong })));
    assert!(matches!(reply, Err(Failure::BadInput(_))), "{reply:?}");
}

/// What each device of an account shows, as one of them knows it.
fn shown(w: &mut World, client: usize) -> Vec<(DeviceId, Showing)> {
    let Ok(Reply::Devices(devices)) = w.ask(client, Intent::Devices) else { panic!() };
    devices.into_iter().map(|device| (device.id, device.showing)).collect()
}

/// A second device of Ada's, so many steps after it was agreed to; both devices, the older one first.
fn linked_and_stepped(seed: u64, steps: usize) -> (World, [usize; 2], Vec<DeviceId>) {
    let mut w = World::new(seed);
    let (old, new) = (w.user(0), w.home());
    let Ok(Reply::LinkCode { code, .. }) = w.ask(old, Intent::OfferLink) else { panic!() };
    let linking = w.start_intent(new, Intent::Link { code, name: "Tablet".into() });
    w.run();
    w.ask(old, Intent::ConfirmLink { yes: true }).unwrap();
    w.run();
    assert!(matches!(w.reply(new, linking), Some(Ok(Reply::Linked { .. }))));
    let devices = shown(&mut w, new).into_iter().map(|(id, _)| id).collect();
    w.clients[new].synced = true;
    w.start_intent(new, Intent::Sync);
    for _ in 0..steps {
        w.step();
    }
    (w, [old, new], devices)
}

#[test]
fn where_messages_are_shown_is_known_on_all_when_it_is_chosen_while_a_device_is_on_its_way() {
    const CHOSEN: Showing = Showing { off: true, quiet: Some((22 * 60, 7 * 60)) };
    for steps in (0..24).step_by(3) {
        for (by, of) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (mut w, clients, devices) = linked_and_stepped(500, steps);
            w.start_intent(clients[by], Intent::SetShowing { device: devices[of], showing: CHOSEN });
            w.run_for(60_000);
            let mut expected = vec![(devices[0], Showing::default()), (devices[1], Showing::default())];
            expected[of].1 = CHOSEN;
            for client in clients {
                assert_eq!(shown(&mut w, client), expected, "on {client}, chosen by {by} for {of} after {steps}");
            }
        }
    }
}

#[test]
fn where_messages_are_shown_is_the_same_on_all_when_two_choose_at_once() {
    for steps in [0, 5, 10, 1_000] {
        let (mut w, clients, devices) = linked_and_stepped(510, steps);
        for (client, quiet) in clients.into_iter().zip([(1, 2), (3, 4)]) {
            let showing = Showing { off: false, quiet: Some(quiet) };
            w.start_intent(client, Intent::SetShowing { device: devices[0], showing });
        }
        w.run_for(60_000);
        let known = shown(&mut w, clients[0]);
        assert_ne!(known[0].1, Showing::default(), "{steps}");
        assert_eq!(known, shown(&mut w, clients[1]), "{steps}");
    }
}

#[test]
fn what_a_device_reported_before_it_went_is_not_missed_where_it_comes_later() {
    let (mut w, [ada, tablet], _) = linked_and_stepped(520, 1_000);
    w.run_for(30_000);
    let (ben, phone) = (w.user(1), w.user(2));
    let (_, at_ben) = w.befriend(ada, ben, &bell(1));
    let identity = link_account(&mut w, ada, phone);
    w.run_for(30_000);
    // The tablet hears that the phone is gone before it hears the phone.
    w.hold(tablet);
    w.say(ben, at_ben, "to all of them");
    w.run_for(5_000);
    w.ask(phone, Intent::Unlink { identity }).unwrap();
    w.run_for(5_000);
    let mut late = Vec::new();
    let is_rows = |input: &Input| matches!(input, Input::Frame(_, ServerFrame::Push(Push::Rows { .. })));
    w.release_with(tablet, |inputs| {
        let (rows, others) = std::mem::take(inputs).into_iter().partition(is_rows);
        *inputs = others;
        late = rows;
    });
    w.run_for(1_000);
    assert_eq!(devices(&mut w, tablet), 2);
    for input in late {
        let Input::Frame(_, ServerFrame::Push(push)) = input else { panic!() };
        w.inject(tablet, push);
    }
    w.run_for(60_000);
    assert_eq!(w.all_texts(tablet), ["hello", "to all of them"]);
    for client in [ada, tablet, ben] {
        assert_eq!((w.status(client).unreadable, w.status(client).refused), (0, 0), "{client}");
    }
}

/// Ben's conversation with somebody who is on this app.
fn with_app(w: &mut World, ben: usize, app: &str) -> Conversation {
    let of = |c: &Conversation| c.members.iter().any(|member| member.account.app.as_str() == app);
    w.conversations(ben).into_iter().find(of).unwrap()
}

fn rules(w: &mut World, client: usize, intent: Intent) -> Vec<(AppId, ReachRule)> {
    match w.ask(client, intent) {
        Ok(Reply::Reach(rules)) => rules,
        other => panic!("{other:?}"),
    }
}

fn picture(w: &mut World, client: usize, intent: Intent) -> Option<Picture> {
    match w.ask(client, intent) {
        Ok(Reply::Picture(picture)) => picture,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_linked_account_has_a_door_of_its_own() {
    let (mut w, phone, laptop, _) = ada_and_ben(7);
    let identity = link_account(&mut w, laptop, phone);
    let as_den = |intent| Intent::As(identity, Box::new(intent));
    let porch = AppId::parse("porch").unwrap();
    let at_bell = rules(&mut w, phone, Intent::Reach);
    let reach = |rule| as_den(Intent::SetReach { from: porch.clone(), rule });
    let by_invite = |text: &str| Intent::Send { to: Target::Invite(text.to_owned()), body: body("by invite") };
    let on_porch = |w: &mut World, handle: &str| {
        let client = w.home();
        w.ask(client, sign_up("porch", handle)).unwrap();
        w.sync(client);
        client
    };

    assert!(rules(&mut w, phone, reach(ReachRule::Invite)).contains(&(porch.clone(), ReachRule::Invite)));
    let Ok(Reply::Invite { text, .. }) = w.ask(phone, as_den(Intent::CreateInvite { uses: 9, ttl_s: 3600 })) else {
        panic!()
    };
    assert!(text.starts_with("parlour:invite/den/"), "{text}");
    let (cleo, dora) = (on_porch(&mut w, "cleo"), on_porch(&mut w, "dora"));
    w.ask(cleo, by_invite(&text)).unwrap();
    w.run_for(2_000);
    let Ok(Reply::Requests(asked)) = w.ask(phone, as_den(Intent::Requests)) else { panic!() };
    let [request] = &asked[..] else { panic!("{asked:?}") };
    w.ask(phone, Intent::Accept { request: request.id }).unwrap();
    w.run_for(5_000);
    assert_eq!(with_app(&mut w, cleo, "den").state, ConversationState::Open);

    // What one account revokes, or shuts, the other does not.
    w.ask(phone, Intent::RevokeInvites).unwrap();
    w.ask(dora, by_invite(&text)).unwrap();
    w.ask(phone, as_den(Intent::RevokeInvites)).unwrap();
    let emil = on_porch(&mut w, "emil");
    assert!(matches!(w.ask(emil, by_invite(&text)), Err(Failure::NotReachable)));
    w.ask(phone, reach(ReachRule::Ask)).unwrap();
    w.send(emil, "ada@den", "hello").unwrap();
    w.ask(phone, reach(ReachRule::Nobody)).unwrap();
    let fay = on_porch(&mut w, "fay");
    assert!(matches!(w.send(fay, "ada@den", "hello"), Err(Failure::NotReachable)));
    assert_eq!(rules(&mut w, phone, Intent::Reach), at_bell);

    w.ask(phone, Intent::Unlink { identity }).unwrap();
    assert!(matches!(w.ask(phone, as_den(Intent::Reach)), Err(Failure::NotFound("account"))));
}

#[test]
fn a_linked_account_has_a_name_a_picture_and_reports_of_its_own() {
    let (mut w, phone, laptop, ben) = ada_and_ben(8);
    let identity = link_account(&mut w, laptop, phone);
    let as_den = |intent| Intent::As(identity, Box::new(intent));
    let own = identities(&mut w, phone).swap_remove(0);
    let name_at_bell = with_app(&mut w, ben, "bell").title;

    let chosen = Picture::new("image/webp", vec![7; 3_000].into());
    w.ask(phone, as_den(Intent::SetProfile { name: "Ada".into(), picture: chosen.clone() })).unwrap();
    w.ask(phone, as_den(Intent::SetName { name: "A. of the house".into() })).unwrap();
    w.ask(phone, as_den(Intent::SetReports { delivered: true, read: false, typing: true })).unwrap();
    w.run_for(5_000);
    let (at_den, at_bell) = (with_app(&mut w, ben, "den"), with_app(&mut w, ben, "bell"));
    assert_eq!((at_den.title.as_str(), at_bell.title), ("A. of the house", name_at_bell));
    assert_eq!((at_den.members[0].picture.is_some(), at_bell.members[0].picture), (true, None));
    assert_eq!(picture(&mut w, phone, as_den(Intent::Picture { of: None })), chosen);
    assert_eq!(picture(&mut w, phone, Intent::Picture { of: None }), None);

    // What is read is told by the one, and not by the other.
    let said = [at_den.id, at_bell.id].map(|id| (id, w.say(ben, id, "seen?")));
    w.run_for(2_000);
    for conversation in w.conversations(phone) {
        w.ask(phone, Intent::MarkRead { conversation: conversation.id }).unwrap();
    }
    w.run_for(2_000);
    let states = said.map(|(id, message)| w.messages(ben, id).into_iter().find(|one| one.id == message).unwrap().state);
    assert_eq!(states, [MessageState::Delivered, MessageState::Read]);

    // Its other device knows; the home's own account is as it was.
    let [of_laptop] = &identities(&mut w, laptop)[..] else { panic!() };
    assert_eq!((of_laptop.name.as_str(), of_laptop.reports.read), ("A. of the house", false));
    assert_eq!(identities(&mut w, phone)[0], own);
}

/// Sixteen bytes in a row, in none of whose parts of eight everybody's bytes are: what could be an identifier.
struct Telling(HashSet<[u8; 16]>);

impl Telling {
    fn of<'a>(all: impl IntoIterator<Item = &'a Vec<u8>>, everybody: &HashSet<[u8; 8]>) -> Self {
        let mut telling = HashSet::new();
        for bytes in all {
            // Since where nothing of everybody's was met.
            let mut from = 0;
            for (at, eight) in bytes.array_windows::<8>().enumerate() {
                if everybody.contains(eight) {
                    from = at + 1;
                } else if at >= from + 8 {
                    telling.insert(bytes[at - 8..at + 8].try_into().unwrap());
                }
            }
        }
        Self(telling)
    }

    fn shared(&self, other: &Self) -> Vec<[u8; 16]> {
        self.0.intersection(&other.0).copied().collect()
    }
}

fn eights<'a>(all: impl IntoIterator<Item = &'a Vec<u8>>) -> HashSet<[u8; 8]> {
    all.into_iter().flat_map(|bytes| bytes.array_windows::<8>()).copied().collect()
}

/// Every byte that the server gets from each of a home's accounts, and all that their friends come to know, over days of use:
/// nothing that could be an identifier is in both.
#[test]
fn nothing_that_the_server_or_a_friend_gets_is_shared_by_two_accounts_of_one_home() {
    let mut w = World::new(5);
    w.recorded = Some(Default::default());
    let (phone, ben, cleo, stranger) = (w.user(0), w.user(1), w.user(2), w.user(3));
    let laptop = den_user(&mut w, "ada");
    w.ask(phone, Intent::SetName { name: "Ada by phone".into() }).unwrap();
    w.ask(laptop, Intent::SetName { name: "A. of the house".into() }).unwrap();
    w.befriend(phone, ben, &bell(1));
    w.run_for(3_600_001);
    w.befriend(cleo, laptop, "ada@den");
    w.run_for(3_600_001);
    let identity = link_account(&mut w, laptop, phone);
    let dora = w.user(4);
    w.befriend(stranger, dora, &bell(4));
    for day in 0..3 {
        for conversation in w.conversations(phone) {
            let text = if conversation.identity == identity { "piano lessons" } else { "weather" };
            w.say(phone, conversation.id, &format!("{day} {text}"));
            w.ask(phone, Intent::MarkRead { conversation: conversation.id }).unwrap();
            // The hours of independent use.
            w.run_for(3_123_457);
        }
        w.run_for(20 * 3_600_000);
        w.crash(phone);
        w.run_for(10_000);
    }
    let recorded = w.recorded.take().unwrap();
    let frames = |client: usize, identity: IdentityId| recorded.get(&(client, identity)).into_iter().flatten();
    let everybody = eights(frames(stranger, IdentityId(0)));
    let as_bell = Telling::of(frames(phone, IdentityId(0)), &everybody);
    let as_den = Telling::of(frames(phone, identity), &everybody);
    assert!(as_bell.0.len() > 100_000 && as_den.0.len() > 100_000, "{} {}", as_bell.0.len(), as_den.0.len());
    let shared = as_bell.shared(&as_den);
    assert!(shared.is_empty(), "the server: {} shared, such as {:02x?}", shared.len(), shared[0]);
    // The same look finds what is there: the account that both devices of Den send.
    let at_laptop = Telling::of(frames(laptop, IdentityId(0)), &everybody);
    assert!(!as_den.shared(&at_laptop).is_empty());

    // What two friends know of the two accounts, decrypted.
    let rows = |client: usize| w.clients[client].rows.values();
    let everybody = eights(rows(stranger).chain(rows(dora)));
    let (at_ben, at_cleo) = (Telling::of(rows(ben), &everybody), Telling::of(rows(cleo), &everybody));
    let shared = at_ben.shared(&at_cleo);
    assert!(shared.is_empty(), "friends: {} shared, such as {:02x?}", shared.len(), shared[0]);
}
