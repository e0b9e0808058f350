//! Crashes, lost answers, races, lost and old state: nothing is lost, nothing twice, and the user reads no error.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use parlour_client::api::*;
use parlour_proto::frames::{Push, RowBody, ServerFrame};
use support::{World, bell, body, group, the_group};

const DAY_MS: u64 = 24 * 3_600_000;

fn pair(seed: u64) -> (World, usize, usize, ConversationId, ConversationId) {
    let mut w = World::new(seed);
    let (ada, ben) = (w.user(1), w.user(2));
    let (at_ada, at_ben) = w.befriend(ada, ben, &bell(2));
    (w, ada, ben, at_ada, at_ben)
}

fn last(texts: Vec<String>, count: usize) -> Vec<String> {
    texts[texts.len() - count..].to_vec()
}

#[test]
fn an_accepted_commit_whose_answer_was_lost_is_merged_by_its_echo() {
    let mut w = World::new(101);
    let (ada, ben) = (w.user(1), w.user(2));
    // The claim and the room are answered on the inbox; the first answer on the outbox is the commit's.
    w.lose_answers = 1;
    w.send(ada, &bell(2), "hello").unwrap();
    w.run_for(120_000);
    assert_eq!(w.server.commits, 1, "the same commit is not made twice");
    assert_eq!(w.requests(ben).pop().unwrap().text.as_deref(), Some("hello"));
}

#[test]
fn a_sent_message_whose_answer_was_lost_arrives_once() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(102);
    for n in 0..5 {
        w.lose_answers = 1;
        w.say(ada, at_ada, &format!("{n}"));
        w.run_for(120_000);
    }
    assert_eq!(last(w.texts(ben, at_ben), 5), ["0", "1", "2", "3", "4"]);
    assert_eq!(w.status(ada).queued, 0);
}

#[test]
fn a_crash_before_the_merge_loses_nothing() {
    let mut w = World::new(103);
    let (ada, ben) = (w.user(1), w.user(2));
    w.start_intent(ada, Intent::Send { to: Target::Address(bell(2)), body: body("hello") });
    // Step until the server has the commit, then die before its answer is read.
    for _ in 0..10_000 {
        if w.server.commits == 1 {
            break;
        }
        w.step();
    }
    assert_eq!(w.server.commits, 1);
    w.crash(ada);
    w.run_for(120_000);
    assert_eq!(w.server.commits, 1);
    assert_eq!(w.requests(ben).pop().unwrap().text.as_deref(), Some("hello"));
    assert_eq!(w.only_conversation(ada).state, ConversationState::Asked);
}

/// What happens while a process dies: talk both ways, and a first contact.
fn scenario(w: &mut World, ada: usize, ben: usize, cid: usize) {
    let to_ben = Target::Address(bell(2));
    w.say_surely(ada, &to_ben, "one");
    w.say_surely(ben, &Target::Address(bell(1)), "uno");
    w.say_surely(ada, &Target::Address(bell(3)), "hello cid");
    w.say_surely(ada, &to_ben, "two");
    w.run_for(120_000);
    let request = loop {
        match w.requests(cid).pop() {
            Some(request) => break request,
            None => w.run_for(30_000),
        }
    };
    for _ in 0..3 {
        let crashes = w.clients[cid].crashes;
        let id = w.start_intent(cid, Intent::Accept { request: request.id });
        w.run_for(1_000);
        if w.reply(cid, id).is_some() || (crashes < w.clients[cid].crashes && w.requests(cid).is_empty()) {
            break;
        }
    }
    w.say_surely(ada, &Target::Address(bell(3)), "how are you");
    w.say_surely(cid, &Target::Conversation(request.id), "fine");
    w.run_for(180_000);
}

