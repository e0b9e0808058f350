//! One member of a group has a changed client. What it does is valid for MLS, or claims to be; the others judge it alike
//! and go on.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use parlour_client::api::*;
use parlour_e2ee::{Change, Policy};
use parlour_proto::content::{Content, Part};
use parlour_proto::frames::{EntryChange, Push, Row, RowBody, ServerFrame};
use parlour_proto::ids::{MemberKey, MessageId, RoomId};
use support::insider::{Insider, later};
use support::{World, bell, group, the_group};

const HOUR_MS: u64 = 3_600_000;

/// Ada (who made the group), Ben, Cleo, and Mallory, whose own client stays away while her copied state is used.
struct Garden {
    w: World,
    people: Vec<usize>,
    at: Vec<ConversationId>,
    room: RoomId,
    insider: Insider,
}

fn garden(seed: u64) -> Garden {
    let (mut w, mut people, mut at) = group(seed, 4);
    let room = w.server.largest_room();
    let mallory = people.pop().unwrap();
    at.pop();
    w.offline(mallory);
    let insider = Insider::copy(&w, mallory, room);
    Garden { w, people, at, room, insider }
}

impl Garden {
    /// Everybody says something, and everybody reads all of it.
    fn all_talk(&mut self, what: &str) {
        let before: Vec<usize> = (0..3).map(|n| self.w.texts(self.people[n], self.at[n]).len()).collect();
        for n in 0..3 {
            self.w.say(self.people[n], self.at[n], &format!("{what} {n}"));
        }
        self.w.run_for(30_000);
        for (n, known) in before.into_iter().enumerate() {
            let mut texts = self.w.texts(self.people[n], self.at[n]).split_off(known);
            texts.sort();
            assert_eq!(texts, [format!("{what} 0"), format!("{what} 1"), format!("{what} 2")], "read by {n}");
        }
    }

    fn repairs(&mut self) -> u64 {
        (0..3).map(|n| self.w.status(self.people[n]).repairs).sum()
    }
}

#[test]
fn a_valid_commit_that_takes_somebodys_entry_away_is_void_for_all() {
    let mut g = garden(301);
    let ben = g.w.account(g.people[1]);
    let key = g.w.server.entries_of(&g.room, &ben)[0];
    let commit = g.insider.valid(&g.w.server, Change::default());
    commit.changes(vec![EntryChange::Remove { member_key: key }]).send(&mut g.w.server);
    assert!(g.w.server.entries_of(&g.room, &ben).is_empty());
    g.w.run_for(30_000);
    assert_eq!(g.w.server.entries_of(&g.room, &ben), [key], "a commit of the others undid it");
    g.all_talk("after");
    assert_eq!(g.w.server.knocks, 0, "nobody lost the group's state");
}

#[test]
fn a_removal_that_leaves_the_entry_is_void() {
    let mut g = garden(302);
    // She may not remove others, but her own leaf's place could be said to be anything: a commit with one change too many.
    let me = g.insider.member_key;
    let commit = g.insider.valid(&g.w.server, Change::default());
    commit.changes(vec![EntryChange::Rekey { new: me }]).send(&mut g.w.server);
    g.w.run_for(30_000);
    g.all_talk("after");
    assert_eq!(g.repairs(), 0);
}

#[test]
fn a_valid_commit_that_calls_a_followed_one_void_is_void_itself() {
    let mut g = garden(303);
    let head = g.w.server.head(&g.room);
    g.insider.valid(&g.w.server, Change::default()).voids(vec![head]).send(&mut g.w.server);
    g.w.run_for(60_000);
    g.all_talk("after");
    assert_eq!(g.repairs(), 0);
}

#[test]
fn a_commit_that_turns_attributed_mode_on_for_the_server_only_is_void() {
    let mut g = garden(314);
    let before = g.w.server.commits;
    let commit = g.insider.valid(&g.w.server, Change::default());
    commit.changes(vec![EntryChange::Attributed { on: true }]).send(&mut g.w.server);
    g.w.run_for(30_000);
    assert_eq!(g.w.server.commits, before + 2, "a commit of the others takes it back");
    for who in 0..3 {
        assert!(!the_group(&mut g.w, g.people[who]).group.unwrap().attributed);
        assert_eq!(told(&g, who, Interference::Forged), 1, "said to {who}");
    }
    g.all_talk("after");
}

