//! What somebody is given who is added to a group, mentions, and the group's picture.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod support;

use parlour_client::api::*;
use parlour_proto::content::mention;
use parlour_proto::ids::RoomId;
use support::*;

const HOUR_MS: u64 = 3_600_000;

fn picture(first: u8) -> Picture {
    Picture::new("image/webp", vec![first; 500].into()).unwrap()
}

fn rules(w: &mut World, client: usize, at: ConversationId, change: impl FnOnce(&mut GroupRules)) {
    let mut rules = the_group(w, client).group.unwrap().rules;
    change(&mut rules);
    assert!(w.ask(client, Intent::SetRules { conversation: at, rules }).is_ok());
    w.run_for(2_000);
}

/// Somebody new, whom a member knows and adds.
fn add(w: &mut World, by: usize, at: ConversationId, number: u32) -> usize {
    let new = w.user(number);
    w.befriend(by, new, &bell(number));
    let members = vec![Target::Address(bell(number))];
    let reply = w.ask(by, Intent::AddMembers { conversation: at, members });
    assert!(reply.is_ok(), "{reply:?}");
    w.run_for(5_000);
    new
}

fn group_texts(w: &mut World, client: usize) -> Vec<String> {
    let at = the_group(w, client).id;
    w.texts(client, at)
}

fn shown_picture(w: &mut World, client: usize) -> Option<u8> {
    let group = the_group(w, client);
    let Ok(Reply::Picture(picture)) = w.ask(client, Intent::GroupPicture { conversation: group.id }) else { panic!() };
    assert_eq!(group.picture.is_some(), picture.is_some());
    picture.and_then(|picture| picture.image().first().copied())
}

#[test]
fn who_is_named_is_told_so() {
    let (mut w, users, at) = group(200, 3);
    let ben = w.account(users[1]);
    let text = mention::said("Ask @Ben about it", &[Mention { start: 4, end: 8, account: ben.clone() }]);
    w.say(users[0], at[0], &text);
    w.run_for(2_000);
    let seen = w.messages(users[2], at[2]).pop().unwrap();
    assert_eq!((seen.text.as_str(), seen.mentions.len()), ("Ask @Ben about it", 1));
    assert_eq!(seen.mentions[0].account, ben);
    let mentioned: Vec<bool> = users.iter().map(|user| the_group(&mut w, *user).mentioned).collect();
    assert_eq!(mentioned, [false, true, false]);
    assert_eq!(the_group(&mut w, users[1]).last.unwrap().text, "Ask @Ben about it");
    assert!(w.ask(users[1], Intent::MarkRead { conversation: at[1] }).is_ok());
    w.say(users[0], at[0], "and nobody in particular");
    w.run_for(1_000);
    assert!(!the_group(&mut w, users[1]).mentioned, "what names him is read");
}

#[test]
fn a_group_s_picture_is_the_same_for_all_and_changed_by_who_may() {
    let (mut w, users, at) = group(201, 3);
    let set = |w: &mut World, who: usize, first: Option<u8>| {
        let reply = w.ask(users[who], Intent::SetGroupPicture { conversation: at[who], picture: first.map(picture) });
        w.run_for(2_000);
        reply.is_ok()
    };
    assert!(set(&mut w, 1, Some(7)));
    assert_eq!(users.iter().map(|user| shown_picture(&mut w, *user)).collect::<Vec<_>>(), [Some(7); 3]);
    rules(&mut w, users[0], at[0], |rules| rules.change = Allowed::Admins);
    assert!(!set(&mut w, 1, Some(8)));
    let dora = add(&mut w, users[0], at[0], 7);
    assert_eq!(shown_picture(&mut w, dora), Some(7), "who comes later sees it, too");
    assert!(set(&mut w, 0, None));
    assert_eq!(shown_picture(&mut w, users[2]), None);
}

#[test]
fn a_newcomer_is_given_nothing_of_before_where_nothing_is_said_of_it() {
    let (mut w, users, at) = group(202, 2);
    w.say(users[0], at[0], "before");
    let dora = add(&mut w, users[0], at[0], 7);
    w.say(users[1], at[1], "after");
    w.run_for(1_000);
    assert_eq!(group_texts(&mut w, dora), ["after"]);
}

#[test]
fn a_newcomer_is_given_what_was_said_as_far_as_the_policy_says() {
    let (mut w, users, at) = group(203, 3);
    w.say(users[0], at[0], "before the rule");
    w.run_for(1_000);
    rules(&mut w, users[0], at[0], |rules| rules.history_s = Some(24 * 3_600));
    w.say(users[1], at[1], "too old");
    w.run_for(25 * HOUR_MS);
    let gone = w.say(users[1], at[1], "taken back");
    for n in 0..120 {
        w.say(users[n % 3], at[n % 3], &format!("text {n}"));
    }
    assert!(
        w.ask(users[1], Intent::Send { to: Target::Conversation(at[1]), body: Body::Delete { message: gone } }).is_ok()
    );
    w.run_for(2_000);
    let dora = add(&mut w, users[1], at[1], 7);
    w.say(users[2], at[2], "welcome");
    w.run_for(2_000);
    let texts = group_texts(&mut w, dora);
    let expected: Vec<String> = (0..120).map(|n| format!("text {n}")).chain(["welcome".to_owned()]).collect();
    assert_eq!(texts, expected);
    let (ada, at_dora) = (w.account(users[0]), the_group(&mut w, dora).id);
    let first = w.messages(dora, at_dora).remove(0);
    assert_eq!(first.from, Some(ada), "as who wrote it");
    assert_eq!(the_group(&mut w, dora).unread, 1, "what was said before is no news");
    assert_eq!(w.status(dora).unreadable, 0);
}