fn check_scenario(w: &mut World, ada: usize, ben: usize, cid: usize, what: &str) {
    let by_peer = |w: &mut World, peer: &str| {
        let all = w.conversations(ada);
        let texts: Vec<Vec<String>> = all.into_iter().map(|c| w.texts(ada, c.id)).collect();
        texts.into_iter().find(|texts| texts.iter().any(|text| text == peer)).unwrap_or_default()
    };
    let of = |texts: &[String], which: &[&str]| -> Vec<String> {
        texts.iter().filter(|text| which.contains(&text.as_str())).cloned().collect()
    };
    let ben_texts = w.all_texts(ben);
    assert_eq!(of(&ben_texts, &["one", "two"]), ["one", "two"], "{what}");
    assert_eq!(of(&ben_texts, &["uno"]), ["uno"], "{what}");
    let with_ben = by_peer(w, "one");
    assert_eq!(of(&with_ben, &["uno"]), ["uno"], "{what}");
    let cid_texts = w.all_texts(cid);
    assert_eq!(of(&cid_texts, &["hello cid", "how are you"]), ["hello cid", "how are you"], "{what}");
    let with_cid = by_peer(w, "hello cid");
    assert_eq!(of(&with_cid, &["hello cid", "how are you", "fine"]).len(), 3, "{what}");
    for client in [ada, ben, cid] {
        assert_eq!(w.status(client).queued, 0, "{what}");
        assert_eq!(w.status(client).unreadable, 0, "{what}");
    }
}

fn crash_between_effects_of(dying: usize, seed: u64) {
    let mut base = World::new(seed);
    let (ada, ben, cid) = (base.user(1), base.user(2), base.user(3));
    base.befriend(ada, ben, &bell(2));
    let mut w = base.fork();
    let before = w.clients[dying].effects;
    scenario(&mut w, ada, ben, cid);
    check_scenario(&mut w, ada, ben, cid, "without a crash");
    let effects = w.clients[dying].effects - before;
    assert!(effects > 30);
    for k in 1..=effects {
        let mut w = base.fork();
        w.clients[dying].crash_at = Some(w.clients[dying].effects + k);
        scenario(&mut w, ada, ben, cid);
        check_scenario(&mut w, ada, ben, cid, &format!("crash before effect {k} of {effects}"));
    }
}

#[test]
fn a_crash_between_any_two_effects_of_the_asker_loses_and_doubles_nothing() {
    crash_between_effects_of(0, 104);
}

#[test]
fn a_crash_between_any_two_effects_of_a_contact_loses_and_doubles_nothing() {
    crash_between_effects_of(1, 105);
}

#[test]
fn a_crash_between_any_two_effects_of_the_asked_loses_and_doubles_nothing() {
    crash_between_effects_of(2, 106);
}

#[test]
fn a_group_is_made_and_its_members_talk_come_and_go() {
    let (mut w, users, groups) = group(107, 3);
    assert_eq!(the_group(&mut w, users[2]).title, "Garden");
    assert_eq!(the_group(&mut w, users[1]).members.len(), 2);
    for (n, user) in users.clone().into_iter().enumerate() {
        w.say(user, groups[n], &format!("from {n}"));
    }
    w.run_for(5_000);
    let texts = w.texts(users[0], groups[0]);
    assert_eq!(texts.len(), 3);
    for (n, user) in users.clone().into_iter().enumerate() {
        assert_eq!(w.texts(user, groups[n]), texts);
    }
    // One more, added by somebody who is not the owner.
    let dan = w.user(9);
    w.befriend(users[1], dan, &bell(9));
    let add = Intent::AddMembers { conversation: groups[1], members: vec![Target::Address(bell(9))] };
    let reply = w.ask(users[1], add);
    assert!(reply.is_ok(), "{reply:?}");
    w.run_for(5_000);
    let at_dan = the_group(&mut w, dan);
    assert_eq!(at_dan.title, "Garden");
    w.say(dan, at_dan.id, "hi all");
    w.run_for(5_000);
    assert_eq!(last(w.texts(users[2], groups[2]), 1), ["hi all"]);
    // One is removed, one leaves.
    let account = w.account(users[2]);
    w.ask(users[0], Intent::RemoveMember { conversation: groups[0], member: account }).unwrap();
    w.run_for(5_000);
    assert_eq!(the_group(&mut w, users[2]).state, ConversationState::Closed);
    w.ask(dan, Intent::Leave { conversation: at_dan.id }).unwrap();
    w.run_for(20_000);
    assert_eq!(the_group(&mut w, users[0]).members.len(), 1);
    w.say(users[0], groups[0], "just us");
    w.run_for(5_000);
    assert_eq!(last(w.texts(users[1], groups[1]), 1), ["just us"]);
    assert!(!w.texts(users[2], groups[2]).contains(&"just us".to_owned()));
    assert!(!w.texts(dan, at_dan.id).contains(&"just us".to_owned()));
}

