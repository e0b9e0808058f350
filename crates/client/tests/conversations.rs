//! The main job, on the pure engine: two people meet and talk.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use parlour_client::api::*;
use support::{World, bell, sign_up};

#[test]
fn a_first_contact_is_a_request_and_after_its_acceptance_both_talk() {
    let mut w = World::new(1);
    let ada = w.user(1);
    let ben = w.user(2);
    let reply = w.send(ada, &bell(2), "may I?");
    let Ok(Reply::Queued { conversation, .. }) = reply else { panic!("{reply:?}") };
    w.say(ada, conversation, "second");
    w.run_for(5_000);
    assert_eq!(w.only_conversation(ada).state, ConversationState::Asked);
    assert_eq!((w.status(ada).queued, w.status(ada).held), (1, 1), "the second waits for the acceptance");

    let request = w.requests(ben).pop().unwrap();
    assert_eq!(request.text.as_deref(), Some("may I?"));
    assert_eq!(request.claimed_address, None, "a phone number is never told");
    assert_eq!(w.messages(ada, conversation)[0].state, MessageState::Sent);

    w.ask(ben, Intent::Accept { request: request.id }).unwrap();
    w.run_for(5_000);
    assert_eq!(w.only_conversation(ada).state, ConversationState::Open);
    assert_eq!(w.only_conversation(ben).state, ConversationState::Open);
    assert_eq!(w.texts(ben, request.id), ["may I?", "second"]);
    w.say(ben, request.id, "hi Ada");
    w.say(ada, conversation, "hi Ben");
    w.run_for(5_000);
    let texts = w.texts(ben, request.id);
    assert_eq!(texts.len(), 4);
    assert_eq!(w.texts(ada, conversation), texts, "one order for all screens");
    assert_eq!(w.status(ada).unreadable + w.status(ben).unreadable, 0);
    assert_eq!(w.server.waiting_rows(), 0, "everything is acknowledged");
    assert_eq!(w.server.log_fetches, 0);
}

#[test]
fn the_address_of_an_app_with_public_names_is_told_and_passwords_work() {
    let mut w = World::new(2);
    let ada = w.home();
    let reply = w.ask(ada, sign_up("den", "Ada"));
    let Ok(Reply::SignedUp { address, recovery_key, .. }) = reply else { panic!("{reply:?}") };
    assert_eq!(address, "ada@den");
    assert_eq!(recovery_key.split(' ').count(), 24);
    w.sync(ada);
    let ben = w.user(2);
    w.ask(ada, Intent::SetName { name: "Ada L.".into() }).unwrap();
    w.send(ada, &bell(2), "hello Bell").unwrap();
    w.run_for(2_000);
    let request = w.requests(ben).pop().unwrap();
    assert_eq!(request.claimed_address.as_deref(), Some("ada@den"));
    assert_eq!(request.claimed_name.as_deref(), Some("Ada L."));
}

#[test]
fn a_declined_request_says_nothing_and_leaves_nothing() {
    let mut w = World::new(3);
    let (ada, ben) = (w.user(1), w.user(2));
    w.send(ada, &bell(2), "may I?").unwrap();
    w.run_for(2_000);
    let before = w.server.rows_stored();
    let request = w.requests(ben).pop().unwrap();
    w.ask(ben, Intent::Decline { request: request.id }).unwrap();
    w.run_for(5_000);
    assert_eq!(w.server.rows_stored(), before, "the server is told nothing");
    assert!(w.requests(ben).is_empty());
    assert!(w.conversations(ben).is_empty());
    let kept = w.clients[ben].rows.iter().filter(|(key, _)| key.starts_with(b"lm") || key.starts_with(b"lg")).count();
    assert_eq!(kept, 0, "texts and MLS state are gone");
    let conversation = w.only_conversation(ada);
    assert_eq!(conversation.state, ConversationState::Asked);
    w.say(ada, conversation.id, "again?");
    w.run_for(5_000);
    assert!(w.requests(ben).is_empty());
}

