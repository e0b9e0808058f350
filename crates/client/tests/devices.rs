//! More devices for one account: linked by a code, told everything, writing as one, revoked.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use parlour_client::api::*;
use support::*;

/// A code shown by this client.
fn code(w: &mut World, client: usize) -> String {
    match w.ask(client, Intent::OfferLink) {
        Ok(Reply::LinkCode { code, scan, .. }) => {
            assert_eq!(code.len(), 15, "{code}");
            assert_eq!(scan, format!("parlour:link/bell/{}", code.replace(' ', "")));
            code
        }
        other => panic!("{other:?}"),
    }
}

fn link_ends(w: &World, client: usize) -> Vec<LinkEnd> {
    let ends = w.clients[client].events.iter();
    ends.filter_map(|event| if let Event::LinkEnded { why } = event { Some(*why) } else { None }).collect()
}

/// Links a new home to a client's account.
fn link(w: &mut World, old: usize) -> usize {
    let code = code(w, old);
    let new = w.home();
    let joining = w.start_intent(new, Intent::Link { code, name: "Tablet".into() });
    w.run();
    let asked =
        w.clients[old].events.iter().any(|event| matches!(event, Event::LinkAsked { name } if name == "Tablet"));
    assert!(asked, "{:?}", w.clients[old].events);
    assert!(w.reply(new, joining).is_none(), "not before the user agrees");
    assert!(matches!(w.ask(old, Intent::ConfirmLink { yes: true }), Ok(Reply::Ok)));
    w.run();
    let account = w.account(old);
    match w.reply(new, joining) {
        Some(Ok(Reply::Linked { account: linked, .. })) => assert_eq!(linked, account),
        other => panic!("{other:?}"),
    }
    w.sync(new);
    w.run_for(20_000);
    new
}

fn history(w: &World, client: usize) -> Option<(u64, u64)> {
    let events = w.clients[client].events.iter().rev();
    events.filter_map(|e| if let Event::History { to: None, done, of } = e { Some((*done, *of)) } else { None }).next()
}

/// What a conversation shows: who (own or not), what.
fn shown(w: &mut World, client: usize, conversation: ConversationId) -> Vec<(bool, String)> {
    let messages = w.messages(client, conversation).into_iter();
    messages.map(|message| (message.from.is_none(), message.text)).collect()
}

fn with(w: &mut World, client: usize, title: &str) -> ConversationId {
    let all = w.conversations(client);
    all.iter().find(|c| c.title == title).unwrap_or_else(|| panic!("{title} in {all:?}")).id
}

#[test]
fn a_linked_device_has_everything_and_writes_as_the_same_person() {
    let mut w = World::new(1);
    let (ada, ben) = (w.user(0), w.user(1));
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(1));
    for n in 0..250 {
        w.say(if n % 2 == 0 { ada } else { ben }, if n % 2 == 0 { at_ada } else { at_ben }, &format!("text {n}"));
    }
    let liked = w.messages(ada, at_ada).last().unwrap().id;
    let reaction = Body::Reaction { message: liked, emoji: "+".into() };
    w.ask(ada, Intent::Send { to: Target::Conversation(at_ada), body: reaction }).unwrap();
    w.ask(ada, Intent::SetName { name: "Ada".into() }).unwrap();
    w.ask(ben, Intent::SetName { name: "Ben".into() }).unwrap();
    w.ask(ada, Intent::MarkRead { conversation: at_ada }).unwrap();
    w.ask(ada, Intent::PutDraft { conversation: at_ada, text: Some("half a sen".into()) }).unwrap();
    w.run_for(5_000);
    let before = shown(&mut w, ada, at_ada);
    let tablet = link(&mut w, ada);

    let at_tablet = with(&mut w, tablet, "Ben");
    assert_eq!(shown(&mut w, tablet, at_tablet), before);
    let (done, of) = history(&w, tablet).unwrap();
    assert_eq!(done, of);
    assert_eq!(w.messages(tablet, at_tablet).iter().find(|m| m.id == liked).unwrap().reactions.len(), 1);
    assert_eq!(w.only_conversation(tablet).unread, 0);
    let Ok(Reply::Drafts(drafts)) = w.ask(tablet, Intent::Drafts) else { panic!() };
    assert_eq!(drafts, [(at_tablet, "half a sen".to_owned())]);
    let Ok(Reply::Identities(me)) = w.ask(tablet, Intent::WhoAmI) else { panic!() };
    assert_eq!((me[0].name.as_str(), me[0].address.as_str()), ("Ada", bell(0).as_str()));

    // One person, whichever device she writes from.
    w.say(tablet, at_tablet, "from the tablet");
    w.run_for(2_000);
    w.say(ada, at_ada, "from the phone");
    w.run_for(2_000);
    w.say(ben, at_ben, "to both");
    w.run_for(2_000);
    let mut after = before.clone();
    after.extend([(true, "from the tablet".into()), (true, "from the phone".into()), (false, "to both".into())]);
    assert_eq!(shown(&mut w, ada, at_ada), after);
    assert_eq!(shown(&mut w, tablet, at_tablet), after);
    let at_bens: Vec<_> = after.iter().map(|(own, text)| (!own, text.clone())).collect();
    assert_eq!(shown(&mut w, ben, at_ben), at_bens);
    assert_eq!(w.only_conversation(ben).members.len(), 1);

    // Read on one, read on the other.
    assert_eq!(w.only_conversation(ada).unread, 1);
    w.ask(tablet, Intent::MarkRead { conversation: at_tablet }).unwrap();
    w.run_for(1_000);
    assert_eq!(w.only_conversation(ada).unread, 0);
    for client in [ada, ben, tablet] {
        assert_eq!(w.status(client).unreadable, 0, "{client}");
    }
    let names: Vec<_> = devices(&mut w, ada).into_iter().map(|d| (d.name, d.this, d.seen.is_some())).collect();
    assert_eq!(names, [(String::new(), true, true), ("Tablet".to_owned(), false, true)]);
}