#[test]
fn a_message_sent_across_a_removal_is_encrypted_again_and_read_by_those_who_stay() {
    let (mut w, users, groups) = group(108, 3);
    let account = w.account(users[2]);
    w.hold(users[1]);
    w.ask(users[0], Intent::RemoveMember { conversation: groups[0], member: account }).unwrap();
    w.say(users[1], groups[1], "not for the removed one");
    w.run();
    assert_eq!(w.status(users[1]).queued, 1, "the old send key is refused at once");
    w.release(users[1]);
    w.run_for(20_000);
    assert_eq!(w.status(users[1]).queued, 0);
    assert_eq!(last(w.texts(users[0], groups[0]), 1), ["not for the removed one"]);
    assert!(w.texts(users[2], groups[2]).is_empty());
}

#[test]
fn ten_commits_that_race_all_take_effect() {
    let (mut w, users, groups) = group(109, 10);
    // Everybody makes a friend of their own and adds them, all at the same instant.
    let friends: Vec<usize> = (0..10).map(|n| w.user(20 + n)).collect();
    for n in 0..10 {
        w.befriend(users[n], friends[n], &bell(20 + n as u32));
    }
    let ids: Vec<_> = (0..10)
        .map(|n| {
            let members = vec![Target::Address(bell(20 + n as u32))];
            w.start_intent(users[n], Intent::AddMembers { conversation: groups[n], members })
        })
        .collect();
    w.run_for(60_000);
    for (n, id) in ids.into_iter().enumerate() {
        assert!(w.reply(users[n], id).is_some_and(|reply| reply.is_ok()), "{n}");
    }
    assert!(w.server.refused_commits > 0, "they did race");
    assert_eq!(the_group(&mut w, users[0]).members.len(), 19);
    let at_friend = groups_of(&mut w, friends[3]);
    w.say(friends[3], at_friend, "all here?");
    w.run_for(10_000);
    for user in users.iter().chain(&friends) {
        let id = groups_of(&mut w, *user);
        assert_eq!(last(w.texts(*user, id), 1), ["all here?"]);
    }
}

fn groups_of(w: &mut World, client: usize) -> ConversationId {
    the_group(w, client).id
}

#[test]
fn rows_that_come_before_their_welcome_wait_for_it() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(110);
    let _ = at_ben;
    // A second room, by the door, whose rows are handed over in the wrong order.
    w.ask(ada, Intent::Leave { conversation: at_ada }).unwrap();
    w.run_for(5_000);
    w.hold(ben);
    w.send(ada, &bell(2), "late").unwrap();
    w.say(ada, at_ada, "later");
    w.run_for(2_000);
    w.release_with(ben, |inputs| {
        let mut rows: Vec<parlour_proto::frames::Row> = Vec::new();
        for input in inputs.drain(..) {
            if let Input::Frame(_, ServerFrame::Push(Push::Rows(more))) = input {
                rows.extend(more);
            }
        }
        let seqs: Vec<u64> = rows.iter().map(|row| row.seq).collect();
        rows.sort_by_key(|row| matches!(row.body, parlour_proto::frames::RowBody::Welcome { .. }));
        rows.iter_mut().zip(seqs).for_each(|(row, seq)| row.seq = seq);
        let socket = Socket { identity: IdentityId(0), role: Role::Inbox };
        inputs.extend(rows.into_iter().map(|row| Input::Frame(socket, ServerFrame::Push(Push::Rows(vec![row])))));
    });
    w.run_for(5_000);
    assert_eq!(last(w.all_texts(ben), 2), ["late", "later"]);
}

#[test]
fn a_void_commit_by_an_insider_is_skipped_and_undone() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(111);
    let room = w.server.room_ids()[0];
    let before = w.server.commits;
    w.server.commit_rubbish(room);
    w.run_for(20_000);
    assert!(w.server.commits > before + 1, "somebody commits past it");
    w.server.expire_keys();
    w.say(ada, at_ada, "still here");
    w.say(ben, at_ben, "me too");
    w.run_for(20_000);
    let mut texts = last(w.texts(ben, at_ben), 2);
    texts.sort();
    assert_eq!(texts, ["me too", "still here"]);
    assert_eq!(w.texts(ada, at_ada), w.texts(ben, at_ben));
}

