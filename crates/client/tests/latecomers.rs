//! What comes to an own device late, by way of another one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use parlour_client::api::*;
use parlour_proto::frames::{Push, Row, RowBody, ServerFrame};
use parlour_proto::ids::{MessageId, RoomId};
use support::*;

/// Lets go of what was held, but for one room's rows: those are lost.
fn release_without(w: &mut World, client: usize, room: RoomId) {
    w.release_with(client, |inputs| {
        for input in inputs {
            if let Input::Frame(_, ServerFrame::Push(Push::Rows(rows))) = input {
                rows.retain(|row| row.room != room);
            }
        }
    });
}

/// Lets go of what was held, the rows of the room that such a row is of behind all others.
fn release_with_room_last(w: &mut World, client: usize, such: impl Fn(&Row) -> bool) {
    w.release_with(client, |inputs| {
        let mut rows: Vec<Row> = Vec::new();
        for input in inputs.iter_mut() {
            if let Input::Frame(_, ServerFrame::Push(Push::Rows(more))) = input {
                rows.append(more);
            }
        }
        let seqs: Vec<u64> = rows.iter().map(|row| row.seq).collect();
        let last = rows.iter().find(|row| such(row)).unwrap().room;
        rows.sort_by_key(|row| row.room == last);
        rows.iter_mut().zip(seqs).for_each(|(row, seq)| row.seq = seq);
        let socket = Socket { identity: IdentityId(0), role: Role::Inbox };
        inputs.push(Input::Frame(socket, ServerFrame::Push(Push::Rows(rows))));
    });
}

/// The only room that a client has.
fn the_room(w: &World, client: usize) -> RoomId {
    let key = w.clients[client].rows.keys().find(|key| key.starts_with(b"lg")).unwrap();
    RoomId(key[4..20].try_into().unwrap())
}

#[test]
fn a_title_that_is_learned_after_a_device_was_linked_comes_to_it_too() {
    let mut w = World::new(230);
    let (ada, ben) = (w.user(1), w.user(2));
    w.befriend(ada, ben, &bell(2));
    let room = the_room(&w, ben);
    // What tells ben of her new device is lost: who made the group, and what it is called, he cannot believe before.
    w.hold(ben);
    let ada_too = link(&mut w, ada);
    let members = vec![Target::Account(w.account(ben))];
    w.ask(ada_too, Intent::CreateGroup { title: "Garden".into(), members }).unwrap();
    w.run_for(5_000);
    release_without(&mut w, ben, room);
    w.run_for(1_000);
    assert_ne!(the_group(&mut w, ben).title, "Garden");
    let tablet = link(&mut w, ben);
    assert_ne!(the_group(&mut w, tablet).title, "Garden");
    // He hears of both when she gives one of them up.
    let third = link(&mut w, ada);
    revoke(&mut w, ada, third);
    w.run_for(10_000);
    assert_eq!(the_group(&mut w, ben).title, "Garden");
    assert_eq!(the_group(&mut w, tablet).title, "Garden");
}

/// Ada answers Ben's request while his tablet, which he has brought in, is off. She gets to know of it after what she says first: the
/// tablet cannot read that. Gives the world, both, the tablet, the conversation as Ada has it, and what she said.
fn first_word_missed(seed: u64, text: &str) -> (World, usize, usize, usize, ConversationId, MessageId) {
    let mut w = World::new(seed);
    let (ada, ben) = (w.user(1), w.user(2));
    let tablet = link(&mut w, ben);
    w.offline(tablet);
    w.send(ben, &bell(1), "may I?").unwrap();
    w.run_for(5_000);
    let request = w.requests(ada).pop().unwrap().id;
    w.hold(ada);
    w.ask(ada, Intent::Accept { request }).unwrap();
    let first = w.say(ada, request, text);
    w.release(ada);
    w.run_for(20_000);
    (w, ada, ben, tablet, request, first)
}

