//! The server goes back to a backup: openly, by a lie, or in silence. Everything is there once, rooms are made anew where the server
//! knows less than their members, and nobody follows its older copy.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use parlour_client::api::*;
use support::server::Server;
use support::server::faults::GoingBack::{self, Openly, Silently};
use support::{World, bell, group, link, the_group};

fn pair(seed: u64) -> (World, usize, usize, ConversationId, ConversationId) {
    let mut w = World::new(seed);
    let (ada, ben) = (w.user(1), w.user(2));
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(2));
    (w, ada, ben, at_ada, at_ben)
}

/// A backup; some minutes pass, so that what follows is after it.
fn backup(w: &mut World) -> Server {
    w.run_for(5_000);
    let copy = w.server.fork();
    w.run_for(300_000);
    copy
}

fn count(texts: &[String], text: &str) -> usize {
    texts.iter().filter(|other| *other == text).count()
}

/// Both write, both read it once; nothing waits or was unreadable.
fn talk(w: &mut World, one: (usize, ConversationId), other: (usize, ConversationId), mark: &str) {
    let (a, b) = (format!("{mark} a"), format!("{mark} b"));
    w.say(one.0, one.1, &a);
    w.run_for(30_000);
    w.say(other.0, other.1, &b);
    w.run_for(30_000);
    for (client, conversation) in [one, other] {
        let texts = w.texts(client, conversation);
        assert_eq!((count(&texts, &a), count(&texts, &b)), (1, 1), "{texts:?}");
        assert_eq!(w.status(client).queued, 0);
    }
}

fn restored_events(w: &World, client: usize) -> usize {
    w.clients[client].events.iter().filter(|event| matches!(event, Event::Restored { .. })).count()
}

fn repairs(w: &mut World, client: usize) -> u64 {
    w.status(client).repairs
}

#[test]
fn what_the_server_took_after_the_backup_arrives_once_whoever_had_it() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(1);
    w.say(ada, at_ada, "before");
    let copy = backup(&mut w);
    w.say(ada, at_ada, "he has it");
    w.run_for(5_000);
    w.offline(ben);
    w.say(ada, at_ada, "he has it not");
    w.run_for(5_000);
    assert_eq!(w.status(ada).queued, 0, "acknowledged");
    w.clients[ben].network = true;
    let rooms = w.server.room_ids().len();
    w.go_back(&copy, Openly);
    let texts = w.texts(ben, at_ben);
    for text in ["before", "he has it", "he has it not"] {
        assert_eq!(count(&texts, text), 1, "{text}: {texts:?}");
    }
    assert_eq!((restored_events(&w, ada), restored_events(&w, ben)), (1, 1));
    assert_eq!(w.server.room_ids().len(), rooms, "messages alone need no new room");
    talk(&mut w, (ada, at_ada), (ben, at_ben), "then");
    assert_eq!((w.status(ada).unreadable, w.status(ben).unreadable), (0, 0));
    assert_eq!((repairs(&mut w, ada), repairs(&mut w, ben)), (0, 0));
    // It is told to its author that it arrived.
    let sent = w.messages(ada, at_ada).into_iter().find(|message| message.text == "he has it not").unwrap();
    assert_eq!(sent.state, MessageState::Delivered);
}

#[test]
fn friends_who_met_after_the_backup_find_together_again() {
    let mut w = World::new(2);
    let (ada, ben) = (w.user(1), w.user(2));
    let copy = backup(&mut w);
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(2));
    talk(&mut w, (ada, at_ada), (ben, at_ben), "first");
    w.go_back(&copy, Openly);
    assert!(!w.server.room_ids().is_empty(), "another room");
    talk(&mut w, (ada, at_ada), (ben, at_ben), "then");
    for (client, conversation) in [(ada, at_ada), (ben, at_ben)] {
        let texts = w.texts(client, conversation);
        assert_eq!((count(&texts, "first a"), count(&texts, "first b")), (1, 1), "{texts:?}");
        assert_eq!(w.conversations(client).len(), 1);
        assert_eq!(w.status(client).unreadable, 0);
    }
}

#[test]
fn a_request_that_was_lost_is_made_again_and_one_that_was_accepted_is_open() {
    let mut w = World::new(3);
    let (ada, ben, cid) = (w.user(1), w.user(2), w.user(3));
    let Ok(Reply::Queued { conversation: to_ben, .. }) = w.send(ada, &bell(2), "hello ben") else { panic!() };
    w.run_for(2_000);
    let copy = backup(&mut w);
    // Accepted after the backup; asked after the backup, and not yet seen.
    let request = w.requests(ben).pop().unwrap();
    w.ask(ben, Intent::Accept { request: request.id }).unwrap();
    w.run_for(2_000);
    w.offline(cid);
    w.send(ada, &bell(3), "hello cid").unwrap();
    w.run_for(2_000);
    // Who accepted is away when the server is back: what is said to them meanwhile is not lost.
    w.clients[ben].network = false;
    w.go_back(&copy, Openly);
    w.say(ada, to_ben, "meanwhile");
    w.run_for(60_000);
    w.clients[cid].network = true;
    w.online(ben);
    w.run_for(120_000);
    talk(&mut w, (ada, to_ben), (ben, request.id), "then");
    assert_eq!(count(&w.texts(ben, request.id), "meanwhile"), 1);
    let asked = w.requests(cid);
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].text.as_deref(), Some("hello cid"));
}