/// A group of three; the second one's entry is thrown out by noise while the others are away.
fn thrown_out(seed: u64) -> (World, Vec<usize>, Vec<ConversationId>) {
    let (mut w, users, groups) = group(seed, 3);
    w.offline(users[0]);
    w.offline(users[2]);
    let account = w.account(users[1]);
    let room = w.server.largest_room();
    w.server.throw_out(room, &account);
    w.run();
    w.say(users[1], groups[1], "is anybody there?");
    (w, users, groups)
}

#[test]
fn who_was_thrown_out_by_a_void_commit_waits_for_somebody_to_undo_it() {
    let (mut w, users, groups) = thrown_out(121);
    w.run_for(120_000);
    assert_eq!(the_group(&mut w, users[1]).state, ConversationState::Repairing);
    assert_eq!(w.status(users[1]).queued, 1);
    w.crash(users[1]);
    w.run_for(DAY_MS);
    let fetched = w.server.log_fetches;
    w.run_for(DAY_MS);
    assert!(w.server.log_fetches - fetched < 6, "it looks rarely after a while");
    w.online(users[0]);
    assert_eq!(w.texts(users[0], groups[0]), ["is anybody there?"]);
    assert_eq!(the_group(&mut w, users[1]).state, ConversationState::Open);
    w.online(users[2]);
    w.say(users[2], groups[2], "yes");
    w.run_for(5_000);
    assert_eq!(w.texts(users[1], groups[1]), ["is anybody there?", "yes"]);
    assert_eq!(w.server.knocks, 0, "nobody's state was lost");
}

#[test]
fn who_was_thrown_out_meanwhile_goes_on_without_a_repair_when_others_are_there() {
    let (mut w, users, groups) = group(122, 3);
    let account = w.account(users[1]);
    let room = w.server.largest_room();
    for round in 0..4 {
        w.server.throw_out(room, &account);
        for (n, user) in users.iter().enumerate() {
            w.say(*user, groups[n], &format!("{round} {n}"));
        }
        w.run_for(40_000);
        let texts = w.texts(users[0], groups[0]);
        assert_eq!(texts.len(), 3 * (round + 1), "{texts:?}");
        for (n, user) in users.iter().enumerate() {
            assert_eq!(w.texts(*user, groups[n]), texts);
        }
    }
    assert_eq!(w.server.knocks, 0);
}

#[test]
fn a_void_removal_that_nobody_undoes_closes_the_group_after_thirty_days() {
    let (mut w, users, groups) = thrown_out(123);
    w.run_for(29 * DAY_MS);
    assert_eq!(the_group(&mut w, users[1]).state, ConversationState::Repairing);
    w.run_for(2 * DAY_MS);
    assert_eq!(the_group(&mut w, users[1]).state, ConversationState::Closed);
    let said = w.messages(users[1], groups[1]).pop().unwrap();
    assert_eq!(said.state, MessageState::Failed);
}

#[test]
fn somebody_who_was_away_for_almost_thirty_days_reads_everything() {
    let (mut w, users, groups) = group(112, 3);
    w.offline(users[2]);
    let mut said = Vec::new();
    for day in 0..29 {
        for n in 0..4 {
            let text = format!("{day}.{n}");
            w.say(users[n % 2], groups[n % 2], &text);
            w.run_for(1_000);
            said.push(text);
        }
        if day % 3 == 0 {
            // Membership changes: epochs pass.
            let friend = w.user(40 + day);
            w.befriend(users[0], friend, &bell(40 + day));
            let members = vec![Target::Address(bell(40 + day))];
            w.ask(users[0], Intent::AddMembers { conversation: groups[0], members }).unwrap();
        }
        w.run_for(DAY_MS);
    }
    w.run_for(DAY_MS * 9 / 10);
    w.online(users[2]);
    assert_eq!(w.texts(users[2], groups[2]), said);
    assert_eq!(w.status(users[2]).unreadable, 0);
    w.say(users[2], groups[2], "back");
    w.run_for(10_000);
    assert_eq!(last(w.texts(users[0], groups[0]), 1), ["back"]);
}