#[test]
fn a_wrong_code_burns_it() {
    let mut w = World::new(2);
    let ada = w.user(0);
    let code = code(&mut w, ada);
    let wrong = if code.ends_with('1') { format!("{}2", &code[..14]) } else { format!("{}1", &code[..14]) };
    let thief = w.home();
    let reply = w.ask(thief, Intent::Link { code: wrong, name: "x".into() });
    assert!(matches!(reply, Err(Failure::BadInput(_))), "{reply:?}");
    assert_eq!(link_ends(&w, ada), [LinkEnd::WrongCode]);
    // The right one, too late.
    let reply = w.ask(thief, Intent::Link { code, name: "x".into() });
    assert!(matches!(reply, Err(Failure::BadInput(_))), "{reply:?}");
    assert_eq!(devices(&mut w, ada).len(), 1);
    assert!(matches!(w.ask(ada, Intent::ConfirmLink { yes: true }), Err(Failure::NotFound(_))));
    // With a new one it goes.
    link(&mut w, ada);
    assert_eq!(devices(&mut w, ada).len(), 2);
}

#[test]
fn who_is_not_agreed_to_is_not_linked() {
    let mut w = World::new(3);
    let ada = w.user(0);
    let code = code(&mut w, ada);
    let other = w.home();
    let joining = w.start_intent(other, Intent::Link { code, name: "Not hers".into() });
    w.run();
    assert!(matches!(w.ask(ada, Intent::ConfirmLink { yes: false }), Ok(Reply::Ok)));
    w.run_for(1_000);
    assert!(matches!(w.reply(other, joining), Some(Err(Failure::BadInput(_)))));
    assert_eq!(devices(&mut w, ada).len(), 1);
}