#[test]
fn handing_over_survives_crashes_of_both() {
    for crash in (5..260).step_by(29) {
        let (mut w, users, at) = group(204, 2);
        rules(&mut w, users[0], at[0], |rules| rules.history_s = Some(24 * 3_600));
        assert!(w.ask(users[0], Intent::SetGroupPicture { conversation: at[0], picture: Some(picture(3)) }).is_ok());
        for n in 0..110 {
            w.say(users[n % 2], at[n % 2], &format!("text {n}"));
        }
        let dora = w.user(7);
        w.befriend(users[0], dora, &bell(7));
        for client in [users[0], dora] {
            let effects = w.clients[client].effects;
            w.clients[client].crash_at = Some(effects + crash);
        }
        let members = vec![Target::Address(bell(7))];
        w.start_intent(users[0], Intent::AddMembers { conversation: at[0], members: members.clone() });
        w.run_for(30_000);
        if w.conversations(dora).iter().all(|c| !c.is_group) {
            // It died before the wish was stored.
            let _ = w.ask(users[0], Intent::AddMembers { conversation: at[0], members });
            w.run_for(30_000);
        }
        assert_eq!(group_texts(&mut w, dora).len(), 110, "crash before effect {crash}");
        assert_eq!(shown_picture(&mut w, dora), Some(3), "crash before effect {crash}");
    }
}

#[test]
fn who_comes_by_a_link_is_given_the_same() {
    let (mut w, users, at) = group(205, 3);
    rules(&mut w, users[0], at[0], |rules| rules.history_s = Some(24 * 3_600));
    assert!(w.ask(users[0], Intent::SetGroupPicture { conversation: at[0], picture: Some(picture(5)) }).is_ok());
    w.say(users[2], at[2], "since the rule");
    w.run_for(2_000);
    let make = Intent::CreateGroupLink { conversation: at[1], approve: false, uses: 5, ttl_s: 3_600 };
    let Ok(Reply::GroupLink(link)) = w.ask(users[1], make) else { panic!() };
    let dora = w.user(7);
    assert!(w.ask(dora, Intent::JoinByLink { link: link.text }).is_ok());
    w.run_for(10_000);
    assert_eq!(group_texts(&mut w, dora), ["since the rule"]);
    let told = |event: &Event| matches!(event, Event::Earlier { .. });
    assert!(w.clients[dora].events.iter().any(told), "who looks at the beginning reads it again");
    assert_eq!(shown_picture(&mut w, dora), Some(5));
    assert_eq!(group_texts(&mut w, users[0]), ["since the rule"], "nothing of it shows with the others");
}

#[test]
fn what_was_handed_over_is_in_the_backup() {
    let (mut w, users, at) = group(206, 2);
    rules(&mut w, users[0], at[0], |rules| rules.history_s = Some(24 * 3_600));
    w.say(users[1], at[1], "before she came");
    w.run_for(1_000);
    let dora = w.home();
    let sign_up = sign_up("bell", "+491701234507");
    let Ok(Reply::SignedUp { recovery_key, .. }) = w.ask(dora, sign_up.clone()) else { panic!() };
    w.sync(dora);
    w.befriend(users[0], dora, &bell(7));
    let members = vec![Target::Address(bell(7))];
    assert!(w.ask(users[0], Intent::AddMembers { conversation: at[0], members }).is_ok());
    w.run_for(60_000);
    assert_eq!(group_texts(&mut w, dora), ["before she came"]);
    w.offline(dora);
    let new = w.home();
    let Intent::SignUp { app, handle, proof } = sign_up else { panic!() };
    w.ask(new, Intent::SignIn { app, handle, proof, recovery_key }).unwrap();
    w.sync(new);
    w.run_for(60_000);
    assert_eq!(group_texts(&mut w, new), ["before she came"]);
}

#[test]
fn who_waits_for_an_answer_is_not_brought_among_others() {
    let (mut w, users, at) = group(207, 2);
    let cleo = w.user(7);
    let Ok(Reply::Identities(ada)) = w.ask(users[0], Intent::WhoAmI) else { panic!() };
    w.send(cleo, &ada[0].address, "may I?").unwrap();
    w.run_for(2_000);
    let request = w.requests(users[0]).pop().unwrap();
    let add = Intent::AddMembers { conversation: at[0], members: vec![Target::Conversation(request.id)] };
    assert!(matches!(w.ask(users[0], add.clone()), Err(Failure::BadInput(_))), "not before they are let in");
    w.run_for(5_000);
    assert_eq!(w.conversations(users[1]).into_iter().find(|c| c.id == at[1]).unwrap().members.len(), 1);
    assert_eq!(w.conversations(cleo).len(), 1);
    w.ask(users[0], Intent::Accept { request: request.id }).unwrap();
    w.run_for(2_000);
    w.ask(users[0], add).unwrap();
    w.run_for(5_000);
    assert!(w.conversations(cleo).into_iter().any(|c| c.is_group && c.state == ConversationState::Open));
}