#[test]
fn a_device_whose_mls_state_is_wiped_is_let_back_in_by_a_knock() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(113);
    w.wipe_mls(ben);
    w.run_for(5_000);
    w.say(ada, at_ada, "can you read this?");
    w.run_for(15_000);
    assert_eq!(last(w.texts(ben, at_ben), 1), ["can you read this?"], "sent again after the repair");
    assert_eq!((w.server.knocks, w.server.successors), (1, 0));
    w.say(ben, at_ben, "yes");
    w.run_for(5_000);
    assert_eq!(last(w.texts(ada, at_ada), 1), ["yes"]);
    assert_eq!(w.only_conversation(ben).state, ConversationState::Open);
    assert_eq!(w.status(ben).repairs, 1);
}

#[test]
fn a_wiped_conversation_is_rebuilt_while_the_other_side_is_away() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(114);
    w.offline(ada);
    w.wipe_mls(ben);
    w.run_for(1_000);
    w.say(ben, at_ben, "queued while broken");
    w.run_for(60_000);
    assert_eq!(w.server.successors, 1);
    w.online(ada);
    w.run_for(10_000);
    assert_eq!(last(w.texts(ada, at_ada), 1), ["queued while broken"]);
    w.say(ada, at_ada, "got it");
    w.run_for(5_000);
    assert_eq!(last(w.texts(ben, at_ben), 1), ["got it"]);
    assert_eq!(w.only_conversation(ada).state, ConversationState::Open);
    assert_eq!(w.only_conversation(ben).state, ConversationState::Open);
}

#[test]
fn both_sides_wiped_end_in_one_rebuilt_conversation() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(115);
    w.wipe_mls(ada);
    w.wipe_mls(ben);
    w.say(ada, at_ada, "from ada");
    w.say(ben, at_ben, "from ben");
    w.run_for(180_000);
    for (client, conversation) in [(ada, at_ada), (ben, at_ben)] {
        let mut texts = last(w.texts(client, conversation), 2);
        texts.sort();
        assert_eq!(texts, ["from ada", "from ben"]);
        assert_eq!(w.only_conversation(client).state, ConversationState::Open);
    }
    assert_eq!(w.server.successors, 1, "one winner");
}

#[test]
fn a_home_restored_from_an_old_copy_catches_up() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(116);
    let old = w.clients[ben].rows.clone();
    for n in 0..4 {
        w.say(ben, at_ben, &format!("ben {n}"));
        w.say(ada, at_ada, &format!("ada {n}"));
        w.run_for(2_000);
    }
    w.clients[ben].rows = old;
    w.crash(ben);
    w.run_for(5_000);
    w.say(ben, at_ben, "after the restore");
    w.say(ada, at_ada, "and back");
    w.run_for(180_000);
    let texts = w.texts(ada, at_ada);
    assert_eq!(texts.iter().filter(|text| *text == "after the restore").count(), 1, "{texts:?}");
    let texts = w.texts(ben, at_ben);
    assert_eq!(texts.iter().filter(|text| *text == "and back").count(), 1, "{texts:?}");
}

#[test]
fn a_home_restored_from_before_a_commit_of_its_own_rejoins() {
    let (mut w, users, groups) = group(117, 3);
    let old = w.clients[users[0]].rows.clone();
    let dan = w.user(9);
    w.befriend(users[0], dan, &bell(9));
    let members = vec![Target::Address(bell(9))];
    w.ask(users[0], Intent::AddMembers { conversation: groups[0], members }).unwrap();
    w.run_for(5_000);
    w.clients[users[0]].rows = old;
    w.crash(users[0]);
    w.run_for(5_000);
    w.say(users[1], groups[1], "who reads this?");
    w.run_for(60_000);
    assert_eq!(last(w.texts(users[0], groups[0]), 1), ["who reads this?"]);
    w.say(users[0], groups[0], "I do");
    w.run_for(20_000);
    for user in [users[1], users[2], dan] {
        let id = groups_of(&mut w, user);
        assert_eq!(last(w.texts(user, id), 1), ["I do"]);
    }
}