#[test]
fn choices_made_on_one_device_hold_on_all() {
    let mut w = World::new(4);
    let (ada, ben, cleo, dora) = (w.user(0), w.user(1), w.user(2), w.user(3));
    let tablet = link(&mut w, ada);
    for (friend, text) in [(ben, "it is Ben"), (cleo, "it is Cleo"), (dora, "it is Dora")] {
        w.send(friend, &bell(0), text).unwrap();
    }
    w.run_for(2_000);
    assert_eq!((w.requests(ada).len(), w.requests(tablet).len()), (3, 3));
    let find = |w: &mut World, client: usize, text: &str| {
        w.requests(client).into_iter().find(|request| request.text.as_deref() == Some(text)).unwrap().id
    };
    let (yes, no, never) =
        (find(&mut w, tablet, "it is Ben"), find(&mut w, ada, "it is Cleo"), find(&mut w, ada, "it is Dora"));
    w.ask(tablet, Intent::Accept { request: yes }).unwrap();
    w.ask(ada, Intent::Decline { request: no }).unwrap();
    w.ask(ada, Intent::Block { conversation: never }).unwrap();
    w.run_for(5_000);
    assert_eq!((w.requests(ada).len(), w.requests(tablet).len()), (0, 0));
    let ben_s = w.only_conversation(ben).id;
    w.say(ben, ben_s, "thank you");
    w.run_for(2_000);
    for client in [ada, tablet] {
        let open: Vec<_> = w.conversations(client).into_iter().filter(|c| c.state == ConversationState::Open).collect();
        assert_eq!(open.len(), 1, "{client}: {open:?}");
        assert_eq!(w.texts(client, open[0].id), ["it is Ben", "thank you"], "{client}");
        assert_eq!(w.status(client).unreadable, 0);
    }
    // Somebody written to on one device is there on the other; and leaving a group is leaving it with both.
    let eve = w.user(4);
    w.send(tablet, &bell(4), "hello Eve").unwrap();
    w.run_for(2_000);
    let request = w.requests(eve).pop().unwrap();
    w.ask(eve, Intent::Accept { request: request.id }).unwrap();
    w.run_for(5_000);
    let at_ada = w.conversations(ada).into_iter().find(|c| c.last.as_ref().is_some_and(|l| l.text == "hello Eve"));
    let at_ada = at_ada.unwrap_or_else(|| panic!("not on the other device"));
    w.say(ada, at_ada.id, "it is still me");
    w.run_for(3_000);
    assert_eq!(w.texts(ada, at_ada.id), ["hello Eve", "it is still me"]);
    assert_eq!(w.all_texts(eve), ["hello Eve", "it is still me"]);

    let group = Intent::CreateGroup { title: "Choir".into(), members: vec![Target::Address(bell(4))] };
    w.ask(ada, group).unwrap();
    w.run_for(5_000);
    let (one, two) = (the_group(&mut w, ada), the_group(&mut w, tablet));
    assert_eq!((two.title.as_str(), two.members.len()), ("Choir", 1));
    w.say(tablet, two.id, "from the tablet");
    w.run_for(2_000);
    assert_eq!(w.texts(ada, one.id), ["from the tablet"]);
    w.ask(tablet, Intent::Leave { conversation: two.id }).unwrap();
    w.run_for(5_000);
    assert_eq!(the_group(&mut w, ada).state, ConversationState::Closed);
    let at_eve = the_group(&mut w, eve);
    assert!(at_eve.members.is_empty(), "{:?}", at_eve.members);
}

#[test]
fn a_revoked_device_gets_nothing_any_more() {
    let mut w = World::new(5);
    let (ada, ben) = (w.user(0), w.user(1));
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(1));
    let tablet = link(&mut w, ada);
    let at_tablet = w.only_conversation(tablet).id;
    w.say(tablet, at_tablet, "from the tablet");
    w.run_for(2_000);
    let device = this_device(&mut w, tablet);
    // Its home is copied while it is away.
    w.offline(tablet);
    let copied = w.clients[tablet].rows.clone();
    let reply = w.ask(ada, Intent::RevokeDevice { device });
    assert!(matches!(&reply, Ok(Reply::Devices(devices)) if devices.len() == 1), "{reply:?}");
    w.run_for(5_000);
    w.say(ada, at_ada, "without the tablet");
    w.say(ben, at_ben, "good");
    w.run_for(2_000);
    assert_eq!(w.all_texts(ben), w.all_texts(ada));

    w.clients[tablet].rows = copied;
    w.crash(tablet);
    w.clients[tablet].network = true;
    w.run_for(120_000);
    let gone = |w: &World| w.clients[tablet].events.iter().any(|event| matches!(event, Event::SignedOut { .. }));
    assert!(gone(&w), "it learns that it is out");
    let reply = w.ask(tablet, Intent::Send { to: Target::Conversation(at_tablet), body: body("let me in") });
    assert!(matches!(reply, Err(Failure::NotSignedIn)), "{reply:?}");
    assert_eq!(w.all_texts(ben), w.all_texts(ada));
    assert_eq!(w.all_texts(ben).last().unwrap(), "good");
}

#[test]
fn two_devices_that_give_up_a_third_one_at_once_find_nobody_interfering() {
    let mut w = World::new(31);
    let (ada, ben) = (w.user(1), w.user(2));
    w.befriend(ada, ben, &bell(2));
    let (tablet, third) = (link(&mut w, ada), link(&mut w, ada));
    let device = this_device(&mut w, third);
    w.start_intent(ada, Intent::RevokeDevice { device });
    w.start_intent(tablet, Intent::RevokeDevice { device });
    w.run_for(20_000);
    for client in [ada, tablet] {
        assert_eq!(devices(&mut w, client).len(), 2);
        assert!(!w.clients[client].events.iter().any(|event| matches!(event, Event::Interference { .. })));
    }
}