#[test]
fn a_message_that_was_edited_before_another_device_brings_it_is_shown() {
    let (mut w, ada, ben, tablet, request, first) = first_word_missed(231, "frist");
    w.offline(ben);
    let to = Target::Conversation(request);
    w.ask(ada, Intent::Send { to, body: Body::Edit { message: first, text: "first".into() } }).unwrap();
    w.run_for(5_000);
    // Nor is she there to be asked for it.
    w.offline(ada);
    w.online(tablet);
    let at_tablet = w.only_conversation(tablet).id;
    assert_eq!(w.texts(tablet, at_tablet), ["may I?"]);
    w.online(ben);
    w.run_for(20_000);
    assert_eq!(w.texts(tablet, at_tablet), ["may I?", "first"]);
    // What was no text, she says once more.
    w.online(ada);
    assert_eq!(w.status(tablet).unreadable, 0);
}

#[test]
fn what_a_device_said_before_it_was_given_up_is_heard_after_that_too() {
    let (mut w, users, groups) = group(233, 2);
    let (ada, ben) = (users[0], users[1]);
    let tablet = link(&mut w, ben);
    let at_tablet = the_group(&mut w, tablet).id;
    w.hold(ada);
    let said = w.say(tablet, at_tablet, "from the tablet");
    w.run_for(2_000);
    revoke(&mut w, ben, tablet);
    w.run_for(10_000);
    // Ada hears elsewhere that it is gone before she hears what it said.
    release_with_room_last(
        &mut w,
        ada,
        |row| matches!(row.body, RowBody::Message { message_id, .. } if message_id == said),
    );
    w.run_for(20_000);
    assert_eq!(w.texts(ada, groups[0]), ["from the tablet"]);
    assert_eq!((w.status(ada).unreadable, w.status(ada).refused), (0, 0));
    assert!(!w.clients[ada].events.iter().any(|event| matches!(event, Event::KeysChanged { .. })));
}

#[test]
fn a_group_by_whom_another_device_has_just_written_to_is_open_on_all() {
    let mut w = World::new(234);
    let (ada, ben) = (w.user(1), w.user(2));
    let tablet = link(&mut w, ben);
    let own = the_room(&w, tablet);
    w.hold(tablet);
    w.send(ben, &bell(1), "hello").unwrap();
    w.run_for(1_000);
    let request = w.requests(ada).pop().unwrap().id;
    w.ask(ada, Intent::Accept { request }).unwrap();
    let members = vec![Target::Account(w.account(ben))];
    w.ask(ada, Intent::CreateGroup { title: "Garden".into(), members }).unwrap();
    w.run_for(1_000);
    assert_eq!(the_group(&mut w, ben).state, ConversationState::Open);
    // The tablet is told of the group before it hears whom the phone has written to.
    release_with_room_last(&mut w, tablet, |row| row.room == own);
    w.run_for(20_000);
    assert_eq!(the_group(&mut w, tablet).state, ConversationState::Open);
}

#[test]
fn what_a_device_that_was_put_back_tells_the_others_comes_to_them() {
    let mut w = World::new(235);
    let (ada, ben) = (w.user(1), w.user(2));
    let tablet = link(&mut w, ben);
    w.run_for(3_600_000);
    let old = w.clients[tablet].rows.clone();
    // Enough that the keys of all that follows were used before.
    for n in 0..12 {
        w.ask(tablet, Intent::SetName { name: format!("Ben {n}") }).unwrap();
        w.run_for(1_000);
    }
    w.clients[tablet].rows = old;
    w.crash(tablet);
    w.run_for(5_000);
    w.send(tablet, &bell(1), "hello").unwrap();
    w.run_for(5_000);
    let request = w.requests(ada).pop().unwrap().id;
    w.ask(ada, Intent::Accept { request }).unwrap();
    w.say(ada, request, "welcome");
    w.run_for(60_000);
    let at_ben = w.only_conversation(ben);
    assert_eq!(w.texts(ben, at_ben.id), ["hello", "welcome"]);
    assert_eq!(at_ben.state, ConversationState::Open);
}