#[test]
fn with_exhausted_key_packages_the_last_resort_serves_and_the_leaf_is_updated() {
    let mut w = World::new(118);
    let (ada, ben) = (w.user(1), w.user(2));
    let account = w.account(ben);
    w.server.empty_pools(&account);
    w.offline(ben);
    w.send(ada, &bell(2), "last resort").unwrap();
    w.run_for(2_000);
    w.online(ben);
    let request = w.requests(ben).pop().unwrap();
    let before = w.server.commits;
    w.ask(ben, Intent::Accept { request: request.id }).unwrap();
    w.run_for(5_000);
    assert_eq!(w.server.commits, before + 1, "the leaf is updated before the first message");
    w.say(ben, request.id, "here");
    w.run_for(5_000);
    assert!(w.all_texts(ada).contains(&"here".to_owned()));
}

#[test]
fn rows_that_come_twice_or_on_another_socket_count_once() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(119);
    w.hold(ben);
    for n in 0..5 {
        w.say(ada, at_ada, &format!("{n}"));
    }
    w.run_for(2_000);
    w.release_with(ben, |inputs| {
        let twice: Vec<Input> = inputs.drain(..).flat_map(double).collect();
        inputs.extend(twice);
    });
    w.drop_sockets(ben);
    w.run_for(70_000);
    assert_eq!(last(w.texts(ben, at_ben), 5), ["0", "1", "2", "3", "4"]);
    assert_eq!(w.status(ben).unreadable, 0);
}

fn double(input: Input) -> Vec<Input> {
    match input {
        Input::Frame(socket, ServerFrame::Push(Push::Rows(rows))) => {
            let mut again = rows.clone();
            again.iter_mut().for_each(|row| row.seq += 1_000);
            let frame = |rows| Input::Frame(socket, ServerFrame::Push(Push::Rows(rows)));
            // The same cursor, and the same room sequence under another cursor.
            vec![frame(rows.clone()), frame(rows), frame(again)]
        }
        other => vec![other],
    }
}

#[test]
fn a_server_that_falls_silent_is_tried_anew() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(120);
    w.offline(ben);
    w.say(ada, at_ada, "there?");
    w.hold(ben);
    w.clients[ben].network = true;
    w.run_for(40_000);
    w.release_with(ben, Vec::clear);
    w.run_for(120_000);
    assert_eq!(last(w.texts(ben, at_ben), 1), ["there?"]);
}

#[test]
fn what_is_said_to_somebody_who_has_just_left_counts_as_nothing() {
    let (mut w, users, groups) = group(140, 3);
    w.hold(users[2]);
    w.say(users[1], groups[1], "still here?");
    w.run_for(2_000);
    w.start_intent(users[2], Intent::Leave { conversation: groups[2] });
    w.run_for(2_000);
    w.release(users[2]);
    w.run_for(30_000);
    assert_eq!(w.status(users[2]).unreadable, 0, "it was not for them any more");
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    let (mut w, ada, ben, at_ada, at_ben) = pair(141);
    w.clients[ada].ahead = 20 * 3_600_000;
    w.run_for(10_000);
    w.clients[ada].network = false;
    w.drop_sockets(ada);
    w.run_for(120_000);
    w.say(ada, at_ada, "one");
    w.clients[ada].ahead = 0;
    w.clients[ada].network = true;
    // A shell ticks within half a minute.
    (0..5).for_each(|_| w.run_for(30_000));
    assert_eq!(w.texts(ben, at_ben).last().unwrap(), "one");
    assert_eq!(w.status(ada).queued, 0);
}

#[test]
fn a_clock_that_is_set_while_connected_does_not_keep_an_accepted_conversation_shut() {
    for ahead in [-5 * 3_600_000, 5 * 3_600_000] {
        let mut w = World::new(142);
        let (ada, ben) = (w.user(1), w.user(2));
        w.send(ada, &bell(2), "hello").unwrap();
        w.run_for(2_000);
        w.clients[ben].ahead = ahead;
        let request = w.requests(ben).pop().unwrap();
        w.ask(ben, Intent::Accept { request: request.id }).unwrap();
        (0..5).for_each(|_| w.run_for(30_000));
        let at_ada = w.only_conversation(ada).id;
        w.say(ada, at_ada, "one");
        (0..5).for_each(|_| w.run_for(30_000));
        assert_eq!(w.texts(ben, request.id).last().unwrap(), "one", "ahead by {ahead} ms");
    }
}