#[test]
fn a_blocked_person_cannot_be_told_from_nobody() {
    let mut w = World::new(4);
    let (ada, ben) = (w.user(1), w.user(2));
    w.send(ada, &bell(2), "buy this").unwrap();
    w.run_for(2_000);
    let request = w.requests(ben).pop().unwrap();
    w.ask(ben, Intent::Block { conversation: request.id }).unwrap();
    w.run_for(5_000);
    assert!(w.requests(ben).is_empty());
    // A second home of the same account would find nobody; so does this one once it has forgotten the first room.
    let other = w.user(3);
    assert!(w.send(other, &bell(2), "hello").is_ok());
    let left = w_only(&mut w, ada);
    let reply = w.ask(ada, Intent::Leave { conversation: left });
    assert!(reply.is_ok());
    w.run_for(5_000);
    let reply = w.send(ada, &bell(2), "buy that");
    assert!(matches!(reply, Err(Failure::NotReachable)), "{reply:?}");
    let nobody = w.send(ada, &bell(77), "buy that");
    assert!(matches!(nobody, Err(Failure::NotReachable)), "{nobody:?}");
    // And back.
    w.ask(ben, Intent::Unblock { conversation: request.id }).unwrap();
    w.run_for(2_000);
    assert!(w.send(ada, &bell(2), "sorry").is_ok());
    w.run_for(5_000);
    assert_eq!(w.requests(ben).iter().filter(|r| r.text.as_deref() == Some("sorry")).count(), 1);
}

fn w_only(w: &mut World, client: usize) -> ConversationId {
    w.only_conversation(client).id
}

#[test]
fn an_invite_reaches_without_a_handle() {
    let mut w = World::new(5);
    let (ada, ben) = (w.user(1), w.user(2));
    let reply = w.ask(ben, Intent::CreateInvite { uses: 1, ttl_s: 3600 });
    let Ok(Reply::Invite { text, .. }) = reply else { panic!("{reply:?}") };
    let send = |text: &str| Intent::Send { to: Target::Invite(text.to_owned()), body: support::body("by invite") };
    assert!(w.ask(ada, send(&text)).is_ok());
    w.run_for(2_000);
    assert_eq!(w.requests(ben).len(), 1);
    let cid = w.user(3);
    assert!(matches!(w.ask(cid, send(&text)), Err(Failure::NotReachable)), "used up");
    assert!(matches!(w.ask(cid, send("parlour:invite/bell/abc")), Err(Failure::BadInput(_))));
}

#[test]
fn what_is_written_by_an_invite_to_who_was_asked_already_is_kept_until_they_answer() {
    let mut w = World::new(9);
    let (ada, ben) = (w.user(1), w.user(2));
    w.send(ada, &bell(2), "first").unwrap();
    w.run_for(2_000);
    let Ok(Reply::Invite { text, .. }) = w.ask(ben, Intent::CreateInvite { uses: 1, ttl_s: 3600 }) else { panic!() };
    w.ask(ada, Intent::Send { to: Target::Invite(text), body: support::body("second") }).unwrap();
    w.run_for(2_000);
    let at_ada = w_only(&mut w, ada);
    assert_eq!(w.texts(ada, at_ada), ["first", "second"]);
    w.crash(ada);
    w.run_for(2_000);
    assert_eq!(w.texts(ada, at_ada), ["first", "second"]);
    let request = w.requests(ben).pop().unwrap().id;
    w.ask(ben, Intent::Accept { request }).unwrap();
    w.run_for(5_000);
    assert_eq!(w.texts(ben, request), ["first", "second"]);
}