#[test]
fn what_was_said_while_somebody_was_out_is_not_for_them_when_they_are_back() {
    let (mut w, users, groups) = group(235, 3);
    let (ada, ben, cid) = (users[0], users[1], users[2]);
    w.say(ben, groups[1], "for all");
    w.run_for(5_000);
    let member = w.account(cid);
    w.ask(ada, Intent::RemoveMember { conversation: groups[0], member: member.clone() }).unwrap();
    w.run_for(5_000);
    // Ben writes before he hears that cid is back: it comes to cid after the Welcome.
    w.hold(ben);
    w.ask(ada, Intent::AddMembers { conversation: groups[0], members: vec![Target::Account(member)] }).unwrap();
    w.run_for(5_000);
    w.say(ben, groups[1], "without cid");
    w.run_for(5_000);
    w.release(ben);
    w.run_for(20_000);
    assert_eq!(w.texts(ada, groups[0]), ["for all", "without cid"]);
    assert_eq!(w.texts(cid, groups[2]), ["for all"]);
    assert_eq!(w.status(cid).unreadable, 0);
}

#[test]
fn what_comes_late_stands_where_it_stands_for_the_others_and_is_unread() {
    let (mut w, users, groups) = group(242, 3);
    let (ada, ben, cid) = (users[0], users[1], users[2]);
    w.offline(cid);
    w.say(ada, groups[0], "one");
    w.run_for(2_000);
    w.offline(ada);
    w.wipe_mls(cid);
    w.online(cid);
    w.run_for(60_000);
    w.say(ben, groups[1], "two");
    w.run_for(2_000);
    assert_eq!(w.texts(cid, groups[2]), ["two"]);
    w.ask(cid, Intent::MarkRead { conversation: groups[2] }).unwrap();
    w.online(ada);
    w.run_for(60_000);
    for (who, conversation) in users.iter().zip(&groups) {
        assert_eq!(w.texts(*who, *conversation), ["one", "two"]);
    }
    assert_eq!(the_group(&mut w, cid).unread, 1);
    w.ask(cid, Intent::MarkRead { conversation: groups[2] }).unwrap();
    assert_eq!(the_group(&mut w, cid).unread, 0);
    w.run_for(5_000);
    assert_eq!(w.messages(ada, groups[0])[0].state, MessageState::Read);
}

#[test]
fn a_device_whose_old_copy_knows_no_place_in_a_group_is_brought_in_again() {
    let (mut w, users, groups) = group(236, 2);
    let (ada, ben) = (users[0], users[1]);
    let tablet = link(&mut w, ben);
    let copied = w.clients[tablet].rows.clone();
    let member = w.account(ben);
    w.ask(ada, Intent::RemoveMember { conversation: groups[0], member: member.clone() }).unwrap();
    w.run_for(5_000);
    w.ask(ada, Intent::AddMembers { conversation: groups[0], members: vec![Target::Account(member)] }).unwrap();
    w.run_for(20_000);
    w.clients[tablet].rows = copied;
    w.crash(tablet);
    w.run_for(2_000);
    w.say(ada, groups[0], "meanwhile");
    w.run_for(900_000);
    w.say(ada, groups[0], "hello");
    w.run_for(5_000);
    let at_tablet = the_group(&mut w, tablet);
    assert_eq!(at_tablet.state, ConversationState::Open);
    assert_eq!(w.texts(tablet, at_tablet.id), ["meanwhile", "hello"]);
    w.say(tablet, at_tablet.id, "from the tablet");
    w.run_for(5_000);
    assert_eq!(w.texts(ada, groups[0]), ["meanwhile", "hello", "from the tablet"]);
}