#[test]
fn a_device_that_a_thief_links_cannot_throw_the_others_out_before_they_could_remove_it() {
    let mut w = World::new(21);
    let (ada, ben) = (w.user(0), w.user(1));
    let (at_ada, _) = w.befriend(ada, ben, &bell(1));
    let thief = link(&mut w, ada);
    let (phone, stolen) = (this_device(&mut w, ada), this_device(&mut w, thief));
    let accomplice = link(&mut w, thief);
    for newcomer in [thief, accomplice] {
        let reply = w.ask(newcomer, Intent::RevokeDevice { device: phone });
        assert!(matches!(&reply, Err(Failure::BadInput(why)) if why.contains("24 hours")), "{reply:?}");
    }
    let told = |w: &World| w.clients[ada].events.iter().any(|e| matches!(e, Event::Devices { new: Some(_), .. }));
    assert!(told(&w), "the owner hears of what the thief has linked");
    w.ask(ada, Intent::RevokeDevice { device: stolen }).unwrap();
    let rest = this_device(&mut w, accomplice);
    w.ask(ada, Intent::RevokeDevice { device: rest }).unwrap();
    w.run_for(60_000);
    w.say(ada, at_ada, "safe again");
    w.run_for(2_000);
    for gone in [thief, accomplice] {
        assert!(w.clients[gone].events.iter().any(|event| matches!(event, Event::SignedOut { .. })));
    }
    // A day later a device is like any other.
    let tablet = link(&mut w, ada);
    w.run_for(24 * 3_600_000);
    w.ask(tablet, Intent::RevokeDevice { device: phone }).unwrap();
    w.run_for(5_000);
    assert!(w.clients[ada].events.iter().any(|event| matches!(event, Event::SignedOut { .. })));
}

/// Everything that a crash could cost while a device is linked: it dies before each of its effects in turn.
fn link_with_crashes(seed: u64, crashes: impl Fn(&mut World, usize, usize)) {
    let mut w = World::new(seed);
    let (ada, ben) = (w.user(0), w.user(1));
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(1));
    for n in 0..120 {
        w.say(ada, at_ada, &format!("text {n}"));
    }
    let code = code(&mut w, ada);
    let new = w.home();
    let joining = w.start_intent(new, Intent::Link { code, name: "Tablet".into() });
    w.run();
    assert!(matches!(w.ask(ada, Intent::ConfirmLink { yes: true }), Ok(Reply::Ok)));
    w.run();
    assert!(matches!(w.reply(new, joining), Some(Ok(_))));
    crashes(&mut w, ada, new);
    w.clients[new].synced = true;
    w.start_intent(new, Intent::Sync);
    for n in 0..10 {
        w.run_for(3_000);
        w.say_surely(ben, &Target::Conversation(at_ben), &format!("meanwhile {n}"));
    }
    w.run_for(60_000);
    let expected = w.texts(ada, at_ada);
    assert_eq!(expected.len(), 131);
    let at_new = w.only_conversation(new).id;
    assert_eq!(w.texts(new, at_new), expected);
    assert_eq!(w.status(new).unreadable + w.status(ada).unreadable, 0);
}

#[test]
fn a_crash_of_either_device_costs_nothing() {
    for n in (3..200).step_by(17) {
        link_with_crashes(100 + n, |w, old, _| w.clients[old].crash_at = Some(w.clients[old].effects + n));
        link_with_crashes(300 + n, |w, _, new| w.clients[new].crash_at = Some(w.clients[new].effects + n));
    }
}

#[test]
fn a_device_that_died_before_it_stored_its_keys_is_on_the_list_for_a_day() {
    const HOUR_MS: u64 = 3_600_000;
    let mut w = World::new(60);
    let (ada, ben) = (w.user(0), w.user(1));
    w.befriend(ada, ben, &bell(1));
    for before in 1..3 {
        let code = code(&mut w, ada);
        let dying = w.home();
        w.start_intent(dying, Intent::Link { code, name: "Tablet".into() });
        w.run();
        w.clients[dying].crash_at = Some(w.clients[dying].effects + 1);
        w.ask(ada, Intent::ConfirmLink { yes: true }).unwrap();
        w.run();
        assert!(matches!(w.ask(dying, Intent::WhoAmI), Ok(Reply::Identities(all)) if all.is_empty()));
        assert_eq!(devices(&mut w, ada).len(), before + 1);
        w.run_for(23 * HOUR_MS);
        assert_eq!(devices(&mut w, ada).len(), before + 1, "it may be off");
        w.run_for(2 * HOUR_MS);
        assert_eq!(devices(&mut w, ada).len(), before, "it never came");
        // The next one comes as if nothing had been.
        let tablet = link(&mut w, ada);
        assert_eq!((devices(&mut w, ada).len(), w.all_texts(tablet)), (before + 1, w.all_texts(ada)));
    }
}