#[test]
fn replies_edits_deletions_reactions_and_reports() {
    let mut w = World::new(6);
    let (ada, ben) = (w.user(1), w.user(2));
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(2));
    let first = w.say(ada, at_ada, "frist");
    w.run_for(2_000);
    assert_eq!(message(&mut w, ada, at_ada, first).state, MessageState::Delivered);
    w.ask(ben, Intent::MarkRead { conversation: at_ben }).unwrap();
    w.run_for(2_000);
    assert_eq!(message(&mut w, ada, at_ada, first).state, MessageState::Read);
    assert_eq!(w.only_conversation(ben).unread, 0);

    let send = |conversation, body| Intent::Send { to: Target::Conversation(conversation), body };
    w.ask(ada, send(at_ada, Body::Edit { message: first, text: "first".into() })).unwrap();
    w.ask(ben, send(at_ben, Body::Edit { message: first, text: "forged".into() })).unwrap();
    w.ask(ben, send(at_ben, Body::Delete { message: first })).unwrap();
    w.ask(ben, send(at_ben, Body::Reaction { message: first, emoji: "\u{1f44d}".into() })).unwrap();
    let reply = Body::Text { text: "second".into(), in_reply_to: Some(first), timer: None };
    let Ok(Reply::Queued { message: second, .. }) = w.ask(ben, send(at_ben, reply)) else { panic!() };
    w.run_for(2_000);
    for (client, conversation) in [(ada, at_ada), (ben, at_ben)] {
        let shown = message(&mut w, client, conversation, first);
        assert_eq!((shown.text.as_str(), shown.edited, shown.deleted), ("first", true, false));
        assert_eq!(shown.reactions.len(), 1);
        assert_eq!(message(&mut w, client, conversation, second).in_reply_to, Some(first));
    }
    w.ask(ben, send(at_ben, Body::Reaction { message: first, emoji: String::new() })).unwrap();
    w.ask(ada, send(at_ada, Body::Delete { message: first })).unwrap();
    w.run_for(2_000);
    for (client, conversation) in [(ada, at_ada), (ben, at_ben)] {
        let shown = message(&mut w, client, conversation, first);
        assert!(shown.deleted && shown.text.is_empty() && shown.reactions.is_empty());
        let texts =
            w.clients[client].rows.values().filter(|value| value.windows(5).any(|w| w == b"first" || w == b"frist"));
        assert_eq!(texts.count(), 0, "the text is erased");
    }
}

#[test]
fn the_list_of_conversations_shows_the_newest_message() {
    let mut w = World::new(15);
    let (ada, ben) = (w.user(1), w.user(2));
    w.send(ada, &bell(2), "hello").unwrap();
    w.run_for(2_000);
    assert_eq!(w.only_conversation(ben).last, None, "nothing of a request before the choice");
    let request = w.requests(ben).pop().unwrap();
    w.ask(ben, Intent::Accept { request: request.id }).unwrap();
    w.run_for(2_000);
    let last = w.only_conversation(ben).last.unwrap();
    assert_eq!((last.text.as_str(), last.from.is_some(), last.state), ("hello", true, MessageState::Received));
    let at_ada = w.only_conversation(ada).id;
    w.offline(ada);
    let long = "\u{e4}".repeat(200);
    let id = w.say(ada, at_ada, &long);
    let last = w.only_conversation(ada).last.unwrap();
    assert_eq!((last.id, last.from, last.state), (id, None, MessageState::Queued));
    assert_eq!(last.text, "\u{e4}".repeat(128), "256 bytes of it");
    w.online(ada);
    assert_eq!(w.only_conversation(ada).last.unwrap().state, MessageState::Delivered);
    assert_eq!(w.only_conversation(ben).unread, 2);
    let told = w.clients[ben].events.iter().rev().find_map(|event| match event {
        Event::Conversation(shown) => Some((shown.unread, shown.last.as_ref().map(|last| last.id))),
        _ => None,
    });
    assert_eq!(told, Some((2, Some(id))), "the list hears of it");
    w.ask(ada, Intent::Send { to: Target::Conversation(at_ada), body: Body::Delete { message: id } }).unwrap();
    w.run_for(2_000);
    for client in [ada, ben] {
        let last = w.only_conversation(client).last.unwrap();
        assert_eq!((last.id, last.deleted, last.text.as_str()), (id, true, ""));
        let with_text =
            w.clients[client].rows.values().filter(|row| row.windows(4).any(|w| w == "\u{e4}\u{e4}".as_bytes()));
        assert_eq!(with_text.count(), 0, "the text is erased, here too");
    }
    assert_eq!(w.only_conversation(ben).unread, 1);
}

fn message(w: &mut World, client: usize, conversation: ConversationId, id: parlour_proto::ids::MessageId) -> Message {
    w.messages(client, conversation).into_iter().find(|message| message.id == id).unwrap()
}