#[test]
fn two_devices_whose_old_copies_know_no_place_in_a_group_are_brought_in_by_the_third() {
    let (mut w, users, groups) = group(242, 2);
    let (ada, ben) = (users[0], users[1]);
    let tablet = link(&mut w, ben);
    let third = link(&mut w, ben);
    let copied = [ben, tablet].map(|client| w.clients[client].rows.clone());
    let member = w.account(ben);
    w.ask(ada, Intent::RemoveMember { conversation: groups[0], member: member.clone() }).unwrap();
    w.run_for(5_000);
    w.ask(ada, Intent::AddMembers { conversation: groups[0], members: vec![Target::Account(member)] }).unwrap();
    w.run_for(20_000);
    for (client, rows) in [ben, tablet].into_iter().zip(copied) {
        w.clients[client].rows = rows;
        w.crash(client);
    }
    w.run_for(2_000);
    w.say(ada, groups[0], "meanwhile");
    w.run_for(900_000);
    w.say(ada, groups[0], "hello");
    w.run_for(5_000);
    for client in [ben, tablet, third] {
        let here = the_group(&mut w, client);
        assert_eq!(here.state, ConversationState::Open, "{client}");
        assert_eq!(w.texts(client, here.id), ["meanwhile", "hello"], "{client}");
    }
    let at_tablet = the_group(&mut w, tablet).id;
    w.say(tablet, at_tablet, "from the tablet");
    w.run_for(5_000);
    assert_eq!(w.texts(ada, groups[0]), ["meanwhile", "hello", "from the tablet"]);
}

/// Ada and ben are in a group; ben is put back to a copy from before dan came, without the state of the group, while ada is away.
fn back_among_newcomers(seed: u64) -> (World, [usize; 3], [ConversationId; 3]) {
    let (mut w, users, groups) = group(seed, 2);
    let (ada, ben) = (users[0], users[1]);
    let copied = w.clients[ben].rows.clone();
    let dan = w.user(7);
    w.befriend(ada, dan, &bell(7));
    w.ask(ada, Intent::AddMembers { conversation: groups[0], members: vec![Target::Address(bell(7))] }).unwrap();
    w.run_for(5_000);
    w.offline(ada);
    w.clients[ben].rows = copied;
    w.wipe_mls(ben);
    let at_dan = the_group(&mut w, dan).id;
    (w, [ada, ben, dan], [groups[0], groups[1], at_dan])
}

fn is_alarmed(w: &World, client: usize) -> bool {
    w.clients[client].events.iter().any(|event| matches!(event, Event::Interference { .. }))
}

#[test]
fn who_is_let_back_in_by_somebody_new_asks_somebody_else_and_raises_no_alarm() {
    let (mut w, [ada, ben, dan], [at_ada, at_ben, at_dan]) = back_among_newcomers(240);
    w.run_for(120_000);
    w.say(dan, at_dan, "from somebody new");
    w.run_for(5_000);
    assert_eq!(w.texts(ben, at_ben), [""; 0], "nobody ben knows says that dan is in the group");
    w.online(ada);
    w.run_for(600_000);
    assert_eq!(w.texts(ben, at_ben), ["from somebody new"]);
    w.say(ben, at_ben, "I am back");
    w.run_for(5_000);
    assert_eq!(w.texts(ada, at_ada).last().unwrap(), "I am back");
    assert_eq!(w.texts(dan, at_dan).last().unwrap(), "I am back");
    assert!(!is_alarmed(&w, ben));
    assert_eq!(w.status(ben).unreadable, 0);
}

#[test]
fn who_is_let_back_in_by_a_friend_who_is_new_there_is_back() {
    let (mut w, [ada, ben, dan], [at_ada, at_ben, at_dan]) = back_among_newcomers(241);
    w.befriend(ben, dan, &bell(7));
    w.run_for(200_000);
    w.say(ben, at_ben, "I am back");
    w.run_for(5_000);
    assert_eq!(w.texts(dan, at_dan), ["I am back"]);
    w.online(ada);
    assert_eq!(w.texts(ada, at_ada), ["I am back"]);
    assert!(!is_alarmed(&w, ben));
}

