//! Who is writing: seen by whoever is there, over by itself, and nothing of it anywhere afterwards.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use bytes::Bytes;
use parlour_client::api::*;
use parlour_proto::frames::{AccountRef, Push};
use parlour_proto::ids::RoomId;
use support::insider::Insider;
use support::*;

/// What a client was told about who writes, since the last call.
fn told(w: &mut World, client: usize) -> Vec<(ConversationId, AccountRef, bool)> {
    let mut told = Vec::new();
    w.clients[client].events.retain(|event| match event {
        Event::Typing { conversation, who, typing } => {
            told.push((*conversation, who.clone(), *typing));
            false
        }
        _ => true,
    });
    told
}

/// Only whether somebody began or ended.
fn turns(w: &mut World, client: usize) -> Vec<bool> {
    told(w, client).into_iter().map(|(_, _, typing)| typing).collect()
}

fn types(w: &mut World, client: usize, conversation: ConversationId) {
    assert!(matches!(w.ask(client, Intent::Typing { conversation, typing: true }), Ok(Reply::Ok)));
}

fn stops(w: &mut World, client: usize, conversation: ConversationId) {
    assert!(matches!(w.ask(client, Intent::Typing { conversation, typing: false }), Ok(Reply::Ok)));
}

fn reports(w: &mut World, client: usize, typing: bool) {
    assert!(w.ask(client, Intent::SetReports { delivered: true, read: true, typing }).is_ok());
    w.run_for(1_000);
}

struct Pair {
    w: World,
    ada: usize,
    ben: usize,
    at_ada: ConversationId,
    at_ben: ConversationId,
}

fn pair(seed: u64) -> Pair {
    let mut w = World::new(seed);
    let (ada, ben) = (w.user(1), w.user(2));
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(2));
    w.run_for(10_000);
    Pair { w, ada, ben, at_ada, at_ben }
}

#[test]
fn somebody_who_writes_is_seen_until_they_stop() {
    let Pair { mut w, ada, ben, at_ada, at_ben } = pair(1);
    let who = w.account(ada);
    types(&mut w, ada, at_ada);
    assert_eq!(told(&mut w, ben), [(at_ben, who.clone(), true)]);
    stops(&mut w, ada, at_ada);
    assert_eq!(told(&mut w, ben), [(at_ben, who, false)]);
    assert_eq!(told(&mut w, ada), [], "one's own are no news");
    stops(&mut w, ada, at_ada);
    assert_eq!(w.server.whispers, 2, "whoever has stopped does not stop again");
}

#[test]
fn nobody_is_seen_writing_for_longer_than_they_are() {
    let Pair { mut w, ada, ben, at_ada, .. } = pair(2);
    types(&mut w, ada, at_ada);
    w.run_for(7_900);
    assert_eq!(turns(&mut w, ben), [true]);
    w.run_for(200);
    assert_eq!(turns(&mut w, ben), [false], "not heard of for eight seconds");
    // Again and again: one whisper in four seconds, seen all the time.
    let before = w.server.whispers;
    for _ in 0..100 {
        types(&mut w, ada, at_ada);
        w.run_for(200);
    }
    assert_eq!(w.server.whispers - before, 5);
    assert_eq!(turns(&mut w, ben), [true]);
    // The last one is lost, as if the device had gone.
    w.offline(ada);
    w.run_for(8_100);
    assert_eq!(turns(&mut w, ben), [false]);
    // A clock that is set back keeps nobody writing.
    w.online(ada);
    types(&mut w, ada, at_ada);
    w.now = parlour_proto::ids::UnixMillis(w.now.0 - 3_600_000);
    w.run_for(100);
    assert_eq!(turns(&mut w, ben), [true, false]);
}