fn groups_after(how: GoingBack) {
    let (mut w, users, groups) = group(4, 4);
    w.say(users[0], groups[0], "before");
    w.run_for(5_000);
    let copy = backup(&mut w);
    // The last one is removed after the backup: nobody is to follow the server back to where they were in.
    let gone = w.account(users[3]);
    let reply = w.ask(users[0], Intent::RemoveMember { conversation: groups[0], member: gone.clone() });
    assert!(reply.is_ok(), "{reply:?}");
    w.run_for(5_000);
    w.say(users[1], groups[1], "without them");
    w.run_for(5_000);
    w.go_back(&copy, how);
    for client in [0, 1, 2] {
        w.say(users[client], groups[client], &format!("from {client}"));
    }
    w.run_for(600_000);
    for client in [0, 1, 2] {
        let texts = w.texts(users[client], groups[client]);
        for text in ["before", "without them", "from 0", "from 1", "from 2"] {
            assert_eq!(count(&texts, text), 1, "{client}: {text}: {texts:?}");
        }
        let seen = the_group(&mut w, users[client]);
        assert_eq!((seen.state, seen.members.len()), (ConversationState::Open, 2), "{client}");
        assert!(!seen.members.iter().any(|member| member.account == gone));
        assert_eq!(w.status(users[client]).queued, 0);
    }
    let theirs = w.texts(users[3], groups[3]);
    assert_eq!((count(&theirs, "without them"), count(&theirs, "from 0")), (0, 0), "{theirs:?}");
}

#[test]
fn a_group_is_made_anew_where_the_server_forgot_a_removal() {
    groups_after(Openly);
}

#[test]
fn a_server_that_takes_a_removal_back_in_silence_is_not_followed() {
    groups_after(Silently);
}

#[test]
fn a_member_of_after_the_backup_is_in_again() {
    let (mut w, users, groups) = group(5, 3);
    let dan = w.user(9);
    w.befriend(users[0], dan, &bell(9));
    let copy = backup(&mut w);
    let members = vec![Target::Address(bell(9))];
    let reply = w.ask(users[0], Intent::AddMembers { conversation: groups[0], members });
    assert!(reply.is_ok(), "{reply:?}");
    w.run_for(5_000);
    let at_dan = the_group(&mut w, dan).id;
    w.go_back(&copy, Openly);
    w.run_for(300_000);
    talk(&mut w, (users[0], groups[0]), (dan, at_dan), "then");
    let texts = w.texts(users[2], groups[2]);
    assert_eq!((count(&texts, "then a"), count(&texts, "then b")), (1, 1), "{texts:?}");
}

#[test]
fn a_server_that_only_says_it_was_restored_gets_comparisons_and_no_room() {
    let (mut w, users, groups) = group(6, 3);
    let rooms = w.server.room_ids().len();
    for _ in 0..3 {
        for client in 0..w.clients.len() {
            w.drop_sockets(client);
        }
        w.server.incarnation += 1;
        w.run_for(180_000);
    }
    talk(&mut w, (users[0], groups[0]), (users[2], groups[2]), "still");
    assert_eq!(w.server.room_ids().len(), rooms);
    for user in users {
        assert_eq!(w.status(user).unreadable, 0);
        assert_eq!(repairs(&mut w, user), 0);
    }
}

#[test]
fn a_server_that_goes_back_in_silence_loses_nothing_that_is_said_afterwards() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(7);
    let copy = backup(&mut w);
    for n in 0..4 {
        w.say(ada, at_ada, &format!("ada {n}"));
        w.say(ben, at_ben, &format!("ben {n}"));
        w.run_for(5_000);
    }
    w.go_back(&copy, Silently);
    for n in 4..8 {
        w.say(ada, at_ada, &format!("ada {n}"));
        w.run_for(60_000);
        w.say(ben, at_ben, &format!("ben {n}"));
        w.run_for(60_000);
    }
    for (client, conversation) in [(ada, at_ada), (ben, at_ben)] {
        let texts = w.texts(client, conversation);
        for n in 0..8 {
            assert_eq!(count(&texts, &format!("ada {n}")), 1, "{client}: {texts:?}");
            assert_eq!(count(&texts, &format!("ben {n}")), 1, "{client}: {texts:?}");
        }
        assert_eq!(w.status(client).queued, 0);
    }
}

#[test]
fn one_who_was_away_hears_what_is_said_under_sequences_that_others_had_before() {
    let (mut w, users, groups) = group(8, 3);
    let copy = backup(&mut w);
    w.offline(users[2]);
    for n in 0..4 {
        w.say(users[0], groups[0], &format!("zero {n}"));
        w.run_for(5_000);
    }
    w.clients[users[2]].network = true;
    w.go_back(&copy, Silently);
    // Who was away does not know that these sequences were used; the others do.
    w.say(users[2], groups[2], "from who was away");
    w.run_for(60_000);
    for client in [0, 1, 2] {
        assert_eq!(count(&w.texts(users[client], groups[client]), "from who was away"), 1, "{client}");
    }
}