#[test]
fn rows_of_an_epoch_that_nothing_leads_to_harm_nobody() {
    let mut g = garden(304);
    for by in [1, 2, 1000] {
        g.insider.valid(&g.w.server, Change::default()).of_a_later_epoch(by).send(&mut g.w.server);
        g.w.run_for(10_000);
        g.all_talk(&format!("after {by}"));
    }
    // Two at once, and noise before.
    let forged = |g: &mut Garden| g.insider.valid(&g.w.server, Change::default()).of_a_later_epoch(1);
    for _ in 0..2 {
        g.w.server.commit_rubbish(g.room);
        forged(&mut g).send(&mut g.w.server);
        forged(&mut g).send(&mut g.w.server);
        g.w.run_for(70_000);
        g.all_talk("after three");
    }
    assert_eq!(g.repairs(), 0);
    assert_eq!(g.w.server.knocks, 0);
}

#[test]
fn messages_of_an_epoch_that_nothing_leads_to_harm_nobody() {
    let mut g = garden(305);
    for by in [1, 7] {
        let commit = g.insider.valid(&g.w.server, Change::default());
        g.w.server.say_noise(g.room, later(&message_like(&commit.commit.payload), by));
        g.w.run_for(60_000);
        g.all_talk(&format!("after {by}"));
    }
    assert_eq!(g.repairs(), 0);
}

/// A commit's bytes, framed as a message's: the content type is behind the epoch.
fn message_like(payload: &[u8]) -> Vec<u8> {
    let mut payload = payload.to_vec();
    payload[29] = 1;
    payload
}

#[test]
fn whose_state_is_astray_finds_out_and_comes_back() {
    let mut g = garden(306);
    let ben = g.people[1];
    // Ben's copy of Ada's commit is spoilt on its way: he calls void what the others follow.
    g.w.hold(ben);
    let dora = g.w.user(9);
    g.w.befriend(g.people[0], dora, &bell(9));
    let add = Intent::AddMembers { conversation: g.at[0], members: vec![Target::Address(bell(9))] };
    assert!(g.w.ask(g.people[0], add).is_ok());
    g.w.release_with(ben, |inputs| {
        for input in inputs {
            if let Input::Frame(_, ServerFrame::Push(Push::Rows(rows))) = input {
                for row in rows {
                    if let RowBody::Commit { payload, .. } = &mut row.body {
                        let mut spoilt = payload.to_vec();
                        *spoilt.last_mut().unwrap() ^= 1;
                        *payload = spoilt.into();
                    }
                }
            }
        }
    });
    g.w.run_for(10 * 60_000);
    assert!(g.w.status(ben).repairs >= 1, "Ben found out");
    g.all_talk("together");
    assert_eq!(g.w.status(g.people[0]).repairs + g.w.status(g.people[2]).repairs, 0, "the others were right");
}

#[test]
fn a_group_whose_state_is_lost_by_all_is_made_anew_by_its_admin() {
    let mut g = garden(307);
    g.all_talk("before");
    for person in g.people.clone() {
        g.w.wipe_mls(person);
    }
    // It shows when somebody says something.
    for n in 0..3 {
        g.w.say(g.people[n], g.at[n], &format!("lost {n}"));
    }
    g.w.run_for(2 * HOUR_MS);
    g.all_talk("anew");
    for n in 0..3 {
        let texts = g.w.texts(g.people[n], g.at[n]);
        assert!((0..3).all(|by| texts.contains(&format!("lost {by}"))), "{texts:?}");
    }
    for n in 0..3 {
        let shown = the_group(&mut g.w, g.people[n]);
        assert_eq!((shown.id, shown.state, shown.title.as_str()), (g.at[n], ConversationState::Open, "Garden"));
    }
    let anew = g.w.server.room_ids().into_iter().any(|room| room != g.room && g.w.server.entries(&room) == 4);
    assert!(anew, "in a room with everybody, Mallory too");
}