#[test]
fn what_waited_for_two_commits_is_heard_once() {
    let (mut w, users, groups) = group(232, 3);
    let (ada, ben) = (users[0], users[1]);
    w.hold(ben);
    for write in [Allowed::Admins, Allowed::Everyone] {
        let rules = GroupRules { add: Allowed::Everyone, write, change: Allowed::Everyone, history_s: None };
        w.ask(ada, Intent::SetRules { conversation: groups[0], rules }).unwrap();
        w.run_for(1_000);
    }
    w.say(ada, groups[0], "after both");
    w.run_for(1_000);
    // The first commit is late: the log has it, and the others wait.
    let mut late = true;
    w.release_with(ben, |inputs| {
        for input in inputs {
            if let Input::Frame(_, ServerFrame::Push(Push::Rows(rows))) = input {
                rows.retain(|row| !matches!(row.body, RowBody::Commit { .. }) || !std::mem::take(&mut late));
            }
        }
    });
    assert!(!late);
    w.run_for(30_000);
    assert!(w.texts(ben, groups[1]).contains(&"after both".to_owned()));
    assert_eq!((w.status(ben).unreadable, w.status(ben).refused), (0, 0));
    assert!(!w.clients[ben].events.iter().any(|event| matches!(event, Event::Interference { .. })));
}

#[test]
fn who_answers_has_let_one_in_though_an_old_copy_does_not_know_it() {
    let mut w = World::new(140);
    let (ada, ben) = (w.user(1), w.user(2));
    w.send(ada, &bell(2), "hello").unwrap();
    w.run_for(5_000);
    let copied = w.clients[ada].rows.clone();
    let request = w.requests(ben).pop().unwrap().id;
    w.ask(ben, Intent::Accept { request }).unwrap();
    w.run_for(5_000);
    w.clients[ada].rows = copied;
    w.crash(ada);
    w.run_for(5_000);
    assert_eq!(w.only_conversation(ada).state, ConversationState::Asked);
    w.say(ben, request, "hi");
    w.run_for(5_000);
    let at_ada = w.only_conversation(ada);
    assert_eq!(at_ada.state, ConversationState::Open);
    w.say(ada, at_ada.id, "how are you");
    w.run_for(5_000);
    assert_eq!(w.texts(ben, request), ["hello", "hi", "how are you"]);
}

#[test]
fn what_an_old_copy_says_is_asked_for_though_somebody_else_has_read_it() {
    let (mut w, users, groups) = group(141, 3);
    let (ada, ben, cid) = (users[0], users[1], users[2]);
    let copied = w.clients[ada].rows.clone();
    // Cid never gets what ada says first, with a key that she uses again: he can read what she says then.
    w.hold(cid);
    let first = w.say(ada, groups[0], "one");
    w.run_for(2_000);
    w.release_with(cid, |inputs| {
        for input in inputs {
            if let Input::Frame(_, ServerFrame::Push(Push::Rows(rows))) = input {
                rows.retain(|row| !matches!(row.body, RowBody::Message { message_id, .. } if message_id == first));
            }
        }
    });
    w.clients[ada].rows = copied;
    w.crash(ada);
    w.run_for(2_000);
    w.hold(ben);
    w.say(ada, groups[0], "two");
    w.run_for(2_000);
    assert_eq!(w.texts(cid, groups[2]), ["two"]);
    // Ben gets it together with what the others report of it.
    w.release_with(ben, |inputs| {
        let mut all = Vec::new();
        for input in inputs.iter_mut() {
            if let Input::Frame(_, ServerFrame::Push(Push::Rows(rows))) = input {
                all.append(rows);
            }
        }
        let socket = Socket { identity: IdentityId(0), role: Role::Inbox };
        inputs.push(Input::Frame(socket, ServerFrame::Push(Push::Rows(all))));
    });
    w.run_for(20_000);
    assert_eq!(w.texts(ben, groups[1]), ["one", "two"]);
    assert!(!w.clients[ben].events.iter().any(|event| matches!(event, Event::Interference { .. })));
}