#[test]
fn the_same_backup_twice_is_two_lives_and_one_history() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(9);
    let copy = backup(&mut w);
    talk(&mut w, (ada, at_ada), (ben, at_ben), "first life");
    w.go_back(&copy, Openly);
    talk(&mut w, (ada, at_ada), (ben, at_ben), "second life");
    w.go_back(&copy, Openly);
    talk(&mut w, (ada, at_ada), (ben, at_ben), "third life");
    for (client, conversation) in [(ada, at_ada), (ben, at_ben)] {
        let texts = w.texts(client, conversation);
        for life in ["first", "second", "third"] {
            assert_eq!(count(&texts, &format!("{life} life a")), 1, "{texts:?}");
            assert_eq!(count(&texts, &format!("{life} life b")), 1, "{texts:?}");
        }
        assert_eq!(w.status(client).unreadable, 0);
    }
    assert_eq!(restored_events(&w, ada), 2);
}

#[test]
fn what_was_not_sent_yet_goes_out_afterwards_and_a_crash_between_changes_nothing() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(10);
    let copy = backup(&mut w);
    w.say(ada, at_ada, "acknowledged");
    w.run_for(5_000);
    w.offline(ada);
    w.say(ada, at_ada, "queued");
    for client in [ada, ben] {
        w.drop_sockets(client);
    }
    w.clients[ada].network = true;
    let made = copy.now;
    w.server.go_back(&copy, made, Openly);
    for _ in 0..6 {
        w.run_for(700);
        w.crash(ada);
        w.crash(ben);
    }
    w.run_for(180_000);
    let texts = w.texts(ben, at_ben);
    assert_eq!((count(&texts, "acknowledged"), count(&texts, "queued")), (1, 1), "{texts:?}");
    talk(&mut w, (ada, at_ada), (ben, at_ben), "then");
}

#[test]
fn blocks_and_door_tokens_are_given_to_the_server_again() {
    let (mut w, ada, ben, at_ada, _) = pair(11);
    let cid = w.user(3);
    let copy = backup(&mut w);
    w.befriend(ada, cid, &bell(3));
    let blocked = w.account(ben);
    w.ask(ada, Intent::Block { conversation: at_ada }).unwrap();
    w.run_for(5_000);
    let me = w.account(ada);
    assert!(w.server.has_blocked(&me, &blocked));
    w.go_back(&copy, Openly);
    assert!(w.server.has_blocked(&me, &blocked));
    assert!(w.server.doors(&me) >= 1);
    w.send(ada, &bell(3), "still friends").unwrap();
    w.run_for(5_000);
    assert_eq!(count(&w.all_texts(cid), "still friends"), 1);
}

#[test]
fn several_devices_of_one_account_are_one_person_afterwards_too() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(12);
    let tablet = link(&mut w, ada);
    let at_tablet = w.only_conversation(tablet).id;
    let copy = backup(&mut w);
    w.offline(ben);
    w.say(ada, at_ada, "from the phone");
    w.say(tablet, at_tablet, "from the tablet");
    w.run_for(5_000);
    w.clients[ben].network = true;
    w.go_back(&copy, Openly);
    w.run_for(120_000);
    talk(&mut w, (tablet, at_tablet), (ben, at_ben), "tablet");
    talk(&mut w, (ada, at_ada), (ben, at_ben), "phone");
    for (client, conversation) in [(ada, at_ada), (tablet, at_tablet), (ben, at_ben)] {
        let texts = w.texts(client, conversation);
        for text in ["from the phone", "from the tablet", "tablet a", "phone b"] {
            assert_eq!(count(&texts, text), 1, "{client}: {text}: {texts:?}");
        }
        assert_eq!((w.status(client).queued, w.status(client).unreadable), (0, 0), "{client}");
    }
}

#[test]
fn a_device_that_was_taken_off_after_the_backup_is_off_again_when_another_comes() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(13);
    let tablet = link(&mut w, ada);
    let Ok(Reply::Devices(all)) = w.ask(tablet, Intent::Devices) else { panic!() };
    let lost = all.into_iter().find(|device| device.this).unwrap().id;
    let me = w.account(ada);
    let copy = backup(&mut w);
    w.stop(tablet);
    w.ask(ada, Intent::RevokeDevice { device: lost }).unwrap();
    w.run_for(20_000);
    assert_eq!(w.server.devices_of(&me), 1);
    w.go_back(&copy, Openly);
    assert_eq!(w.server.devices_of(&me), 1, "the newest list is given back");
    w.run_for(120_000);
    talk(&mut w, (ada, at_ada), (ben, at_ben), "then");
    w.start(tablet);
    w.run_for(60_000);
    assert!(w.clients[tablet].events.iter().any(|event| matches!(event, Event::SignedOut { .. })));
}