#[test]
fn a_group_made_anew_by_two_at_once_is_one_group() {
    let mut g = garden(308);
    // Its owner leaves: then every member acts as one.
    assert!(g.w.ask(g.people[0], Intent::Leave { conversation: g.at[0] }).is_ok());
    g.w.run_for(10_000);
    let (ben, cleo) = (g.people[1], g.people[2]);
    g.w.wipe_mls(ben);
    g.w.wipe_mls(cleo);
    g.w.say(ben, g.at[1], "lost");
    g.w.say(cleo, g.at[2], "lost, too");
    g.w.run_for(3 * HOUR_MS);
    g.w.say(ben, g.at[1], "one");
    g.w.run_for(5_000);
    g.w.say(cleo, g.at[2], "and the same");
    g.w.run_for(5_000);
    for (who, at) in [(ben, g.at[1]), (cleo, g.at[2])] {
        let texts = g.w.texts(who, at);
        assert_eq!(texts[texts.len() - 2..], ["one", "and the same"]);
        assert_eq!(the_group(&mut g.w, who).state, ConversationState::Open);
    }
}

#[test]
fn nobody_but_an_admin_can_put_another_group_in_the_place_of_one() {
    let (mut w, people, at) = group(309, 4);
    let room = w.server.largest_room();
    let (ada, mallory) = (people[0], people[3]);
    // Mallory's own engine, made to believe that she is the owner: it makes the group anew when nobody lets it in.
    let policy = Insider::copy(&w, mallory, room).group.policy().clone();
    let owner = policy.roles.keys().next().unwrap().clone();
    let hers = parlour_e2ee::AccountRef { id: w.account(mallory).account.0, ..owner.clone() };
    let mut forged: Policy = policy.clone();
    let role = forged.roles.remove(&owner).unwrap();
    forged.roles.insert(hers, role);
    let (before, after) = (policy.to_bytes(), forged.to_bytes());
    assert_eq!(before.len(), after.len());
    for value in w.clients[mallory].rows.values_mut() {
        if let Some(start) = value.windows(before.len()).position(|window| window == before) {
            value[start..start + after.len()].copy_from_slice(&after);
        }
    }
    for person in &people[..3] {
        w.offline(*person);
    }
    w.wipe_mls(mallory);
    w.say(mallory, at[3], "all mine");
    w.run_for(2 * HOUR_MS);
    assert!(w.server.room_ids().iter().any(|other| w.server.entries(other) == 4 && *other != room), "she made one");
    for person in &people[..3] {
        w.online(*person);
    }
    w.say(ada, at[0], "we are still here");
    w.run_for(10_000);
    for n in 1..3 {
        let texts = w.texts(people[n], at[n]);
        assert_eq!(texts.last().map(String::as_str), Some("we are still here"));
        // Hers is another conversation, not this one.
        let groups: Vec<_> = w.conversations(people[n]).into_iter().filter(|c| c.is_group && c.id == at[n]).collect();
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].state, ConversationState::Open);
    }
}

/// How often these were told of interference of this kind.
fn told(g: &Garden, who: usize, kind: Interference) -> usize {
    let events = g.w.clients[g.people[who]].events.iter();
    events.filter(|event| matches!(event, Event::Interference { what, .. } if *what == kind)).count()
}

#[test]
fn content_that_is_none_or_beyond_its_bounds_is_refused_and_said() {
    let mut g = garden(310);
    let text = "x".repeat(parlour_proto::content::MAX_TEXT_BYTES + 1);
    let mut long = vec![1];
    long.extend(text.as_bytes());
    for content in [&b""[..], b"\xff\xff\xff", &long] {
        let (id, tag, payload) = g.insider.seal(content).unwrap();
        g.w.server.say_sealed(g.room, id, tag, payload);
        g.w.run_for(10_000);
    }
    let beyond = vec![0; 2 * parlour_proto::frames::MAX_MESSAGE_BYTES];
    assert!(
        g.insider.seal(&beyond).is_none_or(|(.., payload)| payload.len() > parlour_proto::frames::MAX_MESSAGE_BYTES)
    );
    for who in 0..3 {
        assert_eq!(told(&g, who, Interference::Forged), 1, "said to {who}");
        assert_eq!(g.w.status(g.people[who]).refused, 3);
    }
    g.all_talk("after");
    assert_eq!(g.repairs(), 0);
}