/// A group in which nobody reports what arrived, with a picture and a rule about what newcomers are given; and a link into it,
/// by somebody who is not the newcomer's friend.
fn large_group(seed: u64, texts: usize) -> (World, Vec<usize>, String) {
    let (mut w, users, at) = group(seed, 34);
    rules(&mut w, users[0], at[0], |rules| rules.history_s = Some(24 * 3_600));
    assert!(w.ask(users[0], Intent::SetGroupPicture { conversation: at[0], picture: Some(picture(5)) }).is_ok());
    for n in 0..texts {
        w.say(users[n % 2], at[n % 2], &format!("text {n}"));
    }
    w.run_for(5_000);
    let make = Intent::CreateGroupLink { conversation: at[1], approve: false, uses: 5, ttl_s: 86_400 };
    let Ok(Reply::GroupLink(link)) = w.ask(users[1], make) else { panic!() };
    (w, users, link.text)
}

#[test]
fn who_comes_by_a_link_into_a_large_group_is_given_the_same_and_nobody_else_carries_it() {
    let (mut w, users, link) = large_group(208, 120);
    let dora = w.user(70);
    let tablet = w.home();
    let Ok(Reply::LinkCode { code, .. }) = w.ask(dora, Intent::OfferLink) else { panic!() };
    let linking = w.start_intent(tablet, Intent::Link { code, name: "Tablet".into() });
    w.run();
    w.ask(dora, Intent::ConfirmLink { yes: true }).unwrap();
    w.run();
    assert!(matches!(w.reply(tablet, linking), Some(Ok(Reply::Linked { .. }))));
    w.sync(tablet);
    w.run_for(30_000);
    let others: Vec<u64> = users.iter().map(|user| w.status(*user).received).collect();
    assert!(w.ask(dora, Intent::JoinByLink { link }).is_ok());
    w.run_for(60_000);
    let expected: Vec<String> = (0..120).map(|n| format!("text {n}")).collect();
    for device in [dora, tablet] {
        assert_eq!(group_texts(&mut w, device), expected);
        assert_eq!(shown_picture(&mut w, device), Some(5));
        assert_eq!((w.status(device).unreadable, the_group(&mut w, device).unread), (0, 0));
    }
    let first = {
        let at = the_group(&mut w, tablet).id;
        w.messages(tablet, at).remove(0)
    };
    assert_eq!(first.from, Some(w.account(users[0])), "as who wrote it");
    for (n, user) in users.iter().enumerate().filter(|(n, _)| *n != 1) {
        assert!(w.status(*user).received <= others[n] + 1, "the roster, and nothing else");
    }
    // Nothing of it is left, and nobody is a contact by it.
    let joining = w.ask(dora, Intent::Joining);
    assert!(matches!(&joining, Ok(Reply::Joining(none)) if none.is_empty()), "{joining:?}");
    assert_eq!((w.conversations(dora).len(), w.requests(users[1]).len()), (1, 0));
    assert_eq!(w.conversations(users[1]).len(), 2, "the group, and who made it");
    let (ben, dora_account) = (w.account(users[1]), w.account(dora));
    let shared = |room: &RoomId| [&ben, &dora_account].iter().all(|who| !w.server.entries_of(room, who).is_empty());
    assert_eq!(w.server.room_ids().iter().filter(|room| shared(room)).count(), 1, "the group's");
}

#[test]
fn handing_over_in_a_large_group_survives_crashes_and_who_goes_away() {
    let (mut w, users, link) = large_group(209, 110);
    let dora = w.user(70);
    for crash in (3..150).step_by(21) {
        let mut w = w.fork();
        for client in [users[1], dora] {
            let effects = w.clients[client].effects;
            w.clients[client].crash_at = Some(effects + crash);
        }
        w.start_intent(dora, Intent::JoinByLink { link: link.clone() });
        w.run_for(60_000);
        if w.conversations(dora).is_empty() {
            // It died before the wish was stored.
            let _ = w.ask(dora, Intent::JoinByLink { link: link.clone() });
            w.run_for(60_000);
        }
        assert_eq!(group_texts(&mut w, dora).len(), 110, "crash before effect {crash}");
        assert_eq!(shown_picture(&mut w, dora), Some(5), "crash before effect {crash}");
    }
    // Who added her is away from then on: she does not wait for ever.
    w.clients[users[1]].crash_at = None;
    assert!(w.ask(dora, Intent::JoinByLink { link }).is_ok());
    while w.conversations(dora).is_empty() && w.step() {}
    w.offline(users[1]);
    w.run_for(26 * HOUR_MS);
    assert_eq!(w.conversations(dora).len(), 1);
}