fn profile(name: &str, byte: u8) -> Intent {
    let picture = Picture::new("image/webp", vec![byte; 30_000].into()).unwrap();
    Intent::SetProfile { name: name.into(), picture: Some(picture) }
}

/// Name and the first byte of the picture that one client shows for another.
fn seen(w: &mut World, client: usize, conversation: ConversationId, of: usize) -> (Option<String>, Option<u8>) {
    let account = w.account(of);
    let shown = w.conversations(client).into_iter().find(|c| c.id == conversation).unwrap();
    let member = shown.members.into_iter().find(|member| member.account == account).unwrap();
    let Ok(Reply::Picture(picture)) = w.ask(client, Intent::Picture { of: Some(account) }) else { panic!() };
    assert_eq!(member.picture.is_some(), picture.is_some());
    (member.name, picture.and_then(|picture| picture.image().first().copied()))
}

#[test]
fn a_profile_reaches_those_one_talks_to_and_its_picture_nobody_before_they_accepted() {
    let mut w = World::new(18);
    let (ada, ben, cid) = (w.user(1), w.user(2), w.user(3));
    let (_, at_ben) = w.befriend(ada, ben, &bell(2));
    w.ask(ada, profile("Ada", 7)).unwrap();
    w.run_for(2_000);
    assert_eq!(seen(&mut w, ben, at_ben, ada), (Some("Ada".into()), Some(7)));
    assert!(
        w.clients[ben].events.iter().any(|event| matches!(event, Event::Profile(member) if member.picture.is_some()))
    );

    // A first contact: the name with the request, the picture after the acceptance.
    w.send(ada, &bell(3), "hello").unwrap();
    w.run_for(2_000);
    let request = w.requests(cid).pop().unwrap();
    assert_eq!(request.claimed_name.as_deref(), Some("Ada"));
    w.ask(ada, profile("Ada L.", 8)).unwrap();
    w.run_for(2_000);
    let pictures = |w: &World| w.clients[cid].rows.values().filter(|row| row.len() > 30_000).count();
    assert_eq!(pictures(&w), 0);
    w.ask(cid, Intent::Accept { request: request.id }).unwrap();
    w.run_for(2_000);
    assert_eq!(seen(&mut w, cid, request.id, ada), (Some("Ada L.".into()), Some(8)));
    assert_eq!(seen(&mut w, ben, at_ben, ada), (Some("Ada L.".into()), Some(8)));

    // Taken back; told to somebody who was away, too. Nothing is told twice.
    w.offline(ben);
    w.ask(ada, Intent::SetProfile { name: "Ada".into(), picture: None }).unwrap();
    w.run_for(2_000);
    w.online(ben);
    assert_eq!(seen(&mut w, ben, at_ben, ada), (Some("Ada".into()), None));
    assert_eq!(seen(&mut w, cid, request.id, ada), (Some("Ada".into()), None));
    assert_eq!(pictures(&w), 0, "the picture is gone");
    let stored = w.server.rows_stored();
    w.ask(ada, Intent::SetName { name: "Ada".into() }).unwrap();
    w.run_for(2_000);
    assert_eq!(w.server.rows_stored(), stored);
}

#[test]
fn a_name_of_65_characters_is_too_long() {
    let mut w = World::new(19);
    let ada = w.user(1);
    let set = |w: &mut World, name: &str| w.ask(ada, Intent::SetName { name: name.into() });
    assert!(set(&mut w, &"\u{1f3d4}".repeat(32)).is_ok());
    assert!(matches!(set(&mut w, &"a".repeat(65)), Err(Failure::BadInput(_))));
    assert_eq!(
        w.ask(ada, Intent::WhoAmI).map(|reply| matches!(reply, Reply::Identities(all) if all[0].name.len() == 128)),
        Ok(true)
    );
}