#[test]
fn a_message_whose_tag_does_not_open_it_is_refused_by_all_and_said() {
    let mut g = garden(311);
    let (id, mut tag, payload) = g.insider.seal(b"deniable").unwrap();
    tag[0] ^= 1;
    g.w.server.say_sealed(g.room, id, tag, payload);
    g.w.run_for(10_000);
    for who in 0..3 {
        assert_eq!(told(&g, who, Interference::Forged), 1, "said to {who}");
    }
    g.all_talk("after");
}

#[test]
fn a_message_under_anothers_id_is_refused_by_all_and_said() {
    let mut g = garden(312);
    // What was sealed, and so signed, for one id is said again under another: a report of it would show nothing.
    let (_, tag, payload) = g.insider.seal(b"once").unwrap();
    g.w.server.say_sealed(g.room, MessageId([7; 16]), tag, payload);
    g.w.run_for(10_000);
    for who in 0..3 {
        assert_eq!(told(&g, who, Interference::Forged), 1, "said to {who}");
    }
    g.all_talk("after");
}

#[test]
fn a_leaf_that_claims_to_be_an_own_device_says_nothing_in_ones_own_name() {
    let mut w = World::new(330);
    let (ada, mallory) = (w.user(0), w.user(1));
    let (_, at_ada) = w.befriend(mallory, ada, &bell(0));
    let (room, account) = (w.server.largest_room(), w.account(ada));
    w.offline(mallory);
    // Either of two may bring in more devices of the two: she brings one of Ada's that Ada never had.
    let mut insider = Insider::copy(&w, mallory, room);
    let mut posed = insider.add_as(&account, &mut w.server, w.now);
    w.run_for(1_000);
    let said = Content::new([7; 16], Part::text("I owe you money")).encode().unwrap();
    let (id, tag, payload) = posed.seal(&said).unwrap();
    w.server.say_sealed(room, id, tag, payload);
    w.run_for(30_000);
    assert_eq!(w.texts(ada, at_ada), ["hello"]);
    w.run_for(300_000);
    assert_eq!(w.texts(ada, at_ada), ["hello"]);
    let told = |event: &Event| matches!(event, Event::Interference { what: Interference::Keys, .. });
    assert!(w.clients[ada].events.iter().any(told), "{:?}", w.clients[ada].events);
    w.online(mallory);
    w.say(ada, at_ada, "go on");
    w.run_for(30_000);
    assert_eq!(w.all_texts(mallory), ["hello", "go on"]);
}

#[test]
fn garbage_welcomes_use_up_no_key_package_and_harm_nobody() {
    let mut g = garden(313);
    let ben = g.people[1];
    let account = g.w.account(ben);
    let next = g.w.server.next_package_of(&account);
    for n in 0..200u8 {
        let body = RowBody::Welcome {
            // One of them by a key package that is really his, the next that a stranger gets.
            member_key: if n == 100 { next } else { MemberKey([n; 32]) },
            shared: vec![n; 300].into(),
            part: vec![n; 100].into(),
            asked: n.is_multiple_of(2),
        };
        let row = Row { seq: 1_000_000 + u64::from(n), room: RoomId([n; 16]), room_seq: 1, time: g.w.now, body };
        g.w.inject(ben, Push::Rows(vec![row]));
    }
    g.w.run_for(10_000);
    assert_eq!(g.w.requests(ben).len(), 0, "nobody asks anything");
    assert_eq!(told(&g, 1, Interference::Forged), 1, "the one that could have been for him is said");
    g.all_talk("after");
    let dora = g.w.user(9);
    let handle = bell(1);
    g.w.send(dora, &handle, "a genuine one").unwrap();
    g.w.run_for(5_000);
    assert_eq!(g.w.requests(ben).pop().unwrap().text.as_deref(), Some("a genuine one"));
}