#[test]
fn a_message_says_that_it_is_written() {
    let Pair { mut w, ada, ben, at_ada, at_ben } = pair(3);
    types(&mut w, ada, at_ada);
    let message = w.say(ada, at_ada, "written");
    w.run_for(100);
    stops(&mut w, ada, at_ada);
    assert_eq!(w.server.whispers, 1, "sending is no whisper");
    let news = w.clients[ben].events.iter().filter_map(|event| match event {
        Event::Typing { typing: true, .. } => Some("writes"),
        Event::Typing { typing: false, .. } => Some("writes no more"),
        Event::Message { message: m, .. } if m.id == message => Some("message"),
        _ => None,
    });
    assert_eq!(news.collect::<Vec<_>>(), ["writes", "writes no more", "message"]);
    told(&mut w, ben);
    // The next one, at once; an edit ends it, too.
    types(&mut w, ada, at_ada);
    let edit = Body::Edit { message, text: "edited".into() };
    w.ask(ada, Intent::Send { to: Target::Conversation(at_ada), body: edit }).unwrap();
    w.run_for(100);
    assert_eq!(turns(&mut w, ben), [true, false]);
    // Of one who was heard of while the other wrote, nothing changes.
    types(&mut w, ada, at_ada);
    w.say(ben, at_ben, "meanwhile");
    w.run_for(100);
    assert_eq!(turns(&mut w, ben), [true]);
}

#[test]
fn switched_off_it_is_neither_told_nor_seen() {
    let Pair { mut w, ada, ben, at_ada, at_ben } = pair(4);
    types(&mut w, ada, at_ada);
    assert_eq!(turns(&mut w, ben), [true]);
    reports(&mut w, ben, false);
    assert_eq!(turns(&mut w, ben), [false], "what is seen ends");
    let before = w.server.whispers;
    types(&mut w, ben, at_ben);
    assert_eq!((w.server.whispers, turns(&mut w, ada)), (before, vec![]));
    w.run_for(5_000);
    types(&mut w, ada, at_ada);
    assert_eq!(w.server.whispers, before + 1);
    assert_eq!(turns(&mut w, ben), []);
    // Over a restart, too.
    w.crash(ben);
    w.run_for(5_000);
    types(&mut w, ada, at_ada);
    types(&mut w, ben, at_ben);
    assert_eq!((turns(&mut w, ada), turns(&mut w, ben)), (vec![], vec![]));
    reports(&mut w, ben, true);
    w.run_for(5_000);
    types(&mut w, ben, at_ben);
    assert_eq!(turns(&mut w, ada), [true]);
}

#[test]
fn a_stranger_sees_nothing_before_the_choice_and_nothing_after_the_end() {
    let mut w = World::new(5);
    let (ada, ben) = (w.user(1), w.user(2));
    let Ok(Reply::Queued { conversation: at_ada, .. }) = w.send(ada, &bell(2), "hello") else { panic!() };
    w.run_for(2_000);
    let at_ben = w.requests(ben).pop().unwrap().id;
    types(&mut w, ada, at_ada);
    types(&mut w, ben, at_ben);
    assert_eq!(w.server.whispers, 0);
    w.ask(ben, Intent::Accept { request: at_ben }).unwrap();
    w.run_for(10_000);
    types(&mut w, ben, at_ben);
    assert_eq!(turns(&mut w, ada), [true]);
    w.ask(ben, Intent::Block { conversation: at_ben }).unwrap();
    w.run_for(10_000);
    assert_eq!(turns(&mut w, ada), [false]);
    types(&mut w, ada, at_ada);
    types(&mut w, ben, at_ben);
    assert_eq!((turns(&mut w, ada), turns(&mut w, ben)), (vec![], vec![]), "blocked");
    let nowhere = Intent::Typing { conversation: ConversationId([9; 16]), typing: true };
    assert!(matches!(w.ask(ada, nowhere), Err(Failure::NotFound(_))));
}