#[test]
fn members_of_a_group_see_each_others_profiles_whoever_comes_when() {
    let mut w = World::new(20);
    let (ada, ben, cid) = (w.user(1), w.user(2), w.user(3));
    w.befriend(ada, ben, &bell(2));
    w.befriend(ada, cid, &bell(3));
    w.ask(ben, profile("Ben", 2)).unwrap();
    w.ask(cid, profile("Cid", 3)).unwrap();
    let members = vec![Target::Address(bell(2))];
    w.ask(ada, Intent::CreateGroup { title: "Garden".into(), members }).unwrap();
    w.run_for(2_000);
    let group = |w: &mut World, client| w.conversations(client).into_iter().find(|c| c.is_group).unwrap().id;
    let at_ada = group(&mut w, ada);
    w.ask(ada, Intent::AddMembers { conversation: at_ada, members: vec![Target::Address(bell(3))] }).unwrap();
    w.run_for(5_000);
    let (at_ben, at_cid) = (group(&mut w, ben), group(&mut w, cid));
    assert_eq!(seen(&mut w, ben, at_ben, cid), (Some("Cid".into()), Some(3)));
    assert_eq!(seen(&mut w, cid, at_cid, ben), (Some("Ben".into()), Some(2)));
}

#[test]
fn members_who_come_into_a_new_group_together_see_each_other() {
    for seed in 40..48 {
        let mut w = World::new(seed);
        let (ada, ben, cid) = (w.user(1), w.user(2), w.user(3));
        w.ask(ben, Intent::SetName { name: "Ben".into() }).unwrap();
        w.ask(cid, profile("Cid", 3)).unwrap();
        w.befriend(ada, ben, &bell(2));
        w.befriend(ada, cid, &bell(3));
        let members = vec![Target::Address(bell(2)), Target::Address(bell(3))];
        w.ask(ada, Intent::CreateGroup { title: "Garden".into(), members }).unwrap();
        w.run_for(10_000);
        let group = |w: &mut World, client| w.conversations(client).into_iter().find(|c| c.is_group).unwrap().id;
        let (at_ben, at_cid) = (group(&mut w, ben), group(&mut w, cid));
        assert_eq!(seen(&mut w, ben, at_ben, cid), (Some("Cid".into()), Some(3)), "seed {seed}");
        assert_eq!(seen(&mut w, cid, at_cid, ben).0, Some("Ben".into()), "seed {seed}");
    }
}

#[test]
fn reports_that_are_switched_off_are_not_sent() {
    let mut w = World::new(7);
    let (ada, ben) = (w.user(1), w.user(2));
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(2));
    w.ask(ben, Intent::SetReports { delivered: false, read: false, typing: true }).unwrap();
    let id = w.say(ada, at_ada, "seen?");
    w.run_for(2_000);
    w.ask(ben, Intent::MarkRead { conversation: at_ben }).unwrap();
    w.run_for(2_000);
    assert_eq!(message(&mut w, ada, at_ada, id).state, MessageState::Sent);
}

#[test]
fn two_people_who_write_at_the_same_time_end_in_one_conversation() {
    for seed in 20..26 {
        let mut w = World::new(seed);
        let (ada, ben) = (w.user(1), w.user(2));
        let one = w.start_intent(ada, Intent::Send { to: Target::Address(bell(2)), body: support::body("from ada") });
        let two = w.start_intent(ben, Intent::Send { to: Target::Address(bell(1)), body: support::body("from ben") });
        w.run_for(10_000);
        assert!(w.reply(ada, one).unwrap().is_ok() && w.reply(ben, two).unwrap().is_ok());
        let (at_ada, at_ben) = (w.only_conversation(ada), w.only_conversation(ben));
        assert_eq!((at_ada.state, at_ben.state), (ConversationState::Open, ConversationState::Open));
        w.say(ada, at_ada.id, "third");
        w.say(ben, at_ben.id, "fourth");
        w.run_for(5_000);
        for (client, conversation) in [(ada, at_ada.id), (ben, at_ben.id)] {
            let mut texts = w.texts(client, conversation);
            texts.sort();
            assert_eq!(texts, ["fourth", "from ada", "from ben", "third"]);
        }
        assert!(w.requests(ada).is_empty() && w.requests(ben).is_empty());
    }
}