#[test]
fn a_device_that_was_there_once_stays_on_the_list_however_long_it_is_away() {
    const HOUR_MS: u64 = 3_600_000;
    let mut w = World::new(61);
    let ada = w.user(0);
    let code = code(&mut w, ada);
    let late = w.home();
    w.start_intent(late, Intent::Link { code, name: "Tablet".into() });
    w.run();
    w.ask(ada, Intent::ConfirmLink { yes: true }).unwrap();
    w.run_for(20 * HOUR_MS);
    w.sync(late);
    w.run_for(20_000);
    w.stop(late);
    w.run_for(100 * HOUR_MS);
    assert_eq!(devices(&mut w, ada).len(), 2);
    w.start(late);
    w.run_for(20_000);
    assert!(!w.clients[late].events.iter().any(|event| matches!(event, Event::SignedOut { .. })));
}

#[test]
fn a_device_that_is_away_gets_everything_when_it_is_back() {
    let mut w = World::new(6);
    let (ada, ben) = (w.user(0), w.user(1));
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(1));
    let tablet = link(&mut w, ada);
    w.offline(tablet);
    for n in 0..20 {
        w.say(ada, at_ada, &format!("ada {n}"));
        w.say(ben, at_ben, &format!("ben {n}"));
    }
    w.ask(ada, Intent::MarkRead { conversation: at_ada }).unwrap();
    let cleo = w.user(2);
    w.befriend(ada, cleo, &bell(2));
    w.send(cleo, &bell(0), "hello Ada").unwrap();
    w.run_for(2_000);
    let members = vec![Target::Address(bell(1)), Target::Address(bell(2))];
    w.ask(ada, Intent::CreateGroup { title: "Choir".into(), members }).unwrap();
    w.run_for(2_000);
    let group = the_group(&mut w, cleo).id;
    w.say(cleo, group, "who sings?");
    w.run_for(29 * 24 * 3_600_000 / 10);
    w.online(tablet);
    w.run_for(60_000);
    let seen = |w: &mut World, client: usize| {
        let mut all: Vec<_> = w.conversations(client).into_iter().map(|c| (c.title.clone(), c.id, c.unread)).collect();
        all.sort();
        all.into_iter().map(|(title, id, unread)| (title, w.texts(client, id), unread)).collect::<Vec<_>>()
    };
    assert_eq!(seen(&mut w, tablet), seen(&mut w, ada));
    assert_eq!(w.status(tablet).unreadable, 0);
}

#[test]
fn a_third_device_is_brought_in_by_whichever_is_there() {
    let mut w = World::new(7);
    let (ada, ben) = (w.user(0), w.user(1));
    let (at_ada, _) = w.befriend(ada, ben, &bell(1));
    let tablet = link(&mut w, ada);
    w.say(ada, at_ada, "one");
    w.run_for(2_000);
    let laptop = link(&mut w, tablet);
    let at_laptop = w.only_conversation(laptop).id;
    assert_eq!(w.texts(laptop, at_laptop), w.texts(ada, at_ada));
    w.say(laptop, at_laptop, "two");
    w.run_for(2_000);
    let expected = w.texts(ada, at_ada);
    assert_eq!(expected.last().unwrap(), "two");
    for client in [ben, tablet, laptop] {
        assert_eq!(w.all_texts(client), expected);
        assert_eq!(devices(&mut w, ada).len(), 3);
    }
    // Who linked it goes away for good in the middle: the others see to it.
    let code = code(&mut w, tablet);
    let fourth = w.home();
    w.start_intent(fourth, Intent::Link { code, name: "Desk".into() });
    w.run();
    w.ask(tablet, Intent::ConfirmLink { yes: true }).unwrap();
    w.run();
    w.offline(tablet);
    w.sync(fourth);
    w.run_for(180_000);
    let at_fourth = w.only_conversation(fourth).id;
    assert_eq!(w.texts(fourth, at_fourth), expected);
    w.say(fourth, at_fourth, "three");
    w.run_for(2_000);
    assert_eq!(w.all_texts(ben).last().unwrap(), "three");
}