#[test]
fn a_device_whose_old_copy_knows_nothing_of_a_conversation_is_brought_in_again() {
    let mut w = World::new(237);
    let (ada, ben) = (w.user(1), w.user(2));
    let tablet = link(&mut w, ben);
    let copied = w.clients[tablet].rows.clone();
    w.send(ben, &bell(1), "may I?").unwrap();
    w.run_for(20_000);
    w.clients[tablet].rows = copied;
    w.crash(tablet);
    w.run_for(2_000);
    let request = w.requests(ada).pop().unwrap().id;
    w.ask(ada, Intent::Accept { request }).unwrap();
    w.run_for(5_000);
    w.say(ada, request, "you may");
    w.run_for(5_000);
    // Told of it, and not in it.
    assert_ne!(w.only_conversation(tablet).state, ConversationState::Open);
    w.run_for(120_000);
    let at_tablet = w.only_conversation(tablet);
    assert_eq!(at_tablet.state, ConversationState::Open);
    assert_eq!(w.texts(tablet, at_tablet.id), ["may I?", "you may"]);
    w.say(tablet, at_tablet.id, "thanks");
    w.run_for(5_000);
    assert_eq!(w.texts(ada, request), ["may I?", "you may", "thanks"]);
}

#[test]
fn a_device_that_was_brought_in_by_one_that_is_gone_is_brought_in_again() {
    let mut w = World::new(238);
    let (ada, ben) = (w.user(1), w.user(2));
    let (tablet, third) = (link(&mut w, ben), link(&mut w, ben));
    w.offline(tablet);
    w.send(third, &bell(1), "may I?").unwrap();
    w.run_for(20_000);
    revoke(&mut w, ben, third);
    w.run_for(20_000);
    let request = w.requests(ada).pop().unwrap().id;
    w.ask(ada, Intent::Accept { request }).unwrap();
    w.run_for(20_000);
    w.online(tablet);
    w.run_for(120_000);
    w.say(ada, request, "you may");
    w.run_for(5_000);
    let at_tablet = w.only_conversation(tablet);
    assert_eq!(at_tablet.state, ConversationState::Open);
    assert_eq!(w.texts(tablet, at_tablet.id), ["may I?", "you may"]);
    assert_eq!(w.status(tablet).unreadable, 0);
    assert!(!w.clients[tablet].events.iter().any(|event| matches!(event, Event::Interference { .. })));
}

#[test]
fn what_an_own_device_does_not_bring_any_more_is_asked_of_its_author() {
    let (mut w, ada, ben, tablet, ..) = first_word_missed(237, "first");
    // The only one that could bring it is not there.
    w.offline(ben);
    w.offline(ada);
    w.online(tablet);
    let at_tablet = w.only_conversation(tablet).id;
    assert_eq!(w.texts(tablet, at_tablet), ["may I?"]);
    w.online(ada);
    assert_eq!(w.texts(tablet, at_tablet), ["may I?", "first"]);
    assert_eq!(w.status(tablet).unreadable, 0);
}

#[test]
fn a_device_that_was_put_back_is_reached_by_people_who_are_new() {
    let mut w = World::new(238);
    let ben = w.user(1);
    w.run_for(5_000);
    let old = w.clients[ben].rows.clone();
    // So many write that the server's packages are all of after the copy.
    let many = 2 * w.pool_size + 1;
    for n in 0..many {
        let somebody = w.user(10 + n);
        w.send(somebody, &bell(1), "hello").unwrap();
        w.run_for(1_000);
    }
    assert_eq!(w.requests(ben).len() as u32, many);
    w.clients[ben].rows = old;
    w.crash(ben);
    w.run_for(5_000);
    assert_eq!(w.requests(ben).len(), 0);
    let ada = w.user(2);
    w.send(ada, &bell(1), "is anybody there?").unwrap();
    w.run_for(5_000);
    let request = w.requests(ben).pop().expect("she reaches him").id;
    w.ask(ben, Intent::Accept { request }).unwrap();
    w.run_for(5_000);
    assert_eq!(w.texts(ben, request), ["is anybody there?"]);
}