#[test]
fn what_is_written_offline_is_sent_in_order_when_the_network_is_back() {
    let mut w = World::new(8);
    let (ada, ben) = (w.user(1), w.user(2));
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(2));
    w.offline(ada);
    let texts: Vec<String> = (0..20).map(|n| format!("number {n}")).collect();
    for text in &texts {
        w.say(ada, at_ada, text);
    }
    assert_eq!(w.status(ada).queued, 20);
    w.crash(ada);
    w.online(ada);
    let got = w.texts(ben, at_ben);
    assert_eq!(got[got.len() - 20..], texts);
    assert_eq!(w.status(ada).queued, 0);
}

#[test]
fn a_first_message_written_offline_goes_out_later() {
    let mut w = World::new(9);
    let (ada, ben) = (w.user(1), w.user(2));
    w.offline(ada);
    assert!(matches!(w.send(ada, &bell(2), "later"), Ok(Reply::Queued { .. })));
    assert!(w.send(ada, &bell(88), "nobody").is_ok());
    w.online(ada);
    assert_eq!(w.requests(ben).len(), 1);
    let failed: Vec<_> = w.conversations(ada).into_iter().filter(|c| c.state == ConversationState::Closed).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].title, bell(88), "whom it was for");
    let message = w.messages(ada, failed[0].id).pop().unwrap();
    assert_eq!(message.state, MessageState::Failed);
    let told: Vec<_> = w.clients[ada].events.iter().filter(|event| matches!(event, Event::NotSent { .. })).collect();
    let [Event::NotSent { conversation, messages, why: Failure::NotReachable }] = told[..] else { panic!("{told:?}") };
    assert_eq!((*conversation, &messages[..]), (failed[0].id, &[message.id][..]));
}

#[test]
fn choices_made_offline_count_as_queued_until_the_server_knows_them() {
    let mut w = World::new(16);
    let (ada, ben, cid) = (w.user(1), w.user(2), w.user(3));
    let (_, at_ben) = w.befriend(ada, ben, &bell(2));
    w.send(cid, &bell(2), "hello").unwrap();
    w.run_for(2_000);
    w.offline(ben);
    assert_eq!(w.status(ben).queued, 0);
    let request = w.requests(ben).pop().unwrap();
    w.ask(ben, Intent::Accept { request: request.id }).unwrap();
    assert_eq!(w.status(ben).queued, 2, "the entry is to be opened, the acceptance to be said");
    w.ask(ben, Intent::Block { conversation: at_ben }).unwrap();
    assert_eq!(w.status(ben).queued, 5, "blocked, the door dropped, the entry left");
    w.crash(ben);
    w.online(ben);
    assert_eq!(w.status(ben).queued, 0);
}

#[test]
fn a_connection_that_is_lost_while_somebody_is_looked_for_leaves_the_message_queued() {
    let mut w = World::new(17);
    let (ada, _ben) = (w.user(1), w.user(2));
    w.hold(ada);
    let id = w.start_intent(ada, Intent::Send { to: Target::Address(bell(2)), body: support::body("hello") });
    w.run();
    assert!(w.reply(ada, id).is_none());
    w.offline(ada);
    assert!(matches!(w.reply(ada, id), Some(Ok(Reply::Queued { .. }))));
    assert_eq!(w.status(ada).queued, 1);
}

#[test]
fn the_second_contact_goes_by_the_door_and_is_open_at_once() {
    let mut w = World::new(10);
    let (ada, ben) = (w.user(1), w.user(2));
    let (at_ada, _) = w.befriend(ada, ben, &bell(2));
    w.ask(ada, Intent::Leave { conversation: at_ada }).unwrap();
    w.run_for(5_000);
    assert_eq!(w.only_conversation(ada).state, ConversationState::Closed);
    assert_eq!(w.only_conversation(ben).state, ConversationState::Closed);
    w.send(ada, &bell(2), "me again").unwrap();
    w.run_for(5_000);
    assert_eq!(w.only_conversation(ada).state, ConversationState::Open);
    assert_eq!(w.only_conversation(ben).state, ConversationState::Open);
    assert!(w.requests(ben).is_empty());
    assert!(w.all_texts(ben).contains(&"me again".to_owned()));
}