#[test]
fn the_recovery_key_brings_a_device_that_the_others_hear_of() {
    let mut w = World::new(8);
    let ada = w.home();
    let Ok(Reply::SignedUp { recovery_key, .. }) = w.ask(ada, sign_up("bell", "+491701234500")) else { panic!() };
    w.sync(ada);
    let ben = w.user(1);
    let (at_ada, _) = w.befriend(ada, ben, &bell(1));
    let new = w.home();
    let Intent::SignUp { app, handle, proof } = sign_up("bell", "+491701234500") else { panic!() };
    w.ask(new, Intent::SignIn { app, handle, proof, recovery_key }).unwrap();
    w.sync(new);
    w.run_for(60_000);
    let news = w.clients[ada].events.iter();
    assert_eq!(news.filter(|event| matches!(event, Event::Devices { new: Some(_), .. })).count(), 1);
    let at_new = w.only_conversation(new).id;
    assert_eq!(w.texts(new, at_new), w.texts(ada, at_ada));
}

#[test]
fn a_list_of_many_changes_is_still_believed_by_strangers() {
    let mut w = World::new(9);
    let ada = w.user(0);
    for _ in 0..12 {
        let new = link(&mut w, ada);
        let device = this_device(&mut w, new);
        w.ask(ada, Intent::RevokeDevice { device }).unwrap();
        w.run_for(2_000);
    }
    let ben = w.user(1);
    w.send(ada, &bell(1), &"long ".repeat(2_000)).unwrap();
    w.run_for(2_000);
    let request = w.requests(ben).pop().unwrap();
    w.ask(ben, Intent::Accept { request: request.id }).unwrap();
    w.run_for(2_000);
    assert_eq!(w.all_texts(ben), ["long ".repeat(2_000)]);
    let members = vec![Target::Address(bell(1))];
    w.ask(ada, Intent::CreateGroup { title: "Choir".into(), members }).unwrap();
    w.run_for(2_000);
    assert_eq!(the_group(&mut w, ben).title, "Choir");
}

#[test]
fn a_list_of_sixty_changes_is_believed_by_strangers_in_groups_and_by_own_devices() {
    let mut w = World::new(19);
    w.pool_size = 4;
    let (ada, cleo) = (w.user(0), w.user(2));
    for _ in 0..30 {
        let new = link(&mut w, ada);
        let device = this_device(&mut w, new);
        w.ask(ada, Intent::RevokeDevice { device }).unwrap();
        w.run_for(2_000);
        w.offline(new);
    }
    // A stranger, with a text that goes after the acceptance; one who asks her; a group of both.
    let ben = w.user(1);
    w.send(ada, &bell(1), &"long ".repeat(2_000)).unwrap();
    w.run_for(2_000);
    let request = w.requests(ben).pop().unwrap();
    w.ask(ben, Intent::Accept { request: request.id }).unwrap();
    w.run_for(2_000);
    assert_eq!(w.all_texts(ben), ["long ".repeat(2_000)]);
    w.befriend(cleo, ada, &bell(0));
    let members = vec![Target::Address(bell(1)), Target::Address(bell(2))];
    w.ask(ada, Intent::CreateGroup { title: "Choir".into(), members }).unwrap();
    w.run_for(5_000);
    let at_ada = the_group(&mut w, ada).id;
    w.say(ada, at_ada, "la");
    let tablet = link(&mut w, ada);
    w.run_for(60_000);
    let at_tablet = the_group(&mut w, tablet).id;
    w.say(tablet, at_tablet, "la la");
    w.run_for(5_000);
    for member in [ben, cleo] {
        let group = the_group(&mut w, member).id;
        assert_eq!(w.texts(member, group), ["la", "la la"]);
        assert_eq!(w.status(member).unreadable, 0);
    }
    // Who comes by a friend of hers only, knows her by the roster.
    let dora = w.user(3);
    w.befriend(ben, dora, &bell(3));
    let at_ben = the_group(&mut w, ben).id;
    let members = vec![Target::Address(bell(3))];
    assert!(w.ask(ben, Intent::AddMembers { conversation: at_ben, members }).is_ok());
    w.run_for(5_000);
    w.say(ada, at_ada, "to all");
    w.run_for(5_000);
    let group = the_group(&mut w, dora).id;
    assert_eq!(w.texts(dora, group), ["to all"]);
}