#[test]
fn who_left_a_group_has_left_it_in_an_old_copy_too() {
    let (mut w, users, groups) = group(239, 3);
    let (ada, ben) = (users[0], users[1]);
    let old = w.clients[ben].rows.clone();
    w.ask(ben, Intent::Leave { conversation: groups[1] }).unwrap();
    w.run_for(5_000);
    for n in 0..w.pool_size {
        let somebody = w.user(10 + n);
        w.send(somebody, &bell(1), "hello").unwrap();
        w.run_for(1_000);
    }
    // He signs in, and the server has packages of after the copy.
    w.offline(ben);
    w.online(ben);
    w.clients[ben].rows = old;
    w.crash(ben);
    w.run_for(1_200_000);
    assert_eq!(the_group(&mut w, ben).state, ConversationState::Closed);
    assert_eq!(the_group(&mut w, ada).members.len(), 1);
    // What still goes on goes on.
    w.send(ada, &bell(1), "still here?").unwrap();
    w.run_for(5_000);
    let with_ada = w.conversations(ben).into_iter().find(|c| !c.is_group).unwrap();
    assert_eq!(w.texts(ben, with_ada.id).last().unwrap(), "still here?");
}

/// Drops the messages that come to a client from now on until it is let go.
fn dropping(w: &mut World, client: usize, mut meanwhile: impl FnMut(&mut World)) {
    w.hold(client);
    meanwhile(w);
    w.run_for(2_000);
    w.release_with(client, |inputs| {
        for input in inputs {
            if let Input::Frame(_, ServerFrame::Push(Push::Rows(rows))) = input {
                rows.retain(|row| !matches!(row.body, RowBody::Message { .. }));
            }
        }
    });
}

#[test]
fn what_was_withheld_is_asked_for() {
    let (mut w, users, groups) = group(240, 3);
    let (ada, ben) = (users[0], users[1]);
    let first = w.say(ada, groups[0], "first");
    w.run_for(2_000);
    dropping(&mut w, ben, |w| {
        w.say(ada, groups[0], "second");
    });
    assert_eq!(w.texts(ben, groups[1]), ["first"]);
    w.say(ada, groups[0], "third");
    w.run_for(5_000);
    let mut texts = w.texts(ben, groups[1]);
    texts.sort();
    assert_eq!(texts, ["first", "second", "third"]);
    assert_eq!(w.texts(users[2], groups[2]), ["first", "second", "third"], "once");
    // What is no text, too.
    let to = Target::Conversation(groups[0]);
    dropping(&mut w, ben, |w| {
        w.ask(ada, Intent::Send { to: to.clone(), body: Body::Delete { message: first } }).unwrap();
    });
    assert!(w.texts(ben, groups[1]).contains(&"first".to_owned()));
    w.say(ada, groups[0], "fourth");
    w.run_for(5_000);
    assert!(!w.texts(ben, groups[1]).contains(&"first".to_owned()));
    assert_eq!((w.status(ben).unreadable, w.status(ben).refused), (0, 0));
}

#[test]
fn who_comes_in_does_not_learn_what_was_said_before() {
    let (mut w, users, groups) = group(241, 3);
    let (ada, cid) = (users[0], users[2]);
    w.say(ada, groups[0], "with cid");
    w.run_for(2_000);
    let member = w.account(cid);
    w.ask(ada, Intent::RemoveMember { conversation: groups[0], member: member.clone() }).unwrap();
    w.run_for(5_000);
    w.say(ada, groups[0], "without cid");
    w.run_for(2_000);
    w.ask(ada, Intent::AddMembers { conversation: groups[0], members: vec![Target::Account(member)] }).unwrap();
    w.run_for(5_000);
    w.say(ada, groups[0], "with cid again");
    w.run_for(10_000);
    assert_eq!(w.texts(cid, groups[2]), ["with cid", "with cid again"]);
    assert_eq!(w.status(cid).unreadable, 0);
}

#[test]
fn a_device_that_was_away_does_not_throw_out_one_that_is_new() {
    let (mut w, users, groups) = group(242, 2);
    let (ada, ben) = (users[0], users[1]);
    let tablet = link(&mut w, ben);
    w.offline(tablet);
    let laptop = link(&mut w, ben);
    w.run_for(20_000);
    let commits = w.server.commits;
    w.online(tablet);
    assert_eq!(w.server.commits, commits);
    w.say(ada, groups[0], "to all three");
    w.run_for(5_000);
    for client in [ben, tablet, laptop] {
        let group = the_group(&mut w, client).id;
        assert_eq!(w.texts(client, group), ["to all three"]);
    }
}