#[test]
fn in_a_group_each_is_seen_until_they_leave() {
    let (mut w, people, at) = group(6, 4);
    let accounts: Vec<AccountRef> = people.iter().map(|person| w.account(*person)).collect();
    w.run_for(5_000);
    types(&mut w, people[1], at[1]);
    types(&mut w, people[2], at[2]);
    assert_eq!(told(&mut w, people[0]), [(at[0], accounts[1].clone(), true), (at[0], accounts[2].clone(), true)]);
    assert_eq!(told(&mut w, people[1]), [(at[1], accounts[2].clone(), true)]);
    w.say(people[1], at[1], "mine");
    w.run_for(100);
    assert_eq!(told(&mut w, people[0]), [(at[0], accounts[1].clone(), false)]);
    // Whoever is removed is not seen, and does not see.
    w.ask(people[0], Intent::RemoveMember { conversation: at[0], member: accounts[2].clone() }).unwrap();
    w.run_for(3_000);
    assert_eq!(told(&mut w, people[0]), [(at[0], accounts[2].clone(), false)]);
    told(&mut w, people[2]);
    types(&mut w, people[1], at[1]);
    types(&mut w, people[2], at[2]);
    assert_eq!(told(&mut w, people[0]), [(at[0], accounts[1].clone(), true)]);
    assert_eq!(told(&mut w, people[2]), []);
    // One who has left, by themselves.
    w.ask(people[3], Intent::Leave { conversation: at[3] }).unwrap();
    w.run_for(10_000);
    told(&mut w, people[3]);
    types(&mut w, people[3], at[3]);
    types(&mut w, people[1], at[1]);
    assert_eq!(told(&mut w, people[3]), []);
    // In a group where only admins write nobody else is seen writing.
    let rules =
        GroupRules { add: Allowed::Everyone, write: Allowed::Admins, change: Allowed::Everyone, history_s: None };
    w.ask(people[0], Intent::SetRules { conversation: at[0], rules }).unwrap();
    w.run_for(10_000);
    told(&mut w, people[0]);
    told(&mut w, people[1]);
    types(&mut w, people[1], at[1]);
    types(&mut w, people[0], at[0]);
    assert_eq!((turns(&mut w, people[0]), turns(&mut w, people[1])), (vec![], vec![true]));
}

#[test]
fn whom_one_has_blocked_is_not_seen_in_a_group_either() {
    let (mut w, people, at) = group(7, 3);
    let with_one = w.conversations(people[0]).into_iter().find(|c| !c.is_group && c.title.contains("4501")).unwrap().id;
    w.ask(people[0], Intent::Block { conversation: with_one }).unwrap();
    w.run_for(5_000);
    types(&mut w, people[1], at[1]);
    types(&mut w, people[2], at[2]);
    let who = w.account(people[2]);
    assert_eq!(told(&mut w, people[0]), [(at[0], who, true)]);
}

#[test]
fn one_of_several_own_devices_writes_for_the_account() {
    let Pair { mut w, ada, ben, at_ada, at_ben } = pair(8);
    let Ok(Reply::LinkCode { code, .. }) = w.ask(ada, Intent::OfferLink) else { panic!() };
    let tablet = w.home();
    w.start_intent(tablet, Intent::Link { code, name: "Tablet".into() });
    w.run();
    w.ask(ada, Intent::ConfirmLink { yes: true }).unwrap();
    w.sync(tablet);
    w.run_for(60_000);
    let at_tablet = w.only_conversation(tablet).id;
    let who = w.account(ada);
    types(&mut w, tablet, at_tablet);
    assert_eq!(told(&mut w, ben), [], "a device that he has not been told of");
    w.say(tablet, at_tablet, "from the tablet");
    w.run_for(2_000);
    types(&mut w, tablet, at_tablet);
    assert_eq!(told(&mut w, ben), [(at_ben, who, true)]);
    assert_eq!(told(&mut w, ada), [], "it knows what it does");
    types(&mut w, ben, at_ben);
    assert_eq!((turns(&mut w, ada), turns(&mut w, tablet)), (vec![true], vec![true]));
    // The setting is the account's.
    reports(&mut w, tablet, false);
    w.run_for(8_000);
    told(&mut w, ada);
    told(&mut w, ben);
    types(&mut w, ada, at_ada);
    types(&mut w, ben, at_ben);
    assert_eq!((turns(&mut w, ada), turns(&mut w, ben)), (vec![], vec![]));
}