#[test]
fn what_was_said_before_a_device_heard_of_an_acceptance_comes_to_it_too() {
    let mut w = World::new(12);
    let (ada, ben) = (w.user(0), w.user(1));
    let tablet = link(&mut w, ada);
    w.send(ben, &bell(0), "may I?").unwrap();
    w.run_for(2_000);
    w.offline(tablet);
    let request = w.requests(ada).pop().unwrap().id;
    w.ask(ada, Intent::Accept { request }).unwrap();
    w.run_for(2_000);
    let at_ben = w.only_conversation(ben).id;
    for n in 0..10 {
        w.say(ada, request, &format!("ada {n}"));
        w.say(ben, at_ben, &format!("ben {n}"));
    }
    w.run_for(2_000);
    // Ada is away when the tablet comes back; then Ben goes on writing, then she is there again.
    w.offline(ada);
    w.online(tablet);
    w.say(ben, at_ben, "now to the tablet");
    w.run_for(5_000);
    w.online(ada);
    w.run_for(20_000);
    let at_tablet = w.only_conversation(tablet).id;
    assert_eq!(w.texts(tablet, at_tablet), w.texts(ada, request));
    assert_eq!(w.texts(tablet, at_tablet).len(), 22);
    assert_eq!(w.only_conversation(tablet).unread, 12);
    assert_eq!(w.status(tablet).unreadable, 0);
}

#[test]
fn a_device_that_goes_at_once_has_told_the_others_what_it_did() {
    let mut w = World::new(71);
    let old = w.user(0);
    let new = link(&mut w, old);
    w.run_for(20_000);
    // A command: it connects, names itself, goes.
    w.sync(new);
    w.start_intent(new, Intent::NameDevice { name: "Pantry".into() });
    let parting = w.start_intent(new, Intent::GoOffline);
    assert!(w.reply(new, parting).is_none(), "nothing has reached the server yet");
    w.run_for(10_000);
    assert!(matches!(w.reply(new, parting), Some(Ok(Reply::Ok))));
    assert!(devices(&mut w, old).iter().any(|device| device.name == "Pantry"));
}

#[test]
fn a_group_that_one_left_and_comes_back_to_is_one_on_a_device_linked_in_between() {
    let (mut w, users, groups) = group(83, 3);
    let (ada, ben) = (users[0], users[1]);
    w.say(ben, groups[1], "before");
    w.run_for(2_000);
    w.ask(ben, Intent::Leave { conversation: groups[1] }).unwrap();
    w.run_for(5_000);
    let tablet = link(&mut w, ben);
    w.run_for(20_000);
    let intent = Intent::CreateGroupLink { conversation: groups[0], approve: false, uses: 3, ttl_s: 3_600 };
    let Ok(Reply::GroupLink(link)) = w.ask(ada, intent) else { panic!() };
    w.ask(tablet, Intent::JoinByLink { link: link.text }).unwrap();
    w.run_for(20_000);
    w.say(ada, groups[0], "after");
    w.run_for(2_000);
    for home in [ben, tablet] {
        let of_group: Vec<_> = w.conversations(home).into_iter().filter(|c| c.is_group).collect();
        assert_eq!(of_group.len(), 1, "{of_group:?}");
        assert_eq!(of_group[0].state, ConversationState::Open);
        assert_eq!(w.texts(home, of_group[0].id), ["before", "after"]);
    }
}

#[test]
fn what_is_said_between_an_acceptance_and_another_device_hearing_of_it_is_on_both() {
    let mut w = World::new(84);
    let (ada, ben) = (w.user(1), w.user(2));
    let tablet = link(&mut w, ben);
    w.send(ada, &bell(2), "hello").unwrap();
    w.run_for(2_000);
    w.ask(tablet, Intent::GoOffline).unwrap();
    let request = w.requests(ben).pop().unwrap().id;
    w.ask(ben, Intent::Accept { request }).unwrap();
    w.run_for(2_000);
    let at_ada = w.only_conversation(ada).id;
    w.say(ada, at_ada, "meanwhile");
    w.run_for(2_000);
    w.sync(tablet);
    w.run_for(20_000);
    w.say(ada, at_ada, "after");
    w.run_for(2_000);
    for home in [ben, tablet] {
        let at = w.only_conversation(home).id;
        assert_eq!(w.texts(home, at), ["hello", "meanwhile", "after"]);
    }
}