#[test]
fn a_long_first_text_waits_behind_a_hello() {
    let mut w = World::new(11);
    let (ada, ben) = (w.user(1), w.user(2));
    let long = "x".repeat(30_000);
    w.send(ada, &bell(2), &long).unwrap();
    w.run_for(2_000);
    let request = w.requests(ben).pop().unwrap();
    assert_eq!(request.text, None);
    w.ask(ben, Intent::Accept { request: request.id }).unwrap();
    w.run_for(2_000);
    assert_eq!(w.texts(ben, request.id), [long]);
}

#[test]
fn safety_numbers_agree_and_can_be_marked() {
    let mut w = World::new(12);
    let (ada, ben) = (w.user(1), w.user(2));
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(2));
    let mut number = |client, id| match w.ask(client, Intent::SafetyNumber { with: Target::Conversation(id) }) {
        Ok(Reply::SafetyNumber { digits, .. }) => digits,
        other => panic!("{other:?}"),
    };
    assert_eq!(number(ada, at_ada), number(ben, at_ben));
    w.ask(ada, Intent::SetVerified { conversation: at_ada, verified: true }).unwrap();
    assert!(w.only_conversation(ada).verified);
}

#[test]
fn a_deleted_account_says_goodbye_and_leaves_an_empty_home() {
    let mut w = World::new(13);
    let (ada, ben) = (w.user(1), w.user(2));
    w.befriend(ada, ben, &bell(2));
    w.ask(ada, Intent::DeleteAccount).unwrap();
    w.run_for(5_000);
    assert_eq!(w.only_conversation(ben).state, ConversationState::Closed);
    assert!(w.clients[ada].rows.is_empty(), "{:?}", w.clients[ada].rows.keys().collect::<Vec<_>>());
    assert!(matches!(w.send(ben, &bell(1), "there?"), Err(Failure::NotReachable)));
}

#[test]
fn a_server_that_swaps_key_packages_is_refused() {
    let mut w = World::new(14);
    let (ada, _ben, eve) = (w.user(1), w.user(2), w.user(3));
    let eve = w.account(eve);
    w.server.swap_packages_with = Some(eve);
    let reply = w.send(ada, &bell(2), "secret");
    assert!(matches!(reply, Err(Failure::Suspicious(_))), "{reply:?}");
    assert!(w.server.room_ids().is_empty());
}

#[test]
fn a_server_of_another_version_is_said_to_be_one_and_is_told_nothing() {
    let mut w = World::new(99);
    let ada = w.user(1);
    for (version, word) in [(parlour_proto::frames::PROTOCOL_VERSION + 1, "update the app"), (0, "its operator")] {
        w.server.version = version;
        w.offline(ada);
        w.recorded = Some(Default::default());
        w.clients[ada].network = true;
        let refused = w.ask(ada, Intent::Sync).unwrap_err();
        let Failure::Refused(problem) = refused else { panic!("{refused:?}") };
        assert_eq!(problem.code, parlour_proto::problem::Code::PleaseUpdate);
        assert!(problem.detail.contains(word), "{problem:?}");
        assert!(w.recorded.take().unwrap().is_empty(), "not even a signature");
    }
    w.server.version = parlour_proto::frames::PROTOCOL_VERSION;
    assert!(w.ask(ada, Intent::Sync).is_ok());
}

#[test]
fn a_clock_that_is_days_behind_or_ahead_makes_no_keys_suspicious() {
    const DAYS: i64 = 3 * 24 * 3_600_000;
    for (seed, ahead) in [(90, -DAYS), (91, DAYS)] {
        let mut w = World::new(seed);
        let (ada, ben, cleo) = (w.user(1), w.user(2), w.home());
        w.clients[ada].ahead = ahead;
        w.clients[cleo].ahead = ahead;
        w.send(ada, &bell(2), "hello").unwrap();
        w.run_for(2_000);
        assert_eq!(w.requests(ben).len(), 1, "{ahead}: others' keys");
        w.ask(cleo, sign_up("bell", "+491701234503")).unwrap();
        w.sync(cleo);
        w.send(ben, &bell(3), "hello").unwrap();
        w.run_for(2_000);
        assert_eq!(w.requests(cleo).len(), 1, "{ahead}: one's own");
        assert_eq!(w.status(ada).refused + w.status(ben).refused, 0);
    }
}