#[test]
fn nothing_is_kept_for_who_is_away_and_nothing_stored_by_anybody() {
    let Pair { mut w, ada, ben, at_ada, at_ben } = pair(9);
    // The backup is made.
    w.run_for(120_000);
    let (rows, stored) = (w.server.rows_stored(), [ada, ben].map(|client| w.clients[client].rows.clone()));
    for _ in 0..10 {
        types(&mut w, ada, at_ada);
        types(&mut w, ben, at_ben);
        w.run_for(4_000);
    }
    assert_eq!(w.server.rows_stored(), rows);
    assert!([ada, ben].map(|client| w.clients[client].rows.clone()) == stored, "an engine stored something");
    assert_eq!(w.server.whispers, 20);

    w.run_for(10_000);
    told(&mut w, ben);
    w.offline(ben);
    types(&mut w, ada, at_ada);
    types(&mut w, ben, at_ben);
    w.run_for(1_000);
    w.online(ben);
    assert_eq!((turns(&mut w, ada), turns(&mut w, ben)), (vec![true, false], vec![]));
    assert_eq!(w.status(ada).queued + w.status(ben).queued, 0);
}

#[test]
fn the_first_whisper_after_a_start_is_heard() {
    let Pair { mut w, ada, ben, at_ada, at_ben } = pair(10);
    w.crash(ben);
    w.run_for(70_000);
    types(&mut w, ada, at_ada);
    assert_eq!(turns(&mut w, ben), [true], "the group was read for it");
    w.crash(ada);
    w.run_for(70_000);
    types(&mut w, ben, at_ben);
    assert_eq!(turns(&mut w, ada), [true]);
    types(&mut w, ada, at_ada);
    w.run_for(100);
    assert_eq!(turns(&mut w, ben), [false, true], "over, and again");
}

#[test]
fn what_is_no_whisper_is_nothing() {
    let Pair { mut w, ada, ben, at_ben, .. } = pair(11);
    let room = w.server.largest_room();
    let ben_too = Insider::copy(&w, ben, room);
    let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::seed_from_u64(1);
    let mut says = |content: &[u8]| Bytes::from(ben_too.group.seal_whisper(content, &mut rng).unwrap());
    let mut broken = says(&[1]).to_vec();
    broken[40] ^= 1;
    let elsewhere = RoomId([9; 16]);
    let payloads = [says(&[]), says(&[3]), says(&[1, 1]), broken.into(), Bytes::new(), Bytes::from(vec![1; 105])];
    for payload in payloads {
        w.inject(ada, Push::Whisper { room, payload });
    }
    w.inject(ada, Push::Whisper { room: elsewhere, payload: says(&[1]) });
    for n in 0..1_000 {
        w.inject(ada, Push::Whisper { room: RoomId([n as u8; 16]), payload: Bytes::from(vec![1; n]) });
    }
    w.run();
    assert_eq!(turns(&mut w, ada), []);
    // Whoever carries whispers can say one twice: worth what the first one was.
    let genuine = says(&[1]);
    for _ in 0..2 {
        w.inject(ada, Push::Whisper { room, payload: genuine.clone() });
    }
    w.run();
    assert_eq!(turns(&mut w, ada), [true]);
    assert_eq!(w.status(ada).unreadable, 0);
    w.say(ben, at_ben, "all is well");
    w.run_for(1_000);
    assert_eq!(turns(&mut w, ada), [false]);
}

#[test]
fn whoever_was_away_while_others_typed_reads_everything() {
    let (mut w, people, at) = group(12, 3);
    w.run_for(10_000);
    w.offline(people[2]);
    let rows = w.server.rows_stored();
    let mut said = Vec::new();
    for n in 0..5_000 {
        let one = n % 2;
        types(&mut w, people[one], at[one]);
        if n % 500 == 499 {
            let text = format!("after {n}");
            w.say(people[one], at[one], &text);
            said.push(text);
        }
        w.run_for(2_000);
    }
    assert_eq!(w.server.whispers, 5_000);
    let turns = turns(&mut w, people[0]);
    assert!(turns.len() > 2, "{turns:?}");
    assert_eq!(w.server.rows_stored() - rows, 60, "ten texts and their reports, for three");
    w.online(people[2]);
    let read = w.texts(people[2], at[2]);
    assert_eq!(&read[read.len() - said.len()..], said);
    assert_eq!(w.status(people[2]).unreadable, 0);
    assert_eq!(told(&mut w, people[2]), []);
}