#[test]
fn a_device_that_was_off_while_another_one_was_linked_suspects_nobody() {
    let (mut w, users, groups) = group(85, 2);
    let ben = users[1];
    let tablet = link(&mut w, ben);
    w.ask(ben, Intent::GoOffline).unwrap();
    let phone = link(&mut w, tablet);
    w.run_for(5_000);
    let members = vec![Target::Account(w.account(users[0]))];
    w.ask(phone, Intent::CreateGroup { title: "of the newest".into(), members }).unwrap();
    w.run_for(10_000);
    w.sync(ben);
    w.run_for(20_000);
    assert_eq!(w.status(ben).refused, 0);
    let open = |c: &&Conversation| c.is_group && c.state == ConversationState::Open;
    assert_eq!(w.conversations(ben).iter().filter(open).count(), 2);
    w.say(users[0], groups[0], "still here");
    w.run_for(2_000);
    assert!(w.texts(ben, groups[1]).contains(&"still here".to_owned()));
}

/// How many frames the server gets of one client in a minute.
fn frames_in_a_minute(w: &mut World, client: usize) -> usize {
    w.recorded = Some(Recorded::default());
    w.run_for(60_000);
    let recorded = w.recorded.take().unwrap();
    recorded.iter().filter(|((of, _), _)| *of == client).map(|(_, frames)| frames.len()).sum()
}

#[test]
fn what_two_devices_choose_at_once_is_the_same_on_both_and_said_once() {
    // The last choice of each, made while neither hears of the other: blocked or not.
    for (seed, choices) in (700..).zip([(true, false), (false, true), (true, true), (false, false)]) {
        let mut w = World::new(seed);
        let (ada, ben) = (w.user(0), w.user(1));
        w.befriend(ada, ben, &bell(1));
        let tablet = link(&mut w, ada);
        w.run_for(5_000);
        let at = [ada, tablet].map(|client| w.only_conversation(client).id);
        w.ask(ada, Intent::Block { conversation: at[0] }).unwrap();
        w.run_for(5_000);
        assert_eq!(w.only_conversation(tablet).state, ConversationState::Closed);
        for (client, conversation, blocks) in [(ada, at[0], choices.0), (tablet, at[1], choices.1)] {
            w.offline(client);
            let unblock = w.start_intent(client, Intent::Unblock { conversation });
            w.run_for(100);
            if blocks {
                w.start_intent(client, Intent::Block { conversation });
                w.run_for(100);
            }
            let _ = w.reply(client, unblock);
        }
        w.online(ada);
        w.online(tablet);
        w.run_for(20_000);
        for client in [ada, tablet] {
            let frames = frames_in_a_minute(&mut w, client);
            assert!(frames < 10, "{choices:?}: {frames} frames in a quiet minute");
        }
        // Both believe the same: Ben can be written to on both or on none.
        let can = [(ada, at[0]), (tablet, at[1])].map(|(client, conversation)| {
            w.ask(client, Intent::Unblock { conversation }).ok();
            w.run_for(5_000);
            w.send(client, &bell(1), "again").is_ok()
        });
        assert_eq!(can[0], can[1], "{choices:?}");
    }
}

#[test]
fn a_device_that_hears_of_a_friend_after_their_group_knows_its_title() {
    let mut w = World::new(77);
    let (ada, phone) = (w.user(1), w.user(2));
    let tablet = link(&mut w, phone);
    w.send(ada, &bell(2), "shall we sing?").unwrap();
    w.run_for(5_000);
    // The phone lets her in, and is off before the tablet can read what it says of that, or ask for it.
    w.wipe_mls(tablet);
    w.hold(tablet);
    let request = w.requests(phone).pop().unwrap();
    w.ask(phone, Intent::Accept { request: request.id }).unwrap();
    let is_open = |w: &mut World| w.conversations(ada)[0].state == ConversationState::Open;
    while !is_open(&mut w) {
        w.step();
    }
    w.stop(phone);
    w.release(tablet);
    assert_eq!(w.conversations(ada)[0].state, ConversationState::Open);
    let members = vec![Target::Address(bell(2))];
    w.ask(ada, Intent::CreateGroup { title: "Choir".into(), members }).unwrap();
    w.run_for(10_000);
    let at_tablet = w.conversations(tablet).into_iter().find(|c| c.is_group);
    assert!(at_tablet.is_none_or(|c| c.state == ConversationState::Request), "nobody told the tablet yet");
    w.start(phone);
    w.run_for(60_000);
    assert_eq!(the_group(&mut w, tablet).title, "Choir");
    assert_eq!(the_group(&mut w, phone).title, "Choir");
}
